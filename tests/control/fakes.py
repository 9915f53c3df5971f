"""A small operator with apps that do as they are told, for tests of the control side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from torpor.core.model import (
    AppSnapshot,
    AppSpec,
    Cause,
    Dependency,
    Endpoint,
    Event,
    InstanceId,
    InstanceSnapshot,
    Phase,
    Reason,
    Route,
    Tier,
    Want,
)
from torpor.core.outlook import Outlook
from torpor.core.pressure import Candidate
from torpor.core.wakefulness import Clause
from torpor.errors import NotAllowed, unknown_app
from torpor.providers.base import Stats
from torpor.runtime.operator import Verb


@dataclass
class FakeOutput:
    """A log in memory."""

    lines: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    readers: list[Callable[[str], None]] = field(default_factory=list)

    def tail(self, lines: int, *, previous: bool = False) -> list[str]:
        kept = self.before if previous else self.lines
        return kept[-lines:] if lines else []

    def recent(self, lines: int, *, previous: bool = False) -> list[tuple[float | None, str]]:
        return [(None, line) for line in self.tail(lines, previous=previous)]

    def streams(self) -> dict[str, FakeOutput]:
        return {"stdout": self}

    def place(self) -> None:
        return None

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        self.readers.append(callback)
        return lambda: self.readers.remove(callback)

    def write(self, line: str) -> None:
        """The app writes a line."""
        self.lines.append(line)
        for reader in list(self.readers):
            reader(line)


OUTLOOK = Outlook(
    available=100,
    total=1000,
    keep_free=150,
    short=50,
    victims=(Candidate("notes", 20, 60.0, 300, None, Tier.STOP),),
    others=(Candidate("api", 50, 0.0, 40, Tier.PAUSE, Tier.STOP, spared="always on"),),
)


@dataclass
class FakeOperator:
    """Apps by name.  A waking verb succeeds at once, unless the app is in `slow` or `broken`."""

    apps: dict[str, AppSnapshot] = field(default_factory=dict)
    outputs: dict[str, FakeOutput] = field(default_factory=dict)
    commands: list[tuple[Verb, str]] = field(default_factory=list)
    forced: list[str] = field(default_factory=list)
    tiers: list[Tier | None] = field(default_factory=list)
    """Apps that were stopped although others need them."""
    rolled: list[str] = field(default_factory=list)
    """Apps that were to be restarted one replica after the other."""
    told: list[tuple[str, int | str]] = field(default_factory=list)
    """Who got a signal, by its number, or a `reload`."""
    checked: int = 0
    """Times that memory was measured to put apps to sleep."""
    slow: set[str] = field(default_factory=set)
    """Apps whose verbs never come true."""
    broken: set[str] = field(default_factory=set)
    """Apps whose start fails."""
    lame: dict[str, tuple[int, Phase, Reason]] = field(default_factory=dict)
    """Apps of which one replica, by its number, ends in that phase instead."""
    finished: set[str] = field(default_factory=set)
    """Those among them whose replica has done what it was started for."""
    forbidden: set[str] = field(default_factory=set)
    overruled: set[str] = field(default_factory=set)
    """Apps that somebody else wants awake as soon as anybody waits for them."""
    found: dict[str, tuple[Clause, ...]] = field(default_factory=dict)
    """What apps' falling asleep depends on, at the moment 100."""
    waiting: int = 0
    """Calls of `settle` that wait now."""
    journal: list[Event] = field(default_factory=list)
    readers: list[Callable[[Event], None]] = field(default_factory=list)
    shutdowns: int = 0
    keeps_apps: bool = False
    """Whether the last shutdown was to leave the apps running."""
    on_wait: Callable[[], None] = lambda: None
    on_shutdown: Callable[[], None] = lambda: None
    on_change: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, name: str, **changes: object) -> None:
        """Add an app; `changes` are those of `snapshot`."""
        self.apps[name] = snapshot(name, **changes)  # type: ignore[arg-type]
        self.outputs[name] = FakeOutput()

    def outputs_of(self, app: str) -> dict[InstanceId, FakeOutput]:
        return {one.id: self.outputs.get(str(one.id), self.outputs[app]) for one in self.app(app).instances}

    def announce(
        self,
        app: str,
        kind: str,
        text: str,
        instance: str | None = None,
        *,
        after: float = 1.0,
        **data: object,
    ) -> None:
        """Something happens, `after` that many seconds."""
        number = len(self.journal) + 1
        at = (self.journal[-1].at if self.journal else 1_790_000_000.0) + after
        event = Event(number, at, app, kind, text, instance or app, data)
        self.journal.append(event)
        for reader in list(self.readers):
            reader(event)

    def snapshot(self) -> Sequence[AppSnapshot]:
        return list(self.apps.values())

    def app(self, name: str) -> AppSnapshot:
        try:
            return self.apps[name]
        except KeyError:
            raise unknown_app(name, self.apps) from None

    def command(
        self,
        verb: Verb,
        app: str,
        by: str = "operator",
        *,
        force: bool = False,
        rolling: bool = False,
        tier: Tier | None = None,
    ) -> None:
        before = self.app(app)
        self.tiers.append(tier)
        if verb in {Verb.STOP, Verb.SLEEP} and before.held_by and not force:
            raise NotAllowed(f"{app} is needed by {', '.join(before.held_by)}", hint="Stop them first.")
        if force:
            self.forced.append(app)
        if app in self.forbidden:
            raise NotAllowed(f"{app} is down", hint=f"`torpor start {app}` lifts that.")
        self.commands.append((verb, app))
        if rolling:
            self._roll(before)
        elif verb in {Verb.STOP, Verb.SLEEP}:
            want = Want.DOWN if verb is Verb.STOP else before.want
            self.apps[app] = replace(snapshot(app, phase=Phase.ASLEEP), want=want, spec=before.spec)
            for name, other in self.apps.items():
                self.apps[name] = replace(other, held_by=tuple(by for by in other.held_by if by != app))
        elif app in self.broken:
            reason = Reason(Cause.EXITED, "exited with code 1 while starting")
            self.apps[app] = replace(
                snapshot(app, phase=Phase.BACKOFF, reason=reason, retry_in=1.0), spec=before.spec
            )
        elif app in self.lame:
            number, phase, reason = self.lame[app]
            instances = list(before.instances)
            instances[number] = replace(
                instances[number], phase=phase, reason=reason, finished=app in self.finished
            )
            whole = Phase.READY if len(instances) > 1 else phase
            self.apps[app] = replace(before, phase=whole, instances=tuple(instances))
        else:
            self.apps[app] = replace(snapshot(app, phase=Phase.READY), spec=before.spec)

    def _roll(self, before: AppSnapshot) -> None:
        """Each replica is ready in a new generation, but for those of a broken app after the first."""
        self.rolled.append(before.name)
        for number, one in enumerate(before.instances):
            if before.name in self.broken and number > 0:
                reason = Reason(Cause.EXITED, "exited with code 1 before it was ready")
                self.apps[before.name] = replace(
                    before,
                    instances=(before.instances[0], replace(one, phase=Phase.BACKOFF, reason=reason)),
                )
                self.announce(
                    before.name, "roll-ended", f"rolling restart ended: {one.id} is backoff", str(one.id)
                )
                return
            generation = one.generation + 1
            self.announce(
                before.name, "ready", "ready after 1.2 s", str(one.id), seconds=1.2, generation=generation
            )

    def scale(self, app: str, replicas: int) -> None:
        before = self.app(app)
        if not 1 <= replicas <= 100:
            raise NotAllowed(f"{app} cannot have {replicas} replicas", hint="ask for 1 to 100")
        (first, *_), reason = before.instances, Reason(Cause.START_FAILED, "no such program")
        broken = {"phase": Phase.FAILED, "reason": reason, "endpoint": None} if app in self.broken else {}
        more = [replace(first, id=InstanceId(app, n), **broken) for n in range(1, replicas)]  # type: ignore[arg-type]
        self.apps[app] = replace(before, instances=(first, *more))

    def track(self, app: str) -> None:
        before = self.app(app)
        instances = tuple(
            one if one.idle_in is None else replace(one, idle_in=1800.0) for one in before.instances
        )
        self.apps[app] = replace(before, instances=instances)

    def pin(self, app: str, seconds: float | None = None) -> None:
        self.command(Verb.WAKE, app)
        self.apps[app] = replace(self.apps[app], pinned=True, pinned_for=seconds)

    def unpin(self, app: str) -> None:
        self.apps[app] = replace(self.app(app), pinned=False, pinned_for=None)

    def clauses(self, app: str) -> tuple[Sequence[Clause], float]:
        return self.found.get(self.app(app).name, ()), 100.0

    def prefer(self, app: str, priority: int, *, always_on: bool | None = None) -> None:
        before = self.app(app)
        if not 1 <= priority <= 100:
            raise NotAllowed(f"{priority} is no priority", hint="they are from 1 to 100")
        kept = before.always_on if always_on is None else always_on
        self.apps[app] = replace(before, priority=priority, always_on=kept)

    def outlook(self) -> Outlook:
        return OUTLOOK

    def check_memory(self) -> Outlook:
        self.checked += 1
        return OUTLOOK

    async def signal(self, app: str, number: int) -> int:
        return self._tell(app, number)

    async def reload(self, app: str) -> int:
        if app in self.broken:
            raise NotAllowed(f"{app} has no way to reload it", hint="set reload_signal or reload_command")
        return self._tell(app, "reload")

    def _tell(self, app: str, word: int | str) -> int:
        found = self.app(app)
        if found.phase is not Phase.READY:
            raise NotAllowed(
                f"nothing of {app} is alive: it is {found.phase}", hint=f"`torpor wake {app}` first"
            )
        self.told.append((app, word))
        return len(found.instances)

    async def settle(self, verb: Verb, app: str) -> AppSnapshot:
        self.waiting += 1
        self.on_change.set()
        try:
            if app in self.slow:
                self.on_wait()
                await asyncio.get_running_loop().create_future()
            if app in self.overruled:
                self.apps[app] = replace(snapshot(app, phase=Phase.READY), spec=self.app(app).spec)
            return self.app(app)
        finally:
            self.waiting -= 1
            self.on_change.set()

    def stats(self, id: InstanceId) -> Stats | None:
        return Stats(pid=4242, rss=300 * 2**20, cpu=1.5)

    def events(self, count: int, app: str | None = None) -> Sequence[Event]:
        seen = [event for event in self.journal if app in {None, event.app}]
        return seen[-count:] if count else []

    def wake_steps(self, app: str) -> Sequence[Event]:
        steps: list[Event] = []
        for event in self.events(1000, self.app(app).name):
            steps = [event] if event.kind == "waking" else [*steps, event]
        return steps

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        self.readers.append(callback)
        return lambda: self.readers.remove(callback)

    def shut_down(self, *, keep_apps: bool = False) -> None:
        self.shutdowns += 1
        self.keeps_apps = keep_apps
        self.on_shutdown()


