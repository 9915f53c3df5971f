"""The beginning of a TLS connection: which server name the client asks for (RFC 8446, 4.1.2; RFC 6066, 3).

Nothing is decrypted: the name travels in the clear.  With Encrypted Client Hello it is the outer one.
"""

from __future__ import annotations

from torpor.gateway.early import Foreign, Incomplete

MOST = 16 * 1024
"""Bytes that a ClientHello may take up, headers of its records included.  Browsers send up to 2 KiB."""
UNKNOWN_NAME = b"\x15\x03\x01\x00\x02\x02\x70"
"""A fatal alert: `unrecognized_name`."""

_RECORD_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_HOST_NAME = 0


def server_name(data: bytes) -> str:
    """The name, in lower case; empty if the client names none.  Raises `Incomplete` and `Foreign`."""
    hello = _Reader(_handshake(data))
    hello.take(2 + 32)  # version, random
    hello.take(hello.number(1))  # session
    hello.take(hello.number(2))  # cipher suites
    hello.take(hello.number(1))  # compression methods
    if not hello.left:
        return ""
    extensions = _Reader(hello.take(hello.number(2)))
    while extensions.left:
        kind, content = extensions.number(2), extensions.take(extensions.number(2))
        if kind == _SERVER_NAME:
            return _host(content)
    return ""


def _host(content: bytes) -> str:
    names = _Reader(content)
    names = _Reader(names.take(names.number(2)))
    while names.left:
        kind, name = names.number(1), names.take(names.number(2))
        if kind == _HOST_NAME:
            if not name.isascii():
                raise Foreign
            return name.decode("ascii").lower().removesuffix(".")
    return ""


def _handshake(data: bytes) -> bytes:
    """The body of the first handshake message; a client may spread it over several records."""
    message, position = b"", 0
    while True:
        if data[position : position + 1] not in {b"", bytes([_RECORD_HANDSHAKE])}:
            raise Foreign
        if data[position + 1 : position + 2] not in {b"", b"\x03"}:
            raise Foreign
        if len(data) < position + 5:
            raise Incomplete
        length = int.from_bytes(data[position + 3 : position + 5], "big")
        if not length:
            raise Foreign
        message += data[position + 5 : position + 5 + length]
        if message[0:1] not in {b"", bytes([_CLIENT_HELLO])}:
            raise Foreign
        size = int.from_bytes(message[1:4], "big") if len(message) >= 4 else MOST
        if size > MOST:
            raise Foreign
        if len(message) >= 4 + size:
            return message[4 : 4 + size]
        position += 5 + length


class _Reader:
    """Takes a message apart.  What says that it is longer than it is, is none."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    def take(self, size: int) -> bytes:
        if len(self.left) < size:
            raise Foreign
        taken, self.left = self.left[:size], self.left[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")
