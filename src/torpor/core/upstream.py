"""One live generation of an instance, as the hot path sees it.

This record is the seam between gateway and core.  A request to an awake app
touches nothing else: `App.enter` picks one and counts, `App.leave` repays.
It is owned by the core and changed on the engine's loop only, with no await
between decision and count (law 4).
"""

from __future__ import annotations

from torpor.core.model import Endpoint, InstanceId
from torpor.core.volume import Volume


class Upstream:
    """Where to send requests, and how many are there.  Compared by identity."""

    __slots__ = (
        "discounted",
        "endpoint",
        "frozen",
        "generation",
        "id",
        "inflight",
        "last_active",
        "open",
        "parked",
        "ready_at",
        "volume",
    )

    def __init__(self, id: InstanceId, generation: int, endpoint: Endpoint, ready_at: float) -> None:
        self.id = id
        self.generation = generation
        self.endpoint = endpoint
        self.open = True
        """Whether new requests may be sent here."""
        self.frozen = False
        """Whether what comes on its parked connections is to wake it."""
        self.inflight = 0
        """Leases: requests that it is working on."""
        self.discounted = 0
        """Those among them that do not keep the instance awake."""
        self.parked = 0
        """Upgraded connections that are open but do not keep it awake."""
        self.last_active = ready_at
        self.ready_at = ready_at
        self.volume: Volume | None = None
        """What weighs the bytes that pass; None: every request is activity, whatever it weighs."""

    def __repr__(self) -> str:
        gate = "open" if self.open else "closed"
        return (
            f"<Upstream {self.id} gen={self.generation} {gate} inflight={self.inflight} parked={self.parked}>"
        )
