"""Reaping: orphans that the daemon adopts as the subreaper of its apps' trees, or as PID 1.

The kernel does not tell who was adopted; it only tells, by SIGCHLD, that some child has
ended.  The exits of the daemon's own children are noticed by their pidfds; the signal
means no more than: look whether an orphan is among the dead.  It is taken by the
interpreter, because uvloop keeps the loop's own way to itself.

Only children in a session of their own that the daemon did not start are orphans; as PID 1
all that it did not start are, in its own session too.  Whoever else starts a child within this
process, and wants to know how it ended, claims it first.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import cast

from torpor.providers.process.procfs import read_children, read_process

logger = logging.getLogger(__name__)

_PR_SET_CHILD_SUBREAPER = 36


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
        self.watched: set[int] = set()
        """Pids whose end somebody wants to see before they are reaped here."""
        self._spawning = 0
        self._missed = False
        self._expected = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handler_before: object = signal.SIG_DFL

    def open(self) -> None:
        """Begin to look whenever a child has ended.  Call it on the main thread."""
        self._loop = asyncio.get_running_loop()
        self._handler_before = signal.signal(signal.SIGCHLD, self._child_ended)
        self.sweep()  # what ended before, as a child of whoever was executed here first

    def close(self) -> None:
        """End it."""
        if self._loop is not None:
            self._loop = None
            signal.signal(signal.SIGCHLD, cast("signal.Handlers", self._handler_before))

    @contextlib.contextmanager
    def spawning(self) -> Iterator[None]:
        """While a child is being born and its pid cannot be claimed yet, nothing is swept."""
        self._spawning += 1
        try:
            yield
        finally:
            self._spawning -= 1
            if self._missed and not self._spawning:
                self.sweep()

    def sweep(self) -> None:
        """Reap what has ended."""
        self._expected = False
        self._missed = bool(self._spawning)
        # Without descriptors nobody can look; the next time will do.
        with contextlib.suppress(OSError):
            if not self._spawning:
                self._sweep()

    def _child_ended(self, _number: int, _frame: FrameType | None) -> None:
        # One look serves all that end until it comes.
        if not self._expected and self._loop is not None:
            self._expected = True
            self._loop.call_soon_threadsafe(self.sweep)

    def _sweep(self) -> None:
        session = None if os.getpid() == 1 else os.getsid(0)
        for pid in read_children(os.getpid()):
            if pid in self.ours or pid in self.watched:
                continue
            process = read_process(pid)
            if process is None or process.alive or process.session == session:
                continue
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
