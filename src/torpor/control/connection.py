"""One connection to the control socket: HTTP/1.1 between its bytes and an ASGI application.

Laws:

1. The requests of a connection are answered one after the other, in their order.
2. It is read no faster than the application takes.
3. An application that fails before it has answered is answered for, with 500; one that fails
   later has its connection cut, so that nobody takes half an answer for a whole one.
4. The application learns at once that a client has left, unless more of it lies there than anybody takes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp, Scope

from torpor.control.exchange import Exchange, head

log = logging.getLogger(__name__)

MAX_HEAD = 64 * 1024
"""Bytes of a request's head, its target included."""
MAX_WAITING = 16
"""Requests that may wait behind the one that is being answered; the connection ends with the last of them."""
PATIENCE = 30.0
"""Seconds of silence from a client that is to send a request, or the rest of one."""


class Connection(asyncio.Protocol):
    """Answers the requests of one client by the application."""

    def __init__(self, app: ASGIApp, present: set[Connection], most: int) -> None:
        """`present`: all connections that there are; if these are more than `most`, this one is answered 503."""
        self._app = app
        self._present = present
        self._most = most
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._idle: asyncio.TimerHandle | None = None
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        """The one that is being answered."""
        self._incoming: Exchange | None = None
        """The one whose body is being read."""
        self._head: list[tuple[bytes, bytes]] = []
        self._target = b""
        self._size = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._ending = False
        self.task: asyncio.Task[None] | None = None
        """Answers the request at hand."""

    # --- of the transport ------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._present.add(self)
        self._rest()

    def connection_lost(self, _error: Exception | None) -> None:
        """The client has left, or was sent away."""
        self._present.discard(self)
        self._wake_up()
        self._writable.set()
        self._waiting.clear()
        del self._parser  # which refers to us: nothing is to wait for the collector
        for exchange in (self._current, self._incoming):
            if exchange is not None:
                exchange.leave()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._wake_up()
        if self._ending:
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.shut_down()  # nothing here speaks anything else: it is answered, and that is all
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST)
        else:
            if self._incoming is None and self._size > MAX_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        self._rest()

    def pause_writing(self) -> None:
        """The client reads slower than the application writes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable.set()

    # --- of the parser ---------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head, self._target = [], b""

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One line of its head.  Those that may follow a body are of no use to anybody."""
        if self._incoming is None:
            self._head.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Its head is there: it may be answered.  What is raised here makes it a bad request."""
        if self._ending:
            return
        if len(self._present) > self._most:
            log.warning("more than %d connections to the control socket", self._most)
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        if len(self._target) + sum(len(name) + len(value) for name, value in self._head) > MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        if len(self._waiting) == MAX_WAITING:
            self._waiting[-1].keeps = False  # so the client knows which were not heard
            self._ending = True
            return
        url = httptools.parse_url(self._target)
        version = self._parser.get_http_version()
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": self._parser.get_method().decode("ascii"),
            "scheme": "http",
            "path": unquote(url.path.decode("ascii")),
            "raw_path": url.path,
            "query_string": url.query or b"",
            "root_path": "",
            "headers": self._head,
            "server": None,
            "client": None,
        }
        keeps = version == "1.1" and self._parser.should_keep_alive()
        self._incoming = Exchange(scope, self._transport, self._writable, keeps=keeps)
        self._size = 0
        self._waiting.append(self._incoming)
        self._go_on()

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        if self._incoming is not None:
            self._incoming.take(body)

    def on_message_complete(self) -> None:
        """It was read to its end."""
        self._size = 0
        if self._incoming is not None:
            self._incoming.end()
            self._incoming = None
        self._rest()

    # --- inside ----------------------------------------------------------------

    def shut_down(self) -> None:
        """Answer what is being answered, and close then."""
        self._ending = True
        self._waiting.clear()
        if self._current is None:
            self._transport.close()
        else:
            self._current.keeps = False

    def abandon(self) -> None:
        """Close now, whatever has not been taken of the answer."""
        self._transport.abort()

    def _go_on(self) -> None:
        """Answer the next request, if none is being answered."""
        if self._current is None and self._waiting:
            self._current = self._waiting.popleft()
            self.task = asyncio.get_running_loop().create_task(self._answer(self._current))

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except Exception:
            log.exception("%s %s broke down", exchange.scope["method"], exchange.scope["path"])
        self._current = self.task = None
        if not exchange.begun and not exchange.gone:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
        elif not exchange.over or not exchange.keeps:
            self._transport.close()
        else:
            self._transport.resume_reading()
            self._go_on()
            self._rest()

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer for the application, unless it is just answering, and close."""
        if self._current is not None and self._current is not self._incoming:
            self.shut_down()
            return
        self._ending = True
        if self._current is None or not self._current.begun:
            if self._current is not None:
                self._current.leave()
            text = f"{status.phrase}\n".encode()
            fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
            self._transport.write(head(status, [*fields, (b"connection", b"close")]) + text)
        self._transport.close()

    def _rest(self) -> None:
        """Close if nothing comes for a while, where it is the client's turn."""
        waits = self._current is None or self._current is self._incoming
        if waits and self._idle is None and not self._transport.is_closing():
            self._idle = asyncio.get_running_loop().call_later(PATIENCE, self._lose_patience)

    def _lose_patience(self) -> None:
        self._idle = None
        if self._transport.is_reading():
            self._transport.close()
        else:
            self._rest()

    def _wake_up(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
