"""What an app does as its operator wishes: one function, or a few words, per wish.

`objections` are heard before.  The wishes that stay are `Remembered`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torpor.core import grounds, policy, refusals, scaling
from torpor.core.messages import (
    PinRequested,
    PriorityRequested,
    Released,
    RestartRequested,
    ScaleRequested,
    SleepRequested,
    StartRequested,
    StopRequested,
    UnpinRequested,
    WakeRequested,
    Wish,
)
from torpor.core.model import Pin, Want

if TYPE_CHECKING:
    from torpor.core.app import App


def grant(app: App, message: Wish, now: float) -> None:
    """Do as the operator wishes, who has met no objection."""
    match message:
        case RestartRequested(rolling=True, why=why) if app.instances.ready:
            app.rolling.begin(app.instances.remaining, why)
        case StartRequested() | RestartRequested():
            set_want(app, None)
            app.tell_all(message, now)
        case ScaleRequested(replicas=replicas):
            app.out += app.remembered.scale(replicas, app.spec)
            scaling.resize(app, replicas, now, "the operator")
        case PriorityRequested():
            prefer(app, message, now)
        case StopRequested():
            set_want(app, Want.DOWN)
            app.out += app.remembered.set_pin(None, "stopped: pinned no more", app.spec)
            app.rolling.end("it was stopped")
            app.out += app.door.waiting.refuse(refusals.DOWN)
            app.tell_all(message, now)
        case SleepRequested():
            app.rolling.end("it was put to sleep")
            app.tell_all(message, now)
        case WakeRequested():
            app.tell_all(message, now)
        case PinRequested(seconds=seconds):
            pin(app, seconds, now)
        case UnpinRequested():
            unpin(app, "unpinned by the operator: it may sleep again", now)


def pin(app: App, seconds: float | None, now: float) -> None:
    """Be awake, and stay so."""
    span = "until it is unpinned" if seconds is None else f"for {policy.span(seconds)}"
    until = None if seconds is None else now + seconds
    app.out += app.remembered.set_pin(Pin(until), f"pinned {span}: it stays awake", app.spec)
    if app.refusal(now) is None:
        app.tell_all(WakeRequested(app.spec.name, "torpor pin"), now)
    grounds.changed(app, now)


def unpin(app: App, why: str, now: float) -> None:
    """From now on it may sleep again, or is to."""
    if app.pinned:
        app.out += app.remembered.set_pin(None, why, app.spec)
        grounds.changed(app, now)


def prefer(app: App, message: PriorityRequested, now: float) -> None:
    """The operator says how much it matters."""
    name, was_up = app.spec.name, app.want is Want.UP
    app.out += app.remembered.prefer(message, app.spec)
    app.agree()
    if app.want is Want.UP and not was_up:
        app.tell_all(WakeRequested(name, "the operator, who wants it always on"), now)
    elif was_up and app.want is not Want.UP:
        app.tell_all(Released(name), now)  # from now on it may become idle
        grounds.reconsider_blocked(app, now)


def set_want(app: App, want: Want | None) -> None:
    """Let it and its instances be asked for that."""
    app.out += app.remembered.set_want(want, app.spec)
    app.agree()
