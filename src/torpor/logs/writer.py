"""Puts what a pipe holds into the segments of one stream.

Where a segment ends: at the last line end within `max_size`.  Near the limit the pipe is looked
into (tee), so that exactly the whole lines are moved.  A line whose beginning is in the file
already goes on to its end there; one without an end for another `max_size` is cut.
Time-based rotation is looked at when there is output, and at line ends too.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from torpor.config.settings import Compression, LogSpec
from torpor.logs.index import GRAIN, LOST, START, Record, append, load
from torpor.logs.periods import end_of_period
from torpor.logs.pipe import LOOK, discard, peek
from torpor.logs.segments import Folder, Segments, archive, index_of
from torpor.logs.stamps import Stamps

logger = logging.getLogger(__name__)

_NO_SPLICE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_KEPT_WHILE_LOST = 128 * 1024
"""Bytes of the end of a stream that are kept in memory while the disk refuses them."""

Retire = Callable[[str, int, LogSpec], None]
"""Told of each archive that will not be read by the daemon again: its stream's path and number."""


class Writer:
    """Moves bytes into files.  Opened by its first use; never raises for what the disk does."""

    def __init__(
        self,
        path: Path,
        spec: LogSpec | None = None,
        *,
        folder: Folder | None = None,
        retire: Retire | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`clock`: nanoseconds since the epoch."""
        self.path = str(path)
        self.spec = spec or LogSpec()
        self.segments = Segments(self.path, folder or Folder(path.parent))
        self.lost = 0
        """Bytes that the disk refused, ever."""
        self.problem: str | None = None
        """Why it refuses them now."""
        self.unwritten: deque[bytes] = deque()
        """The last of them, while it refuses."""
        self._retire = retire
        self._clock = clock
        self._fd = -1
        self._file: tuple[int, int] = 0, 0
        self._splices = True
        self._stamps = Stamps()
        self._full = False
        self._until = 0
        self._generation = 0
        self._began = -1
        self._noted, self._noted_offset = 0, 0
        self._to_mark = 0
        self._stuck = 0

    def begin(self, generation: int) -> None:
        """A generation begins: what comes from now on is its own."""
        self._generation = generation
        try:
            end = self._end()
            if end and self._is_due(end, self._clock()):
                end = self._rotate(self._clock())
            self._note(end, START)
            self._began = end
            self._limit()
            self._retire_leftovers()
        except OSError as error:
            self._refused(error)

    def resume(self, generation: int) -> None:
        """An earlier daemon's generation goes on."""
        self._generation = generation

    def receive(self, pipe: int, most: int, *, wanted: bool = False) -> tuple[int, bytes]:
        """Move up to `most` bytes, more than none; how many, and if they are `wanted` themselves.

        None are moved only if there are none.
        """
        try:
            return self._move(pipe, most, wanted=wanted)
        except BlockingIOError:
            return 0, b""
        except OSError as error:
            return self._lose(pipe, most, error)

    def position(self) -> tuple[int, int]:
        """The number and the length of the current segment: where the next byte will be."""
        with contextlib.suppress(OSError):
            self.segments.open()
        try:
            end = os.stat(self.path).st_size
        except OSError:
            end = 0
        return self.segments.next, end

    def close(self) -> None:
        """Close the file.  The next use opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # --- moving -------------------------------------------------------------

    def _move(self, pipe: int, most: int, *, wanted: bool) -> tuple[int, bytes]:
        now = self._clock()
        if self._fd >= 0 and not 0 <= now - self._noted < GRAIN and self._was_replaced():
            self.close()
        end = self._end()
        if self.spec.timestamps:
            return self._move_stamped(pipe, end, now)
        end, most = self._ration(pipe, most, end, now)
        self._tell_time(end, now)
        if self._splices:
            try:
                count = os.splice(pipe, self._fd, most, offset_dst=end, flags=os.SPLICE_F_NONBLOCK)
            except OSError as error:
                if error.errno not in _NO_SPLICE:
                    raise
                self._splices = False
            else:
                self._recovered(end)
                return count, os.pread(self._fd, count, end) if wanted else b""
        data = peek(pipe, most)
        self._write(data, end)
        discard(pipe, len(data))
        self._recovered(end)
        return len(data), data

    def _move_stamped(self, pipe: int, end: int, now: int) -> tuple[int, bytes]:
        data = peek(pipe, LOOK)
        if not data:
            return 0, b""
        fresh = end == 0 or self._at_line_start(end)
        if fresh and end and self._is_due(end, now):
            end = self._rotate(now)
        room = self.spec.max_size - end
        if self._is_due(end, now):
            taken, stamped = self._stamps.line(data, now, fresh=fresh)
        else:
            taken, stamped = self._stamps.fill(data, now, room, fresh=fresh)
        if not taken:
            if end and fresh:
                end = self._rotate(now)
            taken, stamped = self._stamps.line(data, now, fresh=fresh)
        if not fresh and end + len(stamped) > 2 * self.spec.max_size:
            end = self._rotate(now)
        self._tell_time(end, now)
        self._write(stamped, end)
        discard(pipe, taken)
        self._recovered(end)
        return taken, stamped

    def _ration(self, pipe: int, most: int, end: int, now: int) -> tuple[int, int]:
        """How many bytes may be moved now, after a rotation if one is due; and the file's end then."""
        size = self.spec.max_size
        if end and self._is_due(end, now):
            if self._at_line_start(end) or end >= 2 * size:
                return self._after_rotation(pipe, most, now)
            look = peek(pipe, 2 * size - end)
            return end, look.find(b"\n") + 1 or len(look) or 1
        room = size - end
        if most <= room:
            return end, most
        if room > LOOK:
            return end, room - LOOK
        look = peek(pipe, room)
        whole = look.rfind(b"\n") + 1
        if len(look) < room:
            return end, whole or len(look) or 1
        if whole:
            # What follows begins a line that does not fit.
            self._full = whole < room
            return end, whole
        if end and self._at_line_start(end):
            return self._after_rotation(pipe, most, now)
        return end, room

    def _after_rotation(self, pipe: int, most: int, now: int) -> tuple[int, int]:
        end = self._rotate(now)
        # Unbounded it must not grow, but a directory that is closed to us costs nothing until then.
        return (end, min(most, 2 * self.spec.max_size - end)) if end else self._ration(pipe, most, 0, now)

    def _is_due(self, end: int, now: int) -> bool:
        return self._full or end >= self.spec.max_size or (now >= self._until > 0)

    def _at_line_start(self, end: int) -> bool:
        return end == self._began or os.pread(self._fd, 1, end - 1) == b"\n"

    def _write(self, data: bytes, offset: int) -> None:
        rest = memoryview(data)
        try:
            while rest:
                count = os.pwrite(self._fd, rest, offset)
                offset += count
                rest = rest[count:]
        except OSError:
            # They are still in the pipe: half of them would be there twice.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, offset - (len(data) - len(rest)))
            raise

    # --- the file -----------------------------------------------------------

    def _end(self) -> int:
        """Where the current segment ends; it is opened if need be."""
        if self._fd < 0:
            self._open()
        # Asked anew each time: somebody may have emptied the file.
        end = os.lseek(self._fd, 0, os.SEEK_END)
        if end < self._noted_offset:
            with contextlib.suppress(OSError):
                os.unlink(index_of(self.path))
            self._noted, self._noted_offset, self._began = 0, 0, -1
        return end

    def _open(self) -> None:
        self.segments.open()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            self._fd = os.open(self.path, flags, 0o600)
        except FileNotFoundError:
            # Somebody has cleared up, directory and all; the one above it is not ours to make.
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.dirname(self.path), 0o700)
            self._fd = os.open(self.path, flags, 0o600)
        status = os.fstat(self._fd)
        self._file = status.st_dev, status.st_ino
        index = load(index_of(self.path))
        last = index.last
        self._noted, self._noted_offset = (last.at, last.offset) if last else (0, 0)
        self._began = max((mark.offset for mark in index.marks(START)), default=-1)
        self._splices = True
        self._full = False
        self._until = 0
        if self.spec.rotate is not None:
            first = index.at(0) or (status.st_mtime_ns if status.st_size else self._clock())
            self._until = end_of_period(self.spec.rotate, first)

    def _rotate(self, now: int) -> int:
        """Put the current segment aside and begin a new one; where that ends: at 0.

        If it cannot be put aside, it goes on for a while.  Raises `OSError` after that.
        """
        end = os.lseek(self._fd, 0, os.SEEK_END)
        if now < self._stuck and end < 2 * self.spec.max_size:
            return end
        try:
            number = self.segments.rotate()
        except OSError as error:
            if end >= 2 * self.spec.max_size:
                raise
            self._stuck = now + GRAIN
            self._complain(error)
            return end
        self._stuck = 0
        self.close()
        self._noted, self._noted_offset, self._began = 0, 0, -1
        self._open()
        self._limit()
        # The newest archive stays plain: there the daemon looks for an app's last words.
        if self._retire is not None and number - 1 in self.segments.numbers:
            self._retire(self.path, number - 1, self.spec)
        return 0

    def _retire_leftovers(self) -> None:
        """Compress what an earlier daemon, or other settings, have left plain."""
        if self._retire is not None and self.spec.compress is not Compression.NONE:
            for number in self.segments.numbers[:-1]:
                if os.path.lexists(archive(self.path, number)):
                    self._retire(self.path, number, self.spec)

    def _limit(self) -> None:
        age = self.spec.max_age
        oldest = None if age is None else self._clock() / GRAIN - age
        total = self.spec.max_total
        # The current segment will grow to its size before anybody looks again.
        room = None if total is None else total - self.spec.max_size
        self.segments.limit(self.spec.keep, room, oldest)

    # --- the index ----------------------------------------------------------

    def _tell_time(self, end: int, now: int) -> None:
        """Note when the bytes from `end` on are written, at most once a second."""
        if not end and self.spec.rotate is not None:
            self._until = end_of_period(self.spec.rotate, now)
        if not 0 <= now - self._noted < GRAIN and not self.problem:
            self._note(end, 0)

    def _note(self, end: int, flags: int) -> None:
        now = self._clock()
        # An index that cannot be written costs times, never output.
        with contextlib.suppress(OSError):
            flags |= LOST if self._to_mark else 0
            append(index_of(self.path), Record(end, now, self._generation, flags, self._to_mark))
            self._to_mark = 0
        self._noted, self._noted_offset = now, end

    def _was_replaced(self) -> bool:
        """Whether the path names another file than ours, or none."""
        try:
            status = os.stat(self.path)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self._file

    # --- a disk that refuses -------------------------------------------------

    def _lose(self, pipe: int, most: int, error: OSError) -> tuple[int, bytes]:
        self._refused(error)
        try:
            data = os.read(pipe, min(most, LOOK))
        except BlockingIOError:
            return 0, b""
        self.lost += len(data)
        self._to_mark += len(data)
        self.unwritten.append(data)
        held = sum(map(len, self.unwritten))
        while held > _KEPT_WHILE_LOST and len(self.unwritten) > 1:
            held -= len(self.unwritten.popleft())
        return len(data), data

    def _refused(self, error: OSError) -> None:
        # Opened anew the next time: the directory may have come back as another one.
        self.close()
        self._complain(error)

    def _complain(self, error: OSError) -> None:
        if self.problem is None:
            logger.warning("cannot write %s: %s; output is dropped", self.path, error.strerror or error)
        self.problem = error.strerror or str(error)

    def _recovered(self, end: int) -> None:
        """Bytes were taken again, at `end`."""
        if self._to_mark:
            self._note(end, 0)
        if self.problem is None or self._stuck:
            return
        logger.warning("%s can be written again; %d bytes were dropped so far", self.path, self.lost)
        self.problem = None
        self.unwritten.clear()
