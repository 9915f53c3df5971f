"""What apps are to each other: functions of values, silent and without effect."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from torpor.core import policy
from torpor.core.instance import UNUSED, Instance
from torpor.core.model import Cause, Condition, Dependency, Lifecycle, Loss, Phase, Reason, Standing, Want

DOWN = Reason(Cause.DOWN, "stopped by the operator")
_ASLEEP = Reason(Cause.ASLEEP, "asleep")

_WORDS = {
    Condition.STARTED: "started",
    Condition.HEALTHY: "ready",
    Condition.COMPLETED: "completed",
    Condition.COMPLETED_SUCCESSFULLY: "completed successfully",
}


def standing(
    lifecycle: Lifecycle, want: Want, instances: Sequence[Instance], *, held: bool, lost: Loss | None
) -> Standing:
    """What an app with these instances is to those that depend on it.

    `held`: whether any of them needs it now; what is asleep nevertheless does not come by
    itself.  `lost`: what it is blocked for and will not come.
    """
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
    phases = {instance.phase for instance in instances}
    if want is Want.DOWN:
        failed = Loss(instances[0].id.app, DOWN)
    elif phases <= (UNUSED if held else {Phase.FAILED}):
        first = first_retry(instances)
        failed = Loss(first.id.app, first.reason or _ASLEEP, first.deadline)
    elif phases <= {Phase.BLOCKED, *UNUSED}:
        failed = lost
    return Standing(frozenset(met), failed)


def first_retry(instances: Iterable[Instance]) -> Instance:
    """Of instances that nothing happens to by itself before their deadline the one whose is first."""
    return min(instances, key=lambda instance: math.inf if instance.deadline is None else instance.deadline)


def missing(needed: Iterable[Dependency], standings: Mapping[str, Standing]) -> Reason | None:
    """What is waited for before a dependent may be started; None: it may be started now."""
    for need in needed:
        if not need.optional and need.condition not in standings[need.app].met:
            return Reason(Cause.DEPENDENCY, f"waiting for {need.app} to be {_WORDS[need.condition]}")
    return None


def lost(needed: Iterable[Dependency], standings: Mapping[str, Standing]) -> Loss | None:
    """Why something that is waited for will not come by itself; None: it may come."""
    for need in needed:
        there = standings[need.app]
        if not need.optional and need.condition not in there.met and there.failed is not None:
            text = f"needs {need.app}: {there.failed.reason}"
            return replace(there.failed, reason=Reason(Cause.DEPENDENCY, text))
    return None
