"""Finds what a stream holds: by its end, by time, by generation; plain or compressed, torn or whole.

For the daemon, which must be quick and reads plain segments only, and for the command line, which
reads all.  A segment may be compressed, renamed or given up while it is read: what was opened is
read to its end, and what is gone is left out.  What is there and cannot be read is told.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from torpor.logs.index import START, Index, Record, load
from torpor.logs.segments import archive, find_archive, index_of, numbers
from torpor.logs.unpack import opened

BLOCK = 64 * 1024
LARGE_BLOCK = 4 * 1024 * 1024
"""Bytes that are searched at once."""
_LONGEST = 32 * 1024 * 1024
"""Bytes of a line that are kept together."""


class Position(NamedTuple):
    """A place in a stream: the number of a segment, and an offset in it."""

    number: int
    offset: int


START_OF_ALL = Position(0, 0)


class Line(NamedTuple):
    """A line without its end."""

    at: int | None
    """When it was written, in nanoseconds since the epoch, to the second; None: unknown."""
    text: bytes
    marks: tuple[Record, ...] = ()
    """What is known to have happened just before it."""


class Block(NamedTuple):
    """Whole lines of one segment; only the last one may be unfinished."""

    data: bytes
    offset: int
    """Of the first byte in the segment."""
    known: Index
    cuts: Sequence[int]
    """Offsets in the segment at which a line ends whatever the bytes say."""


class Segment:
    """One segment as it was found."""

    def __init__(self, number: int, path: str, size: int | None, index: str) -> None:
        """`size`: None where it is compressed; `index`: where that lies."""
        self.number = number
        self.path = path
        self.size = size
        self._index = index

    @cached_property
    def index(self) -> Index:
        """What is known about it."""
        return load(self._index, self.size)


def _nobody(_words: str) -> None:
    """Whom nothing is told."""


class Reader:
    """Reads one stream.  Reading raises `OSError` only if its directory cannot be read."""

    def __init__(
        self, path: str, known: Sequence[int] | None = None, tell: Callable[[str], None] = _nobody
    ) -> None:
        """`known`: the numbers of its archives, where somebody knows them.

        `tell` learns of each segment that is damaged or cannot be read, from any thread.
        """
        self.path = path
        self._known = known
        self._tell = tell

    def segments(self) -> list[Segment]:
        """All segments, oldest first.  The last one is being written, if there is one.  Raises `OSError`."""
        found = numbers(self.path) if self._known is None else list(self._known)
        segments = [segment for number in found if (segment := self._archive(number)) is not None]
        following = found[-1] + 1 if found else 1
        try:
            size = os.stat(self.path).st_size
        except FileNotFoundError:
            return segments
        return [*segments, Segment(following, self.path, size, index_of(self.path))]

    def end(self) -> Position:
        """Where the next byte will be.  Raises `OSError`."""
        found = self.segments()
        if not found:
            return Position(1, 0)
        last = found[-1]
        return (
            Position(last.number, last.size or 0) if last.path == self.path else Position(last.number + 1, 0)
        )

    def generation(self, back: int = 0) -> tuple[Position, Position | None]:
        """Where the newest generation begins, and where it ends: None, it has not.

        `back`: so many generations before it.  Without an index all is one.  Raises `OSError`.
        """
        until: Position | None = None
        for segment in reversed(self.segments()):
            for mark in reversed(list(segment.index.marks(START))):
                start = Position(segment.number, mark.offset)
                if not back:
                    return start, until
                until, back = start, back - 1
        return (START_OF_ALL, until) if not back else (START_OF_ALL, START_OF_ALL)

    def unfinished(self, most: int = BLOCK) -> bytes:
        """What has come of a line that has not ended, or the last `most` bytes of it.  Raises `OSError`."""
        try:
            file = open(self.path, "rb", buffering=0)  # noqa: SIM115 - closed below
        except FileNotFoundError:
            return b""
        with file:
            size = file.seek(0, os.SEEK_END)
            low = max(0, size - most, *load(index_of(self.path), size).boundaries())
            return os.pread(file.fileno(), size - low, low).rpartition(b"\n")[2]

    def line_start(self, position: Position) -> Position:
        """Where the line begins in the midst of which a position is, or the position.  Raises `OSError`."""
        for segment in self.segments():
            if segment.number != position.number or segment.size is None:
                continue
            low = max([0, *(cut for cut in segment.index.boundaries() if cut <= position.offset)])
            with open(segment.path, "rb", buffering=0) as file:
                offset = position.offset
                while offset > low:
                    step = min(BLOCK, offset - low)
                    found = os.pread(file.fileno(), step, offset - step).rfind(b"\n")
                    if found >= 0:
                        return Position(position.number, offset - step + found + 1)
                    offset -= step
            return Position(position.number, low)
        return position

    def tail(
        self, count: int, start: Position = START_OF_ALL, end: Position | None = None, most: int | None = None
    ) -> list[Line]:
        """The last `count` lines between two positions.

        `most`: look at so many bytes at most, and at plain segments only.  Raises `OSError`.
        """
        found: deque[Line] = deque()
        left = most
        for segment in reversed(self.segments()):
            if _is_outside(segment, start, end):
                continue
            low, high = _within(segment, start, end)
            if segment.size is None:
                if most is not None:
                    break
                lines = _last_of(self._forward(segment, low, high), count - len(found))
            else:
                lines, read = self._backwards(segment, low, high or 0, count - len(found), left)
                left = None if left is None else left - read
            found.extendleft(reversed(lines))
            if len(found) >= count or (left is not None and left <= 0) or segment.number < start.number:
                break
        return list(found)

    def blocks(
        self, start: Position = START_OF_ALL, end: Position | None = None, size: int = LARGE_BLOCK
    ) -> Iterator[Block]:
        """All between two positions, oldest first, in blocks of whole lines.  Raises `OSError`."""
        for segment in self.between(start, end):
            yield from self.within(segment, start, end, size)

    def between(self, start: Position = START_OF_ALL, end: Position | None = None) -> list[Segment]:
        """The segments that have something between two positions.  Raises `OSError`."""
        return [segment for segment in self.segments() if not _is_outside(segment, start, end)]

    def within(
        self, segment: Segment, start: Position, end: Position | None, size: int = LARGE_BLOCK
    ) -> Iterator[Block]:
        """What one segment has between two positions.  Raises `OSError`."""
        return self._forward(segment, *_within(segment, start, end), size)

    def since(self, time: int) -> Position:
        """From where on bytes may have been written at `time` (nanoseconds) or later.  Raises `OSError`."""
        found = Position(START_OF_ALL.number, 0)
        for segment in self.segments():
            offset = segment.index.since(time)
            if offset is not None:
                return Position(segment.number, offset)
            found = Position(segment.number + 1, 0)
        return found

    def until(self, time: int) -> Position | None:
        """From where on all was written after `time`; None: nothing was.  Raises `OSError`."""
        for segment in self.segments():
            offset = segment.index.until(time)
            if offset is not None:
                return Position(segment.number, offset)
        return None

    def _archive(self, number: int) -> Segment | None:
        path = find_archive(self.path, number)
        if path is None:
            return None
        plain = path == archive(self.path, number)
        size = None
        if plain:
            try:
                size = os.stat(path).st_size
            except OSError:
                return None
        return Segment(number, path, size, index_of(self.path, number))

    def _forward(
        self, segment: Segment, low: int, high: int | None, size: int = LARGE_BLOCK
    ) -> Iterator[Block]:
        cuts = segment.index.boundaries()
        path: str | None = segment.path
        if segment.path != self.path and not os.path.lexists(segment.path):
            path = find_archive(self.path, segment.number)
        if path is None:
            return
        rest, offset = b"", low
        # Where lines were written is known to the second, not to the line: the first is left out if it is not whole.
        inside = low > 0 and low not in cuts
        if inside:
            offset = low = low - 1
        with self._telling(path), opened(path, size) as pieces:
            for piece in pieces(low):
                left = len(piece) if high is None else max(0, high - offset - len(rest))
                data = rest + piece[:left]
                if inside:
                    first = data.find(b"\n") + 1
                    offset, data, inside = (
                        offset + (first or len(data)),
                        data[first or len(data) :],
                        not first,
                    )
                end = _last_cut(cuts, offset, offset + len(data)) - offset
                whole = max(data.rfind(b"\n") + 1, end)
                if not whole and len(data) >= _LONGEST:
                    whole = len(data)
                if whole:
                    yield Block(data[:whole], offset, segment.index, cuts)
                rest, offset = data[whole:], offset + whole
                if left < len(piece):
                    break
        if rest:
            yield Block(rest, offset, segment.index, cuts)

    def _backwards(
        self, segment: Segment, low: int, high: int, count: int, most: int | None
    ) -> tuple[list[Line], int]:
        """The last lines of a plain segment, and how many bytes that took."""
        cuts = segment.index.boundaries()
        data, offset, read = b"", high, 0
        pieces: deque[bytes] = deque()
        found = 0
        with self._telling(segment.path), open(segment.path, "rb", buffering=0) as file:
            # One line end more than lines: what stands before it is not wanted any more.
            while offset > low and found <= count and (most is None or read < most):
                step = min(BLOCK, offset - low)
                piece = os.pread(file.fileno(), step, offset - step)
                if len(piece) < step:
                    break  # somebody has emptied it
                offset, read = offset - step, read + step
                found += piece.count(b"\n") + sum(offset < cut < offset + step for cut in cuts)
                pieces.appendleft(piece)
        data = b"".join(pieces)
        if offset > low and data:
            # It begins within a line, unless by chance; that one is not whole.
            first = data.find(b"\n") + 1
            edge = next((cut - offset for cut in cuts if cut > offset), first)
            skip = min(edge, first) if first else edge
            data, offset = data[skip:], offset + skip
        lines = list(lines_of(Block(data, offset, segment.index, cuts)))
        return lines[-count:] if count else [], read

    @contextlib.contextmanager
    def _telling(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass  # it was given up meanwhile
        except OSError as error:
            self._tell(f"{path}: {error.strerror or error}")


def all_lines(blocks: Iterable[Block]) -> Iterator[Line]:
    """The lines of many blocks; what is marked at the end of a segment goes before the next one's first."""
    before: Block | None = None
    for block in blocks:
        late: tuple[Record, ...] = ()
        if before is not None and before.known is not block.known:
            end = before.offset + len(before.data)
            late = tuple(mark for mark in before.known.marks() if mark.offset >= end)
        for line in lines_of(block):
            yield Line(line.at, line.text, late + line.marks) if late else line
            late = ()
        before = block


