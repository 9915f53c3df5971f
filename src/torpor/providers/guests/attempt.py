"""One attempt to bring a guest to life, or to take it as it runs.

An attempt that is given up ends what it has started.  What ran before, because others started
it, goes on; also where the attempt had let it go on from a pause.

A host may never say that it has started something: a machine that does not boot, a unit that is
never ready.  So a start that is given up is waited for only for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from torpor.config.guests import GuestSpec
from torpor.errors import ProviderFailed, StartFailed, TorporError
from torpor.providers.guests.driver import Driver, State, Status

logger = logging.getLogger(__name__)
T = TypeVar("T")

SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 5.0
"""Seconds between two looks at what is on its way, where no news comes."""
ALIVE = frozenset({State.RUNNING, State.PAUSED})
ENDED = frozenset({State.STOPPED, State.MISSING})
_PATIENCE = 5.0
"""Seconds that a start gets to come to an end by itself after it was given up."""
_UNDOING = 60.0
"""Seconds in which what was started is to be ended."""


class Attempt:
    """Its limit of time is the caller's."""

    def __init__(
        self,
        driver: Driver,
        guest: GuestSpec,
        wait_for_news: Callable[[float], Coroutine[Any, Any, None]],
        *,
        listens: bool,
    ) -> None:
        """`wait_for_news` returns at the next news, at latest after so many seconds; `listens`: it has to have an address."""
        self._driver = driver
        self._guest = guest
        self._listens = listens
        self._wait_for_news = wait_for_news
        self._start: asyncio.Task[None] | None = None
        """Our request for its start, once it was made."""
        self._told = False

    async def carry_out(self) -> Status:
        """What it is once it runs, or has run.  Raises `StartFailed`, and `ProviderFailed` where its host is away."""
        try:
            pause = SHORTEST_PAUSE
            while not self._is_up(status := await self._driver.status(self._guest)):
                if not await self._push(status):
                    await self._wait_for_news(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
            return status
        except BaseException:
            if self._start is not None:
                await to_its_end(self._undo(self._start))
            raise

    def _is_up(self, status: Status) -> bool:
        if status.state is State.STOPPED:  # it may have ended at once
            return self._start is not None
        return status.state is State.RUNNING and (status.endpoint is not None or not self._listens)

    async def _push(self, status: Status) -> bool:
        """Do what the guest needs next; False: only wait."""
        match status.state:
            case State.MISSING:
                raise StartFailed(
                    f"there is no {self._driver.noun} {self._guest.name} at {self._driver.title}",
                    hint="make it, or correct its name",
                )
            case State.PAUSED:
                await self._resume()
                return True
            case State.STOPPED if self._start is None:
                self._start = asyncio.get_running_loop().create_task(self._driver.start(self._guest))
                # A request that is broken off may be carried out all the same, when nobody looks any more.
                await asyncio.shield(self._start)
                return True
            case State.RUNNING if status.unreachable:
                raise StartFailed(
                    f"{self._guest.name} runs, and there is no way to it: {status.unreachable}",
                    hint="or say with `address` where it is reached",
                )
            case State.RUNNING if not self._told:
                self._told = True
                logger.warning(
                    "%s runs; waiting for %s to say where it is reached (or `address` may)%s",
                    self._guest.name,
                    self._driver.title,
                    f": {status.note}" if status.note else "",
                )
        return False

    async def _resume(self) -> None:
        try:
            await self._driver.resume(self._guest)
        except ProviderFailed as error:  # which has answered: it is not the host that is missing
            raise StartFailed(error.message, hint=error.hint) from error

    async def _undo(self, start: asyncio.Task[None]) -> None:
        if not start.done():
            with contextlib.suppress(TorporError):  # it may release the start from what that waits for
                await self._driver.kill(self._guest)
            await asyncio.wait([start], timeout=_PATIENCE)
            start.cancel()
            await asyncio.wait([start])
        if not start.cancelled():
            start.exception()  # nobody is there any more to be told
        loop = asyncio.get_running_loop()
        until, pause, problem = loop.time() + _UNDOING, SHORTEST_PAUSE, ""
        while loop.time() < until:
            try:
                await self._driver.kill(self._guest)
                if (await self._driver.status(self._guest)).state in ENDED:
                    return
            except TorporError as error:
                problem = error.message
            else:
                problem = "it survives the kill"
            await self._wait_for_news(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        logger.error("the start of %s was given up, and it may run: %s", self._guest.name, problem)


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Carry it out, also where the caller is cancelled meanwhile: that is then raised after it."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # nobody is there any more to be told
        raise
