"""Why an operator's wish about an app cannot be granted, and what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torpor.core.messages import (
    PinRequested,
    PriorityRequested,
    RestartRequested,
    ScaleRequested,
    SleepRequested,
    StartRequested,
    StopRequested,
    WakeRequested,
    Wish,
)
from torpor.core.model import AppSpec, Cause, Want
from torpor.core.sharing import HIGHEST, LOWEST

if TYPE_CHECKING:
    from torpor.core.app import App

MOST_REPLICAS = 100

Objection = tuple[str, str]
"""What is in the way, and what to do instead."""


def objection(app: App, message: Wish, now: float) -> Objection | None:
    """None if the wish can be granted."""
    name = app.spec.name
    if app.closing:
        return "the daemon is shutting down", "ask again once it is up"
    if app.leaving:
        return f"{name} is being removed", "`torpor apply` brings it back once it is configured again"
    match message:
        case ScaleRequested(replicas=replicas):
            return _to_scale(app.spec, replicas)
        case PriorityRequested(priority=priority) if not LOWEST <= priority <= HIGHEST:
            return f"{priority} is no priority", f"they are from {LOWEST} to {HIGHEST}"
        case PriorityRequested(always_on=True) if app.spec.schedule is not None and app.spec.schedule.limits:
            hint = "with `keep_warm` instead of `allowed` and `blackout` it is kept awake in its windows"
            return f"{name} has hours in which it does not run, so it cannot be always on", hint
        case StopRequested(force=False) if app.missed_by:
            return _needed(app), f"stop them first, or `torpor stop --force {name}`"
        case SleepRequested() if app.missed_by:
            return _needed(app), "they have to sleep or be stopped first"
        case SleepRequested() if app.pinned:
            return f"{name} is pinned", f"`torpor unpin {name}` lets it sleep again"
        case PinRequested() if app.want is Want.DOWN:
            return f"{name} is stopped", f"`torpor start {name}` first"
        case StartRequested() | RestartRequested() | WakeRequested() if app.closed is not None:
            hint = f"`torpor pin --for 1h {name}` keeps it awake all the same"
            return f"{name} will not wake: {app.closed}", hint
        case SleepRequested() if app.want is Want.UP:
            return f"{name} is always on, it does not sleep", f"`torpor stop {name}` stops it"
        case WakeRequested() if (refusal := app.refusal(now)) is not None:
            hint = f"`torpor start {name}` starts it all the same"
            if refusal.reason.cause is Cause.DEPENDENCY and app.lost is not None:
                hint = f"`torpor start {app.lost.app}` first"
            return f"{name} will not wake: {refusal.reason}", hint
    return None


def _needed(app: App) -> str:
    return f"{app.spec.name} is needed by {', '.join(sorted(app.missed_by))}"


def _to_scale(spec: AppSpec, replicas: int) -> Objection | None:
    if not 1 <= replicas <= MOST_REPLICAS:
        return f"{spec.name} cannot have {replicas} replicas", f"ask for 1 to {MOST_REPLICAS}"
    if replicas > 1 and spec.guest:
        return f"{spec.name} exists once", "make another one beside it, and an app for that"
    if replicas > 1 and spec.port is not None:
        return (
            f"{spec.name} has the fixed port {spec.port}, which only one replica can have",
            "leave `port` out and let the app listen on $PORT",
        )
    if replicas > 1 and spec.socket is not None:
        return (
            f"{spec.name} listens at {spec.socket}, which only one replica can have",
            "leave `address` out and let the app listen on $PORT",
        )
    if replicas > 1 and (further := spec.further_ports):
        return (
            f"{spec.name} has routes to its fixed port {min(further)}, which only one replica can have",
            "let all of its routes lead to $PORT",
        )
    return None
