"""Pipes: how much one holds, a look that takes nothing, and more room in it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import struct
import termios

LARGEST = 1024 * 1024
"""Bytes that a pipe may hold without a special right (fs.pipe-max-size)."""
LOOK = 64 * 1024
"""Bytes that one look shows at most: what a new pipe holds."""
_NONBLOCK = 2
"""SPLICE_F_NONBLOCK, also for tee(2)."""


def pending(pipe: int) -> int:
    """The bytes that lie in it."""
    amount: int = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0]
    return amount


def grow(pipe: int) -> int:
    """Let it hold as much as it may; how much that is.

    A small one makes its writer wait for us at every 64 KiB.
    """
    # Many large pipes of one user are refused (fs.pipe-user-pages-soft); a small one works too.
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, LARGEST)
    return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)


def peek(pipe: int, most: int) -> bytes:
    """Up to `most` of the bytes that lie first in `pipe`; they stay there.

    May show fewer than there are, but none only if there are none.  Raises `OSError`.
    """
    reader, writer = _scratch()
    while True:
        count = _libc().tee(pipe, writer, min(most, LOOK), _NONBLOCK)
        if count >= 0:
            break
        number = ctypes.get_errno()
        if number == errno.EAGAIN:
            return b""
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
    return os.read(reader, count) if count else b""


def discard(pipe: int, count: int) -> None:
    """Take so many bytes out of it; they must be there.  Raises `OSError`."""
    while count > 0:
        count -= len(os.read(pipe, min(count, LOOK)))


@functools.cache
def _scratch() -> tuple[int, int]:
    """A pipe for what a look shows.  It is empty between two looks."""
    return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.tee.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)
    libc.tee.restype = ctypes.c_ssize_t
    return libc
