"""Where a message body ends.

A framer is fed what arrived and says which of it belongs to the body, what of that goes to
the other side, and what is left over.  Laws:
1. Nothing is passed on before the framing around it was checked.
2. Chunk sizes are 1 to 15 hex digits followed by CRLF.  Well-formed chunk extensions are
   dropped (nobody needs them; parsers disagree about them), anything else is an error.
3. Bytes behind the end of a body are never part of it.
"""

from __future__ import annotations

import re
from typing import Protocol

from torpor.config.settings import Limits
from torpor.gateway.fields import check_trailers

_SIZE = re.compile(
    rb"([0-9A-Fa-f]{1,15})"
    rb"((?:[\t ]*;[\t ]*[!#$%&'*+\-.^_`|~0-9A-Za-z]++(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
    rb"|\"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e])*\"))?)*)\r\n"
)
_SIZE_LINE = 256
"""The longest chunk-size line, extensions included, in bytes."""

_TRAILER_SECTION = 4096
"""The longest trailer section in bytes.  It is passed on only as a whole and searched again with
every piece that comes of it, so it is kept short; a trailer in use has a few dozen bytes."""


class BadFraming(Exception):
    """The body's framing is broken; where it ends cannot be known."""


class Framer(Protocol):
    """What the connections use."""

    @property
    def done(self) -> bool:
        """Whether the body's end was seen."""
        ...

    @property
    def progress(self) -> int:
        """A number that changes whenever something arrives."""
        ...

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take `data`: what goes on to the other side, and what lies behind the body's end.

        Raises `BadFraming`.  The second part is empty until `done`.
        """
        ...


class Counted:
    """A body of known length."""

    __slots__ = ("done", "left")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0

    @property
    def progress(self) -> int:
        """The bytes that are left."""
        return self.left

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Count.  Never raises."""
        if len(data) < self.left:
            self.left -= len(data)
            return data, b""
        body, rest = data[: self.left], data[self.left :]
        self.left = 0
        self.done = True
        return body, rest


class Endless:
    """A response body that lasts until the connection ends."""

    __slots__ = ()
    done = False
    progress = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Everything belongs to it.  Never raises."""
        return data, b""


class Chunked:
    """A body in chunks, passed on in chunks or, with `payload_only`, as its bare content."""

    __slots__ = ("_held", "_left", "_limits", "_payload_only", "_trailer", "done", "progress")

    def __init__(self, limits: Limits, *, payload_only: bool = False) -> None:
        self.done = False
        self.progress = 0
        self._limits = limits
        self._payload_only = payload_only
        self._left = 0
        """Bytes to come of this chunk, its CRLF included; 0: a size line comes next."""
        self._trailer = False
        self._held = b""
        """The beginning of a line that is not complete."""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Check the framing and pass on what is checked."""
        self.progress += len(data)
        if self._held:
            data = self._held + data
            self._held = b""
        out: list[bytes] = []
        position = 0
        size = len(data)
        while position < size:
            if self._left:
                position = self._content(data, position, out)
            elif self._trailer:
                end = self._end_of_trailer(data, position)
                if end < 0:
                    break
                if not self._payload_only:
                    out.append(data[position:end])
                self.done = True
                return b"".join(out), data[end:]
            else:
                after = self._size_line(data, position, out)
                if after < 0:
                    break
                position = after
        if position < size:
            self._held = data[position:]
        return (out[0] if len(out) == 1 else b"".join(out)), b""

    def _content(self, data: bytes, position: int, out: list[bytes]) -> int:
        """Pass on what there is of the current chunk, and check the CRLF behind it."""
        end = min(position + self._left, len(data))
        self._left -= end - position
        # `behind`: how many bytes of the closing CRLF lie in data[position:end].
        behind = max(0, min(2 - self._left, end - position))
        if behind:
            crlf = b"\r\n"[2 - self._left - behind : 2 - self._left]
            if data[end - behind : end] != crlf:
                raise BadFraming("A chunk does not end where its size says.")
        out.append(data[position : end - behind] if self._payload_only else data[position:end])
        return end

    def _size_line(self, data: bytes, position: int, out: list[bytes]) -> int:
        found = _SIZE.match(data, position)
        if found is None or found.end() - position > _SIZE_LINE:
            if found is None and len(data) - position < _SIZE_LINE and _may_become_size(data[position:]):
                return -1
            raise BadFraming("A chunk size is malformed.")
        length = int(found[1], 16)
        if not self._payload_only:
            if found[2]:
                out.append(found[1] + b"\r\n")
            else:
                out.append(data[position : found.end()])
        if length == 0:
            self._trailer = True
        else:
            self._left = length + 2
        return found.end()

    def _end_of_trailer(self, data: bytes, position: int) -> int:
        """Where the trailer section ends, its empty line included; -1 if it has not yet."""
        if data.startswith(b"\r\n", position):
            return position + 2
        end = data.find(b"\r\n\r\n", position)
        if end < 0:
            partial = data[position:]
            if len(partial) > _TRAILER_SECTION or partial.count(b"\n") != partial.count(b"\r\n"):
                raise BadFraming("The trailer section is malformed.")
            return -1
        if end - position > _TRAILER_SECTION or not check_trailers(data[position : end + 2], self._limits):
            raise BadFraming("The trailer section is malformed.")
        return end + 4


_HEX_START = re.compile(rb"[0-9A-Fa-f]{1,15}(?:[\t ]*;[\t\x20-\x7e\x80-\xff]*)?[\t ]*\r?")


def _may_become_size(line: bytes) -> bool:
    """Whether an incomplete line can still become a size line."""
    return _HEX_START.fullmatch(line) is not None
