"""Connections to instances that are being made.

What has ended may not even refuse a connection: a container's address vanishes with it, and nobody
answers there any more.  So the end of an instance ends the attempts to reach it, and whoever makes
them goes the way of anybody who comes while the app sleeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from torpor.core.upstream import Upstream

CONNECT_TIMEOUT = 5.0
"""Seconds until an instance that does not even refuse a connection counts as refusing."""


class Dials:
    """Limits the attempts: in time, and to the life of whom they are for."""

    def __init__(self) -> None:
        self._under_way: dict[asyncio.Timeout, Upstream] = {}

    @asynccontextmanager
    async def to(self, upstream: Upstream) -> AsyncIterator[None]:
        """In its body, a connection to there is made.  Raises `TimeoutError`."""
        problem = "no answer"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT) as limit:
                self._under_way[limit] = upstream
                try:
                    yield
                finally:
                    if self._under_way.pop(limit, None) is None:
                        problem = "it has ended"
        except TimeoutError as error:
            raise TimeoutError(problem) from error

    def drop(self, upstream: Upstream) -> None:
        """It has ended: give up what is under way to it."""
        for limit in [limit for limit, whose in self._under_way.items() if whose is upstream]:
            del self._under_way[limit]
            if not limit.expired():
                limit.reschedule(0.0)
