"""The head of an app's response, read as strictly as a client's request."""

from __future__ import annotations

import re

from torpor.config.settings import Limits
from torpor.gateway.fields import (
    CHUNKED,
    NEVER_NAMED,
    TEXT,
    UNTIL_CLOSE,
    Malformed,
    check_block,
    check_coding,
    connection_options,
    cut_named,
    parse_length,
    without,
)

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: " + TEXT + rb"*+)?\r\n")
_OF_RESPONSE = re.compile(
    rb"\n(content[-_]length|transfer[-_]encoding|connection|upgrade|keep[-_]alive|proxy[-_]connection):([^\r]*)\r"
)


class Response:
    """A checked response head.  `head` has no hop-by-hop fields and no empty line."""

    __slots__ = ("close", "head", "length", "status", "upgrade")

    def __init__(self, status: int) -> None:
        self.status = status
        self.length = UNTIL_CLOSE
        """Bytes of the body, CHUNKED or UNTIL_CLOSE, before the request's method is considered."""
        self.close = False
        self.upgrade: bytes | None = None
        self.head: bytes | None = None
        """None: the bytes as they came."""


def parse_response(data: bytes, end: int, limits: Limits) -> Response:
    """Read the head that ends with the empty line at `end` of `data`.  Raises `Malformed`."""
    line = _STATUS_LINE.match(data)
    if line is None:
        raise Malformed("bad-gateway", "The app's answer does not begin with an HTTP/1 status line.")
    start = line.end()
    check_block(data, start, end, limits)
    response = Response(int(line[2]))
    old = line[1] == b"0"
    response.close = old
    cuts: list[int] = []
    options: list[bytes] = []
    length: bytes | None = None
    coding = False
    base = start - 1
    for found in _OF_RESPONSE.finditer(data[base : end + 2].lower()):
        name, value = found.groups()
        if name == b"content-length":
            if length is not None:
                raise Malformed("bad-gateway", "The app sent more than one Content-Length.")
            length = value.strip(b"\t ")
            continue
        if name == b"connection":
            options.append(value)
        elif name == b"transfer-encoding":
            check_coding(value, coding, 0 if old else 1)
            coding = True
            continue
        elif name == b"upgrade":
            response.upgrade = value.strip(b"\t ")
        cuts += (base + found.start() + 1, base + found.end() + 1)
    if coding:
        if length is not None:
            raise Malformed("bad-gateway", "The app sent Content-Length and Transfer-Encoding together.")
        response.length = CHUNKED
    elif length is not None:
        response.length = parse_length(length)
    if options:
        tokens = connection_options(b",".join(options))
        if not NEVER_NAMED.isdisjoint(tokens):
            raise Malformed("bad-gateway", "The app's Connection names a field that is not its own.")
        if b"close" in tokens:
            response.close = True
        cuts = cut_named(data, base, end, tokens, cuts)
    if cuts or old:
        rest = without(data, start, end, cuts)
        response.head = (b"HTTP/1.1" + data[8:start] if old else data[:start]) + rest
    return response


_FRAMING = re.compile(rb"\r\n(?:transfer-encoding|content-length):[^\r]*", re.IGNORECASE)


def without_framing(head: bytes) -> bytes:
    """A head without the fields that announce a body, for messages that have none."""
    return _FRAMING.sub(b"", head)
