"""Apps of containers by their labels: follows which containers an engine has.

Laws:

1. An app is there as long as its container, and a little longer: Compose removes a container only to make
   it anew, and the app stays the same one over that.
2. An engine that cannot be reached takes no app away: what was seen last is what there is.
3. Whatever cannot be is told once, and keeps no other container from being an app.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from torpor.config.hosts import EngineHost
from torpor.config.labels.container import Container
from torpor.config.labels.draft import Remark
from torpor.errors import TorporError
from torpor.providers.guests.catalogue import Catalogue
from torpor.runtime import clock

if TYPE_CHECKING:
    from torpor.config.labels.reading import Reading

log = logging.getLogger(__name__)

AGAIN = 30.0
"""Seconds until what could not be is tried again."""
GRACE = 10.0
"""Seconds for which an app stays without its container."""
SETTLE = 0.3
"""Seconds to wait for more of the same: `docker compose up` makes many at once."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until an engine that could not be reached is asked again; twice as many each time."""
MAX_TOLD = 10_000
"""Most remarks that are remembered so as not to be told again."""

Open = Callable[[str, EngineHost], Catalogue]
"""The catalogue of an engine, by the engine's name in the configuration and what is said there of it."""
Take = Callable[[Sequence["Reading"]], Awaitable[bool]]
"""Lets the containers be apps; False: some cannot be, but maybe later.  Raises `TorporError`; then all is as before."""


class Discovery:
    """The containers of all engines that are looked at."""

    def __init__(self, open: Open) -> None:
        self._open = open
        self._shelves: dict[str, Shelf] = {}
        self._told: set[tuple[str, Remark]] = set()
        self._news = asyncio.Event()
        self._again = False
        self._task: asyncio.Task[None] | None = None

    def follow(self, engines: Mapping[str, EngineHost]) -> None:
        """Look from now on at those of the engines that say so, and at no others."""
        wanted = {name: host for name, host in engines.items() if host.discover}
        for name in [name for name, shelf in self._shelves.items() if wanted.get(name) != shelf.host]:
            self._shelves.pop(name).close()
            self._news.set()
        for name in wanted.keys() - self._shelves.keys():
            try:
                self._shelves[name] = Shelf(wanted[name], self._open(name, wanted[name]), self._news.set)
            except TorporError as error:
                self._tell("", Remark("", error.advice, wrong=True))

    def begin(self, take: Take, taken: Sequence[Reading] = ()) -> None:
        """Hand on what is seen; `taken` is known already."""
        self._task = asyncio.get_running_loop().create_task(self._run(take, [*taken]))

    async def look(self, limit: float) -> None:
        """Have looked at all engines once, as far as that is possible within so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await asyncio.gather(*(shelf.seen.wait() for shelf in self._shelves.values()))

    async def readings(self) -> list[Reading]:
        """What the labels of all containers come to, as they were seen last."""
        if not self._shelves:
            return []
        from torpor.config.labels.reading import read_labels  # noqa: PLC0415  # with the words of all programs

        shelves = [self._shelves[name].containers() for name in sorted(self._shelves)]
        # Off the loop: a thousand containers take more than half a second.
        return await asyncio.to_thread(lambda: [one for each in shelves for one in read_labels(each)])

    async def close(self) -> None:
        """Look no more.  The apps stay."""
        shelves, self._shelves = [*self._shelves.values()], {}
        tasks = [shelf.task for shelf in shelves]
        if self._task is not None:
            tasks.append(self._task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(shelf.catalogue.close() for shelf in shelves), return_exceptions=True)

    def tell(self, readings: Sequence[Reading], left: Mapping[str, Sequence[Remark]]) -> None:
        """Tell what became of no label, and why some containers are no apps beside the others; each reason once."""
        for reading in readings:
            for remark in reading.remarks:
                self._tell(reading.container.title, remark)
        self.tell_left_out(left)

    def tell_left_out(self, left: Mapping[str, Sequence[Remark]], *, again: bool = False) -> None:
        """The latter alone.  `again`: hand on anew what is seen, for somebody else could not take it."""
        if again:
            self._again = True
            self._news.set()
        for container, remarks in left.items():
            for remark in remarks:
                self._tell(container, remark)

    async def _run(self, take: Take, taken: list[Reading]) -> None:
        """Hand on what is seen, whenever it is something else."""
        due: float | None = None
        while True:
            await self._wait(due)
            try:
                readings = await self.readings()
                self.tell(readings, {})
                if readings == taken and not due and not self._again:
                    continue
                self._again = False
                due = clock.now() + AGAIN
                if await take(readings):
                    due = None
                taken = readings
            except TorporError as error:
                self._tell("", Remark("", f"apps of containers are not taken on: {error.advice}"))
            except Exception:
                due = clock.now() + AGAIN
                log.exception("apps of containers are not taken on")

    async def _wait(self, due: float | None) -> None:
        """Return when something may be different: after news that have settled, when a grace is over, or when `due`."""
        ends = [end for shelf in self._shelves.values() if (end := shelf.next_end) is not None]
        ends += [] if due is None else [due]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(min(ends) - clock.now(), 0.0) if ends else None):
                await self._news.wait()
                await asyncio.sleep(SETTLE)
        self._news.clear()

    def _tell(self, container: str, remark: Remark) -> None:
        if (container, remark) in self._told or len(self._told) >= MAX_TOLD:
            return
        self._told.add((container, remark))
        about = f"container {container}: " if container else ""
        log.log(logging.ERROR if remark.wrong else logging.WARNING, "%s%s", about, remark)


class Shelf:
    """The containers of one engine, with those that have just gone."""

    def __init__(self, host: EngineHost, catalogue: Catalogue, changed: Callable[[], None]) -> None:
        self.host = host
        self.catalogue = catalogue
        self.seen = asyncio.Event()
        """Set once the engine has answered."""
        self._changed = changed
        self._present: dict[str, Container] = {}
        self._gone: dict[str, tuple[float, Container]] = {}
        """With the moment at which nobody waits for it any more."""
        self.task = asyncio.get_running_loop().create_task(self._run())

    @property
    def next_end(self) -> float | None:
        """When the first of those that have gone is given up; None: none has."""
        return min((end for end, _ in self._gone.values()), default=None)

    def containers(self) -> list[Container]:
        """Those that there are, and those that may come back."""
        now = clock.now()
        self._gone = {name: gone for name, gone in self._gone.items() if gone[0] > now}
        return [*self._present.values(), *(container for _, container in self._gone.values())]

    def close(self) -> None:
        """Look no more."""
        self.task.cancel()
        self.task.add_done_callback(lambda _: asyncio.ensure_future(self.catalogue.close()))

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with contextlib.aclosing(self.catalogue.appearances()) as appearances:
                    async for _ in appearances:
                        self._see(await self.catalogue.containers())
                        pause = FIRST_PAUSE
            except TorporError as error:
                log.warning("%s; asking again in %g s", error.advice_about(self.catalogue.title), pause)
            except Exception:
                log.exception("%s cannot be looked at", self.catalogue.title)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _see(self, found: Sequence[Container]) -> None:
        present = {each.name: each for each in found if not each.passing}
        end = clock.now() + GRACE
        for name, container in self._present.items():
            if name not in present:
                self._gone[name] = (end, container)
        self._gone = {name: gone for name, gone in self._gone.items() if name not in present}
        self._present = present
        self.seen.set()
        self._changed()
