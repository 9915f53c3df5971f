"""The requests that wait for one app.

Laws of this file:

- Every ticket gets exactly one verdict: granted, refused, or given up by its client.
- Requests are granted in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable

from torpor.core.messages import Effect, GrantTicket, RefuseTicket
from torpor.core.model import Refusal
from torpor.core.upstream import Upstream


class WaitingRoom:
    """Tickets in the order of their arrival, each with its deadline."""

    __slots__ = ("_tickets",)

    def __init__(self) -> None:
        self._tickets: dict[int, float] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._tickets)

    def admit(self, ticket: int, deadline: float) -> None:
        """Somebody waits, until `deadline` at most."""
        self._tickets[ticket] = deadline

    def left(self, ticket: int) -> None:
        """Its client gave it up."""
        self._tickets.pop(ticket, None)

    @property
    def deadline(self) -> float | None:
        """When the first one has waited too long: all wait equally long, so the oldest is due first."""
        return next(iter(self._tickets.values()), None)

    def shift(self, seconds: float) -> None:
        """All may wait so much longer, or less long: the app's `wake_timeout` has changed."""
        for ticket in self._tickets:
            self._tickets[ticket] += seconds

    def late(self, now: float) -> list[int]:
        """Take out those that have waited too long."""
        late = [ticket for ticket, deadline in self._tickets.items() if deadline <= now]
        for ticket in late:
            del self._tickets[ticket]
        return late

    def grant(self, enter: Callable[[], Upstream | None]) -> list[Effect]:
        """Good news for all, each with its lease: `enter` gives them, and has one for everybody."""
        effects: list[Effect] = []
        for ticket in self._tickets:
            upstream = enter()
            assert upstream is not None
            effects.append(GrantTicket(ticket, upstream))
        self._tickets.clear()
        return effects

    def refuse(self, refusal: Refusal) -> list[Effect]:
        """Bad news for all."""
        effects: list[Effect] = [RefuseTicket(ticket, refusal) for ticket in self._tickets]
        self._tickets.clear()
        return effects
