"""A provider without processes: scripted, immediate, and bound to the same contract.

For tests of whatever stands above providers.  A `Plan` says how the next starts of an
app go; methods like `exit` and `say` make things happen to what is alive.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torpor.core.messages import Exited, Gone
from torpor.core.model import AppSpec, Endpoint, ExitInfo, InstanceId, Tier
from torpor.errors import NotAllowed, ProviderFailed, StartFailed
from torpor.providers.base import Frozen, Launch, Report, Running, Stats, Survivor, Unsubscribe

_CLEAN = ExitInfo(code=0)
_KILLED = ExitInfo(signal=9)
_STOPPED = ExitInfo(signal=15)
_AWAKE, _HIBERNATED = 1 << 20, 1 << 16
"""Resident bytes."""
_COUNTING = 0.001
"""Seconds from one number to the next."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a start of an app goes, and what its instance does then."""

    refuse: str | None = None
    """The text of the `StartFailed` that a start raises."""
    hint: str | None = None
    """Its hint."""
    hang: bool = False
    """A start does not return before `let_start`."""
    notify: bool = False
    """It says READY=1 at once."""
    lines: tuple[str, ...] = ()
    """What it writes at once."""
    exit: ExitInfo | None = None
    """It exits at once, in this way."""
    leaves: bool = False
    """Descendants outlive its main process."""
    obeys: bool = True
    """A stop request ends it."""
    dies: bool = True
    """A kill ends it."""
    stop_problem: str | None = None
    """The text of the `ProviderFailed` that stop, kill and signal raise."""
    reloads: bool = False
    """The app names a way to reload it."""
    freeze_problem: str | None = None
    """The text of the `ProviderFailed` that a freeze raises."""
    shallow: str | None = None
    """Why it can be paused and not hibernated."""
    counts: bool = False
    """It writes a number now and then, each greater by one."""


class FakeOutput:
    """A log in memory.  Implements `Output`."""

    def __init__(self) -> None:
        self._generations: list[list[str]] = []
        self._listeners: dict[object, Callable[[str], None]] = {}

    def begin(self) -> None:
        """A generation starts."""
        self._generations.append([])

    def say(self, line: str) -> None:
        """The current generation writes a line."""
        self._generations[-1].append(line)
        for callback in list(self._listeners.values()):
            callback(line)

    def tail(self, lines: int, *, previous: bool = False) -> list[str]:
        """See `Output.tail`."""
        back = 2 if previous else 1
        if lines <= 0 or len(self._generations) < back:
            return []
        return self._generations[-back][-lines:]

    def recent(self, lines: int, *, previous: bool = False) -> list[tuple[float | None, str]]:
        """See `Stream.recent`."""
        return [(None, line) for line in self.tail(lines, previous=previous)]

    def streams(self) -> Mapping[str, FakeOutput]:
        """See `Output.streams`."""
        return {"stdout": self}

    def place(self) -> None:
        """See `Stream.place`."""

    def subscribe(self, callback: Callable[[str], None]) -> Unsubscribe:
        """See `Output.subscribe`."""
        key = object()
        self._listeners[key] = callback

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    @property
    def followed(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)


@dataclass(slots=True)
class _Life:
    launch: Launch
    plan: Plan
    pid: int
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    main: bool = True
    seen: set[str] = field(default_factory=set)
    frozen: Tier | None = None
    pending: list[int] = field(default_factory=list)
    """Signals that it will see when it goes on."""
    count: int = 0


