"""One guest in our care, whether it runs or not.

1. Its status is asked for after every notice, by one question at a time; news that comes meanwhile
   means one more.  What the answer tells is compared with what we know: it does not matter which
   notices got lost.
2. What we do to it and what we ask about it take turns.  So none of our own deeds is taken for one
   of others, and no answer is older than what was done last.  Only a kill waits for nothing.
3. A host that does not answer is no news of its guests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from torpor.config.guests import GuestSpec
from torpor.core.messages import (
    Exited,
    FoundRunning,
    FoundUnhealthy,
    Froze,
    HostReturned,
    StatusChanged,
    Thawed,
)
from torpor.core.model import ExitInfo, InstanceId, Tier
from torpor.errors import ProviderFailed, StartFailed, TorporError
from torpor.providers.base import Frozen, Report
from torpor.providers.guests.attempt import ALIVE, ENDED, LONGEST_PAUSE, SHORTEST_PAUSE, Attempt, to_its_end
from torpor.providers.guests.driver import Driver, State, Status
from torpor.providers.guests.gauge import Gauge
from torpor.providers.guests.life import Life
from torpor.providers.guests.record import Record

logger = logging.getLogger(__name__)

_SECOND_LOOK = 0.1
"""Seconds until what a host says of a pause is doubted no more, or asked for again."""
_KILLING = 60.0
"""Seconds in which a guest that nobody wants has to be gone once it was killed."""
_SHALLOW = "its host can pause it and no more: its memory stays"


class Ward:
    """Looks after one guest for one instance."""

    def __init__(self, id: InstanceId, guest: GuestSpec, driver: Driver, report: Report) -> None:
        self.id = id
        self.guest = guest
        """What is configured; while a life lasts, its own is what counts."""
        self.stop_timeout = 0.0
        """Seconds that it gets to end by itself where nobody has asked for it."""
        self.followed = False
        """Whether its app is configured, so that a start by others is of interest."""
        self.life: Life | None = None
        self.gauge: Gauge | None = None
        """Of that life."""
        self.survivor: tuple[Record, Status] | None = None
        """What an earlier daemon left, until somebody has decided on it."""
        self.left_run: str | None = None
        """The run that an earlier daemon answered for, where its host could not tell what became of it."""
        self._driver = driver
        self._report = report
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._starting = False
        self._wanted = False
        self._gap = SHORTEST_PAUSE
        self._by_hand = False
        self._is_back = False
        """Whether the host could not be heard for a while, and can again."""
        self._missed_host = False
        """Whether the last start has failed because the host did not answer, nor has since."""
        self._told_run: str | None = None
        """The run that was told of as started by others."""
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether nobody here answers for anything that is alive, or is to be."""
        return self.life is None and self.survivor is None and not self._starting

    @property
    def present(self) -> GuestSpec:
        """The guest that news are to be heard of."""
        if self.life is not None:
            return self.life.guest
        return self.survivor[0].guest if self.survivor is not None else self.guest

    def look(self, *, by_hand: bool = False, is_back: bool = False) -> None:
        """There is news: look soon.

        `by_hand`: somebody has asked for the end of the run that was there; `is_back`: its host is heard again.
        """
        if self._closed:  # what was to be looked at later
            return
        self._by_hand |= by_hand
        self._is_back |= is_back
        self._wanted = True
        self._gap = SHORTEST_PAUSE
        self._news.set()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._keep_looking())

    async def look_once(self) -> bool:
        """Look, and tell what is new; whether that is all for now."""
        async with self._turn:
            by_hand, self._by_hand = self._by_hand, False
            judged = False
            try:
                status = await self._driver.status(self.present)
            except TorporError as error:
                logger.debug("%s: %s", self.id, error)
            except Exception:
                logger.exception("%s: its status cannot be found out", self.id)
            else:
                await self._judge(status, by_hand=by_hand)
                self._tell_of_return()
                judged = True
                if self._is_back and self.life is not None and self.life.unheard:
                    await self._ask_again(self.life)
                self._is_back = False
                return status.state is not State.CHANGING
            finally:
                if not judged:  # whoever looks next has to know, also where this look was given up
                    self._by_hand |= by_hand
            return False

    async def settle(self) -> None:
        """Return when a look that begins now was successful."""
        while not await self.look_once():
            await self._wait_for_news(SHORTEST_PAUSE)

    async def start(
        self, guest: GuestSpec, birth: AbstractContextManager[Callable[[Status], Life]], *, listens: bool
    ) -> Life:
        """Bring the guest to life, or take it as it runs.  Raises `StartFailed`, `ProviderFailed`.

        `birth` prepares for it, and makes a life of what was found then; `listens`: it has to have an address.
        """
        async with self._turn:
            if self.life is not None or self.survivor is not None:
                raise StartFailed(f"an earlier generation of {self.id} is still alive")
            attempt = Attempt(self._driver, guest, self._wait_for_news, listens=listens)
            self._starting, self._missed_host = True, False
            try:
                with birth as live:
                    return self._live(live(await attempt.carry_out()))
            except ProviderFailed:
                self._missed_host = True
                self.look()
                raise
            finally:
                self._starting = False

    def adopt(self, live: Callable[[Status], Life]) -> None:
        """Take on the survivor."""
        assert self.survivor is not None
        _, status = self.survivor
        self._live(live(status))
        self.survivor = None

    async def freeze(self, life: Life, tier: Tier) -> Frozen:
        """See `Provider.freeze`."""
        assert self.gauge is not None
        before = await self.gauge.measure()
        if not await to_its_end(self._pause(life)):
            return Frozen(Tier.PAUSE, 0, 0)
        return Frozen(Tier.PAUSE, before, before, _SHALLOW if tier is Tier.HIBERNATE else None)

    async def thaw(self, life: Life) -> None:
        """See `Provider.thaw`."""
        await to_its_end(self._resume(life))

    async def stop(self, life: Life) -> None:
        """See `Provider.stop`."""
        life.asked = True
        async with self._turn:
            if self.life is life:
                await self._ask_to_end(life)
        self.look()

    async def kill(self, life: Life) -> None:
        """See `Provider.kill`."""
        life.asked = True
        await self._driver.kill(life.guest)
        self.look()

    async def discard(self, guest: GuestSpec, run: str | None, stop_timeout: float) -> None:
        """End what runs, which nobody wants.  `run`: only that one; None: whichever it is.

        Raises `ProviderFailed`.
        """
        async with self._turn:
            if self.life is not None:
                return
            status = await self._driver.status(guest)
            if status.state in ENDED or run not in {None, status.run}:
                return
            await self._driver.stop(guest)
            if not await self._is_gone(guest, stop_timeout):
                await self._driver.kill(guest)
                if not await self._is_gone(guest, _KILLING):
                    raise ProviderFailed(
                        f"cannot end the {self._driver.noun} {guest.name}: it survives the kill",
                        hint=f"ask {self._driver.title} why",
                    )

    async def close(self) -> None:
        """Look no more; what is alive goes on."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        if self.gauge is not None:
            await self.gauge.close()
        if self.life is not None:
            await self.life.close()

    # --- inside ----------------------------------------------------------------

    def _live(self, life: Life) -> Life:
        self.life = life
        self.gauge = Gauge(lambda: self._driver.usage(life.guest))
        self.gauge.read()
        self._by_hand = False
        life.begin()
        self.look()
        return life

    async def _ask_to_end(self, life: Life) -> None:
        life.unheard = True
        await self._driver.stop(life.guest)
        life.frozen, life.unheard = None, False

    async def _ask_again(self, life: Life) -> None:
        """A host that was away when its end was asked for is back: it ends in order, not by the kill that comes."""
        try:
            await self._ask_to_end(life)
        except TorporError as error:
            logger.debug("%s: %s", self.id, error)

    async def _pause(self, life: Life) -> bool:
        """Whether it was there to be paused."""
        async with self._turn:
            if self.life is not life:
                return False
            await self._driver.pause(life.guest)
            life.note_own(Tier.PAUSE)
            return True

    async def _resume(self, life: Life) -> None:
        async with self._turn:
            if self.life is life:
                await self._driver.resume(life.guest)
                life.note_own(None)
        self.look()

    async def _keep_looking(self) -> None:
        while True:
            self._wanted = False
            settled = await self.look_once()
            if self._wanted:
                continue
            if self.life is None and (settled or not self.followed):
                return
            if settled and self.life is not None and not self.life.asked:
                return
            # Its end was asked for, or its host does not answer: no reason to wait for ever for a notice.
            await self._wait_for_news(self._gap)
            self._gap = min(2 * self._gap, LONGEST_PAUSE)

    async def _judge(self, status: Status, *, by_hand: bool) -> None:
        if status.state is State.CHANGING:
            self._by_hand |= by_hand
            return
        if (life := self.life) is not None:
            if status.state in ALIVE and status.run == life.record.run:
                self._compare(life, status)
                return
            await self._end(life, status, by_hand=by_hand)
        if status.state not in ALIVE:
            self._told_run = None
        elif self.followed and self.survivor is None and status.state is State.RUNNING:
            self._tell_of(status)  # what others have paused sleeps, as they wished; a start lets it go on

    async def _end(self, life: Life, status: Status, *, by_hand: bool) -> None:
        if self.gauge is not None:
            await self.gauge.close()
        await life.end()
        self.life = self.gauge = None
        info, by_hand = status.exit, by_hand or status.by_hand
        if status.state is State.MISSING:
            # Somebody took it away, whatever its host still had to say of that; no attempt brings it back.
            info, by_hand = ExitInfo(note=f"the {self._driver.noun} is gone"), True
        elif status.run not in {None, life.record.run}:
            info = ExitInfo(note="another run of it has begun")
        # By hand or not, whoever restarts it wants it to run: that is no stop to be respected.
        by_hand = by_hand and status.state in ENDED and not life.asked
        self._report(Exited(life.id, life.generation, info, by_hand=by_hand))

    def _tell_of_return(self) -> None:
        if self._missed_host:
            self._missed_host = False
            self._report(HostReturned(self.id))

    def _tell_of(self, status: Status) -> None:
        if status.run != self._told_run:
            self._told_run = status.run
            ours = status.run == self.left_run
            whose = "has run since an earlier daemon" if ours else "was started by others"
            text = f"the {self._driver.noun} {self.present.name} {whose}"
            self._report(FoundRunning(self.id, text, ours=ours))

    def _compare(self, life: Life, status: Status) -> None:
        """Tell what is new of a run that goes on."""
        id, generation = life.id, life.generation
        if life.note_health(status) and not life.asked:
            text = f"its health check fails: {status.note}" if status.note else "its health check fails"
            self._report(FoundUnhealthy(id, generation, text))
        elif life.note_words(status):
            self._report(StatusChanged(id, generation, status.note))
        paused = status.state is State.PAUSED
        if paused is (life.frozen is not None) or life.asked:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < life.settled_at:
            loop.call_later(_SECOND_LOOK, self.look)
            return
        life.frozen = Tier.PAUSE if paused else None
        if paused:
            rss = self.gauge.read().rss if self.gauge is not None else 0
            self._report(Froze(id, generation, Tier.PAUSE, rss, rss, "paused by others"))
        else:
            self._report(Thawed(id, generation))

    async def _is_gone(self, guest: GuestSpec, limit: float) -> bool:
        """Whether it has ended within `limit` seconds."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + limit, SHORTEST_PAUSE
        while (await self._driver.status(guest)).state not in ENDED:
            if loop.time() > until:
                return False
            await self._wait_for_news(min(pause, limit))
            pause = min(2 * pause, LONGEST_PAUSE)
        return True

    async def _wait_for_news(self, limit: float) -> None:
        """Return at the next news, or at those that came since the last time; at latest after `limit` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._news.wait()
        self._news.clear()
