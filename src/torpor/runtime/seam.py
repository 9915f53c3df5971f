"""The narrow seam between the gateway (bytes) and the engine (decisions).

Whoever carries requests needs no more than this.  `enter` and `leave` are the hot
path: plain calls on the engine's loop that count on one record.  Everything else
may take the full machinery.  Gateway workers in other processes can implement the
same protocols over a pipe later: `UpstreamListener` is their "gate closed", and
the parked and in-flight counts that fall to zero are their acknowledgement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torpor.core.model import AppSnapshot, AppSpec, Caller, Event, Refusal
from torpor.core.upstream import Upstream


class Refused(Exception):
    """A held request got a verdict other than an upstream."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal.reason))
        self.refusal = refusal


class Gate(Protocol):
    """The door of one app.

    Every `Upstream` that `enter` or `wait` gave is repaid by exactly one `leave`, or by
    `leave_discounted` where it was discounted; every `park` by one `unpark`, or by one `engage`,
    which is repaid by one `leave`.
    """

    @property
    def spec(self) -> AppSpec:
        """The app behind the door."""
        ...

    def enter(self) -> Upstream | None:
        """Claim a lease on a ready instance; None while there is none.  Never blocks."""
        ...

    def leave(self, upstream: Upstream) -> None:
        """Repay a lease.  The end of a response is activity."""
        ...

    def discount(self, upstream: Upstream) -> None:
        """A lease is for a request that does not count: it holds up a stop, but keeps nothing awake."""
        ...

    def leave_discounted(self, upstream: Upstream) -> None:
        """Repay a discounted lease.  It is no activity."""
        ...

    def touch(self, upstream: Upstream) -> None:
        """Activity on a parked connection."""
        ...

    def park(self, upstream: Upstream) -> None:
        """A connection is open that does not keep the app awake.  Its request's lease is repaid besides."""
        ...

    def unpark(self, upstream: Upstream) -> None:
        """A parked connection ended."""
        ...

    def engage(self, upstream: Upstream) -> None:
        """An answer is owed on a parked connection: from now on it has a lease.  Wakes what is frozen."""
        ...

    async def wait(self, by: Caller) -> Upstream:
        """Wake the app and claim a lease once it is ready.

        Raises `Refused` with the verdict, after
        the app's `wake_timeout` at the latest.  Cancelling gives up the place.
        """
        ...

    def knock(self, by: Caller) -> Refusal | None:
        """Wake the app without waiting; the refusal if it will not wake."""
        ...

    def refusal(self) -> Refusal | None:
        """What `wait` and `knock` would be refused with now; None where they would not."""
        ...

    def would_wake(self) -> bool:
        """Whether `wait` or `knock` would begin a wake now; false also where they would be refused."""
        ...

    def dozes(self) -> bool:
        """Whether it sleeps frozen, or is just going on: as a rule it answers in a moment."""
        ...

    def connect_refused(self, upstream: Upstream) -> None:
        """The instance refused a connection: close its door until it proves readiness again."""
        ...

    def snapshot(self) -> AppSnapshot:
        """The app now.  Never wakes it."""
        ...


class UpstreamListener(Protocol):
    """What the engine tells the gateway about upstreams."""

    def close_upgraded(self, upstream: Upstream) -> None:
        """Close its upgraded connections with 1001; each one then calls `unpark` or `leave`."""
        ...

    def drop_upstream(self, upstream: Upstream) -> None:
        """Forget it: close pooled connections to it."""
        ...


class Seam(Protocol):
    """Everything that the gateway may ask for."""

    def specs(self) -> Sequence[AppSpec]:
        """All configured apps, in the order of the configuration."""
        ...

    def gate(self, app: str) -> Gate:
        """The door of an app.  Raises `UnknownApp`.  Stays the same object while the app is configured."""
        ...

    def listen(self, listener: UpstreamListener) -> None:
        """Register the gateway."""
        ...

    def wake_steps(self, app: str) -> Sequence[Event]:
        """The events of the wake in progress, or of the last one, oldest first."""
        ...

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with each event from now on; the result ends that."""
        ...

    def last_lines(self, app: str, lines: int) -> Sequence[str]:
        """The last lines of the app's instance that is in trouble, or of its first one."""
        ...
