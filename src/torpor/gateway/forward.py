"""Passing a request on to its app, and the app's answer back to the client.

Laws:
1. A request's bytes are sent to one instance only; `reach` says when once more.
2. An answer that was cut short is cut short for the client too, never ended politely.
3. The hot path (`begin_plain`, `finish_plain`) makes no message, no task and no timer, reads no clock, and
   avoids calls: one costs 0.1 µs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from torpor.core.routing import HostRoutes
from torpor.core.upstream import Upstream
from torpor.gateway import replies
from torpor.gateway.backend import BackendConnection
from torpor.gateway.exchange import Exchange
from torpor.gateway.fields import CHUNKED, Malformed
from torpor.gateway.framing import BadFraming, Chunked, Counted, Endless
from torpor.gateway.heads import Request, host_name
from torpor.gateway.held import Held
from torpor.gateway.lead import app_of, door_for
from torpor.gateway.lease import Lease
from torpor.gateway.phase import AWAITING
from torpor.gateway.plain import PlainVisit
from torpor.gateway.pool import IDLE_PER_UPSTREAM
from torpor.gateway.reach import RETRY_PAUSE
from torpor.gateway.response import Response
from torpor.gateway.websocket import Tunnel
from torpor.runtime.dial import host_of

if TYPE_CHECKING:
    from torpor.gateway.gateway import Door, Gateway
    from torpor.gateway.http import ClientConnection


class Relay(Exchange):
    """An exchange with the app that the request's host and path lead to."""

    __slots__ = (
        "_enter",
        "_held",
        "_host",
        "_idle",
        "_plain_host",
        "_plain_suffix",
        "_routes",
        "close_after",
        "lease",
        "plain",
        "responding",
        "reusable",
    )

    def __init__(self, gateway: Gateway, client: ClientConnection) -> None:
        super().__init__(gateway, client)
        self.lease = Lease()
        self.plain: re.Match[bytes] | None = None
        """The request, if `PLAIN_REQUEST` matched it, nothing about it became special, and nothing
        of an answer came yet."""
        self.close_after = False
        """Whether the client's connection ends with this response."""
        self.responding = False
        """Whether the head of a final response was passed on."""
        self.reusable = True
        """Whether the backend connection may carry another request after this one."""
        self._held: Held | None = None
        """What it took to reach the app, if it did not simply go well."""
        self._host: bytes | None = None
        self._routes: HostRoutes[Door] | None = None
        self._idle = gateway.pools.main.idle
        """The idle connections that its door's pool has."""
        # What the last plain request's host came to; a client hardly ever changes it.
        self._plain_host: bytes | None = None
        self._enter: Callable[[], Upstream | None] | None = None
        self._plain_suffix = b""

    # --- the way there ---------------------------------------------------------------------

    def begin_plain(self, plain: re.Match[bytes], data: bytes) -> None:
        """Take on `data`, all of which `PLAIN_REQUEST` matched: the hot path.

        What `Pool` and `Forwarding` do is done here, without calls.
        """
        self.plain = self._match = plain
        self._request = None
        host = plain[2]
        if host != self._plain_host:
            self._know(host)
        enter = self._enter
        if enter is None or (upstream := enter()) is None:
            self.begin(self.look_closely())
            return
        self.lease.upstream = upstream
        idle = self._idle.get(upstream)
        if not idle or (backend := idle.pop()).transport.is_closing():
            self._hold().begin()
            return
        self.backend = backend
        backend.exchange = self
        cut = plain.start(3)
        if cut < 0:
            backend.write(data[:-2] + self._plain_suffix)
        else:
            backend.write(data[:cut] + data[plain.end(3) : -2] + self._plain_suffix)

    def look_closely(self) -> Request:
        """The request is not plain any more."""
        request = self.request
        self.plain = None
        return request

    def _know(self, host: bytes) -> None:
        """Look up what plain requests to `host` need; no door where the path has a say."""
        self._plain_host = host
        self._plain_suffix = self.client.forwarding.suffix(host)
        routes = self._gateway.table.host(host_name(host))
        door = None if routes is None else routes.whole
        if door is None:
            self._enter = None
        else:
            self.lease.lead_to(door)
            self._idle = door.pool.idle
            self._held = None
            self._enter = self._enter_asking if door.admission.discounts else door.gate.enter

    def _enter_asking(self) -> Upstream | None:
        """A lease for a plain request to an app of which some requests do not count."""
        plain, door = self.plain, self.lease.door
        assert plain is not None
        # Whether a request counts does not depend on whether a browser loads a page.
        decision = door.admission.decide(PlainVisit(plain, self.client.peer), navigation=False)
        upstream = door.gate.enter()
        if upstream is not None:
            self.lease.rate(upstream, counts=decision.counts)
        return upstream

    def begin(self, request: Request) -> None:
        """See `Exchange.begin`."""
        self._request = request
        if request.host != self._host:
            self._host = request.host
            self._routes = self._gateway.table.host(host_name(request.host))
        if request.target.startswith(b"/_torpor/"):
            self.client.reply_own(request, app_of(self._routes))
            return
        routes = self._routes
        door = None if routes is None else routes.whole
        if door is None:
            try:
                door = door_for(routes, request)
            except Malformed as problem:
                self.refuse(problem.cause, problem.text)
                return
        self.lease.lead_to(door)
        self._held = None  # what a plain request has left of its attempts may be for another port
        self._plain_host = None  # the door may be another than that of plain requests
        length = request.length
        if length:
            self.body = Chunked(self.limits) if length == CHUNKED else Counted(length)
        upstream = door.gate.enter()
        if upstream is None:
            self._hold().at_closed_gate()
            return
        self.lease.take(upstream, self.head)
        backend = door.pool.take(upstream)
        if backend is None:
            self._hold().begin()
        else:
            self.send(backend)

    def forget_routes(self) -> None:
        """See `Exchange.forget_routes`."""
        self._host = None
        self._plain_host = None

    def _hold(self) -> Held:
        held = self._held
        if held is None:
            held = self._held = Held(self._gateway, self)
        return held

    def send(self, backend: BackendConnection) -> None:
        """Send the request: this connection leads to the instance that it has a lease on."""
        request = self.request
        self.backend = backend
        client = self.client
        if request.forwarded is not None and client.forwarding.trusted:
            suffix = client.forwarding.extended(request.host, request.forwarded)
        else:
            suffix = client.forwarding.suffix(request.host)
        if not request.host:
            # Only HTTP/1.0 may do without, and we speak 1.1 to the app.
            there = self.lease.door.pool.endpoint(backend.upstream)
            suffix = b"Host: %b\r\n%b" % (host_of(there).encode(), suffix)
        backend.send(self, request.head + suffix)
        if self.body is not None:
            client.pump_body()

    def send_body(self, data: bytes) -> bytes:
        """See `Exchange.send_body`."""
        assert self.body is not None
        assert self.backend is not None
        try:
            out, rest = self.body.feed(data)
        except BadFraming as problem:
            # What follows a broken chunk is anybody's guess: nothing of it reaches the app.
            self.break_off("bad-request", str(problem))
            return b""
        if self.body.done:
            self.body = None
        if out:
            self.backend.transport.write(out)
            self.lease.weigh(len(out))
        return rest

    # --- the way back ----------------------------------------------------------------------

    def finish_plain(self, backend: BackendConnection) -> None:
        """A plain request's plain response was passed on whole: the hot path of `finish`."""
        lease = self.lease
        upstream = lease.upstream
        assert upstream is not None
        lease.upstream = None
        self.backend = None
        lease.leave(upstream)
        client = self.client
        if client.obstacles or client.buffer or self._gateway.closing:
            backend.release(reusable=True)
            client.exchange_done(close=False)
            return
        backend.exchange = None
        idle = self._idle.get(upstream)
        if idle is not None and upstream.open and len(idle) < IDLE_PER_UPSTREAM:
            idle.append(backend)
        else:
            lease.door.pool.put(backend)
        client.served += 1
        client.phase = AWAITING

    def finish(self, *, reusable: bool) -> None:
        """The response was passed on whole."""
        backend = self.backend
        assert backend is not None
        self.backend = None
        self.lease.repay()
        if self.body is None:
            backend.release(reusable=reusable)
            self.client.exchange_done(close=self.close_after)
        else:
            # Answered before the request was read: what is still coming has no taker.
            backend.release(reusable=False)
            self.client.exchange_done(close=True)

    def reset(self) -> None:
        """See `Exchange.reset`."""
        if self.responding or self._held or self.close_after or self.body:
            self.responding = False
            self.close_after = False
            self._held = None
            self.body = None
        self.reusable = True
        self.plain = None
        self.lease.decision = None
        self._match = None
        self._request = None

    def retry_unready(self) -> bool:
        """A 502 or 503 came: whether the app is only not up yet, and is asked again shortly."""
        upstream = self.lease.upstream
        if upstream is None or not self._hold().attempts.unready(self.request, upstream, status=True):
            return False
        self._retry(RETRY_PAUSE)
        return True

    def _retry(self, pause: float) -> None:
        self.look_closely()
        self._drop_backend()
        self._hold().begin(pause=pause)

    def backend_lost(self, *, clean: bool) -> None:
        """The app closed the connection before the response's end, as far as framing knows."""
        backend = self.backend
        assert backend is not None
        if self.responding:
            if clean and self.close_after and isinstance(backend.framer, Endless):
                self.finish(reusable=False)
            else:
                self.truncated()
            return
        pause = self._hold().attempts.pause_before_retry(self.request, backend)
        if pause is not None:
            self._retry(pause)
            return
        self.failed("The app closed the connection without an answer.")

    def failed(self, text: str) -> None:
        """There is no usable answer: say so, or cut the answer short if it has begun."""
        if self.responding:
            self.truncated()
            return
        self._drop_backend()
        self.refuse("bad-gateway", text)

    def truncated(self) -> None:
        """The answer broke off in the middle."""
        self._drop_backend()
        self.lease.repay()
        self.client.cut(reset=self.close_after)

    def upgraded(self, response: Response, head: bytes, rest: bytes) -> None:
        """The app agreed to switch protocols: from now on bytes go both ways unread."""
        backend, lease = self.backend, self.lease
        assert backend is not None
        protocol = response.upgrade or self.request.upgrade or b""
        self.client.transport.write(head + b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol)
        policy = lease.hand_over()
        self.backend = None
        backend.exchange = None
        is_websocket = self.request.upgrade == b"websocket"
        tunnel = Tunnel(self.client, backend, lease.door.gate, policy, is_websocket=is_websocket)
        self._gateway.tunnels.add(tunnel)
        self.client.tunnel_opened(tunnel)
        if rest:
            tunnel.from_app(rest)

    # --- endings ---------------------------------------------------------------------------

    def abandon(self) -> None:
        """See `Exchange.abandon`."""
        if self._held is not None:
            self._held.abandon()
        self._drop_backend()
        self.lease.repay()

    def break_off(self, cause: str, text: str) -> None:
        """See `Exchange.break_off`."""
        if self.responding:
            self.truncated()
        else:
            self._drop_backend()
            super().break_off(cause, text)

    def answer(self, reply: replies.Reply, *, close: bool = False) -> None:
        """See `Exchange.answer`: the app has nothing to do with the request any more."""
        self.lease.repay()
        super().answer(reply, close=close)

    def _drop_backend(self) -> None:
        backend = self.backend
        if backend is not None:
            self.backend = None
            backend.release(reusable=False)
