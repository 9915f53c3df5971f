"""A request that is held: no connection to its app was at hand, or the one that was is lost.

Laws:
1. The client's leaving ends its waiting at once, never the wake it caused.
2. Whatever ends the waiting, the client gets an answer, unless it has left.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from torpor.core.admission import Decision
from torpor.core.upstream import Upstream
from torpor.gateway.backend import BackendConnection
from torpor.gateway.classify import is_navigation
from torpor.gateway.reach import RETRY_PAUSE, Lost, Reach
from torpor.gateway.request import RequestHead
from torpor.gateway.turned_away import TurnedAway, own_answer
from torpor.runtime.seam import Refused

if TYPE_CHECKING:
    from torpor.gateway.forward import Relay
    from torpor.gateway.gateway import Gateway

log = logging.getLogger(__name__)

PAGE_AFTER = 1.0
"""Seconds that a page load is held for an app that only has to be let go on: that takes a few milliseconds,
or a tenth of a second after hibernation, and a page that flashes up is worse than a short wait."""


class Held:
    """One request on its way to an app, where that is not simply a matter of sending it."""

    __slots__ = ("_door", "_gateway", "_lease", "_relay", "_task", "attempts")

    def __init__(self, gateway: Gateway, relay: Relay) -> None:
        self._gateway = gateway
        self._relay = relay
        self._lease = relay.lease
        self._door = relay.lease.door
        self.attempts = Reach(self._door.gate, self._door.pool)
        """Those so far."""
        self._task: asyncio.Task[None] | None = None

    def at_closed_gate(self) -> None:
        """No instance takes the request: turn it away, show a page, or let it wait."""
        gate = self._door.gate
        head = self._relay.head()
        decision = self._lease.decide(head)
        if (own := own_answer(gate, head, decision)) is not None:
            self._relay.answer(own)
            return
        shown = gate.spec.loading_page.enabled and is_navigation(head)
        if shown and not gate.dozes():
            self._show_page(head, decision)
            return
        self.begin(patience=PAGE_AFTER if shown else None)

    def begin(self, *, pause: float = 0.0, patience: float | None = None) -> None:
        """Get a connection to the app, waking it if need be, and have the request sent.

        The lease already held, if any, is used first.  `pause`: seconds until the first attempt;
        `patience`: seconds after which the waiting page is shown instead.
        """
        self._task = self._gateway.loop.create_task(self._reach(pause, patience))

    def abandon(self) -> None:
        """The client left."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _reach(self, pause: float, patience: float | None) -> None:
        relay = self._relay
        try:
            backend = await self._connection(pause, patience)
        except TimeoutError:
            self._lease.repay()
            head = relay.head()
            self._show_page(head, self._lease.decide(head))
        except Refused as refused:
            relay.answer(self._gateway.waiting.refused(self._door.gate, relay.head(), refused.refusal))
        except TurnedAway as turned_away:
            relay.answer(turned_away.reply)
        except Lost:
            self._lease.repay()
            relay.refuse("bad-gateway", "The app ended while it worked on the request.")
        except Exception:
            # Whatever a provider's gate may raise, the client gets an answer and the lease is repaid.
            log.exception("a request for %s could not be carried", self._door.app)
            relay.refuse("internal-error", "Torpor failed to carry this request.")
        else:
            relay.send(backend)

    async def _connection(self, pause: float, patience: float | None) -> BackendConnection:
        """Raises `Refused`, at the latest when `wake_timeout` has passed, `Lost`, `TurnedAway`, or `TimeoutError`."""
        try:
            if pause:
                await asyncio.sleep(pause)
            async with asyncio.timeout(patience):
                return await self._connected()
        finally:
            self._task = None  # what follows happens in one step: there is nothing to cancel

    async def _connected(self) -> BackendConnection:
        lease, attempts = self._lease, self.attempts
        upstream = lease.upstream
        if upstream is not None and not upstream.open:
            lease.repay()
            upstream = None
        while True:
            if upstream is None:
                upstream = await self._leased()
            if (backend := await attempts.connect(upstream)) is not None:
                return backend
            lease.repay()
            self._relay.look_closely()  # nothing of what this request meets is to be there for the next one
            upstream = attempts.another()
            if upstream is None:
                await asyncio.sleep(RETRY_PAUSE)
            else:
                lease.take(upstream, self._relay.head)

    async def _leased(self) -> Upstream:
        """Wait for the app."""
        self._relay.look_closely()
        head = self._relay.head()
        decision = self._lease.decide(head)
        if (own := own_answer(self._door.gate, head, decision)) is not None:
            raise TurnedAway(own)
        upstream = await self.attempts.lease(head.knock(decision.rule))
        self._lease.take(upstream, self._relay.head)
        return upstream

    def _show_page(self, head: RequestHead, decision: Decision) -> None:
        """Wake the app behind the waiting page."""
        gate = self._door.gate
        self._relay.answer(self._gateway.waiting.page(gate, head, gate.knock(head.knock(decision.rule))))