def lines_of(block: Block) -> Iterator[Line]:
    """The lines of a block."""
    position, end = 0, len(block.data)
    marks: dict[int, list[Record]] = {}
    for mark in block.known.marks() if block.cuts else ():
        marks.setdefault(mark.offset - block.offset, []).append(mark)
    cuts = [cut - block.offset for cut in block.cuts if 0 < cut - block.offset < end]
    for cut in [*cuts, end]:
        while position < cut:
            stop = block.data.find(b"\n", position, cut)
            text = block.data[position : cut if stop < 0 else stop]
            here = tuple(marks.pop(position, ())) if marks else ()
            yield Line(block.known.at(block.offset + position), text, here)
            position = cut if stop < 0 else stop + 1


def _within(segment: Segment, start: Position, end: Position | None) -> tuple[int, int | None]:
    """The part of a segment between two positions; up to None: to its end."""
    low = 0 if segment.number > start.number else start.offset
    high = segment.size
    if segment.number < start.number:
        return 0, 0
    if end is not None and segment.number >= end.number:
        limit = end.offset if segment.number == end.number else 0
        high = limit if high is None else min(high, limit)
    return low, high


def _is_outside(segment: Segment, start: Position, end: Position | None) -> bool:
    low, high = _within(segment, start, end)
    return high is not None and low >= high


def _last_cut(cuts: Sequence[int], low: int, high: int) -> int:
    position = bisect_right(cuts, high)
    return cuts[position - 1] if position and cuts[position - 1] > low else low


def _last_of(blocks: Iterator[Block], count: int) -> list[Line]:
    kept: deque[Line] = deque(maxlen=count)
    for block in blocks:
        kept.extend(lines_of(block))
    return list(kept)
