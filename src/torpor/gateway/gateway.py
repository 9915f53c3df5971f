"""The gateway as a whole: listeners, routes, connections, and the one timer.

Laws:
1. One timer, the sweep, finds everything that takes too long; it rests while nothing is open.
2. Closing lets requests in flight end, up to a limit, and accepts nothing new.
3. One connection above the limit is answered with 503 and closed: a client that hears no
   learns more than one that hangs in the backlog.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

from torpor.config.settings import GatewaySpec, Limits, Listen
from torpor.core.admission import Admission
from torpor.core.routing import RoutingTable
from torpor.core.upstream import Upstream
from torpor.gateway import listener
from torpor.gateway.doorman import Doorman
from torpor.gateway.forward import Relay
from torpor.gateway.headers import parse_networks
from torpor.gateway.http import ClientConnection
from torpor.gateway.listeners import NONE_SPARE, Listeners, Prepared, Spare
from torpor.gateway.patience import LINGER
from torpor.gateway.pool import Pool, Pools
from torpor.gateway.question import Question
from torpor.gateway.streams import Streams
from torpor.gateway.waiting.room import WaitingRoom
from torpor.gateway.websocket import Tunnel
from torpor.runtime.seam import Gate, Seam

POOL_SWEEP = 30.0
"""Seconds: an idle connection to an app is closed after one to two of these."""
_REFUSALS_AT_ONCE = 256
"""Connections above the limit that are answered at the same time; more are just closed."""


class Door:
    """What a route leads to."""

    __slots__ = ("admission", "app", "gate", "pool")

    def __init__(self, app: str, gate: Gate, admission: Admission, pool: Pool) -> None:
        """`pool`: the connections to the port of the app that it leads to."""
        self.app = app
        self.gate = gate
        self.admission = admission
        self.pool = pool


class Gateway:
    """Carries requests from its listeners to the apps behind the seam.

    Implements `runtime.seam.UpstreamListener`.  Lives on one event loop.
    """

    def __init__(self, spec: GatewaySpec, seam: Seam) -> None:
        self.spec = spec
        self.waiting = WaitingRoom(seam)
        self.doorman = Doorman(seam, self.waiting, self._routed)
        self.trusted = parse_networks(spec.trusted_proxies)
        self.pools = Pools(spec.limits.headers_size)
        self.table: RoutingTable[Door] = RoutingTable([])
        self.tunnels: set[Tunnel] = set()
        self.streams = Streams(seam, self._check_emptied)
        self.streams.trusted = self.trusted
        self.closing = False
        self.harmless_size = _harmless_size(spec.limits)
        """A head of that many bytes breaks no limit; a field takes four bytes at least."""
        self.loop: asyncio.AbstractEventLoop
        self._seam = seam
        self._connections: set[ClientConnection] = set()
        self._listeners = Listeners(self._serve)
        self._interval = _sweep_interval(spec.limits)
        self._timer: asyncio.TimerHandle | None = None
        self._pool_swept = 0.0
        self._emptied: asyncio.Event

    # --- for the daemon --------------------------------------------------------------------

    async def open(self, inherited: Sequence[socket.socket] = ()) -> None:
        """Listen on every configured address, and on `inherited` listening sockets.

        An inherited socket that has a configured address serves for it, TLS included; any
        other one is served besides, without TLS.  Raises `ListenFailed`; nothing listens then.
        """
        self.loop = asyncio.get_running_loop()
        self._emptied = asyncio.Event()
        self.reroute()
        self._seam.listen(self)
        others = await self.streams.open(self.spec.limits, inherited)
        try:
            await self._listeners.open(self.spec.listen, others, self.spec.limits.header_timeout)
        except BaseException:
            self.streams.close()
            raise

    def given_up(self, spec: GatewaySpec) -> Spare:
        """Where no requests are taken any more once other settings hold."""
        return self._listeners.given_up(spec.listen)

    def prepare(self, spec: GatewaySpec, spare: Spare = NONE_SPARE) -> Prepared:
        """Open what other settings need.  Raises `ListenFailed`; nothing has changed then.

        `spare`: where no streams are taken any more.
        """
        return self._listeners.prepare(spec.listen, spare)

    def abandon(self, prepared: Prepared) -> None:
        """Those settings will not hold after all."""
        self._listeners.abandon(prepared)

    async def change(self, spec: GatewaySpec, prepared: Prepared) -> None:
        """Let other settings hold, and other routes.  Limits hold for connections that are accepted from now on."""
        self.spec = spec
        self.trusted = parse_networks(spec.trusted_proxies)
        self.harmless_size = _harmless_size(spec.limits)
        self.pools.limit_heads(spec.limits.headers_size)
        self._interval = _sweep_interval(spec.limits)
        self.streams.limits = spec.limits
        self.streams.trusted = self.trusted
        self.reroute()
        await self._listeners.commit(prepared, spec.limits.header_timeout)

    async def close(self, drain: float) -> None:
        """Stop accepting, let requests in flight end for up to `drain` seconds, cut the rest."""
        self.closing = True
        self._listeners.close()
        self.streams.close()
        for connection in list(self._connections):
            connection.close_if_idle()
        for tunnel in list(self.tunnels):
            tunnel.say_goodbye()
        self.waiting.close()
        self._check_emptied()
        try:
            async with asyncio.timeout(drain):
                await self._emptied.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()
        self.streams.abort()
        self.pools.close()
        if self._timer is not None:
            self._timer.cancel()

    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens: host and port of each listener, in the order of the configuration."""
        return self._listeners.addresses()

    def reroute(self) -> None:
        """Read the apps' routes again.  Requests in flight are not disturbed."""
        routes = []
        for app in self._seam.specs():
            gate = self._seam.gate(app.name)
            for route in app.routes:
                door = Door(app.name, gate, Admission(app, route), self.pools.to(route.app_port))
                routes.append((route, door))
        self.table = RoutingTable(routes)
        self.streams.reroute()
        for connection in self._connections:
            connection.forget_routes()

    # --- UpstreamListener ------------------------------------------------------------------

    def close_upgraded(self, upstream: Upstream) -> None:
        """Say good-bye (1001) on the upgraded connections of `upstream`."""
        for tunnel in [tunnel for tunnel in self.tunnels if tunnel.upstream is upstream]:
            tunnel.say_goodbye()
        self.streams.say_goodbye(upstream)

    def drop_upstream(self, upstream: Upstream) -> None:
        """Close pooled connections to `upstream`."""
        self.pools.drop(upstream)
        self.streams.drop(upstream)

    # --- for connections -------------------------------------------------------------------

    def admit(self, connection: ClientConnection) -> bool:
        """Count a new connection; False if it is one too many (it stays counted until it is gone)."""
        self._connections.add(connection)
        self._wind()
        count = len(self._connections)
        if count > self.spec.limits.connections + _REFUSALS_AT_ONCE:
            connection.transport.abort()
        return count <= self.spec.limits.connections

    def within_limits(self, head: bytes) -> bool:
        """Whether a head of a plain request, longer than `harmless_size`, is within all limits."""
        limits = self.spec.limits
        size = min(limits.request_line, limits.headers_size)
        return len(head) <= size and head.count(b"\n") <= limits.headers_count + 2

    def forget(self, connection: ClientConnection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self._check_emptied()

    # --- inside ----------------------------------------------------------------------------

    async def _serve(
        self, sock: socket.socket, listen: Listen | None, context: ssl.SSLContext | None, patience: float
    ) -> asyncio.Server:
        scheme = "http" if context is None else "https"
        kind = Question if listen is not None and listen.gate else Relay
        return await self.loop.create_server(
            lambda: ClientConnection(self, scheme, kind),
            sock=sock,
            backlog=listener.BACKLOG,
            ssl=context,
            ssl_handshake_timeout=None if context is None else patience,
        )

    def _routed(self, host: str, path: bytes) -> Door | None:
        found = self.table.match(host, path)
        return None if found is None else found[1]

    def _check_emptied(self) -> None:
        if self.closing and not self._connections and not len(self.streams):
            self._emptied.set()

    def _wind(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self._interval, self._sweep)

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self._connections):
            connection.sweep(now)
        if now - self._pool_swept >= POOL_SWEEP:
            self._pool_swept = now
            self.pools.sweep()
        self._timer = None
        if self._connections or len(self.pools):
            self._wind()


def _harmless_size(limits: Limits) -> int:
    return min(limits.request_line, limits.headers_size, 4 * limits.headers_count)


def _sweep_interval(limits: Limits) -> float:
    """A fraction of the shortest limit: no limit is overrun by more than a quarter (or 5 s)."""
    shortest = min(limits.header_timeout, limits.idle_timeout, limits.body_timeout, LINGER)
    return min(max(shortest / 8, 0.02), 5.0)
