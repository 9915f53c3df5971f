"""What a guest uses, asked for in the background: who wants to know it now gets what was found last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from torpor.errors import TorporError
from torpor.providers.guests.driver import Usage

_AGE = 1.0
"""Seconds for which an answer is good."""
_PATIENCE = 1.0
"""Seconds that a host gets to tell how much there is before a freeze."""


class Gauge:
    """One for each generation."""

    def __init__(self, ask: Callable[[], Awaitable[Usage | None]]) -> None:
        self._ask = ask
        self._usage = Usage(0, None)
        self._asked_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    def read(self) -> Usage:
        """What was found last; asks again where that is old."""
        self._refresh()
        return self._usage

    async def measure(self) -> int:
        """The resident bytes; 0 where its host does not tell in time."""
        self._refresh()
        if not self._usage.rss and self._task is not None:
            await asyncio.wait([self._task], timeout=_PATIENCE)
        return self._usage.rss

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        if (self._task is None or self._task.done()) and loop.time() - self._asked_at > _AGE:
            self._asked_at = loop.time()
            self._task = loop.create_task(self._look())

    async def _look(self) -> None:
        # A host that is down is told of elsewhere.
        with contextlib.suppress(TorporError):
            self._usage = await self._ask() or self._usage
