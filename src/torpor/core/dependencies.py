"""What apps are to each other: functions of values, silent and without effect."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from torpor.core import policy
from torpor.core.graph import levels
from torpor.core.instance import UNUSED, Instance
from torpor.core.model import (
    AppSpec,
    Cause,
    Condition,
    Dependency,
    Lifecycle,
    Loss,
    Phase,
    Reason,
    Standing,
    Want,
)

DOWN = Reason(Cause.DOWN, "stopped by the operator")
_ASLEEP = Reason(Cause.ASLEEP, "asleep")

WORDS = {
    Condition.STARTED: "started",
    Condition.HEALTHY: "ready",
    Condition.COMPLETED: "completed",
    Condition.COMPLETED_SUCCESSFULLY: "completed successfully",
}
"""What a dependency has become."""


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


def unmet(needed: Iterable[Dependency], standings: Mapping[str, Standing]) -> list[Dependency]:
    """All that is waited for before a dependent may be started."""
    return [need for need in needed if not need.optional and need.condition not in standings[need.app].met]


def missing(needed: Iterable[Dependency], standings: Mapping[str, Standing]) -> Reason | None:
    """What is waited for before a dependent may be started, in words; None: it may be started now."""
    awaited = [f"{need.app} to be {WORDS[need.condition]}" for need in unmet(needed, standings)]
    return Reason(Cause.DEPENDENCY, f"waiting for {', '.join(awaited)}") if awaited else None


def lost(needed: Iterable[Dependency], standings: Mapping[str, Standing]) -> Loss | None:
    """Why something that is waited for will not come by itself; None: it may come."""
    for need in unmet(needed, standings):
        if (failed := standings[need.app].failed) is not None:
            text = f"needs {need.app}: {failed.reason.text}"
            return replace(failed, reason=Reason(Cause.DEPENDENCY, text, failed.reason.detail))
    return None


def patience(specs: Mapping[str, AppSpec]) -> dict[str, float | None]:
    """How many seconds each app waits for what it needs, at most; None: for ever.

    As long as that may take to start, which the slowest chain of `start_timeout`s says: what
    is needed side by side is started side by side.  Never shorter than its own one.
    """
    graph = {
        name: [need.app for need in spec.depends_on if not need.optional] for name, spec in specs.items()
    }
    wakes: dict[str, float] = {}
    """How long a wake of each may take, with all that it needs."""
    found: dict[str, float | None] = {}
    for name in (name for level in levels(graph) for name in level):
        own = specs[name].lifecycle.start_timeout
        start = math.inf if own is None else own
        chain = max((wakes[needed] for needed in graph[name]), default=0.0)
        wakes[name] = chain + start
        longest = max(start, chain)
        found[name] = None if longest == math.inf else longest
    return found
