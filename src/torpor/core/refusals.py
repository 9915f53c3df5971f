"""The verdict on requests that an app will not wake for.  Silent, and without effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torpor.core import dependencies, policy
from torpor.core.model import Cause, Phase, Reason, Refusal, Want

if TYPE_CHECKING:
    from torpor.core.app import App

DOWN = Refusal(dependencies.DOWN, None)
REMOVED = Refusal(Reason(Cause.REMOVED, "removed from the configuration"), None)
SHUTDOWN = Refusal(Reason(Cause.SHUTDOWN, "Torpor is shutting down"), 5.0)


def refusal(app: App, now: float) -> Refusal | None:
    """The verdict on a request that came now; None: the app will wake for it."""
    if app.closing:
        return SHUTDOWN
    if app.leaving:
        return REMOVED
    if app.want is Want.DOWN:
        return DOWN
    if (closed := app.closed) is not None:
        until = app.hours.until
        return Refusal(Reason(Cause.SCHEDULE, closed), None if until is None else max(0.0, until - now))
    staying = app.instances.remaining
    if all(instance.phase is Phase.FAILED for instance in staying):
        return dependencies.first_retry(staying).refusal(now)
    if app.phase is Phase.BLOCKED and (lost := app.lost) is not None:
        return lost.refusal(now)
    return None


def room_full(app: App, waiting: int) -> Refusal:
    """So many wait already that nobody else may."""
    text = f"{waiting} requests are waiting for {app.spec.name} already"
    return Refusal(Reason(Cause.ROOM_FULL, text), 1.0)


def too_late(app: App, missing: Reason | None, now: float) -> Refusal:
    """The app was not ready in time; `missing`: what it still waits for."""
    limit = policy.span(app.spec.lifecycle.wake_timeout)
    state = missing.text if missing else f"it is {app.phase}"
    text = f"{app.spec.name} was not ready within {limit} ({state})"
    retry = min((left for i in app.instances if (left := i.retry_in(now)) is not None), default=1.0)
    return Refusal(Reason(Cause.WAKE_TIMEOUT, text, missing.detail if missing else ""), retry)
