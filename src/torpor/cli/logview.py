"""How `torpor logs` shows lines: behind names, as JSON, or as they were written."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from torpor.cli.history import Entry, Source
from torpor.cli.terminal import PREFIX_COLOURS, columns, fit, has_colour, pad, paint, printable, width
from torpor.logs.index import LOST, START, Record
from torpor.logs.reader import Block, lines_of

_PLAIN = b"\x1b[0m\n"
_SHARE = 3
"""A third of a terminal is the most that names may take."""


class View:
    """Writes entries to stdout."""

    def __init__(self, *, as_json: bool, numbered: bool) -> None:
        """`numbered`: replicas were asked for, or are there."""
        self._as_json = as_json
        self._colour = has_colour(sys.stdout)
        self._terminal = sys.stdout.isatty()
        self._out = sys.stdout.buffer
        self._prefixes: dict[str, bytes] = {}
        self._numbered = numbered
        self._began = False
        self._told: set[tuple[str, int]] = set()

    def name(self, sources: Iterable[Source]) -> None:
        """Put names before the lines, if there are several."""
        names = list(dict.fromkeys(self._label(source) for source in sources))
        if len(names) < 2:
            return
        room = max(width(printable(name)) for name in names)
        if (whole := columns(sys.stdout)) is not None:
            room = min(room, max(4, whole // _SHARE))
        for i, name in enumerate(names):
            text = pad(fit(printable(name), room), room) + " | "
            colour = PREFIX_COLOURS[i % len(PREFIX_COLOURS)]
            self._prefixes[name] = paint(text, colour, on=self._colour).encode(errors="replace")

    def show(self, entry: Entry) -> None:
        """Write an entry."""
        if entry.marks:
            self._mark(entry)
        self._began = True
        if self._as_json:
            if entry.text is not None:
                self._out.write(_document(entry) + b"\n")
            return
        text = b"--" if entry.text is None else entry.text
        if self._terminal and not text.isascii():
            text = text.decode("utf-8", "replace").encode(sys.stdout.encoding, "replace")
        prefix = self._prefixes.get(self._label(entry.source), b"") if self._prefixes else b""
        # A colour that a line leaves on is not that of the next name.
        end = _PLAIN if prefix and self._terminal and b"\x1b" in text else b"\n"
        self._out.write(prefix + text + end)

    def show_all(self, entries: Iterable[Entry]) -> None:
        """Write many."""
        for entry in entries:
            self.show(entry)
        self.flush()

    def show_blocks(self, source: Source, blocks: Iterable[Block]) -> None:
        """Write what has come of one stream as it is, as far as nothing is known that stands between its lines."""
        for block in blocks:
            if self.shows_bytes and block.data.endswith(b"\n") and not any(_marks(block)):
                self._out.write(block.data)
                self._began = True
            else:
                self.show_all(Entry(source, *line) for line in lines_of(block))
        self.flush()

    @property
    def shows_bytes(self) -> bool:
        """Whether lines are shown just as they were written."""
        return not (self._as_json or self._terminal or self._prefixes)

    def flush(self) -> None:
        """Let all be seen."""
        self._out.flush()

    def _label(self, source: Source) -> str:
        return source.instance if self._numbered else source.app

    def _mark(self, entry: Entry) -> None:
        who = entry.source.instance
        for mark in entry.marks:
            if mark.flags & LOST:
                self._out.flush()
                sys.stderr.write(f"torpor: {mark.lost} bytes of {who} are missing here: its log took none\n")
            # A run's first line says so by itself where nothing stands before it.
            # One run, however many streams it has.
            known = who, mark.generation
            if mark.flags & START and known in self._told:
                continue
            self._told.add(known)
            if mark.flags & START and self._began and self._terminal and not self._as_json:
                at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(mark.at / 1e9))
                text = paint(
                    f"--- {printable(who)}: start {mark.generation}, {at} ---", "dim", on=self._colour
                )
                self._out.write(text.encode(errors="replace") + b"\n")


def labels(sources: Sequence[Source]) -> bool:
    """Whether some app has several instances among them."""
    return len({source.instance for source in sources}) > len({source.app for source in sources})


def _marks(block: Block) -> Iterator[Record]:
    end = block.offset + len(block.data)
    return (mark for mark in block.known.marks() if block.offset <= mark.offset < end)


def _document(entry: Entry) -> bytes:
    assert entry.text is not None
    source = entry.source
    document = {
        "app": source.app,
        "instance": source.instance,
        "stream": source.stream,
        "at": None if entry.at is None else round(entry.at / 1e9, 3),
        "line": entry.text.removesuffix(b"\r").decode("utf-8", "replace"),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
