"""Tells the core how much memory there is: at the kernel's signs, from time to time, and when it asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from torpor.core.messages import MemoryMeasured
from torpor.core.model import AppSpec
from torpor.core.sharing import Sharing
from torpor.providers.base import Provider
from torpor.runtime.engine import Engine
from torpor.runtime.gpu import Gpus, read_gpus
from torpor.runtime.meter import Meter
from torpor.runtime.signs import Signs

log = logging.getLogger(__name__)

GPU_INTERVAL = 15.0
"""Seconds between two looks at the GPUs that budgets name."""


class MemoryWatch:
    """Watches as closely as the configuration wants it."""

    def __init__(
        self,
        engine: Engine,
        provider: Callable[[AppSpec], Provider],
        sharing: Callable[[], Sharing],
        meter: Meter | None = None,
    ) -> None:
        self._engine = engine
        self._provider = provider
        self._sharing = sharing
        self._meter = Meter() if meter is None else meter
        self._signs: Signs | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gpus: Gpus = {}
        self._gpu_reader: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin, with a first measurement."""
        self._meter.open()
        self.follow()

    def follow(self) -> None:
        """Other rules hold."""
        self.close()
        sharing = self._sharing()
        if any(budget.device is not None for budget in sharing.budgets.values()):
            self._gpu_reader = asyncio.get_running_loop().create_task(self._watch_gpus())
        if sharing.memory.keep_free is None:
            return
        self._signs = Signs(self._meter.pressure_file, self.measure)
        self._signs.open()
        self._look()

    def close(self) -> None:
        """End."""
        if self._signs is not None:
            self._signs.close()
            self._signs = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gpu_reader is not None:
            self._gpu_reader.cancel()
            self._gpu_reader = None

    def measure(self) -> None:
        """Measure now, and let the core decide."""
        if (facts := self.facts()) is not None:
            self._engine.post(facts)

    def facts(self) -> MemoryMeasured | None:
        """What there is now; None where the system does not tell."""
        try:
            reading = self._meter.read()
        except (OSError, KeyError) as error:
            log.warning("cannot read how much memory there is: %s", error)
            return None
        return MemoryMeasured(reading.available, reading.total, reading.swap_free, self._sizes(), self._gpus)

    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for name, app in self._engine.fleet.apps.items():
            if app.instances.alive:
                provider = self._provider(app.spec)
                stats = [provider.stats(instance.id) for instance in app.instances]
                sizes[name] = sum(it.rss for it in stats if it is not None)
        return sizes

    def _look(self) -> None:
        # The kernel tells of stalls, but not that less is available than somebody wants.
        self.measure()
        interval = self._sharing().memory.check_interval
        if interval is not None:
            self._timer = asyncio.get_running_loop().call_later(interval, self._look)

    async def _watch_gpus(self) -> None:
        while True:
            devices = {it.device for it in self._sharing().budgets.values() if it.device is not None}
            apps = self._engine.fleet.apps.values()
            stats = (self._provider(app.spec).stats(one.id) for app in apps for one in app.instances)
            ours = {it.pid for it in stats if it is not None and it.pid is not None}
            gpus = await asyncio.to_thread(read_gpus, devices, ours)
            if gpus != self._gpus:
                self._gpus = gpus
                self.measure()
            await asyncio.sleep(GPU_INTERVAL)
