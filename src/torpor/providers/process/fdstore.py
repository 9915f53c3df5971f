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
import select
from collections.abc import Callable
from typing import NamedTuple

from torpor.providers.process.disposal import describe

_MOST = 64
_LOWEST = 3 + _MOST
"""Programs expect them from 3 on."""
_LONGEST_NAME = 255
_NAMELESS = "stored"


class _Kept(NamedTuple):
    name: str
    fd: int
    polled: bool


class FdStore:
    """What one instance has given away."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []

    @property
    def listens(self) -> tuple[tuple[str, int], ...]:
        """Names and descriptors, in the order in which they came."""
        return tuple((kept.name, kept.fd) for kept in self._kept)

    def keep(self, name: str | None, fds: list[int], *, poll: bool = True) -> str | None:
        """Keep duplicates of these; the caller closes its own.  Why some are not kept.

        `poll`: only until the other end hangs up.
        """
        name = name or _NAMELESS
        if not _is_name(name):
            return f"{name[:50]!r} is no name for them"
        for fd in fds:
            if len(self._kept) >= _MOST:
                return f"there are {_MOST} already"
            if not any(_same(fd, kept.fd) for kept in self._kept):
                try:
                    self._kept.append(_Kept(name, high(fd), poll and _has_other_end(fd)))
                except OSError as error:
                    return str(error.strerror)
        return None

    def remove(self, name: str) -> list[int]:
        """Keep those of this name no more; the caller closes them."""
        return self._remove(lambda kept: kept.name == name)

    def remove_hung_up(self) -> list[int]:
        """Keep those no more whose other end has hung up; the caller closes them."""
        poll = select.poll()
        for kept in self._kept:
            if kept.polled:
                poll.register(kept.fd, 0)
        ended = {fd for fd, _ in poll.poll(0)}
        return self._remove(lambda kept: kept.fd in ended)

    def clear(self) -> list[int]:
        """Keep nothing; the caller closes what was."""
        return self._remove(lambda _: True)

    def _remove(self, which: Callable[[_Kept], bool]) -> list[int]:
        removed = [kept.fd for kept in self._kept if which(kept)]
        self._kept = [kept for kept in self._kept if not which(kept)]
        return removed


def high(fd: int) -> int:
    """A duplicate above all numbers at which a program expects descriptors."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST)


def _same(one: int, other: int) -> bool:
    # Two descriptors of one file may have positions of their own; of a socket or pipe there is but one.
    return _has_other_end(one) and describe(one) == describe(other) and _access(one) == _access(other)


def _has_other_end(fd: int) -> bool:
    return describe(fd).startswith(("socket:", "pipe:"))


def _access(fd: int) -> int:
    """For reading, writing or both: what tells the ends of a pipe apart."""
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE


def _is_name(name: str) -> bool:
    return len(name) <= _LONGEST_NAME and name.isascii() and name.isprintable() and ":" not in name
