"""Copies what a run of a guest writes, from its host into the log that all apps have.

1. A piece is in the log before its bookmark is, and the bookmark is on the disk before the next piece
   is asked for.  So a daemon killed at any moment loses nothing; what it had copied without
   a bookmark, its successor finds in the log and leaves out.  (Where the log stamps its lines,
   or has begun a new file in just that moment, that piece is there twice.)
2. A host that breaks off is asked again, from the bookmark on.
3. The host waits while the disk does: nothing is collected in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from torpor.config.guests import GuestSpec
from torpor.errors import TorporError
from torpor.providers.capture import Capture
from torpor.providers.guests.bookmark import Bookmark, read_bookmark
from torpor.providers.guests.driver import Driver, Piece

logger = logging.getLogger(__name__)

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
"""Seconds before a host that broke off is asked again."""
_LAST_PAUSE = 0.1
"""Seconds between two attempts to hear the last words of a run that is over."""


class Scribe:
    """Follows one run."""

    def __init__(
        self, driver: Driver, guest: GuestSpec, run: str, capture: Capture, path: Path, *, stamped: bool
    ) -> None:
        """`path`: of the bookmark; `stamped`: the log is longer than what was written."""
        self._driver = driver
        self._guest = guest
        self._capture = capture
        self._path = path
        self._mark = read_bookmark(path, run)
        self._surplus = {} if stamped else self._copied_since()
        self._over = asyncio.Event()
        """Set once the run is over: nothing is worth waiting for any more."""
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Copy from now on."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def finish(self, limit: float) -> None:
        """The run is over: return when all of it was copied, or after `limit` seconds."""
        self._over.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=limit)
            await self.close()

    async def close(self) -> None:
        """Copy no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        pause, told = _SHORTEST_PAUSE, False
        while True:
            try:
                async for piece in self._driver.logs(self._guest, self._mark.run, self._mark.cursor):
                    self._copy(piece)
                    pause, told = _SHORTEST_PAUSE, False
                return
            except TorporError as error:
                if not told:
                    logger.warning("the output of %s broke off: %s", self._guest.name, error)
                told = True
            except Exception:
                # Whatever a host may say: its guest goes on, only unheard.
                logger.exception("the output of %s cannot be copied", self._guest.name)
            await self._pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not long where the host has just told that the run is over: so it answers again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()
                await asyncio.sleep(_LAST_PAUSE)

    def _copy(self, piece: Piece) -> None:
        data = piece.data
        if left_out := min(self._surplus.get(piece.stream, 0), len(data)):
            self._surplus[piece.stream] -= left_out
            data = data[left_out:]
        self._capture.take(piece.stream, data)
        places = {name: (place.segment, place.offset) for name, place in self._capture.places().items()}
        self._mark = Bookmark(self._mark.run, piece.cursor, places)
        self._mark.write(self._path)

    def _copied_since(self) -> dict[str, int]:
        """The bytes of each stream that an earlier daemon copied without a bookmark."""
        found = {}
        for name, place in self._capture.places().items():
            segment, offset = self._mark.places.get(name, (place.segment, place.offset))
            if segment == place.segment:
                found[name] = max(0, place.offset - offset)
        return found
