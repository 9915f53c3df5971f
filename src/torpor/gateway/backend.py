"""A connection to an instance: reads one response at a time and hands it to the client.

Laws:
1. Bytes that answer no request end the connection: they must never be taken for the answer
   to a later one.
2. The client gets a response's head only after all of it was checked.
3. A connection is used again only if the response's end was framed, the request was sent
   whole, and not one byte came behind the end.
"""

from __future__ import annotations

import asyncio
import math
import re
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from torpor.core.upstream import Upstream
from torpor.gateway.fields import CHUNKED, UNTIL_CLOSE, Malformed
from torpor.gateway.framing import BadFraming, Chunked, Counted, Endless, Framer
from torpor.gateway.phase import BACKEND_FULL
from torpor.gateway.plain import PLAIN_RESPONSE
from torpor.gateway.response import Response, parse_response, without_framing

if TYPE_CHECKING:
    from torpor.gateway.forward import Relay
    from torpor.gateway.pool import Pool
    from torpor.gateway.websocket import Tunnel

_STATE_CLOSED = 7
"""`TCP_CLOSE` of Linux' `tcp_states.h`: the first byte of `struct tcp_info` once the other side has
reset the connection.  One that ended in order is in `TCP_CLOSE_WAIT`."""
_LAST_DATA_SENT = 44
"""Where `tcpi_last_data_sent` lies in Linux' `struct tcp_info`, in bytes."""

INTERIM_LIMIT = 32
"""Interim (1xx) responses to one request."""


