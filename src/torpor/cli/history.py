"""What `torpor logs` reads by itself from the files of logs: which streams, which part, in which order."""

from __future__ import annotations

import heapq
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torpor.cli.terminal import printable
from torpor.control.selection import is_glob
from torpor.logs.ahead import blocks_ahead
from torpor.logs.index import Record
from torpor.logs.reader import START_OF_ALL, Block, Position, Reader, all_lines

if TYPE_CHECKING:
    from torpor.logs.grep import Search


@dataclass(frozen=True, slots=True)
class Source:
    """One stream of one instance."""

    app: str
    instance: str
    stream: str
    path: str | None
    """None: only the daemon has it."""
    end: Position | None = None
    """Where it went on when the daemon was asked; None: to its end."""

    @property
    def readable(self) -> bool:
        """Whether this user may read it."""
        if self.path is None:
            return False
        folder = os.path.dirname(self.path)
        return os.access(folder, os.R_OK | os.X_OK) and (
            not os.path.lexists(self.path) or os.access(self.path, os.R_OK)
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of the past."""

    lines: int | None = None
    """The last ones of each app; None: all."""
    since: int | None = None
    until: int | None = None
    """Nanoseconds since the epoch."""
    previous: bool = False
    search: Search | None = None
    following: bool = False
    """An unfinished last line comes later, whole."""
    unread: list[str] = field(default_factory=list)
    """What could not be read of it."""

    def tell(self, words: str) -> None:
        """Say at once what cannot be read, and keep it in mind."""
        self.unread.append(words)
        sys.stderr.write(f"torpor: {printable(words)}\n")

    @property
    def one_run(self) -> bool:
        """Whether the current run alone is meant."""
        return self.since is None and self.until is None and self.search is None


class Entry(NamedTuple):
    """A line of somebody; `text` None: lines were left out here."""

    source: Source
    at: int | None
    text: bytes | None
    marks: tuple[Record, ...] = ()


def source_of(document: dict[str, Any]) -> Source:
    """The source that an answer of the daemon names."""
    path = document.get("path")
    end = None if path is None else Position(document["segment"], document["offset"])
    return Source(document["app"], document["instance"], document["stream"], path, end)


def sources_at_rest(folder: str, names: Sequence[str]) -> list[Source]:
    """The streams that lie in a directory of logs, of the apps that `names` mean (none: all)."""
    from fnmatch import fnmatchcase  # noqa: PLC0415  # only without a daemon

    from torpor.logs.names import read_stream_name  # noqa: PLC0415
    from torpor.logs.segments import Folder  # noqa: PLC0415

    found = []
    try:
        files = list(Folder(Path(folder)).names())
    except OSError:
        return []
    for file in files:
        known = read_stream_name(file)
        if known is None:
            continue
        id, stream = known
        called = {id.app, str(id), f"{id.app}/{id.replica}"}
        if not names or any(
            name in called or (is_glob(name) and fnmatchcase(id.app, name)) for name in names
        ):
            found.append(Source(id.app, str(id), stream, os.path.join(folder, file)))
    return found


def read(sources: Sequence[Source], wanted: Wanted) -> Iterator[Entry]:
    """What is wanted of all of them, in the order of time as far as that is known.

    Raises `OSError` where a directory cannot be read.
    """
    if wanted.lines is None:
        return _merged([read_one(source, wanted) for source in sources])
    by_app: dict[str, list[Iterator[Entry]]] = {}
    for source in sources:
        by_app.setdefault(source.app, []).append(read_one(source, wanted))
    return _merged([iter(deque(_merged(each), maxlen=wanted.lines)) for each in by_app.values()])


def read_raw(source: Source, wanted: Wanted) -> Iterator[Block]:
    """All that is wanted of one stream in blocks, for who looks at no line of it.  Raises `OSError`."""
    assert source.path is not None
    reader = Reader(source.path, tell=wanted.tell)
    return blocks_ahead(reader, *_part(reader, source, wanted, START_OF_ALL))


def read_one(source: Source, wanted: Wanted, start: Position = START_OF_ALL) -> Iterator[Entry]:
    """What is wanted of one stream from `start` on.  Raises `OSError`."""
    assert source.path is not None
    reader = Reader(source.path, tell=wanted.tell)
    start, end = _part(reader, source, wanted, start)
    if wanted.search is not None:
        hits = wanted.search.hits(blocks_ahead(reader, start, end))
        return (Entry(source, hit.at, hit.text) for hit in hits)
    lines: Iterable[Any]
    if wanted.lines is not None:
        lines = reader.tail(wanted.lines, start, end)
    else:
        lines = all_lines(blocks_ahead(reader, start, end))
    return (Entry(source, *line) for line in lines)


def _part(
    reader: Reader, source: Source, wanted: Wanted, start: Position
) -> tuple[Position, Position | None]:
    """From where to where a stream is wanted."""
    end = source.end
    if wanted.previous or (wanted.one_run and start == START_OF_ALL):
        first, last = reader.generation(int(wanted.previous))
        start, end = max(start, first), _earlier(end, last)
    if wanted.since is not None:
        start = max(start, reader.since(wanted.since))
    if wanted.until is not None:
        end = _earlier(end, reader.until(wanted.until))
    if wanted.following and end is not None:
        end = reader.line_start(end)
    return start, end


def end_of_lines(source: Source) -> Position | None:
    """Where the last whole line ended when the daemon was asked.  Raises `OSError`."""
    if source.path is None or source.end is None:
        return None
    return Reader(source.path).line_start(source.end)


def _earlier(one: Position | None, other: Position | None) -> Position | None:
    return other if one is None else one if other is None else min(one, other)


def _merged(each: list[Iterator[Entry]]) -> Iterator[Entry]:
    if len(each) == 1:
        return each[0]
    return (entry for _, entry in heapq.merge(*map(_dated, each), key=lambda dated: dated[0]))


def _dated(entries: Iterator[Entry]) -> Iterator[tuple[int, Entry]]:
    """Each with a time: that of the one before, where it has none."""
    at = 0
    for entry in entries:
        at = max(at, entry.at or at)
        yield at, entry
