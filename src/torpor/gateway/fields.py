"""Header fields: the rules that requests and responses share.

Laws:
1. What two parties could read differently is refused, never repaired: CRLF only, no folding,
   no space before a colon, no control characters, at most one Content-Length made of digits,
   `Transfer-Encoding` exactly `chunked`, never on HTTP/1.0.
2. No object is made per field.  One regular expression checks the whole block, a second one
   finds the few fields that concern a proxy; the rest is passed on as the bytes it came in.
"""

from __future__ import annotations

import re

from torpor.config.settings import Limits

CHUNKED = -1
"""A body in chunks, as a `length`."""
UNTIL_CLOSE = -2
"""A response body that ends with the connection, as a `length`."""

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TEXT = rb"[\t\x20-\x7e\x80-\xff]"
_BLOCK = re.compile(rb"(?:" + TOKEN + rb"++:" + TEXT + rb"*+\r\n)*")
LINE = re.compile(rb"(" + TOKEN + rb"++):[\t ]*+(" + TEXT + rb"*+)\r\n")

_LENGTH = re.compile(rb"[0-9]{1,18}")


NEVER_NAMED = frozenset({b"host", b"content-length", b"transfer-encoding", b"content-type", b"expect"})
"""What `Connection` must not name: dropping it would change what the message means."""


class Malformed(Exception):
    """A head that is refused.  `cause` is a code of `replies.verdict`, the text is for people."""

    def __init__(self, cause: str, text: str) -> None:
        super().__init__(text)
        self.cause = cause
        self.text = text


def parse_length(value: bytes) -> int:
    """A Content-Length.  Raises `Malformed` for anything but 1 to 18 digits."""
    if _LENGTH.fullmatch(value) is None:
        raise Malformed("bad-request", "Content-Length is not a number.")
    return int(value)


def connection_options(value: bytes) -> set[bytes]:
    """The options of a lower-case `Connection` value."""
    return {option.strip(b"\t ") for option in value.split(b",")}


def check_trailers(block: bytes, limits: Limits) -> bool:
    """Whether a trailer section (its lines, each with CRLF) is well-formed and harmless."""
    return (
        len(block) <= limits.headers_size
        and block.count(b"\n") <= limits.headers_count
        and _BLOCK.fullmatch(block) is not None
        and _FORBIDDEN_TRAILER.search(b"\n" + block.lower()) is None
    )


# Fields that frame, route or authorise do not belong behind the body (RFC 9110, 6.5.1).
_FORBIDDEN_TRAILER = re.compile(
    rb"\n(?:host|connection|content[-_][^:]*|transfer[-_]encoding|upgrade|expect|te|trailer|keep[-_]alive"
    rb"|proxy[-_][^:]*|forwarded|x[-_]forwarded[-_][^:]*|x[-_]real[-_]ip|authorization|cookie|set[-_]cookie"
    rb"|cache[-_]control|age|date|expires|location|retry[-_]after|vary|www[-_]authenticate|range|max[-_]forwards):"
)


def check_block(data: bytes, start: int, end: int, limits: Limits) -> None:
    """Check all fields of `data[start:end + 2]`, and the size and count.  Raises `Malformed`."""
    if end > limits.headers_size:
        raise Malformed("headers-too-large", "The head is too large.")
    if _BLOCK.fullmatch(data, start, end + 2) is None:
        raise _bad_block(data[start : end + 2])
    # A field takes four bytes at least: short heads need no counting.
    too_many = end - start > 4 * limits.headers_count and (
        data.count(b"\n", start, end + 2) > limits.headers_count
    )
    if too_many:
        raise Malformed("headers-too-large", "The head has too many fields.")


def check_coding(value: bytes, again: bool, minor: int) -> None:
    """Check a Transfer-Encoding; `again`: it is not the first one.  Raises `Malformed`."""
    if minor == 0:
        raise Malformed("bad-request", "Transfer-Encoding on HTTP/1.0.")
    if again or value.strip(b"\t ") != b"chunked":
        raise Malformed("not-implemented", "The only known Transfer-Encoding is chunked, once.")


_NOT_FIELDS = frozenset({b"", b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings"})
"""Options that name no field, or one that is cut anyway."""


def cut_named(data: bytes, base: int, end: int, options: set[bytes], cuts: list[int]) -> list[int]:
    """The spans to cut, with the fields that `Connection` names added."""
    names = options - _NOT_FIELDS
    if not names:
        return cuts
    position = base + 1
    spans = {(cuts[i], cuts[i + 1]) for i in range(0, len(cuts), 2)}
    for found in LINE.finditer(data, position, end + 2):
        if found[1].lower() in names:
            spans.add(found.span())
    return [edge for span in sorted(spans) for edge in span]


def without(data: bytes, start: int, end: int, cuts: list[int]) -> bytes:
    """`data[start:end + 2]` without the spans in `cuts` (flat, ascending)."""
    edges = [start, *cuts, end + 2]
    if len(edges) == 4:  # the usual case, a single `Connection: keep-alive`
        return data[start : cuts[0]] + data[cuts[1] : end + 2]
    return b"".join([data[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2)])


def _bad_block(block: bytes) -> Malformed:
    """Say what is wrong with header lines that the strict expression refused."""
    lines = block.split(b"\r\n")[:-1]
    if any(line.startswith((b" ", b"\t")) for line in lines):
        return Malformed("bad-request", "A header line is folded.")
    if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
        return Malformed("bad-request", "A header line contains CR, LF or NUL.")
    return Malformed("bad-request", "A header line is not `Name: value`.")
