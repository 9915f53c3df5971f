"""A request's claim on its app.

Law: a lease taken is repaid exactly once, whatever happens in between, or handed over to a tunnel, which repays it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from torpor.core.admission import Decision
from torpor.core.model import SocketActivity, SocketPolicy
from torpor.core.upstream import Upstream
from torpor.gateway.classify import is_navigation
from torpor.gateway.request import RequestHead

if TYPE_CHECKING:
    from torpor.gateway.gateway import Door


class Lease:
    """What a request has of its app, and what it means for it.

    One object per connection, used again for each request.  The hot path of `forward` takes and
    repays here itself: a call costs 0.1 µs.
    """

    __slots__ = ("counts", "decision", "door", "leave", "upstream")

    def __init__(self) -> None:
        self.door: Door
        """Where the request leads."""
        self.upstream: Upstream | None = None
        """The instance that is leased; None: nothing is to be repaid."""
        self.leave: Callable[[Upstream], None]
        """How it is repaid."""
        self.counts = True
        """Whether the request that has it is activity."""
        self.decision: Decision | None = None
        """What the request means for its app, once somebody had to ask."""

    def lead_to(self, door: Door) -> None:
        """The next one is for what is behind this door."""
        self.door = door
        self.leave = door.gate.leave
        self.counts = True

    def take(self, upstream: Upstream, head: Callable[[], RequestHead]) -> None:
        """Take note of one.  `head` tells the request, where it depends on that whether it counts."""
        self.upstream = upstream
        if self.door.admission.discounts:
            self.rate(upstream, counts=self.decide(head()).counts)

    def rate(self, upstream: Upstream, *, counts: bool) -> None:
        """How it is repaid depends on whether its request is activity."""
        gate = self.door.gate
        self.counts = counts
        if counts:
            self.leave = gate.leave
        else:
            gate.discount(upstream)
            self.leave = gate.leave_discounted

    def decide(self, head: RequestHead) -> Decision:
        """What the request means for its app."""
        decision = self.decision
        if decision is None:
            decision = self.door.admission.decide(head, navigation=is_navigation(head))
            self.decision = decision
        return decision

    def weigh(self, size: int) -> None:
        """So many bytes of a body have passed, where the app has them weighed."""
        upstream = self.upstream
        if upstream is not None and upstream.volume is not None and self.counts:
            upstream.volume.passed += size

    def repay(self) -> None:
        """Repay it, if there is one."""
        upstream = self.upstream
        if upstream is not None:
            self.upstream = None
            self.leave(upstream)

    def hand_over(self) -> SocketPolicy:
        """The connection is upgraded; by the policy returned, its tunnel repays the lease, or ends the parking."""
        upstream, gate = self.upstream, self.door.gate
        assert upstream is not None
        policy = gate.spec.websocket
        if not self.counts:
            policy = replace(policy, activity=SocketActivity.IGNORE)
        if policy.activity is not SocketActivity.OPEN:
            # In this order: between the two it is neither unused nor gone.
            gate.park(upstream)
            self.leave(upstream)
        self.upstream = None
        return policy
