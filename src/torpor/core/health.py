"""Moves on what tells whether an instance does its work: its signs of life, its own word, a probe."""

from __future__ import annotations

from dataclasses import replace

from torpor.core import transitions
from torpor.core.instance import Instance
from torpor.core.messages import FoundUnhealthy, Pinged, Reboot, WatchdogChanged, WatchdogTriggered
from torpor.core.model import Cause, OnWatchdog, Reason

_TRIGGERED = "says that it does not work (WATCHDOG=trigger)"


def ping(it: Instance, _message: Pinged) -> None:
    """A sign of life: the next one is due an interval from now."""
    it.watch()
    it.deadline = it.ready_deadline()


def note_watchdog(it: Instance, message: WatchdogChanged) -> None:
    """It knows best how often it can send a sign of life, once it is ready."""
    it.watch_interval = message.interval


def set_watchdog(it: Instance, message: WatchdogChanged) -> None:
    """It knows best how often it can send a sign of life: the next one is due after that."""
    note_watchdog(it, message)
    it.watch()
    it.deadline = it.ready_deadline()


def triggered(it: Instance, _message: WatchdogTriggered) -> None:
    """It triggers its own watchdog: the same as if its sign of life had not come."""
    transitions.watchdog_acts(it, _TRIGGERED)


def start_triggered(it: Instance, _message: WatchdogTriggered) -> None:
    """The same before it is ready: what the configuration makes of it is then done to its start."""
    if it.lifecycle.on_watchdog is OnWatchdog.IGNORE:
        it.say("unhealthy", _TRIGGERED)
        return
    if it.lifecycle.on_watchdog is OnWatchdog.REBOOT:
        it.out.append(Reboot(it.id.app, _TRIGGERED))
    _end_start(it, Reason(Cause.UNHEALTHY, _TRIGGERED))


def start_unhealthy(it: Instance, message: FoundUnhealthy) -> None:
    """It does not do its work, and is not even ready: a failed attempt."""
    _end_start(it, _unhealthy(message))


def unhealthy(it: Instance, message: FoundUnhealthy) -> None:
    """It does not do its work any more: end it, and start it again as after a crash."""
    transitions.end_unhealthy(it, _unhealthy(message))


def _end_start(it: Instance, why: Reason) -> None:
    if it.was_ready:  # and was to prove it again
        transitions.end_unhealthy(it, why)
        return
    it.say("start-failed", why.text, why.detail)
    transitions.never_ready(it, replace(why, cause=Cause.START_FAILED))
    transitions.stop(it)


def _unhealthy(message: FoundUnhealthy) -> Reason:
    return Reason(Cause.UNHEALTHY, "is not healthy", message.text)
