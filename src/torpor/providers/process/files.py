"""Open files: the daemon takes as many as it may have, its apps get what it was given.

A crowd of a thousand visitors needs two thousand descriptors, and the usual soft limit
is 1024.  Programs that use select(2) rely on that limit, so it is not passed on raised.
"""

from __future__ import annotations

import contextlib
import resource

_given: tuple[int, int] | None = None
"""The daemon's own limit before it was raised."""


def take_all() -> None:
    """Raise this process's limit on open files as far as it may be raised."""
    global _given  # noqa: PLW0603  # the limit itself is the process's, too
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        _given = (soft, hard)


def give_back(pid: int) -> None:
    """Give a child that was just born the limit that this process had."""
    if _given is not None:
        with contextlib.suppress(OSError):  # it has ended already
            resource.prlimit(pid, resource.RLIMIT_NOFILE, _given)
