"""What an earlier daemon left alive: who of it is taken on, and who is ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from torpor.core.fleet import Fleet
from torpor.core.graph import levels
from torpor.core.messages import Adopted
from torpor.errors import TorporError
from torpor.providers.base import Survivor
from torpor.providers.providers import Providers

log = logging.getLogger(__name__)


class Inheritance:
    """Found before the gateway opens, taken on with the engine."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers
        self._wanted: list[Survivor] = []
        self._refused: list[Survivor] = []

    async def find(self, fleet: Fleet) -> None:
        """Look for it, and end that which is not configured any more."""
        unwanted: list[Survivor] = []
        for survivor in await self._providers.survivors():
            app = fleet.apps.get(survivor.id.app)
            known = app is not None and any(survivor.id == instance.id for instance in app.instances)
            if not known:
                log.warning("%s runs, but is not configured any more: ending it", survivor.id)
            (self._wanted if known else unwanted).append(survivor)
        await self._discard(unwanted)
        # Who is needed is taken on before who needs it, or it would be started beside itself.
        graph = {name: [needed.app for needed in app.spec.depends_on] for name, app in fleet.apps.items()}
        depth = {name: number for number, level in enumerate(levels(graph)) for name in level}
        self._wanted.sort(key=lambda survivor: depth[survivor.id.app])

    def take_on(self, adopt: Callable[[Survivor], Adopted]) -> list[Adopted]:
        """Take on what was found, as far as that is possible."""
        adopted = []
        for survivor in self._wanted:
            try:
                adopted.append(adopt(survivor))
            except TorporError as error:
                log.error("%s: %s; ending it", survivor.id, error)
                self._refused.append(survivor)
        return adopted

    async def end_the_rest(self) -> None:
        """End what could not be taken on."""
        await self._discard(self._refused)

    async def _discard(self, survivors: Iterable[Survivor]) -> None:
        ends = (self._providers.discard(survivor) for survivor in survivors)
        for error in await asyncio.gather(*ends, return_exceptions=True):
            if error is not None:
                log.error("%s", error)