class FakeProvider:
    """Implements `Provider` with instances that exist in memory only."""

    def __init__(self, report: Report, host: str = "127.0.0.1") -> None:
        self.plans: dict[str, Plan] = {}
        """By app; an app without one starts at once, runs, and obeys."""
        self.starts: list[Launch] = []
        """Every start that was asked for, in order."""
        self.stops: list[tuple[InstanceId, int]] = []
        self.kills: list[tuple[InstanceId, int]] = []
        self.signals: list[tuple[InstanceId, int, int]] = []
        """Every signal that was delivered: to whom, of which generation, its number."""
        self.discards: list[tuple[InstanceId, int]] = []
        """Every survivor that was ended because nobody wanted it."""
        self.freezes: list[tuple[InstanceId, int, Tier]] = []
        """Every freeze that was asked for, in order."""
        self.thaws: list[tuple[InstanceId, int]] = []
        """Every thaw that was asked for, in order."""
        self.adapted: list[tuple[InstanceId, int]] = []
        """Every instance that went on by other settings."""
        self.forgotten: list[InstanceId] = []
        """Every instance that is none of its app's any more."""
        self.dropped: list[InstanceId] = []
        """Every instance that is to stay down."""
        self.probe_answer = True
        """What `run_probe` finds."""
        self._report = report
        self._host = host
        self._lives: dict[InstanceId, _Life] = {}
        self._outputs: defaultdict[InstanceId, FakeOutput] = defaultdict(FakeOutput)
        self._held: defaultdict[InstanceId, asyncio.Event] = defaultdict(asyncio.Event)
        self._closed = False
        self._found: dict[InstanceId, _Life] = {}

    def succeed(self, before: FakeProvider) -> None:
        """Find alive what `before` leaves: it is closed, or its daemon was killed."""
        before._closed = True
        self._found.update(before._lives)
        self._outputs.update(before._outputs)
        before._lives = {}

    async def survivors(self) -> list[Survivor]:
        """See `Provider.survivors`."""
        return [
            Survivor(
                id,
                life.launch.generation,
                self._running(life),
                life.launch.port,
                age=60.0,
                frozen=life.frozen,
            )
            for id, life in self._found.items()
            if life.main
        ]

    def adopt(self, launch: Launch) -> tuple[str, ...]:
        """See `Provider.adopt`."""
        life = self._found.get(launch.id)
        if life is None or life.launch.generation != launch.generation:
            raise ProviderFailed(f"there is no survivor of {launch.id}, generation {launch.generation}")
        del self._found[launch.id]
        self._lives[launch.id] = adopted = replace(life, launch=launch)
        if adopted.plan.counts:
            self._count(adopted)
        return () if life.launch.spec.workload == launch.spec.workload else ("workload",)

    async def discard(self, id: InstanceId, generation: int) -> None:
        """See `Provider.discard`."""
        life = self._found.get(id)
        if life is not None and life.launch.generation == generation:
            del self._found[id]
            self.discards.append((id, generation))

    def check(self, spec: AppSpec) -> None:
        """See `Provider.check`."""
        if (refusal := self.plans.get(spec.name, Plan()).refuse) is not None:
            raise StartFailed(refusal)

    async def start(self, launch: Launch) -> Running:
        """See `Provider.start`."""
        self.starts.append(launch)
        plan = self.plans.get(launch.id.app, Plan())
        if plan.hang:
            await self._held[launch.id].wait()
            self._held[launch.id].clear()
        if plan.refuse is not None:
            raise StartFailed(plan.refuse, hint=plan.hint)
        if self.alive(launch.id):
            raise StartFailed(f"an earlier generation of {launch.id} is still alive")
        life = _Life(launch, plan, pid=1000 + len(self.starts))
        self._lives[launch.id] = life
        self._outputs[launch.id].begin()
        asyncio.get_running_loop().call_soon(self._begin, life)
        return self._running(life)

    async def freeze(self, id: InstanceId, generation: int, tier: Tier) -> Frozen:
        """See `Provider.freeze`."""
        self.freezes.append((id, generation, tier))
        life = self._life(id, generation)
        if life is None:
            return Frozen(tier, 0, 0)
        if life.plan.freeze_problem is not None:
            raise ProviderFailed(life.plan.freeze_problem)
        before = _resident(life)
        if tier is Tier.HIBERNATE and life.plan.shallow is not None:
            life.frozen = Tier.PAUSE
            return Frozen(Tier.PAUSE, before, before, life.plan.shallow)
        if life.frozen is not Tier.HIBERNATE:
            life.frozen = tier
        return Frozen(life.frozen, before, _resident(life))

    async def thaw(self, id: InstanceId, generation: int) -> None:
        """See `Provider.thaw`."""
        self.thaws.append((id, generation))
        if (life := self._life(id, generation)) is not None:
            life.frozen = None
            pending, life.pending = life.pending, []
            for number in pending:
                self.say(id, f"got signal {number}")

    async def stop(self, id: InstanceId, generation: int) -> None:
        """See `Provider.stop`."""
        self.stops.append((id, generation))
        self._ask_to_end(id, generation, _STOPPED, lambda plan: plan.obeys)

    async def kill(self, id: InstanceId, generation: int) -> None:
        """See `Provider.kill`."""
        self.kills.append((id, generation))
        self._ask_to_end(id, generation, _KILLED, lambda plan: plan.dies)

    async def signal(self, id: InstanceId, generation: int, number: int) -> None:
        """See `Provider.signal`."""
        life = self._life(id, generation)
        if life is None:
            return
        if life.plan.stop_problem is not None:
            raise ProviderFailed(life.plan.stop_problem)
        self.signals.append((id, generation, number))
        if life.frozen is None:
            self.say(id, f"got signal {number}")
        else:
            life.pending.append(number)

    async def reload(self, id: InstanceId, generation: int) -> None:
        """See `Provider.reload`."""
        life = self._life(id, generation)
        if life is None:
            return
        if not life.plan.reloads:
            raise NotAllowed(f"{id.app} names no way to reload it")
        if life.frozen is not None:
            raise NotAllowed(f"{id.app} is frozen and cannot answer")
        self.say(id, "reloaded")

    def adapt(self, id: InstanceId, generation: int, spec: AppSpec) -> None:
        """See `Provider.adapt`."""
        life = self._life(id, generation)
        if life is not None:
            life.launch = replace(life.launch, spec=spec)
            self.adapted.append((id, generation))

    def forget(self, id: InstanceId) -> None:
        """See `Provider.forget`."""
        self.forgotten.append(id)

    def erase_output(self, id: InstanceId) -> None:
        """See `Provider.erase_output`."""
        self._outputs.pop(id, None)

    async def wait_for_notify(self, id: InstanceId, generation: int) -> None:
        """See `Provider.wait_for_notify`."""
        life = self._life(id, generation)
        await (life.ready if life is not None else asyncio.Event()).wait()

    def remembers(self, id: InstanceId, generation: int, fact: str) -> bool:
        """See `Provider.remembers`."""
        life = self._life(id, generation)
        return life is not None and fact in life.seen

    def remember(self, id: InstanceId, generation: int, fact: str) -> None:
        """See `Provider.remember`."""
        if (life := self._life(id, generation)) is not None:
            life.seen.add(fact)

    async def ensure_end_noticed(self, id: InstanceId) -> None:
        """See `Provider.ensure_end_noticed`."""

    async def run_probe(self, launch: Launch, command: tuple[str, ...], timeout: float) -> bool:  # noqa: ARG002
        """See `Provider.run_probe`."""
        await asyncio.sleep(0)
        return self.probe_answer and self._life(launch.id, launch.generation) is not None

    async def run_command(self, launch: Launch, command: tuple[str, ...], timeout: float) -> ExitInfo | None:
        """See `Provider.run_command`."""
        return ExitInfo(code=0 if await self.run_probe(launch, command, timeout) else 1)

    def take_back_socket(self, id: InstanceId, generation: int) -> int:
        """See `Provider.take_back_socket`: there are no programs here that could hold one."""
        raise ProviderFailed(f"{id}, generation {generation}, was handed no socket")

    def drop_stored(self, id: InstanceId) -> None:
        """See `Provider.drop_stored`."""
        self.dropped.append(id)

    def stats(self, id: InstanceId) -> Stats | None:
        """See `Provider.stats`."""
        life = self._lives.get(id)
        return None if life is None else Stats(life.pid, rss=_resident(life), cpu=0.0)

    def output(self, id: InstanceId) -> FakeOutput:
        """See `Provider.output`."""
        return self._outputs[id]

    async def close(self) -> None:
        """See `Provider.close`."""
        self._closed = True

    def alive(self, id: InstanceId) -> bool:
        """Whether anything of it is alive, leftovers included."""
        return id in self._lives or id in self._found

    def let_start(self, id: InstanceId) -> None:
        """Let the start that hangs, or the next one, go on."""
        self._held[id].set()

    def say(self, id: InstanceId, line: str) -> None:
        """The instance writes a line."""
        self._outputs[id].say(line)

    def notify(self, id: InstanceId) -> None:
        """The instance says READY=1."""
        self._lives[id].ready.set()

    def exit(self, id: InstanceId, info: ExitInfo = _CLEAN, *, leaves: bool = False) -> None:
        """Its main process ends, and leaves descendants or not."""
        life = self._lives[id]
        life.main = False
        if not leaves:
            del self._lives[id]
        if not self._closed:
            self._report(Exited(id, life.launch.generation, info, leftovers=leaves))

    def vanish(self, id: InstanceId) -> None:
        """What its main process left ends."""
        life = self._lives.pop(id)
        if not self._closed:
            self._report(Gone(id, life.launch.generation))

    def _running(self, life: _Life) -> Running:
        port = life.launch.port
        return Running(None if port is None else Endpoint(self._host, port), life.pid)

    def _begin(self, life: _Life) -> None:
        id = life.launch.id
        for line in life.plan.lines:
            self.say(id, line)
        if life.plan.notify:
            life.ready.set()
        if life.plan.exit is not None and self._lives.get(id) is life:
            self.exit(id, life.plan.exit, leaves=life.plan.leaves)
        if life.plan.counts:
            self._count(life)

    def _count(self, life: _Life) -> None:
        if self._closed or self._lives.get(life.launch.id) is not life:
            return
        if life.frozen is None:
            life.count += 1
            self.say(life.launch.id, str(life.count))
        asyncio.get_running_loop().call_later(_COUNTING, self._count, life)

    def _life(self, id: InstanceId, generation: int) -> _Life | None:
        life = self._lives.get(id)
        return life if life is not None and life.launch.generation == generation else None

    def _ask_to_end(
        self, id: InstanceId, generation: int, info: ExitInfo, agrees: Callable[[Plan], bool]
    ) -> None:
        life = self._life(id, generation)
        if life is None:
            return
        if life.plan.stop_problem is not None:
            raise ProviderFailed(life.plan.stop_problem)
        life.frozen = None
        if agrees(life.plan):
            # Never from within the request: a real provider learns of an end later, too.
            asyncio.get_running_loop().call_soon(self._end, life, info)

    def _end(self, life: _Life, info: ExitInfo) -> None:
        id = life.launch.id
        if self._lives.get(id) is not life:
            return
        if life.main:
            self.exit(id, info)
        else:
            self.vanish(id)


def _resident(life: _Life) -> int:
    return _HIBERNATED if life.frozen is Tier.HIBERNATE else _AWAKE
