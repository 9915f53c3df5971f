"""The instances of one app, and what they are together: questions, silent and without effect.

Law of this file: an app is as good as its best instance, and asleep only as deep as its
least deep one.
"""

from __future__ import annotations

from torpor.core import wakefulness
from torpor.core.instance import Instance
from torpor.core.model import FAILURES, Cause, Phase, Tier
from torpor.core.wakefulness import Clause

USEFULNESS = (
    Phase.READY,
    Phase.STARTING,
    Phase.BLOCKED,
    Phase.DRAINING,
    Phase.STOPPING,
    Phase.FROZEN,
    Phase.BACKOFF,
    Phase.FAILED,
    Phase.DONE,
    Phase.ASLEEP,
)
"""Phases by what a visitor gets of them, best first."""


class Replicas(list[Instance]):
    """In the order of their numbers, those that are about to leave among them.  Never empty; filled by `App`."""

    __slots__ = ()

    @property
    def remaining(self) -> list[Instance]:
        """Those that are not about to leave."""
        return [instance for instance in self if not instance.leaving]

    @property
    def speaker(self) -> Instance:
        """The most useful one."""
        return min(self, key=lambda instance: USEFULNESS.index(instance.phase))

    @property
    def troubled(self) -> Instance:
        """The one that failed last, or the first one."""
        failed = [one for one in self if one.reason is not None and one.reason.cause in FAILURES]
        return max(failed, key=lambda one: one.phase_since, default=self[0])

    @property
    def alive(self) -> bool:
        """Whether something of them may be alive."""
        return any(instance.alive for instance in self)

    @property
    def in_use(self) -> bool:
        """Whether one serves, or is to as soon as it can."""
        return any(instance.in_use for instance in self)

    @property
    def ready(self) -> bool:
        """Whether one of them is."""
        return any(instance.phase is Phase.READY for instance in self)

    @property
    def waiting(self) -> bool:
        """Whether one waits for what it needs."""
        return any(instance.waits for instance in self)

    @property
    def bereft(self) -> bool:
        """Whether one sleeps because what it needs did not come."""
        reasons = (one.reason for one in self if one.phase is Phase.ASLEEP)
        return any(why is not None and why.cause is Cause.DEPENDENCY for why in reasons)

    @property
    def under_way(self) -> bool:
        """Whether one will not stay as it is."""
        return any(instance.under_way for instance in self)

    @property
    def demanded(self) -> bool:
        """Whether somebody wants more of them than is there."""
        return any(instance.demand for instance in self)

    @property
    def starting(self) -> bool:
        """Whether one is on its way to be ready."""
        return any(instance.phase is Phase.STARTING for instance in self)

    @property
    def going(self) -> bool:
        """Whether one is about to sleep, or to end."""
        return any(instance.phase in (Phase.DRAINING, Phase.STOPPING) for instance in self)

    @property
    def freezing(self) -> bool:
        """Whether one is just being frozen."""
        return any(instance.phase is Phase.FROZEN and instance.under_way for instance in self)

    @property
    def staying(self) -> bool:
        """Whether one is there, and not about to end: the rest of them belongs to that."""
        there = {Phase.STARTING, Phase.READY, Phase.DRAINING, Phase.FROZEN}
        return any(instance.phase in there for instance in self)

    @property
    def frozen(self) -> bool:
        """Whether every one is frozen: to go on takes no more room than they have."""
        return all(instance.phase is Phase.FROZEN for instance in self)

    @property
    def dozing(self) -> bool:
        """Whether one sleeps frozen, or is just going on."""
        return any(one.phase is Phase.FROZEN or one.frozen is not None for one in self)

    @property
    def tier(self) -> Tier | None:
        """How deep they sleep, where all that is alive of them is frozen; None where one is not."""
        alive = [one for one in self if one.alive]
        depths = [one.known_tier for one in alive if one.phase is Phase.FROZEN]
        return min(depths, key=lambda tier: tier.depth) if depths and len(depths) == len(alive) else None

    @property
    def slept(self) -> Tier:
        """How deep they sleep, as far as whoever wakes them must wait for that."""
        return next((one.frozen for one in self if one.frozen is not None), Tier.STOP)

    @property
    def inflight(self) -> int:
        """Requests that they answer now."""
        return sum(one.upstream.inflight for one in self if one.upstream is not None)

    def idle_for(self, now: float) -> float:
        """Seconds since they were used last."""
        return now - self[0].last_active()

    def waking_for(self, now: float) -> float | None:
        """Seconds since the wake in progress began; None: there is none."""
        begun = [at for instance in self if (at := instance.woken_at) is not None]
        return now - min(begun) if begun else None

    def at_work(self, now: float) -> str | None:
        """Why they may be at work although nobody uses them; None: they are not, as far as that is to be known."""
        reasons = (wakefulness.at_work(instance, now) for instance in self)
        return next((why for why in reasons if why is not None), None)

    def clauses(self, now: float) -> tuple[Clause, ...]:
        """All that their falling asleep depends on; nothing while none is ready."""
        ready = next((instance for instance in self if instance.phase is Phase.READY), None)
        return () if ready is None else ready.clauses(now)
