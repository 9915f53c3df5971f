"""All apps: hands each input to its app, keeps what they hold of each other true, and knows who is due next.

One input runs to a fixed point: an app that begins to need its dependencies holds them,
one that needs them no more releases them, and a changed standing is told to those that
wait for it, until nothing changes any more.  Only then are the effects carried out.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping

from torpor.core.app import App
from torpor.core.messages import AppInput, Effect, Input, ShutdownRequested
from torpor.core.model import AppMemory, AppSpec, Standing


class Fleet:
    """The apps by name, in the order of the configuration."""

    def __init__(self, specs: Iterable[AppSpec], memory: Mapping[str, AppMemory], now: float) -> None:
        self._standings: dict[str, Standing] = {}
        self.apps = {
            spec.name: App(spec, memory.get(spec.name, AppMemory()), now, self._standings) for spec in specs
        }
        self._standings.update({name: app.standing for name, app in self.apps.items()})
        self._dependents: dict[str, list[App]] = {name: [] for name in self.apps}
        for app in self.apps.values():
            for needed in app.spec.depends_on:
                self._dependents[needed.app].append(app)
        self._holding: set[str] = set()
        self._closing = False
        # Entries are (deadline, name); one that its app no longer confirms is stale and dropped
        # when it comes up, so an input costs O(log n) however many apps there are.
        self._due: list[tuple[float, str]] = []
        self._queued: dict[str, float] = {}

    @property
    def alive(self) -> bool:
        """Whether something of any app may be alive."""
        return any(app.alive for app in self.apps.values())

    def handle(self, message: Input, now: float) -> list[Effect]:
        """Take one input and return everything that follows from it."""
        if isinstance(message, ShutdownRequested):
            return self._shut_down(now)
        if isinstance(message, AppInput):
            app = self.apps[message.app]
            return self._after(app, app.handle(message, now), now)
        app = self.apps[message.id.app]
        return self._after(app, app.report(message, now), now)

    def boot(self, now: float) -> list[Effect]:
        """Start what is to be kept running."""
        return [effect for app in self.apps.values() for effect in self._after(app, app.boot(now), now)]

    def deadline_reached(self, now: float) -> list[Effect]:
        """Do whatever is due at `now`, in all apps."""
        due = []
        while self._due and self._due[0][0] <= now:
            deadline, name = heapq.heappop(self._due)
            if self._queued.get(name) == deadline:
                del self._queued[name]
                due.append(self.apps[name])
        return [effect for app in due for effect in self._after(app, app.deadline_reached(now), now)]

    def next_deadline(self) -> float | None:
        """When something is due at the earliest."""
        while self._due and self._queued.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def _shut_down(self, now: float) -> list[Effect]:
        """Stop everything, dependents before what they depend on."""
        self._closing = True
        effects = [effect for app in self.apps.values() for effect in app.close()]
        for app in self.apps.values():
            if not app.held_by:
                effects += self._after(app, app.shut_down(now), now)
        return effects

    def _after(self, app: App, effects: list[Effect], now: float) -> list[Effect]:
        """Follow the consequences of a change in `app` until nothing changes any more."""
        changed = deque([app])
        while changed:
            app = changed.popleft()
            for other, more in self._consequences(app, now):
                effects += more
                changed.append(other)
            self._queue(app)
        return effects

    def _consequences(self, app: App, now: float) -> list[tuple[App, list[Effect]]]:
        name = app.spec.name
        followed = []
        if app.holding != (name in self._holding):
            self._holding ^= {name}
            for needed in app.spec.depends_on:
                other = self.apps[needed.app]
                if name in self._holding:
                    followed.append((other, other.hold(name, needed.condition, now)))
                    continue
                followed.append((other, other.release(name, now)))
                if self._closing and not other.held_by:
                    followed.append((other, other.shut_down(now)))
            if name in self._holding:
                followed.append((app, app.reconsider(now)))  # what it needs may be lost already
        if (standing := app.standing) != self._standings[name]:
            self._standings[name] = standing
            followed += [
                (dependent, dependent.reconsider(now))
                for dependent in self._dependents[name]
                if dependent.spec.name in self._holding
            ]
        return followed

    def _queue(self, app: App) -> None:
        name, deadline = app.spec.name, app.next_deadline()
        if deadline is None:
            self._queued.pop(name, None)
        elif self._queued.get(name) != deadline:
            self._queued[name] = deadline
            heapq.heappush(self._due, (deadline, name))
