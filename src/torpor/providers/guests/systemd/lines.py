"""The lines that come out of a pipe.

A descriptor that the loop still watches when it is closed, or one that is closed twice while threads
open others, ends the daemon: libuv calls abort() when it finds that a number is not what it was given.
`connect_read_pipe` of uvloop closes twice.  So there is one owner here: the loop is told of the
descriptor while somebody waits for a line, and never later; then it is closed, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

_CHUNK = 64 * 1024
"""Bytes that are read at once: what a pipe of the usual size holds."""


class Lines:
    """Whole lines of a pipe.  It is read only while somebody asks for one: else its writer waits."""

    def __init__(self, fd: int, longest: int) -> None:
        """Take over `fd`, the end to read from.  A line of more than `longest` bytes is left out."""
        os.set_blocking(fd, False)
        self._fd = fd
        self._longest = longest
        self._kept = bytearray()
        self._looked = 0
        """How much of what is kept has no line's end in it."""
        self._skipping = False
        """Whether what comes belongs to a line that is left out."""
        self._ended = False

    async def next(self, until: asyncio.Future[Any] | None = None) -> bytes | None:
        """The next one, without its end; None: there is none any more, or none before `until` is done."""
        while (line := self._cut()) is None:
            if self._ended or not await self._wait_for_more(until):
                return None
            self._receive()
        return line

    def close(self) -> None:
        """Close the pipe.  Nobody may wait for a line; again it does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._ended = True

    async def _wait_for_more(self, until: asyncio.Future[Any] | None) -> bool:
        """Whether something came, or the pipe ended, before `until` was done."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._fd, _settle, ready)
        try:
            waiting: set[asyncio.Future[Any]] = {ready} if until is None else {ready, until}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return ready.done()
        finally:
            loop.remove_reader(self._fd)

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._fd, _CHUNK)
            self._ended = not data
            self._kept += data

    def _cut(self) -> bytes | None:
        """Take the first whole line out of what is kept."""
        while (end := self._kept.find(b"\n", self._looked)) >= 0:
            line = None if self._skipping or end > self._longest else bytes(self._kept[:end])
            del self._kept[: end + 1]
            self._looked = 0
            self._skipping = False
            if line is not None:
                return line
        if self._skipping or len(self._kept) > self._longest:
            self._skipping = True
            self._kept.clear()
        self._looked = len(self._kept)
        return None


def _settle(ready: asyncio.Future[None]) -> None:
    # Whoever waits wakes up a few turns later, and until then it is called in each of them.
    if not ready.done():
        ready.set_result(None)
