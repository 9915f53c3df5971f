"""What is known about a segment beside its bytes: records of fixed size, in the order of their offsets.

A record says: from this offset on, bytes were written at this time or up to a second later, by this
generation.  `START` marks where a generation begins, written before its program runs; `LOST` where
bytes are missing, and how many.  The others come at most once a second.
"""

from __future__ import annotations

import contextlib
import os
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

GRAIN = 1_000_000_000
"""Nanoseconds between two records that mark nothing."""
START = 1
LOST = 2
_FORM = struct.Struct("<QQIIQ")


class Record(NamedTuple):
    """One record."""

    offset: int
    at: int
    """Nanoseconds since the epoch."""
    generation: int
    flags: int = 0
    lost: int = 0
    """Bytes that are missing before `offset`."""


def append(path: str, record: Record) -> None:
    """Add a record to the index of a segment, behind the last whole one.  Raises `OSError`."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = os.lseek(fd, 0, os.SEEK_END)
        os.pwrite(fd, _FORM.pack(*record), end - end % _FORM.size)
    finally:
        os.close(fd)


class Index:
    """The index of one segment, for reading."""

    def __init__(self, records: list[Record]) -> None:
        self._records = records
        self._offsets = [record.offset for record in records]
        # A clock that was set back must not hide what came after.
        self._times = list(accumulate((record.at for record in records), max))

    def __len__(self) -> int:
        return len(self._records)

    @property
    def last(self) -> Record | None:
        """The newest record."""
        return self._records[-1] if self._records else None

    def at(self, offset: int) -> int | None:
        """When the byte at `offset` was written, in nanoseconds, to the second; None: unknown."""
        position = bisect_right(self._offsets, offset)
        return self._records[position - 1].at if position else None

    def since(self, time: int) -> int | None:
        """The offset from which on bytes may have been written at `time` or later; None: none were."""
        position = bisect_left(self._times, time - GRAIN + 1)
        if position < len(self._records):
            return self._records[position].offset
        # Before the first record nothing is known, and nothing is left out.
        return None if self._records else 0

    def until(self, time: int) -> int | None:
        """The offset from which on all bytes were written after `time`; None: none were."""
        position = bisect_right(self._times, time)
        return self._records[position].offset if position < len(self._records) else None

    def marks(self, flags: int = START | LOST) -> Iterator[Record]:
        """The records that have one of `flags`, in order."""
        return (record for record in self._records if record.flags & flags)

    def boundaries(self) -> list[int]:
        """Offsets at which a line ends, whatever the bytes there say."""
        return [record.offset for record in self.marks()]


def load(path: str, size: int | None = None) -> Index:
    """The index at `path`, without what is torn, beyond `size`, or out of order.  Never raises."""
    raw = b""
    with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
        raw = file.readall()
    records: list[Record] = []
    highest = 0
    for fields in _FORM.iter_unpack(raw[: len(raw) - len(raw) % _FORM.size]):
        record = Record(*fields)
        if record.offset >= highest and (size is None or record.offset <= size):
            highest = record.offset
            records.append(record)
    return Index(records)
