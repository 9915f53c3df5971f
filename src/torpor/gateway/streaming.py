"""A response of our own that is written piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torpor.gateway import replies
from torpor.gateway.heads import Request

if TYPE_CHECKING:
    from torpor.gateway.http import ClientConnection

UNREAD_LIMIT = 256 * 1024
"""Bytes that may wait for a slow reader before `write` gives up on it."""


class OwnStream:
    """Implements `replies.Streaming` on a client connection."""

    def __init__(self, client: ClientConnection, request: Request) -> None:
        self._client = client
        self._request = request
        self._chunked = request.minor == 1
        self._callbacks: list[Callable[[], None]] = []
        self._open = True
        self._silent = request.method == b"HEAD"

    def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Send the head."""
        if not self._open:
            return
        lines = [f"HTTP/1.1 {status} {replies.phrase(status)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if self._chunked:
            lines.append("Transfer-Encoding: chunked")
        lines.append("Connection: close")
        self._client.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
        if self._silent:
            self.end()

    def write(self, data: bytes) -> bool:
        """Send a piece; False if nobody takes it any more."""
        if not self._open:
            return False
        transport = self._client.transport
        if transport.is_closing() or transport.get_write_buffer_size() > UNREAD_LIMIT:
            return False
        if data:
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        return True

    def end(self) -> None:
        """Complete the response and close the connection."""
        if not self._open:
            return
        if self._chunked and not self._silent:
            self._client.transport.write(b"0\r\n\r\n")
        self.closed()
        self._client.exchange_done(close=True)

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` once this is over; at once if it is already."""
        if self._open:
            self._callbacks.append(callback)
        else:
            callback()

    def closed(self) -> None:
        """The client left, or the response ended."""
        if self._open:
            self._open = False
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()
