"""A small operator with apps that do as they are told, for tests of the control side."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from torpor.core.model import (
    AppSnapshot,
    AppSpec,
    Cause,
    Endpoint,
    Event,
    InstanceId,
    InstanceSnapshot,
    Phase,
    Reason,
    Route,
    Want,
)
from torpor.errors import NotAllowed, UnknownApp
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

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        self.readers.append(callback)
        return lambda: self.readers.remove(callback)

    def write(self, line: str) -> None:
        """The app writes a line."""
        self.lines.append(line)
        for reader in list(self.readers):
            reader(line)


@dataclass
class FakeOperator:
    """Apps by name.  A waking verb succeeds at once, unless the app is in `slow` or `broken`."""

    apps: dict[str, AppSnapshot] = field(default_factory=dict)
    outputs: dict[str, FakeOutput] = field(default_factory=dict)
    commands: list[tuple[Verb, str]] = field(default_factory=list)
    slow: set[str] = field(default_factory=set)
    """Apps whose verbs never come true."""
    broken: set[str] = field(default_factory=set)
    """Apps whose start fails."""
    forbidden: set[str] = field(default_factory=set)
    waiting: int = 0
    """Calls of `settle` that wait now."""
    journal: list[Event] = field(default_factory=list)
    readers: list[Callable[[Event], None]] = field(default_factory=list)
    shutdowns: int = 0
    on_wait: Callable[[], None] = lambda: None
    on_shutdown: Callable[[], None] = lambda: None
    on_change: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, name: str, **changes: object) -> None:
        """Add an app; `changes` are those of `snapshot`."""
        self.apps[name] = snapshot(name, **changes)  # type: ignore[arg-type]
        self.outputs[name] = FakeOutput()

    def announce(self, app: str, kind: str, text: str, **data: object) -> None:
        """Something happens."""
        number = len(self.journal) + 1
        event = Event(number, 1_790_000_000.0 + number, app, kind, text, app, data)
        self.journal.append(event)
        for reader in list(self.readers):
            reader(event)

    def snapshot(self) -> Sequence[AppSnapshot]:
        return list(self.apps.values())

    def app(self, name: str) -> AppSnapshot:
        try:
            return self.apps[name]
        except KeyError:
            near = difflib.get_close_matches(name, self.apps, n=1)
            hint = f"Did you mean {near[0]}?" if near else None
            raise UnknownApp(f"no app is called {name!r}", hint=hint) from None

    def command(self, verb: Verb, app: str, by: str = "operator") -> None:
        before = self.app(app)
        if app in self.forbidden:
            raise NotAllowed(f"{app} is down", hint=f"`torpor start {app}` lifts that.")
        self.commands.append((verb, app))
        if verb in {Verb.STOP, Verb.SLEEP}:
            want = Want.DOWN if verb is Verb.STOP else before.want
            self.apps[app] = replace(snapshot(app, phase=Phase.ASLEEP), want=want, spec=before.spec)
        elif app in self.broken:
            reason = Reason(Cause.EXITED, "exited with code 1 while starting")
            self.apps[app] = replace(
                snapshot(app, phase=Phase.BACKOFF, reason=reason, retry_in=1.0), spec=before.spec
            )
        else:
            self.apps[app] = replace(snapshot(app, phase=Phase.READY), spec=before.spec)

    async def settle(self, verb: Verb, app: str) -> AppSnapshot:
        self.waiting += 1
        self.on_change.set()
        try:
            if app in self.slow:
                self.on_wait()
                await asyncio.get_running_loop().create_future()
            return self.app(app)
        finally:
            self.waiting -= 1
            self.on_change.set()

    def stats(self, id: InstanceId) -> Stats | None:
        return Stats(pid=4242, rss=300 * 2**20, cpu=1.5)

    def output(self, app: str) -> FakeOutput:
        self.app(app)
        return self.outputs[app]

    def events(self, count: int, app: str | None = None) -> Sequence[Event]:
        seen = [event for event in self.journal if app in {None, event.app}]
        return seen[-count:] if count else []

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        self.readers.append(callback)
        return lambda: self.readers.remove(callback)

    def shut_down(self) -> None:
        self.shutdowns += 1
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
) -> AppSnapshot:
    """An app with one instance."""
    alive = phase in {Phase.STARTING, Phase.READY, Phase.DRAINING, Phase.STOPPING}
    instance = InstanceSnapshot(
        id=InstanceId(name),
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
        instances=(instance,),
        spec=AppSpec(name, routes=tuple(routes) or (Route(f"{name}.localhost"),)),
    )
