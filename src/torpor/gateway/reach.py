"""Getting a request to an instance of its app, and whether it may be tried once more.

A request goes out again only if it is safe (RFC 9110, 9.2.1), has no body, nothing of an answer
was passed on, and one of these is true:

- *Unread*: the kernel reset the connection because the app ended, or closed it, with the request
  still unread.  Any instance may have it then: what nobody read cannot have done anything.
- *Stale*: the app closed an idle connection in the moment in which we used it.
- *Unready*: the instance only just became ready, and many servers listen before they can answer.
  It goes to the very same generation: what was lost while it worked on a request may have been
  lost because of it, and the request must not end the next one too.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from typing import TYPE_CHECKING

from torpor.core.model import Cause, HttpProbe, InstanceId, Knock, Reason, Refusal
from torpor.core.upstream import Upstream
from torpor.gateway.backend import BackendConnection
from torpor.gateway.heads import Request
from torpor.runtime.dial import NoWay
from torpor.runtime.seam import Gate, Refused

if TYPE_CHECKING:
    from torpor.gateway.pool import Pool

log = logging.getLogger(__name__)

GRACE = 3.0
"""Seconds after readiness in which a safe request is not given up because of a connection that
closes without an answer, or a 502 or 503: many servers listen before they can answer.  Where an
`http` probe found the app ready, its main port can answer: a 502 or 503 is its own word then."""
STALE = 0.05
"""Seconds after sending within which the end of a connection that was used before counts as the
app's having closed it while it was idle.  Such an end is already on its way when we send, within
one machine; the rest is for a loop that is busy.  Whatever ends later ended because of the
request or during it: it is not sent again, because it may have been what killed the app.
Only safe requests are repeated at all: that nothing of a PUT or DELETE was done cannot be known."""
RETRY_PAUSE = 0.05
"""Seconds between two attempts.  A process that is dying may still accept: it must be gone by then."""
MOST_UNREAD = 3
"""Times that a request is sent again because it was not read; whoever resets each connection is broken."""

_OUR_SHORTAGES = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN}
)
_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Lost(Exception):
    """The generation that the request was sent to is over."""


class Approach:
    """The attempts of one client to get a connection to its app."""

    __slots__ = ("_deadline", "_gate", "_port", "_refused")

    def __init__(self, gate: Gate, port: int | None) -> None:
        """`port`: where its route leads; None: to the app's main port."""
        self._gate = gate
        self._port = port
        self._deadline: float | None = None
        """When the client's time of waiting is up, once it has begun."""
        self._refused = False

    async def lease(self, by: Knock) -> Upstream:
        """Wait for the app and claim a lease.  Raises `Refused`, at the latest when `wake_timeout` has passed."""
        loop = asyncio.get_running_loop()
        gate = self._gate
        limit = self._deadline
        if limit is None:
            # The gate itself limits the first wait, and gives the better reason.
            self._deadline = loop.time() + gate.spec.lifecycle.wake_timeout
            return await gate.wait(by)
        # Asked each time: where the app is open already, the wait below never waits.
        if loop.time() < limit:
            try:
                async with asyncio.timeout_at(limit):
                    return await gate.wait(by)
            except TimeoutError:
                pass
        text = f"{gate.spec.name} refused connections until the request's time was up."
        raise Refused(Refusal(Reason(Cause.WAKE_TIMEOUT, text), 5.0))

    def turned_away(self, upstream: Upstream, problem: OSError) -> None:
        """The instance let nobody in.  Raises `problem` again where that is for a shortage of ours, and `Refused`.

        Only a refusal at the main port shuts the app's door: its probes look there, and would prove nothing of
        another port.  Whoever is refused at one comes again, and the others do not notice.
        """
        if problem.errno in _OUR_SHORTAGES:
            raise problem  # the app is not to blame: its door stays open
        if not self._refused or self._port is None:
            log.info("%s refused a connection: %s", upstream.id, problem)
        if isinstance(problem, NoWay):
            raise Refused(no_way(upstream.id.app, problem)) from problem
        if self._port is None:
            self._gate.connect_refused(upstream)

    def another(self) -> Upstream | None:
        """After a refusal: a lease on another replica, if one is ready.

        Only after the first one: whoever is refused again pauses, and waits within its limit.
        """
        again, self._refused = self._refused, True
        return None if again or self._port is not None else self._gate.enter()


def no_way(app: str, problem: NoWay) -> Refusal:
    """The verdict on whoever wants to go where no way leads."""
    return Refusal(Reason(Cause.FAILED, f"{app} cannot be reached: {problem}"), None)


class Reach(Approach):
    """The attempts of one request to reach its app, once the first one was not simply a success."""

    __slots__ = ("_disappointed", "_pool", "_retries")

    def __init__(self, gate: Gate, pool: Pool) -> None:
        super().__init__(gate, pool.port)
        self._pool = pool
        self._disappointed: tuple[InstanceId, int] | None = None
        """The generation that did not answer although the request was sent there."""
        self._retries = 0

    async def connect(self, upstream: Upstream) -> BackendConnection | None:
        """A connection to this instance; None if it refuses.  Raises `Lost`, and `OSError` for a shortage of ours."""
        if self._disappointed is not None and self._disappointed != (upstream.id, upstream.generation):
            raise Lost
        if not self._retries and (backend := self._pool.take(upstream)) is not None:
            return backend
        try:
            return await self._pool.dial(upstream)
        except OSError as problem:
            self.turned_away(upstream, problem)
            return None

    def pause_before_retry(self, request: Request, backend: BackendConnection) -> float | None:
        """The connection ended without an answer: seconds to wait before the next attempt; None for no other."""
        if request.method not in _SAFE or request.length or backend.heard:
            return None
        if self._retries < MOST_UNREAD and backend.unread():
            self._retries += 1
            return RETRY_PAUSE
        if backend.served > 0 and not self._retries and backend.since_sent() < STALE:
            self._retries += 1
            return 0.0
        return RETRY_PAUSE if self.unready(request, backend.upstream) else None

    def unready(self, request: Request, upstream: Upstream, *, status: bool = False) -> bool:
        """Whether the request met an app that is not up yet, and is to be sent there again.

        `status`: what it met is a 502 or 503, not the end of a connection.
        """
        if request.method not in _SAFE or request.length:
            return False
        if time.monotonic() >= upstream.ready_at + GRACE:
            return False
        probes = self._gate.spec.readiness.probes if self._port is None else ()
        if status and any(isinstance(probe, HttpProbe) for probe in probes):
            return False
        self._disappointed = upstream.id, upstream.generation
        self._retries += 1  # a new connection each time: the app just showed that it is not settled
        return True
