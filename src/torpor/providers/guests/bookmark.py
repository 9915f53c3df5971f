"""How far the output of a guest has been copied into its log.

It is written after each piece, by one call within one page: the kernel does that wholly or not
at all, however the daemon dies, and to replace the file would cost more than the piece itself.
Between a piece and its bookmark a daemon can die all the same.  So the bookmark names the place
in the log, too: what lies behind that place is of the next piece, and is not written again.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

_SIZE = 4096
"""The page; the rest is spaces, so that none shows the end of a longer one."""


class Bookmark(msgspec.Struct, frozen=True):
    """How far it has got."""

    run: str
    """Of which run it speaks."""
    cursor: str | None = None
    """See `Piece.cursor`; None: nothing was copied yet."""
    places: dict[str, tuple[int, int]] = {}
    """The segment and the offset of each stream's log behind what was copied."""

    def write(self, path: Path) -> None:
        """Put it there.  One that cannot be written costs a few lines that are told twice."""
        content = msgspec.json.encode(self).ljust(_SIZE)
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(fd, content, 0)
                if len(content) > _SIZE:
                    os.ftruncate(fd, len(content))
            finally:
                os.close(fd)


def read_bookmark(path: Path, run: str) -> Bookmark:
    """That of this run: at its beginning, where there is none or it speaks of another."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Bookmark)
    except (OSError, msgspec.DecodeError):
        return Bookmark(run)
    return found if found.run == run else Bookmark(run)
