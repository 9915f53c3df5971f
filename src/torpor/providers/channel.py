"""One stream of an instance: from its FIFO into its segments, and to whoever listens.

1. The app holds the FIFO open for reading and writing.  So the daemon's death neither
   closes the pipe nor loses what is in it, and the next daemon reads on by path.
2. The daemon moves a bounded amount per turn of the loop.  If it cannot keep up, the
   pipe fills and the app's write waits: no line is lost, and no memory grows.
3. Bytes are looked at only while somebody listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

from torpor.config.settings import LogSpec
from torpor.logs.pipe import LOOK, grow, pending
from torpor.logs.reader import Line, Reader
from torpor.logs.segments import Folder
from torpor.logs.writer import Retire, Writer
from torpor.providers.base import Place, Unsubscribe

logger = logging.getLogger(__name__)

LINE_LIMIT = 64 * 1024
"""A longer line is passed on in pieces, in bytes."""
_TURN = 256 * 1024
"""Bytes that one stream may move before the others have their turn."""
_CATCH_UP = 2 * 1024 * 1024
"""Bytes read at once at most when somebody ended, so that whoever writes on cannot hold us."""
_FURTHEST = 8 * 1024 * 1024
"""How far back `tail` looks."""
_FULL = 48 * 1024
"""Bytes in a pipe of the usual size that is as good as full: lines fill its pages badly."""


class Channel:
    """One stream of an instance over all its generations."""

    def __init__(
        self, fifo: Path, log: Path, folder: Folder | None = None, retire: Retire | None = None
    ) -> None:
        self._fifo = fifo
        self.writer = Writer(log, folder=folder, retire=retire)
        self._reader = -1
        self._grown = False
        self._partial = b""
        self._listeners: dict[object, Callable[[str], None]] = {}
        self.feed: Callable[[], bool] | None = None
        """Moves output that has not reached the pipe into it; False if there was none."""
        self.mirror: Callable[[bytes], None] | None = None
        """Gets every byte as it comes."""

    @property
    def is_open(self) -> bool:
        """Whether it is read."""
        return self._reader >= 0

    def begin(self, generation: int, spec: LogSpec) -> int:
        """Open the pipe for a new generation and read from it.

        Returns the descriptor that becomes the app's; the caller closes it.  Raises `OSError`.
        """
        reader = self._open()
        try:
            writer = self.descriptor()
        except OSError:
            os.close(reader)
            raise
        self._partial = b""
        self.writer.spec = spec
        self.writer.begin(generation)
        self._listen(reader)
        return writer

    def resume(self, generation: int, spec: LogSpec) -> None:
        """Read on where an earlier daemon left off.  Raises `OSError`."""
        reader = self._open()
        self.writer.spec = spec
        self.writer.resume(generation)
        self._partial = self._unfinished() if self._listeners else b""
        self._listen(reader)

    def descriptor(self) -> int:
        """Another descriptor like that of `begin`.  Raises `OSError`."""
        return os.open(self._fifo, os.O_RDWR | os.O_CLOEXEC)

    def was_used(self) -> bool:
        """Whether an earlier daemon gave it to the app that runs now."""
        with contextlib.suppress(OSError):
            return stat.S_ISFIFO(os.lstat(self._fifo).st_mode)
        return False

    def forget(self) -> None:
        """The generation that begins does not use it."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._fifo)

    def catch_up(self) -> None:
        """Read what lies in the pipe now: what an ended process wrote is then in the log."""
        left = _CATCH_UP
        while left > 0 and self.is_open:
            count = self._receive(min(left, _TURN)) if pending(self._reader) else 0
            if not count and (self.feed is None or not self.feed()):
                break
            left -= count

    def take(self, data: bytes) -> None:
        """Put what came by another way than the pipe behind what lies in it, and all of that into the log."""
        rest = memoryview(data)
        while rest and self.is_open:
            with contextlib.suppress(BlockingIOError):
                # Through the pipe all the same: what the log does with its bytes, it does there.
                rest = rest[os.write(self._reader, rest[:LOOK]) :]
            self.catch_up()

    def end(self) -> None:
        """The generation is over: read the rest, its last unfinished line included, and close."""
        if not self.is_open:
            return
        self.catch_up()
        if self._partial:
            self._take(b"\n")
        self._release()

    def close(self) -> None:
        """Stop reading.  What lies in the pipe stays there for the next daemon."""
        if self.is_open:
            self._release()

    def tail(self, count: int, *, previous: bool = False) -> list[Line]:
        """The last lines of the current generation, or of the one before; an unfinished one when it is over."""
        try:
            reader = self._files()
            start, end = reader.generation(int(previous))
            lines = reader.tail(count + 1, start, end, _FURTHEST)
            if self.is_open and not previous and lines and self._unfinished():
                del lines[-1]
        except OSError as error:
            logger.warning("cannot read %s: %s", self.writer.path, error.strerror)
            lines = []
        if self.writer.unwritten and not previous:
            rest = b"".join(self.writer.unwritten).removesuffix(b"\n")
            lines += [Line(None, line) for line in rest.split(b"\n")]
        return lines[-count:] if count > 0 else []

    def place(self) -> Place:
        """Where its segments are, and where the next byte will be."""
        number, offset = self.writer.position()
        return Place(self.writer.path, number, offset)

    def subscribe(self, callback: Callable[[str], None]) -> Unsubscribe:
        """Call `callback` with each complete line from now on."""
        if not self._listeners and self.is_open:
            self._partial = self._unfinished()
        key = object()
        self._listeners[key] = callback

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    def _open(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISFIFO(os.lstat(self._fifo).st_mode):
                os.unlink(self._fifo)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self._fifo, 0o600)
        # An end of our own that may also write: reading never sees an end of file.
        return os.open(self._fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _listen(self, reader: int) -> None:
        self._reader = reader
        self._grown = False
        asyncio.get_running_loop().add_reader(reader, self._read)

    def _release(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)
        self._reader = -1
        self.writer.close()

    def _read(self) -> None:
        waiting = pending(self._reader)
        if waiting >= _FULL and not self._grown:
            # Its writer is faster than our turns come.
            grow(self._reader)
            self._grown = True
        left = min(waiting, _TURN)
        while left > 0 and self.is_open and (count := self._receive(left)):
            left -= count

    def _receive(self, most: int) -> int:
        """How many bytes were there."""
        wanted = bool(self._listeners)
        watched = wanted or self.mirror is not None
        count, data = self.writer.receive(self._reader, most, wanted=watched)
        if self.mirror is not None and data:
            self.mirror(data)
        if wanted and data:
            self._take(data)
        return count

    def _take(self, data: bytes) -> None:
        """Cut what came into lines for whoever listens."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > LINE_LIMIT:
            lines.append(self._partial)
            self._partial = b""
        for line in lines:
            for piece in pieces(line):
                self._tell(decode(piece))

    def _tell(self, line: str) -> None:
        for callback in list(self._listeners.values()):
            try:
                callback(line)
            except Exception:
                logger.exception("a listener of %s failed", self.writer.path)

    def _files(self) -> Reader:
        return Reader(self.writer.path, self.writer.segments.numbers)

    def _unfinished(self) -> bytes:
        """What has come of a line that has not ended yet."""
        if self.writer.unwritten:
            return b"".join(self.writer.unwritten).rpartition(b"\n")[2]
        with contextlib.suppress(OSError):
            return self._files().unfinished(LINE_LIMIT)
        return b""


def pieces(line: bytes) -> list[bytes]:
    """A line in pieces that can be passed on."""
    if len(line) <= LINE_LIMIT:
        return [line]
    return [line[start : start + LINE_LIMIT] for start in range(0, len(line), LINE_LIMIT)]


def decode(line: bytes) -> str:
    """A line as text."""
    return line.removesuffix(b"\r").decode("utf-8", "replace")
