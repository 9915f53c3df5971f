"""Closing descriptors that an app has sent.

To close one may take as long as whoever made it likes: a TCP socket that lingers, a file
of a slow or dead file system.  So the loop closes none of them but ends of pipes.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable

_DESCRIPTORS = "/proc/self/fd"


def close_foreign(fds: Iterable[int], then: Callable[[], None] | None = None) -> bool:
    """Close descriptors without waiting for it; whether all are closed already.

    If not, `then` is called once they are, in another thread.
    """
    slow: list[int] = []
    for fd in fds:
        if describe(fd).startswith("pipe:"):
            os.close(fd)
        else:
            slow.append(fd)
    if slow:
        # One of their own, so that nobody waits for what others have sent; and it does not hold up our end.
        thread = threading.Thread(target=_close, args=(slow, then), name="torpor-close", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            _close(slow)  # no more threads are to be had: rather late than never
            return True
    return not slow


def describe(fd: int) -> str:
    """What a descriptor leads to: `pipe:[N]`, `socket:[N]`, `anon_inode:…` or a path.

    Unlike `fstat` it asks no file system, which may not answer.  Empty where it cannot be told.
    """
    try:
        return os.readlink(f"{_DESCRIPTORS}/{fd}")
    except OSError:
        return ""


def _close(fds: list[int], then: Callable[[], None] | None = None) -> None:
    for fd in fds:
        # An error tells of lost data of the app's; the descriptor is closed all the same.
        with contextlib.suppress(OSError):
            os.close(fd)
    if then is not None:
        then()
