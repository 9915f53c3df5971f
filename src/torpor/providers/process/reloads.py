"""Whether one generation is reading its configuration again, in its own words.

1. A reload begins with RELOADING=1 and is over with the next READY=1.
2. A reload that began before it was asked for is not the one that was asked for:
   MONOTONIC_USEC tells, or where an app leaves it out, the moment of hearing it.
3. Nobody knows beforehand whether an app says any of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from torpor.core.policy import span

_NOTICE = 1.0
"""Seconds that an app has to say RELOADING=1; one that is slower, or never does, is not waited for."""


class Reloads:
    """What a generation has said of its reloads, and who waits for that."""

    def __init__(self) -> None:
        self.under_way = False
        self._began = -1
        self._ended = False
        self._news = asyncio.Event()

    def begin(self, at: int | None) -> None:
        """It has said RELOADING=1, with this MONOTONIC_USEC."""
        self._began = monotonic_usec() if at is None else at
        self.under_way = True
        self._news.set()

    def finish(self) -> None:
        """It has said READY=1."""
        self.under_way = False
        self._news.set()

    def end(self) -> None:
        """It will say nothing any more."""
        self._ended = True
        self._news.set()

    async def wait_until_over(self, since: int, limit: float | None) -> str | None:
        """Wait for the end of the reload that was asked for at `since` (see `monotonic_usec`).

        Returns what is wrong with it: it takes longer than `limit` seconds (None: it may), or
        the program ended.
        None at once for who says nothing of reloads.
        """
        try:
            async with asyncio.timeout(_NOTICE):
                await self._until(lambda: self._began >= since)
        except TimeoutError:
            return None
        try:
            async with asyncio.timeout(limit):
                await self._until(lambda: not self.under_way)
        except TimeoutError:
            assert limit is not None
            return f"still reloads after {span(limit)}"
        return "ended before it was reloaded" if self._ended else None

    async def _until(self, fact: Callable[[], bool]) -> None:
        while not (fact() or self._ended):
            self._news.clear()
            await self._news.wait()


def monotonic_usec() -> int:
    """The time of MONOTONIC_USEC now: microseconds of CLOCK_MONOTONIC."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
