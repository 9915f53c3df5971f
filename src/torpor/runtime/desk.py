"""The operator's desk: `runtime.operator.Operator` over the engine."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence

from torpor.core.app import App
from torpor.core.messages import (
    Announce,
    MemoryMeasured,
    PinRequested,
    PriorityRequested,
    RestartRequested,
    ScaleRequested,
    SleepRequested,
    StartRequested,
    StopRequested,
    Tracked,
    UnpinRequested,
    WakeRequested,
    Wish,
)
from torpor.core.model import AppSnapshot, AppSpec, Event, InstanceId, Tier
from torpor.core.objections import objection
from torpor.core.outlook import Outlook
from torpor.core.wakefulness import Clause
from torpor.errors import NotAllowed, NotMeasured, unknown_app
from torpor.providers.base import Output, Provider, Stats
from torpor.runtime import clock
from torpor.runtime.engine import Engine
from torpor.runtime.journal import Journal
from torpor.runtime.operator import Verb


class Desk:
    """See `runtime.operator.Operator` for the promises."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        provider: Callable[[AppSpec], Provider],
        shut_down: Callable[[bool], None],
        measure: Callable[[], MemoryMeasured | None] = lambda: None,
    ) -> None:
        """`measure`: how much memory there is; None where the system does not tell."""
        self._engine = engine
        self._journal = journal
        self._provider = provider
        self._shut_down = shut_down
        self._measure = measure

    def snapshot(self) -> Sequence[AppSnapshot]:
        """All apps now."""
        now = clock.now()
        return [app.snapshot(now) for app in self._engine.fleet.apps.values()]

    def app(self, name: str) -> AppSnapshot:
        """One app now."""
        return self._find(name).snapshot(clock.now())

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
        """Ask for it."""
        self._ask(_message(verb, app, by, force=force, rolling=rolling, tier=tier))

    def scale(self, app: str, replicas: int) -> None:
        """Ask for that many replicas."""
        self._ask(ScaleRequested(app, replicas))

    def track(self, app: str) -> None:
        """Count it as used now."""
        self._engine.post(Tracked(self._find(app).spec.name))

    def pin(self, app: str, seconds: float | None = None) -> None:
        """Keep it awake."""
        self._ask(PinRequested(app, seconds))

    def unpin(self, app: str) -> None:
        """Let it sleep again."""
        self._ask(UnpinRequested(app))

    def clauses(self, app: str) -> tuple[Sequence[Clause], float]:
        """All that its falling asleep depends on, and the moment at which that is so."""
        now = clock.now()
        return self._find(app).instances.clauses(now), now

    def prefer(self, app: str, priority: int, *, always_on: bool | None = None) -> None:
        """Let it have that priority."""
        self._ask(PriorityRequested(app, priority, always_on))

    def outlook(self) -> Outlook:
        """Who would be put to sleep for memory now."""
        return self._outlook(self._facts())

    def check_memory(self) -> Outlook:
        """Measure memory, and put to sleep who has to be."""
        facts = self._facts()
        found = self._outlook(facts)
        self._engine.post(facts)
        return found

    async def settle(self, verb: Verb, app: str) -> AppSnapshot:
        """Wait until it has come true, or cannot any more."""
        found = self._find(app)
        await self._journal.wait_until(app, lambda: self._settled(verb, found))
        return found.snapshot(clock.now())

    async def signal(self, app: str, number: int) -> int:
        """Send a signal to the main process of each of its instances."""
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        reached = self._reach(app)
        for provider, id, generation in reached:
            await provider.signal(id, generation, number)
            self._note(id, "signal", f"got {name} from the operator")
        return len(reached)

    async def reload(self, app: str) -> int:
        """Ask each of its instances to read its own configuration again."""
        reached = self._reach(app)
        for provider, id, generation in reached:
            await provider.reload(id, generation)
            self._note(id, "reloaded", "reloaded by the operator")
        return len(reached)

    def stats(self, id: InstanceId) -> Stats | None:
        """What an instance uses now."""
        return self._provider(self._find(id.app).spec).stats(id)

    def outputs_of(self, app: str) -> Mapping[InstanceId, Output]:
        """The logs of all of its instances."""
        found = self._find(app)
        provider = self._provider(found.spec)
        return {one.id: provider.output(one.id) for one in found.instances}

    def events(self, count: int, app: str | None = None) -> Sequence[Event]:
        """The last events."""
        return self._journal.recent(count, app)

    def wake_steps(self, app: str) -> Sequence[Event]:
        """The events since the app's last wake began."""
        return self._journal.wake_steps(self._find(app).spec.name)

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with each event from now on."""
        return self._journal.subscribe(callback)

    def shut_down(self, *, keep_apps: bool = False) -> None:
        """Begin the daemon's orderly end."""
        self._shut_down(keep_apps)

    def _ask(self, message: Wish) -> None:
        if (found := objection(self._find(message.app), message, clock.now())) is not None:
            text, hint = found
            raise NotAllowed(text, hint=hint)
        self._engine.post(message)

    def _facts(self) -> MemoryMeasured:
        if (facts := self._measure()) is None:
            raise NotMeasured("cannot tell how much memory there is", hint="The daemon's log says why.")
        return facts

    def _outlook(self, facts: MemoryMeasured) -> Outlook:
        return self._engine.fleet.steward.outlook(facts, clock.now())

    def _settled(self, verb: Verb, app: App) -> bool:
        # Somebody who wished the contrary meanwhile may have won: then it is awake again, and stays so.
        if app.settled:
            return True
        # A guest whose host is away ends when that is back, which may be never: whoever waits is told so.
        away = app.spec.guest and any(one.unheard is not None for one in app.instances)
        return verb in (Verb.STOP, Verb.SLEEP) and (away or not app.instances.alive)

    def _reach(self, name: str) -> list[tuple[Provider, InstanceId, int]]:
        """What is alive of an app: whom to tell, of which generation.  Raises `NotAllowed` where nothing is."""
        app = self._find(name)
        provider = self._provider(app.spec)
        alive = [(provider, one.id, one.generation) for one in app.instances if one.started]
        if not alive:
            raise NotAllowed(
                f"nothing of {name} is alive: it is {app.phase}", hint=f"`torpor wake {name}` first"
            )
        return alive

    def _note(self, id: InstanceId, kind: str, text: str) -> None:
        self._journal.announce(Announce(id.app, str(id), kind, text))

    def _find(self, name: str) -> App:
        apps = self._engine.fleet.apps
        if (app := apps.get(name)) is None:
            raise unknown_app(name, apps)
        return app


def _message(verb: Verb, app: str, by: str, *, force: bool, rolling: bool, tier: Tier | None) -> Wish:
    match verb:
        case Verb.START:
            return StartRequested(app)
        case Verb.STOP:
            return StopRequested(app, force=force)
        case Verb.RESTART:
            return RestartRequested(app, rolling)
        case Verb.WAKE:
            return WakeRequested(app, by)
        case Verb.SLEEP:
            return SleepRequested(app, tier)
