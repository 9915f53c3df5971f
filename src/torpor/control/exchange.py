"""One request on the control socket and its answer, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

from starlette.types import Message, Scope

HIGH_WATER = 64 * 1024
"""Bytes of a body that are kept for the application; beyond that the client waits."""
_BODILESS = frozenset({204, 304})


class Exchange:
    """Its two halves: what the application receives, and what it sends."""

    def __init__(
        self, scope: Scope, transport: asyncio.Transport, writable: asyncio.Event, *, keeps: bool
    ) -> None:
        """`writable`: set while the client takes what is written."""
        self.scope = scope
        self.keeps = keeps
        """Whether the connection is kept after it."""
        self.begun = self.over = False
        """Whether the answer is."""
        self.gone = False
        """Whether the client has left."""
        self._transport = transport
        self._writable = writable
        self._news = asyncio.Event()
        self._body = bytearray()
        self._more = True
        """Whether more of the body may come."""
        self._handed_over = False
        self._expects = scope["http_version"] == "1.1" and any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"]
        )
        self._chunked = False

    def take(self, body: bytes) -> None:
        """A piece of the body has come; what nobody will read any more is dropped."""
        if self.over:
            return
        self._body += body
        if len(self._body) > HIGH_WATER:
            self._transport.pause_reading()
        self._news.set()

    def end(self) -> None:
        """The body is whole."""
        self._more = False
        self._news.set()

    def leave(self) -> None:
        """The client has left."""
        self.gone = True
        self._news.set()

    async def receive(self) -> Message:
        """The next piece of the body; after the last one: that the client has left, once it has."""
        if self._expects and not self.begun and not self.gone:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects = False
        while not (self.gone or self.over):
            if not self._handed_over and (self._body or not self._more):
                body, self._body = bytes(self._body), bytearray()
                self._handed_over = not self._more
                return {"type": "http.request", "body": body, "more_body": self._more}
            self._transport.resume_reading()
            self._news.clear()
            await self._news.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Write the head or a piece of the answer, as soon as the client takes it.  Raises `RuntimeError` out of turn."""
        await self._writable.wait()
        if self.gone:
            return
        if message["type"] == "http.response.start" and not self.begun:
            fields = self._begin(message["status"], list(message.get("headers", ())))
            self.begun = True
            self._transport.write(fields)
        elif message["type"] == "http.response.body" and self.begun and not self.over:
            self._transport.write(self._piece(message.get("body", b""), message.get("more_body", False)))
        else:
            raise RuntimeError(f"{message['type']} at the wrong time")

    def _begin(self, status: int, fields: list[tuple[bytes, bytes]]) -> bytes:
        names = {name.lower(): value for name, value in fields}
        closes = names.get(b"connection") == b"close"
        self.keeps = self.keeps and not closes
        if b"content-length" not in names and status not in _BODILESS and self.scope["method"] != "HEAD":
            if self.scope["http_version"] == "1.1":
                self._chunked = True
                fields.append((b"transfer-encoding", b"chunked"))
            else:
                self.keeps = False  # the end of the connection is the end of the answer
        if not self.keeps and not closes:
            fields.append((b"connection", b"close"))
        return head(status, fields)

    def _piece(self, body: bytes, more: bool) -> bytes:
        self.over = not more
        if self.over:
            self._news.set()
        if self.scope["method"] == "HEAD":
            return b""
        if not self._chunked:
            return body
        end = b"" if more else b"0\r\n\r\n"
        return b"%x\r\n%b\r\n%b" % (len(body), body, end) if body else end


def head(status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of an answer.  Raises `RuntimeError` for what would be more than one line."""
    lines = [b"%b: %b" % field for field in fields]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise RuntimeError("a header of an answer has more than one line")
    return b"\r\n".join([b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode()), *lines, b"", b""])
