"""Tells a history to one app and shows what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from torpor.core.app import App
from torpor.core.messages import (
    AppInput,
    BecameReady,
    Effect,
    Exited,
    GrantTicket,
    InstanceInput,
    RefuseTicket,
    RequestArrived,
    Started,
    Vacated,
)
from torpor.core.model import AppMemory, AppSpec, Endpoint, ExitInfo, InstanceId, Lifecycle, Phase
from torpor.core.upstream import Upstream

E = TypeVar("E")
ID = InstanceId("app")


class Story:
    """An app, a clock in the teller's hand, and everything that was to be done so far."""

    def __init__(
        self,
        lifecycle: Lifecycle | None = None,
        memory: AppMemory | None = None,
        *,
        replicas: int = 1,
    ) -> None:
        self.now = 0.0
        self.app = App(
            AppSpec("app", lifecycle or Lifecycle(), replicas=replicas),
            memory or AppMemory(),
            self.now,
        )
        self.effects: list[Effect] = []

    def phase(self) -> Phase:
        return self.app.phase

    @property
    def generation(self) -> int:
        return self.app.instances[0].generation

    def tell(self, *messages: AppInput | InstanceInput) -> None:
        for message in messages:
            if isinstance(message, AppInput):
                self._take(self.app.handle(message, self.now))
            else:
                self._take(self.app.report(message, self.now))

    def configure(self, lifecycle: Lifecycle) -> None:
        """Let other settings hold."""
        before = self.app.spec
        self.app.spec = replace(before, lifecycle=lifecycle)
        self._take(self.app.change(before, self.now, renewed=False))

    def boot(self) -> None:
        self._take(self.app.boot(self.now))

    def wait(self, seconds: float) -> None:
        """Let time pass, deadline by deadline."""
        end = self.now + seconds
        while (due := self.app.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self._take(self.app.deadline_reached(self.now))
        self.now = end

    def arrive(self, ticket: int) -> None:
        self.tell(RequestArrived("app", ticket, "GET /"))

    def come_alive(self) -> None:
        self.tell(Started(ID, self.generation, Endpoint("127.0.0.1", 8501), 7))

    def become_ready(self) -> None:
        self.come_alive()
        self.tell(BecameReady(ID, self.generation))

    def exit(self, code: int | None = None, *, signal: int | None = None, leftovers: bool = False) -> None:
        self.tell(Exited(ID, self.generation, ExitInfo(code, signal), leftovers))

    def enter(self) -> Upstream:
        upstream = self.app.enter()
        assert upstream is not None
        return upstream

    def leave(self, upstream: Upstream) -> None:
        upstream.inflight -= 1
        upstream.last_active = self.now
        if not upstream.open and not upstream.inflight:
            self.tell(Vacated(upstream.id, upstream.generation))

    def awake(self) -> Story:
        """Skip to: one request woke it, was served and is over."""
        self.arrive(1)
        self.become_ready()
        self.leave(self.granted()[0].upstream)
        self.effects.clear()
        return self

    def all(self, kind: type[E]) -> list[E]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def granted(self) -> list[GrantTicket]:
        return self.all(GrantTicket)

    def refused(self) -> list[RefuseTicket]:
        return self.all(RefuseTicket)

    def _take(self, effects: Iterable[Effect]) -> None:
        self.effects.extend(effects)
