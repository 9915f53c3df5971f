"""Searches streams for lines, in large blocks instead of line by line.

A literal is looked for as bytes.  A regular expression runs over a whole block, with all that
could match a line end kept from it: `[^,]*` would else run to the end of the block from each of
its places.  Where it finds something, that one line is cut out and asked again by itself.
Where every match has to contain some text, as `,ERROR` for `[^,]*,ERROR`, and that text is rare,
only the lines that have it are asked: the expression may take long for each of the others.
Expressions for which that would not be the same as asking each line (they look around, or at the
ends of the text) and those that are about characters instead of bytes do ask each line.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from torpor.logs.index import Record
from torpor.logs.reader import Block

_SPECIAL = re.compile(r"[.^$*+?{}\[\]\\|()]")
_BY_LINE = re.compile(r"\(\?[!<>(#]|\(\?[a-zA-Z]*[Lsx-]|\\[AZ]|[*+?}]\+")
"""Syntax with which a block does not answer for its lines."""
_FLAGS = re.compile(r"\(\?(?:[a-zA-Z-]+[:)]|#)")
"""Syntax that changes what the letters in it or behind it mean."""
_LEAST_NEEDED = 3
"""Characters that a text has to have to be worth looking for."""
_RARE = 512
"""Bytes for each line that has the text, at least, for which asking line by line is the faster way."""
_ATOM = re.compile(
    r"\[\^?\]?(?:\\.|[^]\\])*\] | \\(?:x[0-9a-fA-F]{2} | [0-7]{3} | 0[0-7]? | [1-9][0-9]? | .) | .",
    re.DOTALL | re.VERBOSE,
)
"""What stands for one character, or any other sign."""
_WITHIN_LINE = {r"\s": r"[ \t\r\f\v]", r"\W": r"[^\w\n]", r"\D": r"[^\d\n]"}

T = TypeVar("T")
Span = tuple[int, int]
"""Begin and end of a line, without its line end."""


class Hit(NamedTuple):
    """A line that was found, or one of its neighbours; `text` None: others were left out here."""

    at: int | None
    text: bytes | None
    matches: bool = True
    marks: tuple[Record, ...] = ()
    """None are told."""


class Search:
    """What to look for."""

    def __init__(
        self, pattern: str, *, ignore_case: bool = False, invert: bool = False, context: int = 0
    ) -> None:
        """`context`: so many lines before and after each.

        Raises `ValueError` for no regular expression, and for one of several lines.
        """
        self._invert = invert
        self.context = context
        self._spans = _finder(pattern, ignore_case=ignore_case)

    def matches(self, line: bytes) -> bool:
        """Whether one line is looked for."""
        return (next(self._spans(line + b"\n"), None) is not None) is not self._invert

    def hits(self, blocks: Iterable[Block]) -> Iterator[Hit]:
        """What is found, in order."""
        parts = (part for block in blocks for part in _uncut(block))
        if self.context:
            yield from self._with_neighbours(parts)
            return
        for part in parts:
            at, offset, data = part.known.at, part.offset, part.data
            for start, end in self._found(data):
                yield Hit(at(offset + start), data[start:end])

    def _found(self, data: bytes) -> Iterator[Span]:
        spans = self._spans(data)
        if not self._invert:
            return spans
        return _others(data, {start for start, _ in spans})

    def _with_neighbours(self, parts: Iterable[Block]) -> Iterator[Hit]:
        near = Near[Hit](self.context)
        for part in parts:
            found = {start for start, _ in self._found(part.data)}
            if not found and not near.wants_more:
                count = part.data.count(b"\n") + (not part.data.endswith(b"\n"))
                near.pass_over(count, self._last(part))
                continue
            for start, end in lines(part.data):
                hit = Hit(part.known.at(part.offset + start), part.data[start:end], start in found)
                for each in near.add(hit, found=hit.matches):
                    yield Hit(None, None, matches=False) if each is None else each

    def _last(self, part: Block) -> Iterator[Hit]:
        start = len(part.data.removesuffix(b"\n"))
        for _ in range(self.context):
            start = part.data.rfind(b"\n", 0, max(start, 0))
            if start < 0:
                break
        low = start + 1
        for begin, end in lines(part.data[low:]):
            offset = part.offset + low + begin
            yield Hit(part.known.at(offset), part.data[low + begin : low + end], matches=False)


class Near(Generic[T]):
    """Keeps of a row of items those around each that is found."""

    def __init__(self, context: int) -> None:
        """`context`: so many before and after each."""
        self._context = context
        self._before: deque[T] = deque(maxlen=context)
        self._after = 0
        self._shown = False
        self._skipped = False

    @property
    def wants_more(self) -> bool:
        """Whether the next item is near one that was found."""
        return self._after > 0

    def add(self, item: T, *, found: bool) -> list[T | None]:
        """Those that turn out to be near; None: others were left out between them and those before."""
        if found:
            gap = [None] if self._skipped and self._shown and self._context else []
            near = [*gap, *self._before, item]
            self._before.clear()
            self._after, self._shown, self._skipped = self._context, True, False
            return near
        if self._after:
            self._after -= 1
            return [item]
        self.pass_over(1, (item,))
        return []

    def pass_over(self, count: int, last: Iterable[T]) -> None:
        """The same for so many of which none was found and none is near, the `last` of which are given."""
        self._skipped = self._skipped or len(self._before) + count > self._context
        self._before.extend(last)


def lines(data: bytes) -> Iterator[Span]:
    """The lines of some text."""
    position = 0
    while position < len(data):
        end = data.find(b"\n", position)
        if end < 0:
            end = len(data)
        yield position, end
        position = end + 1


def _uncut(block: Block) -> Iterator[Block]:
    """The block in parts in which only line ends end lines."""
    offset, end = block.offset, block.offset + len(block.data)
    cuts = [cut for cut in block.cuts if offset < cut < end]
    if not cuts:
        yield block
        return
    for cut in [*cuts, end]:
        data = block.data[offset - block.offset : cut - block.offset]
        yield Block(data, offset, block.known, ())
        offset = cut


def _others(data: bytes, found: set[int]) -> Iterator[Span]:
    return (span for span in lines(data) if span[0] not in found)


def _finder(pattern: str, *, ignore_case: bool) -> Callable[[bytes], Iterator[Span]]:
    if "\n" in pattern:
        raise ValueError(f"{pattern!r} has a line end in it, and each line is asked by itself")
    if pattern and _SPECIAL.search(pattern) is None and (pattern.isascii() or not ignore_case):
        return _literal(pattern.encode(), ignore_case=ignore_case)
    flags = re.IGNORECASE if ignore_case else re.NOFLAG
    try:
        re.compile(pattern, flags)
        by_bytes = re.compile(pattern.encode(), flags) if pattern.isascii() else None
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
    if by_bytes is None:
        return _by_text(re.compile(pattern, flags))
    if _BY_LINE.search(pattern):
        whole = _by_line(by_bytes)
    else:
        within = _ATOM.sub(_within_line, pattern)
        whole = _by_block(re.compile(within.encode(), flags | re.MULTILINE), by_bytes)
    needed = needed_text(pattern)
    if len(needed) < _LEAST_NEEDED:
        return whole
    return _by_need(_literal(needed.encode(), ignore_case=ignore_case), by_bytes, whole)


def needed_text(pattern: str) -> str:
    """The longest text that each match of an expression contains, as far as is plain to see; else nothing.

    Letters may be of either case if the expression does not mind.
    """
    runs, depth, atoms = [""], 0, [found[0] for found in _ATOM.finditer(pattern)]
    if _FLAGS.search(pattern):
        return ""
    while atoms:
        atom = atoms.pop(0)
        follows = atoms[0] if atoms else ""
        literal = atom if _SPECIAL.fullmatch(atom) is None else ""
        if len(atom) > 1:
            literal = atom[1] if atom[0] == "\\" and not atom[1].isalnum() and len(atom) == 2 else ""
        if atom in "()":
            depth += 1 if atom == "(" else -1
            runs.append("")
        elif depth:
            continue
        elif atom == "|":
            return ""
        elif atom == "{":  # a number of times, or a brace: what is in it is not looked for
            while atoms and atoms.pop(0) != "}":
                pass
            runs.append("")
        elif not literal or (follows and follows in "*?{"):
            runs.append("")
        else:
            runs[-1] += literal
    return max(runs, key=len)


def _by_need(
    having: Callable[[bytes], Iterator[Span]],
    pattern: re.Pattern[bytes],
    whole: Callable[[bytes], Iterator[Span]],
) -> Callable[[bytes], Iterator[Span]]:
    """Ask only the lines `having` what is needed; where many have it, search as if nothing were known."""

    def spans(data: bytes) -> Iterator[Span]:
        most = int(len(data) / _RARE) + 1
        candidates = list(islice(having(data), most))
        if len(candidates) == most:
            return whole(data)
        return (span for span in candidates if pattern.search(data[span[0] : span[1]]))

    return spans


def _within_line(found: re.Match[str]) -> str:
    """The same for every character but a line end, which it does not match."""
    atom = found[0]
    if atom in _WITHIN_LINE:
        return _WITHIN_LINE[atom]
    if len(atom) == 1 or (atom[0] == "\\" and atom[1] in "123456789" and len(atom) < 4):
        return atom  # a sign, or what a group has matched
    if re.fullmatch(atom.encode(), b"\n") is None:
        return atom
    if atom.startswith("[^"):
        # The first of a class may be one that would mean something else behind another.
        return r"[^\n" + ("\\" if atom[2] in "]-" else "") + atom[2:]
    return rf"(?:(?!\n){atom})"


def _literal(text: bytes, *, ignore_case: bool) -> Callable[[bytes], Iterator[Span]]:
    text = text.lower() if ignore_case else text

    def spans(data: bytes) -> Iterator[Span]:
        # Only ASCII letters change, so places stay the same.
        searched = data.lower() if ignore_case else data
        position = searched.find(text)
        while position >= 0:
            start, end = _around(data, position)
            yield start, end
            position = searched.find(text, end + 1)

    return spans


def _by_block(pattern: re.Pattern[bytes], by_line: re.Pattern[bytes]) -> Callable[[bytes], Iterator[Span]]:
    def spans(data: bytes) -> Iterator[Span]:
        position, size = 0, len(data)
        while position < size and (found := pattern.search(data, position)) is not None:
            if found.start() >= size:
                return  # an empty match behind the last line end
            start, end = _around(data, found.start())
            if by_line.search(data[start:end]) is not None:
                yield start, end
            position = end + 1

    return spans


def _by_line(pattern: re.Pattern[bytes]) -> Callable[[bytes], Iterator[Span]]:
    return lambda data: (span for span in lines(data) if pattern.search(data[span[0] : span[1]]))


def _by_text(pattern: re.Pattern[str]) -> Callable[[bytes], Iterator[Span]]:
    return lambda data: (
        span for span in lines(data) if pattern.search(data[span[0] : span[1]].decode("utf-8", "replace"))
    )


def _around(data: bytes, position: int) -> Span:
    end = data.find(b"\n", position)
    return data.rfind(b"\n", 0, position) + 1, len(data) if end < 0 else end
