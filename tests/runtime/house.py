"""An engine with all its hands, over a provider without processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from torpor.core.fleet import Fleet
from torpor.core.model import AppSpec, Event, InstanceId, NotifyProbe, Phase, Readiness, Route
from torpor.core.sharing import Sharing
from torpor.core.upstream import Upstream
from torpor.providers.base import Fact
from torpor.providers.fake import FakeProvider
from torpor.runtime import clock
from torpor.runtime.actions import Actions
from torpor.runtime.desk import Desk
from torpor.runtime.dispatch import Dispatch
from torpor.runtime.engine import Engine
from torpor.runtime.gate import LocalSeam
from torpor.runtime.journal import Journal

APP = AppSpec("app", routes=(Route("app.test"),), readiness=Readiness((NotifyProbe(),)))
ID = InstanceId("app")


@dataclass
class Listener:
    """A gateway that writes down what it is told."""

    closed: list[Upstream] = field(default_factory=list)
    dropped: list[Upstream] = field(default_factory=list)

    def close_upgraded(self, upstream: Upstream) -> None:
        self.closed.append(upstream)

    def drop_upstream(self, upstream: Upstream) -> None:
        self.dropped.append(upstream)


class House:
    """Everything that lives in `torpor.daemon`, but for the gateway, the control socket and processes."""

    def __init__(self, *specs: AppSpec, sharing: Sharing | None = None) -> None:
        self.journal = Journal()
        self.remembered: list[str] = []
        self.asked_to_measure = 0
        self.shut_down: list[bool] = []
        """For each time that the daemon was told to end: whether it is to leave the apps running."""
        self.engine = Engine(Fleet(specs or (APP,), {}, clock.now(), sharing))
        self.provider = FakeProvider(self._report)
        self.actions = Actions(
            lambda name: self.engine.fleet.apps[name].spec,
            lambda _spec: self.provider,
            self.engine.post,
            self.journal.announce,
        )
        self.seam = LocalSeam(self.engine, self.journal, lambda _spec: self.provider)
        self.dispatch = Dispatch(
            self.actions,
            self.seam,
            self.journal,
            remember=self.remembered.append,
            measure=self._measure,
            reboot=lambda _app, _text: None,
        )
        self.listener = Listener()
        self.seam.listen(self.listener)
        self.desk = Desk(self.engine, self.journal, lambda _spec: self.provider, self._shut_down)
        self.gate = self.seam.gate("app")

    async def awake(self) -> None:
        """Skip to: it is ready and nobody uses it."""
        self.gate.knock("a test")
        await self.ready()

    async def ready(self) -> None:
        """Let the start in progress succeed."""
        await self.until(lambda: self.provider.alive(ID))
        self.provider.notify(ID)
        await self.until(lambda: self.phase() is Phase.READY)

    def phase(self) -> Phase:
        return self.engine.fleet.apps["app"].phase

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait for something to come true."""
        async with asyncio.timeout(10):
            while not fact():
                await asyncio.sleep(0)

    async def event(self, kind: str) -> Event:
        """Wait for an event of that kind, past ones included."""
        found: list[Event] = []

        def look() -> bool:
            found[:] = [event for event in self.journal.recent(100) if event.kind == kind]
            return bool(found)

        await self.until(look)
        return found[-1]

    def _measure(self) -> None:
        self.asked_to_measure += 1

    def _report(self, message: Fact) -> None:
        self.actions.report(message)

    def _shut_down(self, keep_apps: bool) -> None:
        self.shut_down.append(keep_apps)


@asynccontextmanager
async def house(*specs: AppSpec, sharing: Sharing | None = None) -> AsyncIterator[House]:
    """A house that is open for the duration of the test."""
    built = House(*specs, sharing=sharing)
    built.engine.open(built.dispatch.perform)
    try:
        yield built
    finally:
        built.engine.close()
        await built.actions.close()
