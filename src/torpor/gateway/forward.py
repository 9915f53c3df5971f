"""One exchange: a request finds its app, is held if need be, and is carried there.

Laws:
1. A lease taken is repaid exactly once, whatever happens in between.
2. A request's bytes are sent to one instance only; `reach` says when once more.
3. An answer that was cut short is cut short for the client too, never ended politely.
4. The client's leaving ends its exchange at once, never the wake it caused.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from torpor.core.admission import Decision
from torpor.core.model import Refusal, SocketActivity
from torpor.core.routing import HostRoutes
from torpor.core.upstream import Upstream
from torpor.gateway import replies
from torpor.gateway.backend import BackendConnection
from torpor.gateway.classify import is_navigation
from torpor.gateway.fields import CHUNKED, Malformed
from torpor.gateway.framing import BadFraming, Chunked, Counted, Endless, Framer
from torpor.gateway.heads import Request, host_name, parse_request
from torpor.gateway.lead import door_for
from torpor.gateway.phase import AWAITING
from torpor.gateway.plain import PlainVisit
from torpor.gateway.pool import IDLE_PER_UPSTREAM
from torpor.gateway.reach import RETRY_PAUSE, Lost, Reach
from torpor.gateway.request import RequestHead
from torpor.gateway.response import Response
from torpor.gateway.turned_away import TurnedAway, own_answer
from torpor.gateway.websocket import Tunnel
from torpor.runtime.dial import host_of
from torpor.runtime.seam import Refused

if TYPE_CHECKING:
    from torpor.gateway.gateway import Door, Gateway
    from torpor.gateway.http import ClientConnection

log = logging.getLogger(__name__)

PAGE_AFTER = 1.0
"""Seconds that a page load is held for an app that only has to be let go on: that takes a few milliseconds,
or a tenth of a second after hibernation, and a page that flashes up is worse than a short wait."""


class Exchange:
    """The request that a client connection is busy with.

    One object per connection, used again for each request: a new one per request costs half
    a microsecond.
    """

    __slots__ = (
        "_decision",
        "_door",
        "_enter",
        "_gateway",
        "_host",
        "_idle",
        "_leave",
        "_match",
        "_plain_host",
        "_plain_suffix",
        "_reaching",
        "_request",
        "_routes",
        "_task",
        "_upstream",
        "backend",
        "body",
        "client",
        "close_after",
        "counts",
        "limits",
        "plain",
        "respond",
        "responding",
        "reusable",
    )

    def __init__(self, gateway: Gateway, client: ClientConnection) -> None:
        self._gateway = gateway
        self.client = client
        self.limits = gateway.spec.limits
        self.plain: re.Match[bytes] | None = None
        """The request, if `PLAIN_REQUEST` matched it, nothing about it became special, and nothing
        of an answer came yet."""
        self._match: re.Match[bytes] | None = None
        self.respond: Callable[[bytes], None]
        """Writes to the client."""
        self._request: Request | None = None
        self.backend: BackendConnection | None = None
        self.body: Framer | None = None
        """What is still to come of the request's body."""
        self.close_after = False
        """Whether the client's connection ends with this response."""
        self.responding = False
        """Whether the head of a final response was passed on."""
        self.reusable = True
        """Whether the backend connection may carry another request after this one."""
        self._door: Door
        self._decision: Decision | None = None
        """What the request means for its app, once somebody had to ask."""
        self._upstream: Upstream | None = None
        """The lease that is not repaid yet."""
        self._task: asyncio.Task[None] | None = None
        self.counts = True
        """Whether the request that has a lease is activity."""
        self._reaching: Reach | None = None
        """The attempts so far, if it did not simply go well."""
        self._host: bytes | None = None
        self._routes: HostRoutes[Door] | None = None
        self._idle = gateway.pools.main.idle
        """The idle connections that its door's pool has."""
        # What the last plain request's host came to; a client hardly ever changes it.
        self._plain_host: bytes | None = None
        self._enter: Callable[[], Upstream | None] | None = None
        self._leave: Callable[[Upstream], None]
        self._plain_suffix = b""

    @property
    def request(self) -> Request:
        """The request as the careful reader sees it."""
        request = self._request
        if request is None:
            plain = self._match
            assert plain is not None
            request = self._request = parse_request(plain.string, plain.end() - 4, self.limits)
        return request

    @property
    def last(self) -> bool:
        """Whether the gateway is closing, so that no connection should outlive its response."""
        return self._gateway.closing

    # --- the way there ---------------------------------------------------------------------

    def begin_plain(self, plain: re.Match[bytes], data: bytes) -> None:
        """Take on `data`, all of which `PLAIN_REQUEST` matched: the hot path.

        The match is kept in the request's place; `request` is made of it only if somebody asks.
        Calls into `Pool` and `Forwarding` are avoided here: a call costs 0.1 µs.
        """
        self.plain = self._match = plain
        self._request = None
        host = plain[2]
        if host != self._plain_host:
            self._know(host)
        enter = self._enter
        if enter is None or (upstream := enter()) is None:
            self.begin(self._carefully())
            return
        self._upstream = upstream
        idle = self._idle.get(upstream)
        if not idle or (backend := idle.pop()).transport.is_closing():
            self._task = self._gateway.loop.create_task(self._reach(upstream))
            return
        self.backend = backend
        backend.exchange = self
        cut = plain.start(3)
        if cut < 0:
            backend.write(data[:-2] + self._plain_suffix)
        else:
            backend.write(data[:cut] + data[plain.end(3) : -2] + self._plain_suffix)

    def _carefully(self) -> Request:
        """From here on the request is not plain any more."""
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
            self._lead_to(door)
            self._enter = self._enter_asking if door.admission.discounts else door.gate.enter

    def _lead_to(self, door: Door) -> None:
        self._door = door
        self._idle = door.pool.idle
        self._leave = door.gate.leave
        self.counts = True
        self._reaching = None  # what a plain request has left of its attempts may be for another port

    def _enter_asking(self) -> Upstream | None:
        """A lease for a plain request to an app of which some requests do not count."""
        plain, door = self.plain, self._door
        assert plain is not None
        # Whether a request counts does not depend on whether a browser loads a page.
        decision = door.admission.decide(PlainVisit(plain, self.client.peer), navigation=False)
        upstream = door.gate.enter()
        if upstream is not None:
            self._rate(upstream, counts=decision.counts)
        return upstream

    def begin(self, request: Request) -> None:
        """Take on a request.  The client connection is busy until `ClientConnection.exchange_done`."""
        self._request = request
        if request.host != self._host:
            self._host = request.host
            self._routes = self._gateway.table.host(host_name(request.host))
        if request.target.startswith(b"/_torpor/"):
            self.client.reply_own(request, self._app_here())
            return
        routes = self._routes
        door = None if routes is None else routes.whole
        if door is None:
            try:
                door = door_for(routes, request)
            except Malformed as problem:
                self._refuse(problem.cause, problem.text)
                return
        self._lead_to(door)
        self._plain_host = None  # the door may be another than that of plain requests
        length = request.length
        if length:
            self.body = Chunked(self.limits) if length == CHUNKED else Counted(length)
        upstream = door.gate.enter()
        if upstream is None:
            self._asleep(door)
            return
        self._hold(upstream)
        backend = door.pool.take(upstream)
        if backend is None:
            self._task = self._gateway.loop.create_task(self._reach(upstream))
        else:
            self._send(backend)

    def forget_routes(self) -> None:
        """The configuration changed: look hosts up again."""
        self._host = None
        self._plain_host = None

    def _send(self, backend: BackendConnection) -> None:
        request = self.request
        self.backend = backend
        client = self.client
        if request.forwarded is not None and client.forwarding.trusted:
            suffix = client.forwarding.extended(request.host, request.forwarded)
        else:
            suffix = client.forwarding.suffix(request.host)
        if not request.host:
            # Only HTTP/1.0 may do without, and we speak 1.1 to the app.
            suffix = b"Host: %b\r\n%b" % (
                host_of(self._door.pool.endpoint(backend.upstream)).encode(),
                suffix,
            )
        backend.send(self, request.head + suffix)
        if self.body is not None:
            client.pump_body()

    def send_body(self, data: bytes) -> bytes:
        """Pass on a piece of the request's body; returns what lies behind its end."""
        assert self.body is not None
        assert self.backend is not None
        try:
            out, rest = self.body.feed(data)
        except BadFraming as problem:
            self._broken_body(str(problem))
            return b""
        if self.body.done:
            self.body = None
        if out:
            self.backend.transport.write(out)
            self.weigh(len(out))
        return rest

    def _app_here(self) -> str | None:
        """The app that a request under `/_torpor/` is about: the host's, at its root path."""
        if self._routes is None:
            return None
        found = self._routes.match(b"/")
        return found[1].app if found is not None else None

    # --- waiting ---------------------------------------------------------------------------

    def _asleep(self, door: Door) -> None:
        """No instance takes the request: turn it away, show a page, or let it wait."""
        head = self._head()
        decision = self._decide(head)
        if (own := own_answer(door.gate, head, decision)) is not None:
            self._answer(own)
            return
        shown = door.gate.spec.loading_page.enabled and is_navigation(head)
        if shown and not door.gate.dozes():
            self._show_page(head, decision)
            return
        self._task = self._gateway.loop.create_task(self._reach(None, patience=PAGE_AFTER if shown else None))

    def _show_page(self, head: RequestHead, decision: Decision) -> None:
        """Wake the app behind the waiting page."""
        gate = self._door.gate
        self._answer(self._gateway.waiting.page(gate, head, gate.knock(head.knock(decision.rule))))

    def _decide(self, head: RequestHead) -> Decision:
        """What the request means for its app."""
        decision = self._decision
        if decision is None:
            decision = self._door.admission.decide(head, navigation=is_navigation(head))
            self._decision = decision
        return decision

    def _hold(self, upstream: Upstream) -> None:
        """Take note of a lease."""
        self._upstream = upstream
        if self._door.admission.discounts:
            self._rate(upstream, counts=self._decide(self._head()).counts)

    def _rate(self, upstream: Upstream, *, counts: bool) -> None:
        """How a lease is repaid depends on whether its request is activity."""
        gate = self._door.gate
        self.counts = counts
        if counts:
            self._leave = gate.leave
        else:
            gate.discount(upstream)
            self._leave = gate.leave_discounted

    def weigh(self, size: int) -> None:
        """So many bytes of a body have passed, where the app has them weighed."""
        upstream = self._upstream
        if upstream is not None and upstream.volume is not None and self.counts:
            upstream.volume.passed += size

    async def _reach(
        self, upstream: Upstream | None, *, pause: float = 0.0, patience: float | None = None
    ) -> None:
        """Get a connection to the app, waking it if need be, and send the request.

        `upstream`: the lease already held, if any; `patience`: seconds after which the waiting page
        is shown instead.  The only task that a request can have.
        """
        try:
            if pause:
                await asyncio.sleep(pause)
            async with asyncio.timeout(patience):
                backend = await self._connected(upstream)
        except TimeoutError:
            self._task = None
            self._repay()
            head = self._head()
            self._show_page(head, self._decide(head))
            return
        except Refused as refused:
            self._task = None
            self._refused(refused.refusal)
            return
        except TurnedAway as turned_away:
            self._task = None
            self._answer(turned_away.reply)
            return
        except Lost:
            self._task = None
            self._repay()
            self._refuse("bad-gateway", "The app ended while it worked on the request.")
            return
        except Exception:
            # Whatever a provider's gate may raise, the client gets an answer and the lease is repaid.
            self._task = None
            log.exception("a request for %s could not be carried", self._door.app)
            self._refuse("internal-error", "Torpor failed to carry this request.")
            return
        self._task = None
        self._send(backend)

    async def _connected(self, upstream: Upstream | None) -> BackendConnection:
        """Raises `Refused`, at the latest when `wake_timeout` has passed, `Lost`, or `TurnedAway`."""
        reaching = self._attempts()
        if upstream is not None and not upstream.open:
            self._repay()
            upstream = None
        while True:
            if upstream is None:
                self._carefully()
                head = self._head()
                decision = self._decide(head)
                if (own := own_answer(self._door.gate, head, decision)) is not None:
                    raise TurnedAway(own)
                upstream = await reaching.lease(head.knock(decision.rule))
                self._hold(upstream)
            if (backend := await reaching.connect(upstream)) is not None:
                return backend
            self._repay()
            upstream = reaching.another()
            if upstream is None:
                await asyncio.sleep(RETRY_PAUSE)
            else:
                self._hold(upstream)

    def _attempts(self) -> Reach:
        if self._reaching is None:
            self._reaching = Reach(self._door.gate, self._door.pool)
        return self._reaching

    def _head(self) -> RequestHead:
        request, client = self.request, self.client
        return request.view(client.forwarding.client(request.forwarded), client.scheme)

    # --- the way back ----------------------------------------------------------------------

    def finish_plain(self, backend: BackendConnection) -> None:
        """A plain request's plain response was passed on whole: the hot path of `finish`."""
        upstream = self._upstream
        assert upstream is not None
        self._upstream = None
        self.backend = None
        self._leave(upstream)
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
            self._door.pool.put(backend)
        client.served += 1
        client.phase = AWAITING

    def finish(self, *, reusable: bool) -> None:
        """The response was passed on whole."""
        backend = self.backend
        assert backend is not None
        self.backend = None
        upstream = self._upstream
        if upstream is not None:
            self._upstream = None
            self._leave(upstream)
        if self.body is None:
            backend.release(reusable=reusable)
            self.client.exchange_done(close=self.close_after)
        else:
            # Answered before the request was read: what is still coming has no taker.
            backend.release(reusable=False)
            self.client.exchange_done(close=True)

    def reset(self) -> None:
        """Make ready for the next request."""
        if self.responding or self._reaching or self.close_after or self.body:
            self.responding = False
            self.close_after = False
            self._reaching = None
            self.body = None
        self.reusable = True
        self.plain = None
        self._decision = None
        self._match = None
        self._request = None

    def retry_unready(self) -> bool:
        """A 502 or 503 came: whether the app is only not up yet, and is asked again shortly."""
        upstream = self._upstream
        if upstream is None or not self._attempts().unready(self.request, upstream, status=True):
            return False
        self._retry(RETRY_PAUSE)
        return True

    def _retry(self, pause: float) -> None:
        self._carefully()
        self._drop_backend()
        self._task = self._gateway.loop.create_task(self._reach(self._upstream, pause=pause))

    def backend_lost(self, *, clean: bool) -> None:
        """The app closed the connection before the response's end, as far as framing knows."""
        backend = self.backend
        assert backend is not None
        if self.responding:
            if clean and self.close_after and self._ends_with_connection(backend):
                self.finish(reusable=False)
            else:
                self.truncated()
            return
        pause = self._attempts().pause_before_retry(self.request, backend)
        if pause is not None:
            self._retry(pause)
            return
        self.failed("The app closed the connection without an answer.")

    @staticmethod
    def _ends_with_connection(backend: BackendConnection) -> bool:
        return isinstance(backend.framer, Endless)

    def failed(self, text: str) -> None:
        """There is no usable answer: say so, or cut the answer short if it has begun."""
        if self.responding:
            self.truncated()
            return
        self._drop_backend()
        self._repay()
        self._refuse("bad-gateway", text)

    def truncated(self) -> None:
        """The answer broke off in the middle."""
        self._drop_backend()
        self._repay()
        self.client.cut(reset=self.close_after)

    def upgraded(self, response: Response, head: bytes, rest: bytes) -> None:
        """The app agreed to switch protocols: from now on bytes go both ways unread."""
        backend, upstream = self.backend, self._upstream
        assert backend is not None
        assert upstream is not None
        protocol = response.upgrade or self.request.upgrade or b""
        self.client.transport.write(head + b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol)
        gate = self._door.gate
        policy = gate.spec.websocket
        if not self.counts:
            policy = replace(policy, activity=SocketActivity.IGNORE)
        if policy.activity is not SocketActivity.OPEN:
            gate.park(upstream)
            self._leave(upstream)
        self.backend = None
        self._upstream = None  # the tunnel repays it from here on
        backend.exchange = None
        is_websocket = self.request.upgrade == b"websocket"
        tunnel = Tunnel(self.client, backend, gate, policy, is_websocket=is_websocket)
        self._gateway.tunnels.add(tunnel)
        self.client.tunnel_opened(tunnel)
        if rest:
            tunnel.from_app(rest)

    # --- endings ---------------------------------------------------------------------------

    def abandon(self) -> None:
        """The client left."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._drop_backend()
        self._repay()

    def abandon_body(self) -> None:
        """The client stopped in the middle of the request's body."""
        self._drop_backend()
        self._repay()
        if self.responding:
            self.client.cut(reset=self.close_after)
        else:
            self._refuse("request-timeout", "The request's body took too long.", close=True)

    def _drop_backend(self) -> None:
        backend = self.backend
        if backend is not None:
            self.backend = None
            backend.release(reusable=False)

    def _repay(self) -> None:
        upstream = self._upstream
        if upstream is not None:
            self._upstream = None
            self._leave(upstream)

    def _broken_body(self, text: str) -> None:
        """What follows a broken chunk is anybody's guess: nothing of it reaches the app."""
        self._drop_backend()
        self._repay()
        if self.responding:
            self.client.cut(reset=self.close_after)
        else:
            self._refuse("bad-request", text, close=True)

    def _refused(self, refusal: Refusal) -> None:
        """Pass on the core's verdict."""
        self._answer(self._gateway.waiting.refused(self._door.gate, self._head(), refusal))

    def _refuse(self, cause: str, text: str, *, close: bool = False) -> None:
        verdict = replies.verdict(cause)
        if log.isEnabledFor(verdict.level):
            log.log(verdict.level, "%s: %s", cause, text)
        head = self._head()
        self._answer(replies.problem(head, cause, text), close=close)

    def _answer(self, reply: replies.Reply, *, close: bool = False) -> None:
        self._repay()
        self.client.reply(reply, self.request, close=close or self.request.length != 0)