def snapshot(
    name: str,
    *,
    phase: Phase = Phase.READY,
    want: Want = Want.AUTO,
    routes: Sequence[Route] = (),
    reason: Reason | None = None,
    retry_in: float | None = None,
    restarts: int = 0,
    idle_in: float | None = 1500.0,
    uptime: float | None = 75.0,
    port: int = 40123,
    replicas: int = 1,
    needs: Sequence[Dependency] = (),
    held_by: Sequence[str] = (),
    companions: Sequence[str] = (),
    groups: Sequence[str] = (),
    status: str | None = None,
) -> AppSnapshot:
    """An app whose instances are all alike."""
    alive = phase in {Phase.STARTING, Phase.READY, Phase.DRAINING, Phase.STOPPING}
    instance = InstanceSnapshot(
        id=InstanceId(name),
        status=status,
        phase=phase,
        generation=3,
        phase_age=12.0,
        uptime=uptime if alive else None,
        restarts=restarts,
        inflight=0,
        parked=0,
        idle_in=idle_in if phase is Phase.READY else None,
        retry_in=retry_in,
        endpoint=Endpoint("127.0.0.1", port) if alive else None,
        reason=reason,
    )
    return AppSnapshot(
        name=name,
        want=want,
        phase=phase,
        waiting=0,
        eta=2.5,
        waking_for=None,
        instances=tuple(replace(instance, id=InstanceId(name, number)) for number in range(replicas)),
        spec=AppSpec(
            name,
            routes=tuple(routes) or (Route(f"{name}.localhost"),),
            depends_on=tuple(needs),
            companions=tuple(companions),
            groups=frozenset(groups),
        ),
        held_by=tuple(held_by),
    )
