"""A client's connection: one request at a time, whatever arrives.

Laws:
1. Requests are served in the order they came, one at a time.  What arrives meanwhile is kept,
   up to `READ_AHEAD` bytes; then the connection is not read until there is room.
2. A head that could be read two ways is answered and the connection closed; nothing of it, and
   nothing behind it, is forwarded.
3. Whoever is slow (a head, a body, the silence between requests) meets its end: see `patience`.
4. The end of the client's sending while it awaits an answer counts as its leaving: it cannot
   be told from a closed browser tab, and an app should not work for nobody.
5. The work that a byte causes does not grow with what came before it: nothing is searched
   twice, and nothing is copied for each request of a pipeline or each piece of a head.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

from torpor.gateway import replies
from torpor.gateway.ending import end_writing
from torpor.gateway.exchange import Exchange
from torpor.gateway.fields import Malformed
from torpor.gateway.headers import Forwarding
from torpor.gateway.heads import Request, check_partial, parse_request
from torpor.gateway.patience import Patience
from torpor.gateway.phase import (
    AWAITING,
    BACKEND_FULL,
    BUFFER_FULL,
    BUSY,
    CLIENT_FULL,
    CLOSED,
    LINGERING,
    TUNNEL,
)
from torpor.gateway.plain import PLAIN_REQUEST
from torpor.gateway.streaming import OwnStream
from torpor.gateway.websocket import Tunnel

if TYPE_CHECKING:
    from torpor.gateway.gateway import Gateway

READ_AHEAD = 64 * 1024
"""Bytes kept of what the client sends before its turn, in bytes."""
EMPTY_LINES = 2
"""Empty lines that are ignored before a request (RFC 9112, 2.2, asks for one at least)."""


class ClientConnection(asyncio.Protocol):
    """One accepted connection."""

    __slots__ = (
        "_begin_plain",
        "_empty_lines",
        "_empty_lines_of",
        "_gateway",
        "_harmless",
        "_patience",
        "_searched",
        "_stream",
        "_tunnel",
        "buffer",
        "exchange",
        "forwarding",
        "obstacles",
        "peer",
        "phase",
        "scheme",
        "served",
        "transport",
    )

    def __init__(self, gateway: Gateway, scheme: str, exchange: type[Exchange]) -> None:
        """`exchange`: what becomes of its requests."""
        self._gateway = gateway
        self.scheme = scheme
        self.transport: asyncio.Transport
        self.forwarding: Forwarding
        self.peer = ""
        self.phase = AWAITING
        self.buffer = bytearray()
        """What came and was not used: the beginning of a head, a body whose backend is not
        connected yet, or requests ahead of their turn.  (Both ends of a bytearray are cheap.)"""
        self._searched = 0
        """Bytes of `buffer` in which no head ends, all of them checked."""
        self._empty_lines = 0
        """Met before the request with the number `_empty_lines_of` (a count of `served`)."""
        self._empty_lines_of = 0
        self.exchange = exchange(gateway, self)
        # Kept at hand for the hot path: finding them costs more than using them.
        self._begin_plain = self.exchange.begin_plain
        self._harmless = gateway.harmless_size
        self.served = 0
        self._stream: OwnStream | None = None
        self._tunnel: Tunnel | None = None
        self.obstacles = 0
        self._patience = Patience(self)

    # --- asyncio's protocol interface ------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio's protocol interface."""
        self.transport = cast("asyncio.Transport", transport)
        self.exchange.respond = self.transport.write
        peer = transport.get_extra_info("peername")
        own = transport.get_extra_info("sockname")
        self.peer = str(peer[0]) if peer else ""
        port = int(own[1]) if own else 0
        self.forwarding = Forwarding(self.peer, self.scheme, port, self._gateway.trusted)
        if not self._gateway.admit(self):
            self.refuse("too-many-connections", "Torpor serves as many connections as it may.")

    def data_received(self, data: bytes) -> None:
        """Part of asyncio's protocol interface."""
        if self.phase != AWAITING:
            self._more(data)
            return
        if not self.buffer and not self.obstacles:
            plain = PLAIN_REQUEST.match(data)
            if plain is not None and (len(data) <= self._harmless or self._gateway.within_limits(data)):
                self.phase = BUSY
                self._begin_plain(plain, data)
                return
        self.buffer += data
        if not self.obstacles:
            self._serve()
        else:
            self._limit_read_ahead()

    def eof_received(self) -> bool | None:
        """Part of asyncio's protocol interface."""
        if self._tunnel is not None:
            stays = self._tunnel.client_eof()
            return stays and self.scheme == "http"
        self._leave()
        return None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Part of asyncio's protocol interface."""
        self.phase = CLOSED
        self._leave()
        self._gateway.forget(self)

    def pause_writing(self) -> None:
        """Part of asyncio's protocol interface: the client reads slower than the app writes."""
        self.obstacles |= CLIENT_FULL
        if self._tunnel is not None:
            self._tunnel.pause_app()
        elif self.exchange.backend is not None:
            self.exchange.backend.pause_reading()

    def resume_writing(self) -> None:
        """Part of asyncio's protocol interface."""
        self.obstacles &= ~CLIENT_FULL
        if self._tunnel is not None:
            self._tunnel.resume_app()
        elif self.exchange.backend is not None:
            self.exchange.backend.resume_reading()
        else:
            self._next()

    # --- requests --------------------------------------------------------------------------

    def _serve(self) -> None:
        """Begin the request at the front of `buffer` if its head is complete.

        Only one: `exchange_done` sees to the next, so that a long pipeline stops nobody else.
        """
        buffer = self.buffer
        limits = self._gateway.spec.limits
        try:
            self._skip_empty_lines()
            end = buffer.find(b"\r\n\r\n", max(self._searched - 3, 0))
            if end < 0:
                if buffer and buffer != b"\r":
                    check_partial(buffer, limits, self._searched)
                    self._searched = len(buffer)
                self.resume_reading(BUFFER_FULL)
                return
            request = parse_request(bytes(buffer[: end + 4]), end, limits)
        except Malformed as problem:
            self.refuse(problem.cause, problem.text)
            return
        del buffer[: end + 4]
        self._searched = 0
        self.phase = BUSY
        self.exchange.begin(request)

    def _skip_empty_lines(self) -> None:
        """Some clients end a form's body with one line break too many.  Raises `Malformed`."""
        buffer = self.buffer
        while buffer.startswith(b"\r\n"):
            if self._empty_lines_of != self.served:
                self._empty_lines_of = self.served
                self._empty_lines = 0
            if self._empty_lines == EMPTY_LINES:
                raise Malformed("bad-request", "There are too many empty lines before the request.")
            self._empty_lines += 1
            del buffer[:2]

    def _more(self, data: bytes) -> None:
        """Bytes while the connection is not awaiting a request."""
        if self._tunnel is not None:
            self._tunnel.from_client(data)
        elif self.phase == BUSY:
            exchange = self.exchange
            if exchange.body is not None and exchange.backend is not None and not self.buffer:
                data = exchange.send_body(data)
            self.buffer += data
            self._limit_read_ahead()

    def pump_body(self) -> None:
        """The backend is connected: pass on what came of the body, then read on."""
        if self.buffer:
            self.buffer += self.exchange.send_body(self._take_buffer())
        self._limit_read_ahead()

    def _take_buffer(self) -> bytes:
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def _limit_read_ahead(self) -> None:
        if len(self.buffer) > READ_AHEAD:
            self.pause_reading(BUFFER_FULL)
        else:
            self.resume_reading(BUFFER_FULL)

    def exchange_done(self, *, close: bool) -> None:
        """The exchange is over: serve the next request."""
        self.served += 1
        self.exchange.reset()
        self.resume_reading(BACKEND_FULL)
        if self.phase != BUSY:
            return
        if close or self._gateway.closing:
            self._linger()
            return
        self.phase = AWAITING
        if self.buffer:
            self._limit_read_ahead()
            # Not from here: a long pipeline must not become a deep recursion.
            self._gateway.loop.call_soon(self._next)

    def _next(self) -> None:
        if self.phase == AWAITING and self.buffer and not self.obstacles & CLIENT_FULL:
            self._serve()

    # --- replies of our own ----------------------------------------------------------------

    def reply_own(self, request: Request, app: str | None) -> None:
        """Answer a request under `/_torpor/`."""
        head = request.view(self.peer, self.scheme)
        self._stream = OwnStream(self, request)
        reply = self._gateway.waiting.respond(head, app, self._stream)
        if reply is not None:
            self._stream = None
            self.reply(reply, request, close=request.length != 0)

    def reply(self, reply: replies.Reply, request: Request | None, *, close: bool) -> None:
        """Send a whole reply; then close, or serve the next request."""
        close = close or request is None or request.close or self._gateway.closing
        old = request is not None and request.minor == 0
        lines = [f"HTTP/1.1 {reply.status} {replies.phrase(reply.status)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        lines.append(f"Date: {formatdate(usegmt=True)}")
        if reply.status not in {204, 304}:
            lines.append(f"Content-Length: {len(reply.body)}")
        if close:
            lines.append("Connection: close")
        elif old:
            lines.append("Connection: keep-alive")
        body = b"" if request is not None and request.method == b"HEAD" else reply.body
        self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body)
        self.exchange_done(close=close)

    def refuse(self, cause: str, text: str) -> None:
        """Answer what is not a request, and close."""
        self.phase = BUSY
        self.reply(replies.problem(None, cause, text), None, close=True)

    # --- tunnels ---------------------------------------------------------------------------

    def tunnel_opened(self, tunnel: Tunnel) -> None:
        """The app switched protocols."""
        self.phase = TUNNEL
        self._tunnel = tunnel
        tunnel.open(self._gateway.loop)
        if self.buffer:
            tunnel.from_client(self._take_buffer())
        self.resume_reading(BUFFER_FULL)

    def tunnel_closed(self, tunnel: Tunnel) -> None:
        """The tunnel ended: deliver what is written, then close."""
        self._tunnel = None
        self._gateway.tunnels.discard(tunnel)
        if self.phase == TUNNEL:
            self._linger()

    # --- endings ---------------------------------------------------------------------------

    def cut(self, *, reset: bool) -> None:
        """End a response that cannot be completed so that nobody takes it for complete.

        `reset`: only a connection reset can tell the client, because the response would have
        ended with the connection anyway.
        """
        if reset:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.phase = CLOSED
            self.transport.abort()
        else:
            self.exchange.reset()
            self._linger()

    def close_if_idle(self) -> None:
        """The gateway is closing: end a connection that carries no app's response."""
        if self.phase == AWAITING and not self.buffer:
            self.transport.close()
        elif self._stream is not None:
            self._stream.end()

    def abort(self) -> None:
        """The gateway's patience is over."""
        self._leave()
        self.transport.abort()

    def forget_routes(self) -> None:
        """The configuration changed."""
        self.exchange.forget_routes()

    def sweep(self, now: float) -> None:
        """See `Patience.sweep`."""
        self._patience.sweep(now, self._gateway.spec.limits)

    def _linger(self) -> None:
        """Close our half and ignore what still comes, until the client closes or time is up."""
        self.phase = LINGERING
        self.buffer.clear()
        self.resume_reading(BACKEND_FULL | BUFFER_FULL)
        if self.transport.can_write_eof():
            end_writing(self.transport)
        else:
            self.transport.close()

    def _leave(self) -> None:
        """The client is gone, or is to be taken for it."""
        if self._tunnel is not None:
            self._tunnel.client_lost()
        self.exchange.abandon()
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.closed()
        if self.phase == BUSY:
            self.phase = LINGERING

    # --- reading pauses --------------------------------------------------------------------

    def pause_reading(self, why: int) -> None:
        """Read no further until `resume_reading` with the same reason."""
        if not self.obstacles & ~CLIENT_FULL and not self.transport.is_closing():
            self.transport.pause_reading()
        self.obstacles |= why

    def resume_reading(self, why: int) -> None:
        """The reason (or reasons) `why` for not reading is gone."""
        if self.obstacles & why:
            self.obstacles &= ~why
            if not self.obstacles & ~CLIENT_FULL and not self.transport.is_closing():
                self.transport.resume_reading()
