"""One direction of a stream: what one end sends, to the other.

Laws:
1. Nothing is read from one end while the other has not taken what was read before (back-pressure).
2. The end of what one end sends becomes the end of what the other one gets, and nothing else ends.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from torpor.gateway.pipes import CAPACITY, Pipe, Pipes

_HOW = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE


class Way:
    """Carries bytes from `source` to `target` until one of them has ended."""

    __slots__ = ("_broken", "_ended", "_from", "_loop", "_moved", "_pipe", "_pipes", "_target", "_to", "over")

    def __init__(
        self,
        source: socket.socket,
        target: socket.socket,
        pipes: Pipes,
        *,
        moved: Callable[[int], None],
        ended: Callable[[], None],
        broken: Callable[[], None],
    ) -> None:
        """`moved` is told of bytes that came, `ended` of the end, `broken` of an end without order."""
        self._from = source.fileno()
        self._target = target
        self._to = target.fileno()
        self._pipes = pipes
        self._pipe: Pipe | None = None
        """Lent as long as bytes wait in it."""
        self._moved = moved
        self._ended = ended
        self._broken = broken
        self._loop: asyncio.AbstractEventLoop
        self.over = False
        """Whether all has been carried."""

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin."""
        self._loop = loop
        loop.add_reader(self._from, self._read)

    def close(self) -> None:
        """Carry no more.  The ends stay as they are."""
        self._loop.remove_reader(self._from)
        self._loop.remove_writer(self._to)
        if self._pipe is not None:
            self._pipes.give_back(self._pipe)
            self._pipe = None
        self.over = True

    def _read(self) -> None:
        try:
            pipe = self._pipes.borrow()
        except OSError:
            self._broken()
            return
        try:
            pipe.filled = os.splice(self._from, pipe.entry, CAPACITY, flags=_HOW)
        except (BlockingIOError, InterruptedError):
            self._pipes.give_back(pipe)
            return
        except OSError:
            self._pipes.give_back(pipe)
            self._broken()
            return
        if not pipe.filled:
            self._pipes.give_back(pipe)
            self._end()
            return
        self._pipe = pipe
        self._moved(pipe.filled)
        if not self.over and not self._write():  # whoever heard of it may have ended it all
            self._loop.remove_reader(self._from)
            self._loop.add_writer(self._to, self._go_on)

    def _write(self) -> bool:
        """Pass on what is in the pipe; whether all of it went, or nothing more ever will."""
        pipe = self._pipe
        assert pipe is not None
        try:
            while pipe.filled:
                pipe.filled -= os.splice(pipe.exit, self._to, pipe.filled, flags=_HOW)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self._broken()
            return True
        self._pipe = None
        self._pipes.give_back(pipe)
        return True

    def _go_on(self) -> None:
        """The target has room again."""
        if self._write() and not self.over:
            self._loop.remove_writer(self._to)
            self._loop.add_reader(self._from, self._read)

    def _end(self) -> None:
        self._loop.remove_reader(self._from)
        self.over = True
        try:
            self._target.shutdown(socket.SHUT_WR)
        except OSError:
            self._broken()
        else:
            self._ended()
