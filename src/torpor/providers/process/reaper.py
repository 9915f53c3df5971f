"""Reaping: orphans that the daemon adopts as the subreaper of its apps' trees.

The kernel does not tell who was adopted, and a SIGCHLD handler cannot be had on every
loop.  So zombies are collected whenever something happens that can have made them (a
start, an exit, a stop), and now and then besides, because an app may leave orphans
for months while nothing happens to it.

Only children in a session of their own that the daemon did not start are orphans.
Whoever else starts a child in a new session within this process claims it first.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
from collections.abc import Iterator

from torpor.providers.process.procfs import read_children, read_process

logger = logging.getLogger(__name__)

_PR_SET_CHILD_SUBREAPER = 36
_INTERVAL = 60.0
"""Seconds between two looks while nothing happens."""


def become_subreaper() -> bool:
    """Let orphaned descendants become children of this process.  False where the system has no such thing."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        done: int = libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except AttributeError:
        done = -1
    if done != 0:
        logger.warning("this system has no child subreaper: daemonized descendants may survive a stop")
    return done == 0


class Reaper:
    """Knows which children are the daemon's own, and reaps the zombies of all others."""

    def __init__(self) -> None:
        self.ours: set[int] = set()
        """Pids that somebody else reaps."""
        self._spawning = 0
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin the occasional look."""
        self._timer = asyncio.get_running_loop().call_later(_INTERVAL, self._look)

    def close(self) -> None:
        """End it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @contextlib.contextmanager
    def spawning(self) -> Iterator[None]:
        """While a child is being born and its pid cannot be claimed yet, nothing is swept."""
        self._spawning += 1
        try:
            yield
        finally:
            self._spawning -= 1

    def sweep(self) -> None:
        """Reap what has ended."""
        # Without descriptors nobody can look; the next time will do.
        with contextlib.suppress(OSError):
            if not self._spawning:
                self._sweep()

    def _sweep(self) -> None:
        session = os.getsid(0)
        for pid in read_children(os.getpid()):
            if pid in self.ours:
                continue
            process = read_process(pid)
            if process is None or process.alive or process.session == session:
                continue
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)

    def _look(self) -> None:
        self.sweep()
        self.open()
