"""How long a client may take: over a head, over a body, between its requests, and to read what it is sent.

Law: no request sets a timer or reads a clock.  The gateway's sweep looks at each connection now and
then; what has not changed since an earlier look has taken that long.
"""

from __future__ import annotations

import math
import select
from typing import TYPE_CHECKING

from torpor.gateway.phase import AWAITING, BACKEND_FULL, BUFFER_FULL, BUSY, LINGERING

if TYPE_CHECKING:
    from torpor.config.settings import Limits
    from torpor.gateway.http import ClientConnection

LOOK_AFTER_UNREAD = 2.0
"""Seconds between two looks whether a client that is not read has left.  A look is a system call
(about 2 µs); ten thousand stuck uploads cost the loop one percent that way, not ten."""
LINGER = 2.0
"""Seconds that a refused client is still read (and ignored), so that a reset does not
destroy the reply before it was read."""


class Patience:
    """With one client."""

    __slots__ = ("_client", "_looked_at", "_mark", "_marked_at")

    def __init__(self, client: ClientConnection) -> None:
        self._client = client
        self._mark: tuple[str, int] | None = None
        """What the last look saw; unchanged at the next one means that nothing happened."""
        self._marked_at = 0.0
        self._looked_at = -math.inf
        """When the last look was for a client that left unread."""

    def sweep(self, now: float, limits: Limits) -> None:
        """Called now and then: end the connection if nothing happened for too long."""
        client = self._client
        unread = client.phase == BUSY and client.obstacles & (BACKEND_FULL | BUFFER_FULL)
        if unread and now - self._looked_at >= LOOK_AFTER_UNREAD:
            self._looked_at = now
            if self._has_left():
                client.abort()
                return
        mark, limit = self._watched(limits)
        if mark != self._mark:
            self._mark = mark
            self._marked_at = now
        elif mark is not None and now - self._marked_at >= limit:
            self._timed_out(mark[0])

    def _watched(self, limits: Limits) -> tuple[tuple[str, int] | None, float]:
        """What must change before the limit (in seconds) is over, if anything must."""
        client = self._client
        if client.phase == AWAITING:
            if client.buffer or not client.served:
                # Counted from the first byte on, not from the last one.
                return (("head" if client.buffer else "start"), client.served), limits.header_timeout
            return ("idle", client.served), limits.idle_timeout
        body = client.exchange.body
        if client.phase == BUSY and body is not None and not client.obstacles & (BACKEND_FULL | BUFFER_FULL):
            return ("body", body.progress), limits.body_timeout
        if client.phase == LINGERING:
            # What is still to be delivered may take its time while it moves.
            waiting = client.transport.get_write_buffer_size()
            return ("linger", waiting), limits.body_timeout if waiting else LINGER
        return None, 0.0

    def _has_left(self) -> bool:
        """Whether the client closed while it is not read: the loop reports no end then."""
        poll = select.poll()
        poll.register(self._client.transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))

    def _timed_out(self, kind: str) -> None:
        if kind == "head":
            self._client.refuse("request-timeout", "The request's head took too long.")
        elif kind == "body":
            self._client.exchange.abandon_body()
        else:
            self._client.transport.abort()
