"""Open connections to instances that wait for their next request.

Laws:
1. A connection is here only while nothing is owed on it, either way.
2. The last one put back is the first one taken: the others grow old and are closed.
3. Forgetting an upstream closes all of its connections at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from torpor.core.model import Endpoint
from torpor.core.upstream import Upstream
from torpor.gateway.backend import BackendConnection
from torpor.gateway.dials import Dials
from torpor.runtime.dial import connect, way_to

IDLE_PER_UPSTREAM = 512
"""Idle connections kept per upstream; one more is closed."""


class Pool:
    """The idle connections of all upstreams to one port of theirs."""

    def __init__(self, head_limit: int, dials: Dials, port: int | None = None) -> None:
        """`port`: which one; None: the main one of each."""
        self.idle: dict[Upstream, list[BackendConnection]] = {}
        """By upstream, the last used at the end.  The hot path of `forward` takes and puts here itself."""
        self.head_limit = head_limit
        self.port = port
        self._dials = dials

    def __len__(self) -> int:
        return sum(map(len, self.idle.values()))

    def take(self, upstream: Upstream) -> BackendConnection | None:
        """An idle connection, or None if a new one must be dialled."""
        idle = self.idle.get(upstream)
        while idle:
            backend = idle.pop()
            # Its end may have been seen already while connection_lost is still to come.
            if not backend.transport.is_closing():
                return backend
        return None

    def endpoint(self, upstream: Upstream) -> Endpoint:
        """Where connections to it lead.  Raises `NoWay`."""
        return way_to(upstream.endpoint, self.port)

    async def dial(self, upstream: Upstream) -> BackendConnection:
        """Open a new connection.  Raises OSError (TimeoutError and `NoWay` included)."""
        loop = asyncio.get_running_loop()
        endpoint = self.endpoint(upstream)

        def connection() -> BackendConnection:
            return BackendConnection(self, upstream, self.head_limit)

        async with self._dials.to(upstream):
            if endpoint.path is None:
                return (await loop.create_connection(connection, endpoint.host, endpoint.port))[1]
            sock = await connect(endpoint)
            return (await loop.create_unix_connection(connection, sock=sock))[1]

    def put(self, backend: BackendConnection) -> None:
        """Keep a connection for the next request, unless its upstream takes no more."""
        upstream = backend.upstream
        idle = self.idle.get(upstream)
        if idle is None:
            idle = self.idle[upstream] = []
        if upstream.open and len(idle) < IDLE_PER_UPSTREAM:
            idle.append(backend)
        else:
            backend.transport.close()

    def lost(self, backend: BackendConnection) -> None:
        """The instance closed an idle connection."""
        idle = self.idle.get(backend.upstream)
        if idle is not None and backend in idle:
            idle.remove(backend)

    def drop(self, upstream: Upstream) -> None:
        """Close all idle connections to an upstream."""
        for backend in self.idle.pop(upstream, ()):
            backend.transport.close()

    def close(self) -> None:
        """Close everything."""
        for upstream in list(self.idle):
            self.drop(upstream)

    def sweep(self) -> None:
        """Close what was not used since the last sweep.

        Counting uses instead of reading a clock keeps the hot path free of time.
        """
        for upstream, idle in list(self.idle.items()):
            kept = []
            for backend in idle:
                if backend.served == backend.served_at_sweep:
                    backend.transport.close()
                else:
                    backend.served_at_sweep = backend.served
                    kept.append(backend)
            if kept:
                idle[:] = kept
            else:
                del self.idle[upstream]


class Pools:
    """A pool for each port that routes lead to: what hosts share an app's port share its connections."""

    def __init__(self, head_limit: int) -> None:
        self._dials = Dials()
        self.main = Pool(head_limit, self._dials)
        """For the main port of each app."""
        self._by_port: dict[int | None, Pool] = {None: self.main}

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._by_port.values())

    def __len__(self) -> int:
        """Idle connections."""
        return sum(map(len, self))

    def to(self, port: int | None) -> Pool:
        """That for one port.  It stays when no route leads there any more: a request may be on its way back to it."""
        found = self._by_port.get(port)
        if found is None:
            found = self._by_port[port] = Pool(self.main.head_limit, self._dials, port)
        return found

    def limit_heads(self, size: int) -> None:
        """The head of a response may be that long (bytes), on connections that are opened from now on."""
        for pool in self:
            pool.head_limit = size

    def drop(self, upstream: Upstream) -> None:
        """It has ended: close all idle connections to it, whichever port they lead to, and open no more."""
        self._dials.drop(upstream)
        for pool in self:
            pool.drop(upstream)

    def sweep(self) -> None:
        """See `Pool.sweep`."""
        for pool in self:
            pool.sweep()

    def close(self) -> None:
        """Close everything."""
        for pool in self:
            pool.close()
