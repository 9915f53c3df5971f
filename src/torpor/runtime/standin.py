"""The daemon as stand-in for one app (`--exit-with`): it ends with it, as it does, and hands it signals.

In a container whoever sees process 1 means the app: it waits for its exit code, and sends
it the signals that this app understands.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from torpor.core.app import App
from torpor.core.instance import UNUSED, Instance
from torpor.core.messages import StartRequested
from torpor.core.model import AppSpec, Phase
from torpor.errors import TorporError
from torpor.providers.base import Provider
from torpor.runtime.engine import Engine

log = logging.getLogger(__name__)

HANDED_ON = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGWINCH)
"""Signals that mean the app."""


class StandIn:
    """Stands in for the app of this name."""

    def __init__(self, app: str, engine: Engine, provider: Callable[[AppSpec], Provider]) -> None:
        self.app = app
        self._engine = engine
        self._provider = provider
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Start the app where nobody else does: its end could not come otherwise."""
        app = self._find()
        if app is not None and app.phase is Phase.ASLEEP:
            self._engine.post(StartRequested(self.app))

    @property
    def over(self) -> bool:
        """Whether the app has ended by itself, for good."""
        app = self._find()
        if app is None or app.phase not in UNUSED:
            return False
        return _last(app).completed is not None or app.phase is Phase.FAILED

    @property
    def code(self) -> int:
        """The exit code of the app, of the replica that ended last: 128 + n for signal n."""
        app = self._find()
        if app is None:
            return 0
        info = _last(app).exit
        code = 128 + info.signal if info.signal is not None else info.code or 0
        return code or int(app.phase is Phase.FAILED)

    def hand_on(self, number: int) -> None:
        """Send the app a signal that came to us."""
        app = self._find()
        for instance in app.instances if app is not None else []:
            if app is not None and instance.alive:
                task = asyncio.get_running_loop().create_task(self._send(app.spec, instance, number))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _send(self, spec: AppSpec, instance: Instance, number: int) -> None:
        try:
            await self._provider(spec).signal(instance.id, instance.generation, number)
        except TorporError as error:
            log.warning("%s", error)

    def _find(self) -> App | None:
        return self._engine.fleet.apps.get(self.app)


def _last(app: App) -> Instance:
    """The instance that has changed last."""
    return max(app.instances, key=lambda instance: instance.phase_since)
