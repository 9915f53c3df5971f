"""Apps that others made and that live elsewhere: a provider of any driver.

1. Facts come of asking: a notice, a start, a stop and a thaw only say that it is time to look.
2. Nothing is told before there is somebody to be told of it: of a survivor not before it was
   adopted, of what others start only for apps that `follow` named.
3. A host that is down when the daemon starts costs nobody anything: its guests' records stay, and
   once it answers they are found as running.  A start takes them then, and copies their output
   from where it was copied to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping

from torpor.config.fingerprints import differs
from torpor.config.guests import GuestSpec
from torpor.core.model import AppSpec, ExitInfo, InstanceId, Tier
from torpor.errors import NotAllowed, ProviderFailed, StartFailed, TorporError
from torpor.providers.base import UNASKED, Frozen, Launch, Report, Running, Stats, Survivor
from torpor.providers.capture import Capture
from torpor.providers.guests.attempt import ALIVE, to_its_end
from torpor.providers.guests.driver import Driver, Notice, State, Status
from torpor.providers.guests.life import Life, guest_of, new_record, running_of
from torpor.providers.guests.lookout import Lookout
from torpor.providers.guests.record import Record, Records
from torpor.providers.guests.ward import Ward
from torpor.providers.outputs import Outputs

logger = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds that a host gets to tell what survived, when the daemon starts."""


