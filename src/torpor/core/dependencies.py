"""What apps are to each other: functions of values, silent and without effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torpor.core import policy
from torpor.core.instance import Instance
from torpor.core.model import Cause, Condition, Dependency, Lifecycle, Phase, Reason, Standing, Want

DOWN = Reason(Cause.DOWN, "stopped by the operator")

_WORDS = {
    Condition.STARTED: "started",
    Condition.HEALTHY: "ready",
    Condition.COMPLETED: "completed",
    Condition.COMPLETED_SUCCESSFULLY: "completed successfully",
}


def standing(lifecycle: Lifecycle, want: Want, instances: Sequence[Instance]) -> Standing:
    """What an app with these instances is to those that depend on it."""
    met = set()
    for instance in instances:
        if instance.phase is Phase.READY:
            met |= {Condition.STARTED, Condition.HEALTHY}
        elif instance.phase is Phase.STARTING and instance.started:
            met.add(Condition.STARTED)
        if instance.completed is not None:
            met.add(Condition.COMPLETED)
            if policy.succeeded(lifecycle, instance.completed):
                met.add(Condition.COMPLETED_SUCCESSFULLY)
    failed = None
    if want is Want.DOWN:
        failed = DOWN
    elif all(instance.phase is Phase.FAILED for instance in instances):
        failed = instances[0].reason
    return Standing(frozenset(met), failed)


def missing(needed: Iterable[Dependency], standings: Mapping[str, Standing]) -> Reason | None:
    """What is waited for before a dependent may be started; None: it may be started now."""
    for need in needed:
        if not need.optional and need.condition not in standings[need.app].met:
            return Reason(Cause.DEPENDENCY, f"waiting for {need.app} to be {_WORDS[need.condition]}")
    return None


def lost(needed: Iterable[Dependency], standings: Mapping[str, Standing]) -> Reason | None:
    """Why something that is waited for will not come by itself; None: it may come."""
    for need in needed:
        there = standings[need.app]
        if not need.optional and need.condition not in there.met and there.failed is not None:
            return Reason(Cause.DEPENDENCY, f"needs {need.app}: {there.failed}")
    return None
