"""What an instance writes: from its FIFO into its log file, its ring and to whoever listens.

1. The app holds the FIFO open for reading and writing.  So the daemon's death neither
   closes the pipe nor loses what is in it, and the next daemon reads on by path.
2. The daemon reads a bounded amount per turn of the loop.  If it cannot keep up, the
   pipe fills and the app's write waits: no line is lost, and no memory grows.
3. A log that cannot be written (full disk) never stops the reading: bytes are dropped
   from the file, counted, and it is said once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

from torpor.config.settings import LogSpec
from torpor.providers.base import Unsubscribe
from torpor.providers.process.logfile import LogFile

logger = logging.getLogger(__name__)

LINE_LIMIT = 64 * 1024
"""A longer line is split, in bytes."""
_CHUNK = 64 * 1024
_CHUNKS_PER_TURN = 4
_RING_LINES = 1000
_RING_BYTES = 128 * 1024
_LARGEST_PIPE = 1024 * 1024
"""Bytes read at once at most when somebody ended, so that whoever writes on cannot hold us."""
_KEPT_LINES = 100
_KEPT_BYTES = 16 * 1024
"""What stays in memory of an instance that is not alive; the file has the rest."""


class Capture:
    """The output of one instance over all its generations.  Implements `Output`."""

    def __init__(self, fifo: Path, log: Path) -> None:
        self._fifo = fifo
        self._file = LogFile(log, LogSpec())
        self._ring: deque[bytes] = deque()
        self._ring_bytes = 0
        self._ring_whole = False
        self._partial = b""
        self._reader = -1
        self._complained = False
        self._dropped = 0
        self._listeners: dict[object, Callable[[str], None]] = {}
        self.feed: Callable[[], bool] | None = None
        """Moves output that has not reached the pipe into it; False if there was none."""

    def begin(self, generation: int, spec: LogSpec) -> int:
        """Open the pipe for a new generation and read from it.

        Returns the descriptor that becomes the app's stdout and stderr; the caller
        closes it.  Raises `OSError`.
        """
        reader = self._open()
        try:
            writer = os.open(self._fifo, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            os.close(reader)
            raise
        self._partial = b""
        self._ring_whole = True
        try:
            self._file.spec = spec
            self._file.begin(generation)
        except OSError as error:
            self._complain(error)
        self._listen(reader)
        return writer

    def resume(self, spec: LogSpec) -> None:
        """Read on where an earlier daemon left off, in the same generation.  Raises `OSError`."""
        reader = self._open()
        self._file.spec = spec
        try:
            # The line whose beginning that daemon read.
            self._partial = self._file.unfinished()
        except OSError:
            self._partial = b""
        # What came before is in the file alone.
        self._ring_whole = False
        self._listen(reader)

    def writer(self) -> int:
        """Another descriptor like that of `begin`, for a command beside the app.  Raises `OSError`."""
        return os.open(self._fifo, os.O_RDWR | os.O_CLOEXEC)

    def catch_up(self) -> None:
        """Read what lies in the pipe now: what an ended process wrote is then in the log."""
        left = _LARGEST_PIPE
        while left > 0 and self._reader >= 0:
            count = self._read_chunk()
            if not count and (self.feed is None or not self.feed()):
                break
            left -= count

    def end(self) -> None:
        """The generation is over: read the rest, its last unfinished line included, and close."""
        if self._reader < 0:
            return
        self.catch_up()
        if self._partial:
            self._take(b"\n")
        self._trim(_KEPT_LINES, _KEPT_BYTES)
        self._release()

    def close(self) -> None:
        """Stop reading.  What lies in the pipe stays there for the next daemon."""
        if self._reader >= 0:
            self._release()

    def tail(self, lines: int, *, previous: bool = False) -> list[str]:
        """See `Output.tail`."""
        if lines <= 0:
            return []
        if not previous and self._ring_whole_for(lines):
            found = list(self._ring)[-lines:]
        else:
            try:
                found = self._file.tail(lines, back=int(previous))
            except OSError as error:
                logger.warning("cannot read %s: %s", self._file.path, error.strerror)
                found = []
        return [_decode(piece) for line in found for piece in _pieces(line)][-lines:]

    def subscribe(self, callback: Callable[[str], None]) -> Unsubscribe:
        """See `Output.subscribe`."""
        key = object()
        self._listeners[key] = callback

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    def _open(self) -> int:
        self._make_fifo()
        # An end of our own that may also write: reading never sees an end of file.
        return os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _listen(self, reader: int) -> None:
        self._reader = reader
        self._ring.clear()
        self._ring_bytes = 0
        asyncio.get_running_loop().add_reader(reader, self._read)

    def _ring_whole_for(self, lines: int) -> bool:
        return self._ring_whole or len(self._ring) >= lines

    def _make_fifo(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISFIFO(os.lstat(self._fifo).st_mode):
                return
            os.unlink(self._fifo)
        os.mkfifo(self._fifo, 0o600)

    def _release(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)
        self._reader = -1
        self._file.close()

    def _read(self) -> None:
        for _ in range(_CHUNKS_PER_TURN):
            if not self._read_chunk():
                return

    def _read_chunk(self) -> int:
        """How many bytes were there."""
        try:
            chunk, problem = self._file.receive(self._reader, _CHUNK)
        except BlockingIOError:
            return 0
        if problem is not None:
            self._complain(problem)
            self._dropped += len(chunk)
        elif self._complained:
            logger.warning("%s can be written again; %d bytes were dropped", self._file.path, self._dropped)
            self._complained = False
            self._dropped = 0
        self._take(chunk)
        return len(chunk)

    def _take(self, chunk: bytes) -> None:
        """Cut what came into lines, for the ring and for whoever listens."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        if len(self._partial) > LINE_LIMIT:
            lines.append(self._partial)
            self._partial = b""
        if lines:
            self._pass_on([piece for line in lines for piece in _pieces(line)])

    def _pass_on(self, lines: list[bytes]) -> None:
        self._remember(lines)
        if self._listeners:
            for line in lines:
                self._tell(_decode(line))

    def _remember(self, lines: list[bytes]) -> None:
        self._ring.extend(lines)
        self._ring_bytes += sum(map(len, lines)) + len(lines)
        self._trim(_RING_LINES, _RING_BYTES)

    def _trim(self, lines: int, size: int) -> None:
        ring = self._ring
        while len(ring) > lines or (self._ring_bytes > size and len(ring) > 1):
            self._ring_bytes -= len(ring.popleft()) + 1
            self._ring_whole = False

    def _tell(self, line: str) -> None:
        for callback in list(self._listeners.values()):
            try:
                callback(line)
            except Exception:
                logger.exception("a listener of %s failed", self._file.path)

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("cannot write %s: %s; output is dropped", self._file.path, error.strerror or error)


def _pieces(line: bytes) -> list[bytes]:
    if len(line) <= LINE_LIMIT:
        return [line]
    return [line[start : start + LINE_LIMIT] for start in range(0, len(line), LINE_LIMIT)]


def _decode(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")