class GuestProvider:
    """Starts and ends the guests of one host.  Implements `Provider`."""

    def __init__(self, driver: Driver, host: str, report: Report, outputs: Outputs, records: Records) -> None:
        """`host`: how the records name it; the same for every daemon."""
        self._driver = driver
        self._host = host
        self._report = report
        self._outputs = outputs
        self._records = records
        self._wards: dict[InstanceId, Ward] = {}
        self._lookout = Lookout(driver, self._guests, self._hear)
        self._closed = False

    def open(self) -> None:
        """Watch the host from now on."""
        self._lookout.begin()

    def follow(self, apps: Mapping[InstanceId, AppSpec]) -> None:
        """These are the instances of the apps whose guests live here: tell of those that run unasked."""
        for id, spec in apps.items():
            ward = self._ward(id, guest_of(spec))
            ward.guest, ward.stop_timeout = guest_of(spec), spec.lifecycle.stop_timeout
            ward.followed = True
            ward.look()
        for id in self._wards.keys() - apps.keys():
            self._wards[id].followed = False
            if self._wards[id].idle:
                del self._wards[id]

    @property
    def idle(self) -> bool:
        """Whether nothing is alive for which somebody here answers."""
        return all(ward.idle for ward in self._wards.values())

    def check(self, spec: AppSpec) -> None:
        """See `Provider.check`."""
        guest_of(spec)

    async def start(self, launch: Launch) -> Running:
        """See `Provider.start`."""
        guest = guest_of(launch.spec)
        ward = self._ward(launch.id, guest)
        needs_address = launch.spec.listens and guest.socket is None
        life = await ward.start(guest, self._birth(launch), listens=needs_address)
        ward.guest = guest
        return life.running

    async def survivors(self) -> list[Survivor]:
        """See `Provider.survivors`."""
        records = [record for record in self._records.read_all() if record.host == self._host]
        undecided = [record for record in records if not self._lives(record.id)]
        found = await asyncio.gather(*(self._find(record) for record in undecided))
        return [survivor for survivor in found if survivor is not None]

    def adopt(self, launch: Launch) -> tuple[str, ...]:
        """See `Provider.adopt`."""
        ward = self._wards.get(launch.id)
        found = None if ward is None else ward.survivor
        if ward is None or found is None or found[0].generation != launch.generation:
            raise ProviderFailed(f"there is no survivor of {launch.id}, generation {launch.generation}")
        record = found[0]
        try:
            guest = guest_of(launch.spec)
        except StartFailed as error:
            raise ProviderFailed(f"{launch.id} is no guest any more") from error
        if type(guest).__name__ != record.kind or guest.name != record.guest.name:
            raise ProviderFailed(f"{launch.id} is another {self._driver.noun} now: {guest.name}")
        try:
            self._outputs.of(launch.id).resume(launch.generation, guest.log)
        except OSError as error:
            raise ProviderFailed(f"cannot adopt {launch.id}: {error}") from error
        ward.guest = guest
        ward.adopt(lambda status: self._life_of(launch, record, status))
        return differs(record.settings, launch.spec)

    async def discard(self, id: InstanceId, generation: int) -> None:
        """See `Provider.discard`."""
        if (ward := self._wards.get(id)) is None:
            return
        if generation == UNASKED and ward.survivor is None:
            await ward.discard(ward.guest, None, ward.stop_timeout)
        elif ward.survivor is not None and ward.survivor[0].generation == generation:
            record, _ = ward.survivor
            await ward.discard(record.guest, record.run, record.stop_timeout)
            ward.survivor = None
            self._records.remove(id)

    async def freeze(self, id: InstanceId, generation: int, tier: Tier) -> Frozen:
        """See `Provider.freeze`."""
        if (found := self._find_life(id, generation)) is None:
            return Frozen(tier, 0, 0)
        ward, life = found
        return await ward.freeze(life, tier)

    async def thaw(self, id: InstanceId, generation: int) -> None:
        """See `Provider.thaw`."""
        if (found := self._find_life(id, generation)) is not None:
            ward, life = found
            await ward.thaw(life)

    async def stop(self, id: InstanceId, generation: int) -> None:
        """See `Provider.stop`."""
        if (found := self._find_life(id, generation)) is not None:
            ward, life = found
            await ward.stop(life)

    async def kill(self, id: InstanceId, generation: int) -> None:
        """See `Provider.kill`."""
        if (found := self._find_life(id, generation)) is not None:
            ward, life = found
            await ward.kill(life)

    async def signal(self, id: InstanceId, generation: int, number: int) -> None:
        """See `Provider.signal`."""
        if (found := self._find_life(id, generation)) is None:
            return
        _, life = found
        if life.frozen is not None and number == signal.SIGCONT:
            raise NotAllowed(f"{id.app} is frozen", hint=f"`torpor wake {id.app}` lets it go on")
        await self._driver.signal(life.guest, number)

    async def reload(self, id: InstanceId, generation: int) -> None:
        """See `Provider.reload`."""
        if self._find_life(id, generation) is not None:
            raise NotAllowed(
                f"{id.app} has no way to reload it: it is a {self._driver.noun}",
                hint=f"`torpor signal {id.app} HUP` may do, or `torpor restart {id.app}`",
            )

    def adapt(self, id: InstanceId, generation: int, spec: AppSpec) -> None:
        """See `Provider.adapt`."""
        if (found := self._find_life(id, generation)) is not None:
            ward, life = found
            with contextlib.suppress(StartFailed):  # it is to be something else, and ends soon
                life.adapt(spec)
                ward.guest = life.guest

    def forget(self, id: InstanceId) -> None:
        """See `Provider.forget`."""
        if not self._lives(id):
            self._wards.pop(id, None)
        self._outputs.forget(id)

    def erase_output(self, id: InstanceId) -> None:
        """See `Provider.erase_output`."""
        self._outputs.erase(id)

    async def wait_for_notify(self, id: InstanceId, generation: int) -> None:
        """See `Provider.wait_for_notify`: it is ready as its host sees it, or its host has nothing to say of that."""
        found = self._find_life(id, generation)
        await (found[1].ready if found is not None else asyncio.Event()).wait()

    async def ensure_end_noticed(self, id: InstanceId) -> None:
        """See `Provider.ensure_end_noticed`."""
        if self._driver.lends_addresses and (ward := self._wards.get(id)) is not None:
            await to_its_end(ward.look_once())

    def remembers(self, id: InstanceId, generation: int, fact: str) -> bool:
        """See `Provider.remembers`."""
        found = self._find_life(id, generation)
        return found is not None and fact in found[1].record.seen

    def remember(self, id: InstanceId, generation: int, fact: str) -> None:
        """See `Provider.remember`."""
        if (found := self._find_life(id, generation)) is not None and not self.remembers(
            id, generation, fact
        ):
            found[1].change(seen=(*found[1].record.seen, fact))

    async def run_probe(self, launch: Launch, command: tuple[str, ...], timeout: float) -> bool:
        """See `Provider.run_probe`."""
        try:
            info = await self.run_command(launch, command, timeout)
        except (StartFailed, ProviderFailed):
            return False
        return info is not None and info.clean

    async def run_command(self, launch: Launch, command: tuple[str, ...], timeout: float) -> ExitInfo | None:
        """See `Provider.run_command`."""
        if (found := self._find_life(launch.id, launch.generation)) is None:
            raise ProviderFailed(f"{launch.id} is gone")
        return await self._driver.execute(found[1].guest, command, timeout)

    def take_back_socket(self, id: InstanceId, generation: int) -> int:
        """See `Provider.take_back_socket`: guests bind their own."""
        raise ProviderFailed(f"{id}, generation {generation}, was handed no socket")

    def drop_stored(self, id: InstanceId) -> None:
        """See `Provider.drop_stored`: nothing is stored of guests."""

    def stats(self, id: InstanceId) -> Stats | None:
        """See `Provider.stats`."""
        ward = self._wards.get(id)
        if ward is None or ward.life is None or ward.gauge is None:
            return None
        usage, capture = ward.gauge.read(), self.output(id)
        return Stats(
            ward.life.pid,
            rss=usage.rss,
            cpu=usage.cpu,
            log_lost=capture.lost,
            log_problem=capture.problem,
            log_unforwarded=capture.unforwarded,
        )

    def output(self, id: InstanceId) -> Capture:
        """See `Provider.output`."""
        return self._outputs.of(id)

    async def settled(self, id: InstanceId, limit: float | None = None) -> None:
        """Return when all that can be found out of it now has been told, at latest after `limit` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                if (ward := self._wards.get(id)) is not None:
                    await ward.settle()

    async def close(self) -> None:
        """See `Provider.close`."""
        if self._closed:
            return
        self._closed = True
        await self._lookout.close()
        for ward in list(self._wards.values()):
            await ward.close()
        self._wards.clear()
        await self._driver.close()

    # --- inside ----------------------------------------------------------------

    def _guests(self) -> list[GuestSpec]:
        return [ward.present for ward in self._wards.values()]

    def _hear(self, notice: Notice) -> None:
        for ward in self._wards.values():
            if notice.name is None or notice.name == ward.present.name:
                ward.look(by_hand=notice.by_hand, is_back=notice.name is None)

    def _ward(self, id: InstanceId, guest: GuestSpec) -> Ward:
        if id not in self._wards:
            self._wards[id] = Ward(id, guest, self._driver, self._report)
        return self._wards[id]

    def _find_life(self, id: InstanceId, generation: int) -> tuple[Ward, Life] | None:
        ward = self._wards.get(id)
        if ward is None or ward.life is None or ward.life.generation != generation:
            return None
        return ward, ward.life

    def _lives(self, id: InstanceId) -> bool:
        return (ward := self._wards.get(id)) is not None and ward.life is not None

    async def _find(self, record: Record) -> Survivor | None:
        """What became of the generation that a record speaks of."""
        try:
            async with asyncio.timeout(_PATIENCE):
                status = await self._driver.status(record.guest)
        except (TimeoutError, TorporError) as error:
            logger.warning(
                "%s: cannot tell whether it survived: %s; it is taken on once %s answers",
                record.id,
                str(error) or "no answer",
                self._driver.title,
            )
            self._ward(record.id, record.guest).left_run = record.run
            return None
        if status.run != record.run or status.state not in ALIVE:
            self._records.remove(record.id)
            return None
        self._ward(record.id, record.guest).survivor = record, status
        running = running_of(record.guest, status)
        frozen = Tier.PAUSE if status.state is State.PAUSED else None
        return Survivor(record.id, record.generation, running, record.port, status.age, frozen=frozen)

    @contextlib.contextmanager
    def _birth(self, launch: Launch) -> Iterator[Callable[[Status], Life]]:
        """Prepare for a generation that is to begin.  Raises `StartFailed`."""
        capture = self._outputs.of(launch.id)
        try:
            pipes = capture.begin(launch.generation, guest_of(launch.spec).log)
        except OSError as error:
            raise StartFailed(f"cannot prepare the log of {launch.id}: {error.strerror or error}") from error
        for pipe in pipes:
            if pipe is not None:
                os.close(pipe)  # nobody writes into it but us
        try:
            yield lambda status: self._life_of(
                launch, new_record(launch, self._host, status.run or ""), status
            )
        except BaseException:
            capture.end()
            raise

    def _life_of(self, launch: Launch, record: Record, status: Status) -> Life:
        return Life(
            launch,
            record,
            status,
            driver=self._driver,
            records=self._records,
            capture=self._outputs.of(launch.id),
        )