class BackendConnection(asyncio.Protocol):
    """One connection to one upstream."""

    __slots__ = (
        "_head",
        "_interims",
        "_paused",
        "_pool",
        "_reset",
        "_response_limit",
        "exchange",
        "framer",
        "heard",
        "served",
        "served_at_sweep",
        "transport",
        "tunnel",
        "upstream",
        "write",
    )

    def __init__(self, pool: Pool, upstream: Upstream, response_limit: int) -> None:
        self._pool = pool
        self._response_limit = response_limit
        self.upstream = upstream
        self.transport: asyncio.Transport
        self.write: Callable[[bytes], None]
        self.exchange: Relay | None = None
        """Whom the next bytes answer."""
        self.tunnel: Tunnel | None = None
        self.framer: Framer | None = None
        """The body being passed on; None: a head is awaited."""
        self.heard = False
        """Whether any byte answered the current request."""
        self.served = 0
        """Responses carried so far."""
        self.served_at_sweep = -1
        self._head = b""
        self._interims = 0
        self._paused = False
        self._reset = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio's protocol interface."""
        self.transport = cast("asyncio.Transport", transport)
        self.write = self.transport.write

    def send(self, exchange: Relay, head: bytes) -> None:
        """Send a request's head; what comes from now on answers it."""
        self.exchange = exchange
        self.transport.write(head)

    def data_received(self, data: bytes) -> None:
        """Part of asyncio's protocol interface."""
        exchange = self.exchange
        if exchange is None:
            self._unasked(data)
            return
        if exchange.plain is not None:
            plain = PLAIN_RESPONSE.match(data)
            if plain is not None and self._plain(exchange, plain, data):
                return
            exchange.plain = None
        if self.framer is not None:
            self._body(exchange, self.framer, data)
            return
        self.heard = True
        if self._head:
            data = self._head + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._partial(exchange, data)
            return
        self._head = b""
        try:
            response = parse_response(data, end, exchange.limits)
        except Malformed as problem:
            exchange.failed(problem.text)
            return
        if response.status < 200:
            self._interim(exchange, response, data, end)
            return
        self._respond(exchange, response, data, end)

    def _plain(self, exchange: Relay, plain: re.Match[bytes], data: bytes) -> bool:
        """Pass on a plain response to a plain request: the hot path of `_respond`.

        False if it is not that plain after all.
        """
        end = plain.end()
        missing = int(plain[1]) + end - len(data)
        if missing < 0 or end > self._response_limit:
            return False
        volume = self.upstream.volume
        if volume is not None and exchange.lease.counts:
            volume.passed += len(data) - end
        cut = plain.start(2)
        exchange.respond(data if cut < 0 else data[:cut] + data[plain.end(2) :])
        if missing:
            exchange.plain = None
            exchange.responding = True
            self.heard = True
            self.framer = Counted(missing)
        else:
            self.served += 1
            exchange.finish_plain(self)
        return True

    def _respond(self, exchange: Relay, response: Response, data: bytes, end: int) -> None:
        """Pass on a final response: its head, and as much of its body as came with it."""
        status = response.status
        if status in {502, 503} and exchange.retry_unready():
            return
        request = exchange.request
        head = response.head
        length = response.length
        if status in {204, 304} or request.method == b"HEAD":
            if (status == 204 or length == CHUNKED) and request.method != b"HEAD":
                head = without_framing(head or data[: end + 2])
            length = 0
        tail = b""
        if length < 0 or request.close or request.minor == 0 or exchange.last:
            head, tail = self._ending(exchange, head or data[: end + 2], length)
        start = end + 4
        if length >= 0 and len(data) - start == length:
            # The whole response lies in one piece: nothing to frame, often nothing to copy.
            exchange.lease.weigh(length)
            if head is None:
                exchange.client.transport.write(data)
            else:
                exchange.client.transport.write(b"%b%b\r\n%b" % (head, tail, data[start:]))
            self.served += 1
            exchange.finish(reusable=not response.close)
            return
        exchange.responding = True
        framer: Framer
        if length == CHUNKED:
            framer = Chunked(exchange.limits, payload_only=request.minor == 0)
        elif length == UNTIL_CLOSE:
            framer = Endless()
        else:
            framer = Counted(length)
        self.framer = framer
        if response.close:
            exchange.reusable = False
        start_of_message = data[: end + 4] if head is None else b"%b%b\r\n" % (head, tail)
        self._body(exchange, framer, data[end + 4 :], start_of_message)

    def _ending(self, exchange: Relay, head: bytes, length: int) -> tuple[bytes, bytes]:
        """Decide whether the client's connection outlives this response, and tell the client."""
        request = exchange.request
        close = request.close or exchange.last or length == UNTIL_CLOSE
        if length == CHUNKED and request.minor == 0:
            head = without_framing(head)
            close = True
        exchange.close_after = close
        if close:
            return head, b"Connection: close\r\n"
        return head, b"Connection: keep-alive\r\n" if request.minor == 0 else b""

    def _body(self, exchange: Relay, framer: Framer, data: bytes, head: bytes = b"") -> None:
        try:
            out, rest = framer.feed(data) if data or framer.done else (b"", b"")
        except BadFraming:
            exchange.truncated()
            return
        if self.upstream.volume is not None:
            exchange.lease.weigh(len(out))
        if head:
            out = head + out
        if out:
            exchange.client.transport.write(out)
        if framer.done:
            self.served += 1
            exchange.finish(reusable=exchange.reusable and not rest)

    def _interim(self, exchange: Relay, response: Response, data: bytes, end: int) -> None:
        rest = data[end + 4 :]
        if response.status == 101:
            if exchange.request.upgrade is None:
                exchange.failed("The app switched protocols, which nobody had asked for.")
                return
            exchange.upgraded(response, without_framing(response.head or data[: end + 2]), rest)
            return
        self._interims += 1
        if self._interims > INTERIM_LIMIT:
            exchange.failed("The app sent too many interim responses.")
            return
        if exchange.request.minor == 1:
            head = without_framing(response.head or data[: end + 2])
            exchange.client.transport.write(head + b"\r\n")
        if rest:
            self.data_received(rest)

    def _partial(self, exchange: Relay, data: bytes) -> None:
        if len(data) > self._response_limit:
            exchange.failed("The head of the app's answer is too large.")
        elif data[:7] != b"HTTP/1."[: len(data)]:
            exchange.failed("The app's answer does not begin with an HTTP/1 status line.")
        else:
            self._head = data

    def _unasked(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel.from_app(data)
        else:
            self.transport.abort()

    def release(self, *, reusable: bool) -> None:
        """The exchange is over: back to the pool, or away."""
        self.exchange = None
        self.framer = None
        self.heard = False
        self._interims = 0
        if reusable:
            self.resume_reading()
            self._pool.put(self)
        else:
            self._head = b""
            self.transport.abort()

    def since_sent(self) -> float:
        """Seconds since anything was sent, to a few milliseconds; infinite where nobody knows.

        The kernel is asked, so that no request has to read a clock.
        """
        try:
            milliseconds: int = struct.unpack_from("=I", self._tcp_info(), _LAST_DATA_SENT)[0]
        except (OSError, struct.error):
            return math.inf
        return milliseconds / 1000

    def unread(self) -> bool:
        """Whether the instance left with what we sent still unread: then its kernel resets the connection.

        Only for a connection that has just been lost.
        """
        if self.upstream.endpoint.path is not None:
            return self._reset  # the kernel has no more to tell of a Unix socket
        try:
            return self._tcp_info()[0] == _STATE_CLOSED
        except (OSError, IndexError):
            return False

    def _tcp_info(self) -> bytes:
        """What the kernel knows of the connection.  Raises `OSError`."""
        sock = self.transport.get_extra_info("socket")
        info: bytes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_SENT + 4)
        return info

    def pause_reading(self) -> None:
        """The client reads too slowly: take no more from the app."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """The client has room again."""
        if self._paused:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def pause_writing(self) -> None:
        """Part of asyncio's protocol interface: the instance reads slower than the client sends."""
        if self.exchange is not None:
            self.exchange.client.pause_reading(BACKEND_FULL)
        elif self.tunnel is not None:
            self.tunnel.client.pause_reading(BACKEND_FULL)

    def resume_writing(self) -> None:
        """Part of asyncio's protocol interface."""
        if self.exchange is not None:
            self.exchange.client.resume_reading(BACKEND_FULL)
        elif self.tunnel is not None:
            self.tunnel.client.resume_reading(BACKEND_FULL)

    def eof_received(self) -> bool | None:
        """Part of asyncio's protocol interface."""
        return self.tunnel.app_eof() if self.tunnel is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio's protocol interface."""
        self._reset = isinstance(exc, ConnectionResetError | BrokenPipeError)
        if self.tunnel is not None:
            self.tunnel.app_lost()
        elif self.exchange is not None:
            self.exchange.backend_lost(clean=exc is None)
        else:
            self._pool.lost(self)
