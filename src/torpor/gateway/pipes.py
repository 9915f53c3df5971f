"""Pipes through which the kernel moves bytes from one connection to the other: they never enter this process.

Law: a direction borrows a pipe while bytes are on their way, so a connection on which nothing moves holds none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

CAPACITY = 256 * 1024
"""Bytes that a pipe is asked to hold, which is what may be on its way per direction.  The kernel may give less."""
_SPARE = 64
"""Pipes that are kept for the next one who needs one."""


class Pipe:
    """A pipe, and how many bytes are in it."""

    __slots__ = ("entry", "exit", "filled")

    def __init__(self) -> None:
        """Raises `OSError` where there are no descriptors left."""
        self.exit, self.entry = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.filled = 0
        with contextlib.suppress(OSError):  # above what one user may have: it works with what it got
            fcntl.fcntl(self.entry, fcntl.F_SETPIPE_SZ, CAPACITY)

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self.entry)
        os.close(self.exit)


class Pipes:
    """Lends pipes."""

    def __init__(self) -> None:
        self._spare: list[Pipe] = []

    def borrow(self) -> Pipe:
        """An empty pipe.  Raises `OSError`."""
        return self._spare.pop() if self._spare else Pipe()

    def give_back(self, pipe: Pipe) -> None:
        """It is not needed any more.  What is left in it is lost."""
        if pipe.filled or len(self._spare) >= _SPARE:
            pipe.close()
        else:
            self._spare.append(pipe)

    def close(self) -> None:
        """Close those that nobody has."""
        while self._spare:
            self._spare.pop().close()
