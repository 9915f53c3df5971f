"""Descriptors that an app gives away to get them back after its restart (FDSTORE=1).

1. What is kept outlives generations of the instance, not the daemon.
2. It is bounded: at most so many of each instance, and each socket or end of a pipe once.
3. All lie above any number at which a program expects them, so that putting them
   there never overwrites one that is still to be moved.
4. No file system is asked about them, and none is closed here: either may take for ever.
"""

from __future__ import annotations

import fcntl
import os

from torpor.providers.process.disposal import describe

_MOST = 64
_LOWEST = 3 + _MOST
"""Programs expect them from 3 on."""
_LONGEST_NAME = 255
_NAMELESS = "stored"


class FdStore:
    """What one instance has given away."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, int]] = []

    @property
    def listens(self) -> tuple[tuple[str, int], ...]:
        """Names and descriptors, in the order in which they came."""
        return tuple(self._kept)

    def keep(self, name: str | None, fds: list[int]) -> str | None:
        """Keep duplicates of these; the caller closes its own.  Why some are not kept."""
        name = name or _NAMELESS
        if not _is_name(name):
            return f"{name[:50]!r} is no name for them"
        for fd in fds:
            if len(self._kept) >= _MOST:
                return f"there are {_MOST} already"
            if not any(_same(fd, kept) for _, kept in self._kept):
                try:
                    self._kept.append((name, high(fd)))
                except OSError as error:
                    return str(error.strerror)
        return None

    def remove(self, name: str) -> list[int]:
        """Keep those of this name no more; the caller closes them."""
        removed = [fd for kept, fd in self._kept if kept == name]
        self._kept = [(kept, fd) for kept, fd in self._kept if kept != name]
        return removed

    def clear(self) -> list[int]:
        """Keep nothing; the caller closes what was."""
        removed = [fd for _, fd in self._kept]
        self._kept.clear()
        return removed


def high(fd: int) -> int:
    """A duplicate above all numbers at which a program expects descriptors."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST)


def _same(one: int, other: int) -> bool:
    # Two descriptors of one file may have positions of their own; of a socket or pipe there is but one.
    what = describe(one)
    return (
        what.startswith(("socket:", "pipe:")) and what == describe(other) and _access(one) == _access(other)
    )


def _access(fd: int) -> int:
    """For reading, writing or both: what tells the ends of a pipe apart."""
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE


def _is_name(name: str) -> bool:
    return len(name) <= _LONGEST_NAME and name.isascii() and name.isprintable() and ":" not in name
