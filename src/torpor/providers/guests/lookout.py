"""Watches a host for news of its guests, and goes on watching whatever happens to the host."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from torpor.config.guests import GuestSpec
from torpor.errors import TorporError
from torpor.providers.guests.driver import Driver, Notice

logger = logging.getLogger(__name__)

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
"""Seconds before a host that broke off is watched again."""


class Lookout:
    """One for each host, as long as it has guests of ours."""

    def __init__(
        self,
        driver: Driver,
        guests: Callable[[], Collection[GuestSpec]],
        hear: Callable[[Notice], None],
    ) -> None:
        self._driver = driver
        self._guests = guests
        self._hear = hear
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Watch from now on; no error where it does already."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _watch(self) -> None:
        pause, told = _SHORTEST_PAUSE, False
        while True:
            problem = f"{self._driver.title}: it has nothing more to say"
            try:
                async for notice in self._driver.watch(self._guests):
                    if told:
                        logger.info("%s answers again", self._driver.title)
                    pause, told = _SHORTEST_PAUSE, False
                    self._hear(notice)
            except TorporError as error:
                problem = error.advice_about(self._driver.title)
            except Exception as error:
                logger.exception("%s cannot be watched", self._driver.title)
                problem = f"{self._driver.title}: {error!r}"
            if not told:
                # Once: a host may be down for days.
                logger.warning("%s; trying again", problem)
                told = True
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
