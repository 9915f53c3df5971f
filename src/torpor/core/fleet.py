"""All apps: hands each input to its app, and knows which one is due next."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from torpor.core.app import App
from torpor.core.messages import AppInput, Effect, Input, ShutdownRequested
from torpor.core.model import AppMemory, AppSpec


class Fleet:
    """The apps by name, in the order of the configuration."""

    def __init__(self, specs: Iterable[AppSpec], memory: Mapping[str, AppMemory], now: float) -> None:
        self.apps = {spec.name: App(spec, memory.get(spec.name, AppMemory()), now) for spec in specs}
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
            return [effect for app in self.apps.values() for effect in self._after(app, app.shut_down(now))]
        if isinstance(message, AppInput):
            app = self.apps[message.app]
            return self._after(app, app.handle(message, now))
        app = self.apps[message.id.app]
        return self._after(app, app.report(message, now))

    def boot(self, now: float) -> list[Effect]:
        """Start what is to be kept running."""
        return [effect for app in self.apps.values() for effect in self._after(app, app.boot(now))]

    def deadline_reached(self, now: float) -> list[Effect]:
        """Do whatever is due at `now`, in all apps."""
        due = []
        while self._due and self._due[0][0] <= now:
            deadline, name = heapq.heappop(self._due)
            if self._queued.get(name) == deadline:
                del self._queued[name]
                due.append(self.apps[name])
        return [effect for app in due for effect in self._after(app, app.deadline_reached(now))]

    def next_deadline(self) -> float | None:
        """When something is due at the earliest."""
        while self._due and self._queued.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def _after(self, app: App, effects: list[Effect]) -> list[Effect]:
        name, deadline = app.spec.name, app.next_deadline()
        if deadline is None:
            self._queued.pop(name, None)
        elif self._queued.get(name) != deadline:
            self._queued[name] = deadline
            heapq.heappush(self._due, (deadline, name))
        return effects
