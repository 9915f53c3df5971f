"""The daemon's end, and the patience of whoever asks for it.

Law: each time that somebody asks, it ends sooner.  First all apps are stopped in order, then what is in flight is
cut, then the daemon leaves at once, whatever is still alive.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from torpor.core.messages import ShutdownRequested
from torpor.core.model import Event
from torpor.runtime import clock
from torpor.runtime.engine import Engine
from torpor.runtime.journal import Journal

log = logging.getLogger(__name__)


class Shutdown:
    """The end, from the first time that somebody asks for it."""

    def __init__(self, hurry: Callable[[], None]) -> None:
        """`hurry` is called when the daemon is to leave at once."""
        self._hurry = hurry
        self._asked = 0
        self.keeps_apps = False
        """Whether the apps are left running."""
        self._begun = asyncio.Event()
        self._impatient = asyncio.Event()
        self._desperate = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether anybody has asked."""
        return self._begun.is_set()

    async def wait(self) -> None:
        """Return once somebody has asked."""
        await self._begun.wait()

    def ask(self, keep_apps: bool = False) -> None:
        """Begin it.  Asked twice: cut what is in flight.  Asked again: leave at once.

        `keep_apps`, the first time: leave the apps running.
        """
        if self._asked == 0:
            self.keeps_apps = keep_apps
        self._asked += 1
        stages = (self._begun, self._impatient, self._desperate)
        stages[min(self._asked, len(stages)) - 1].set()
        if self._desperate.is_set():
            self._hurry()

    async def stop_apps(self, engine: Engine, journal: Journal, cut: Callable[[], Awaitable[None]]) -> None:
        """Stop all apps; returns once nothing of them is alive, or could be ended.  `cut` ends what is in flight."""
        settled = asyncio.Event()

        def look(_event: Event | None) -> None:
            # A host that hears neither a stop nor a kill may be away for days; its guests are left to the next daemon.
            if not engine.fleet.alive or engine.fleet.beyond_reach(clock.now()):
                settled.set()

        unsubscribe = journal.subscribe(look)
        engine.post(ShutdownRequested())
        look(None)
        cutting = asyncio.create_task(self._cut_when_impatient(cut))
        ends = [asyncio.create_task(event.wait()) for event in (settled, self._desperate)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in (cutting, *ends):
            task.cancel()
        unsubscribe()
        if engine.fleet.alive:
            left = [app.spec.name for app in engine.fleet.apps.values() if app.instances.alive]
            log.warning("left behind, maybe alive: %s", ", ".join(left))

    async def _cut_when_impatient(self, cut: Callable[[], Awaitable[None]]) -> None:
        await self._impatient.wait()
        await cut()
