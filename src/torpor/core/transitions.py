"""The steps from phase to phase that several moves share.

Laws of this file:

- A transition changes its instance and appends to `out` what is to be done; it does nothing else.
- A new generation begins (`launch`) only when nothing of the one before is alive (`finish`).
"""

from __future__ import annotations

from torpor.core import policy
from torpor.core.instance import Ending, Instance
from torpor.core.messages import DropUpstream, Exited, Reboot, StartInstance, StopInstance
from torpor.core.model import Cause, OnWatchdog, Phase, Reason, Refusal, Restart, Want
from torpor.core.outcomes import OpenGate, RefuseWaiting
from torpor.core.upstream import Upstream


def start(it: Instance) -> None:
    """Start as soon as everything it needs is there."""
    it.demand = True
    if it.woken_at is None:
        it.woken_at = it.now
    if it.needs is None:
        launch(it)
        return
    it.reason = it.needs
    it.enter(Phase.BLOCKED, it.lifecycle.start_timeout)
    it.say("blocked", it.needs.text)


def launch(it: Instance) -> None:
    """Begin a new generation."""
    it.generation += 1
    it.reason = None
    it.completed = None
    it.status = None
    it.watch_interval = it.lifecycle.watchdog
    it.endpoint = None
    it.ending = Ending.ASKED
    it.was_stable = False
    it.enter(Phase.STARTING, it.lifecycle.start_timeout)
    it.say("starting", f"starting generation {it.generation}")
    it.out.append(StartInstance(it.id, it.generation))


def stay_blocked(it: Instance, reason: Reason) -> None:
    """Tell whoever waits; what must run stays blocked, and recovers when its dependency does."""
    it.reason = reason
    it.out.append(RefuseWaiting(Refusal(reason, it.lifecycle.backoff.initial)))
    if it.want is Want.UP:  # it recovers by itself when its dependency does
        it.enter(Phase.BLOCKED, it.lifecycle.start_timeout)
        it.say("blocked", reason.text)
    else:
        sleep(it)


def open_gate(it: Instance) -> None:
    """Ready: open the gate for everybody who waits."""
    took = None if it.woken_at is None else it.now - it.woken_at
    it.woken_at = None
    it.demand = False
    it.enter(Phase.READY, None)
    if it.upstream is not None:
        it.upstream.open = True
        it.upstream.last_active = it.now
    elif it.endpoint is not None:
        it.upstream = Upstream(it.id, it.generation, it.endpoint, it.now)
    it.stable_at = it.now + it.lifecycle.stable_after
    it.watch()
    it.deadline = it.ready_deadline()
    text = "ready" if took is None else f"ready after {policy.span(took)}"
    it.say("ready", text, seconds=took)
    it.out.append(OpenGate(it.upstream, took))


def drain(it: Instance, reason: Reason, *, patient: bool = False) -> None:
    """Take no new requests; stop when those in flight are over.

    `patient`: upgraded connections keep the whole drain time, too, before they are closed.
    """
    it.reason = reason
    it.demand = False
    it.close_gate()
    it.enter(Phase.DRAINING, it.lifecycle.drain_timeout)
    it.say("draining", f"going to sleep: {reason}" if reason.cause is Cause.IDLE else reason.text)
    it.patient = patient
    if not patient:
        it.close_upgraded()
    stop_when_vacant(it)


def stop_when_vacant(it: Instance) -> None:
    """Nobody uses it any more: stop."""
    if it.upstream is None or not (it.upstream.inflight or it.upstream.parked):
        stop(it)


def abandon(it: Instance, reason: Reason, retry_after: float | None) -> None:
    """Give up a start and tell whoever waits."""
    it.demand = False
    it.reason = reason
    it.woken_at = None
    it.out.append(RefuseWaiting(Refusal(reason, retry_after)))
    stop(it)


def stop(it: Instance) -> None:
    """Ask it to end; `KillInstance` follows at the deadline."""
    it.close_gate()
    it.enter(Phase.STOPPING, it.lifecycle.stop_timeout)
    it.say("stopping", "stopping")
    it.out.append(StopInstance(it.id, it.generation))


def miss_heartbeat(it: Instance) -> None:
    """Its sign of life did not come: what the configuration says."""
    assert it.watch_interval is not None
    text = f"no sign of life for {policy.span(it.watch_interval)}"
    match it.lifecycle.on_watchdog:
        case OnWatchdog.RESTART:
            end_unhealthy(it, text)
        case OnWatchdog.IGNORE:
            it.say("unhealthy", text)
            it.watch()
            it.deadline = it.ready_deadline()
        case OnWatchdog.REBOOT:
            it.say("unhealthy", text)
            it.out.append(Reboot(it.id.app, text))
            it.watch()
            it.deadline = it.ready_deadline()


def end_unhealthy(it: Instance, text: str) -> None:
    """End it as after a crash: it does not do its work."""
    it.ending = Ending.UNHEALTHY
    it.reason = Reason(Cause.UNHEALTHY, text)
    it.say("unhealthy", text)
    stop(it)


def never_ready(it: Instance, reason: Reason) -> None:
    """A start has failed: tell whoever waits, and count it."""
    it.ending = Ending.NEVER_READY
    it.reason = reason
    it.demand = False
    it.woken_at = None
    _count_failure(it)
    it.out.append(RefuseWaiting(Refusal(reason, it.retry_delay())))


def crash(it: Instance, message: Exited) -> None:
    """It ended by itself while it was ready."""
    it.exit = message.info
    it.ending = Ending.CRASHED
    it.reason = Reason(Cause.EXITED, str(message.info))
    it.say("exited", str(message.info))
    end(it, message)


def end(it: Instance, message: Exited) -> None:
    """Its main process is gone: the rest of it must go, too, before anything follows."""
    if message.leftovers and it.phase is not Phase.STOPPING:
        stop(it)
    elif not message.leftovers:
        finish(it)


def finish(it: Instance) -> None:
    """Nothing of this generation is alive: decide what follows."""
    it.close_gate()
    if it.upstream is not None:
        it.out.append(DropUpstream(it.upstream))
    it.upstream = None
    it.endpoint = None
    it.started_at = None
    if it.ending is Ending.ASKED or it.want is Want.DOWN:
        if it.demand and it.want is not Want.DOWN:
            start(it)
        else:
            sleep(it)
    elif it.ending is Ending.CRASHED:
        it.completed = it.exit
        _after_crash(it)
    elif it.ending is Ending.UNHEALTHY:
        _after_unhealthy(it)
    else:
        _after_failure(it)


def _after_crash(it: Instance) -> None:
    lifecycle = it.lifecycle
    if it.reason is None:  # it had announced its end, and is not to be blamed before it came
        it.reason = Reason(Cause.EXITED, str(it.exit))
    if not (policy.restart_wanted(lifecycle, it.exit) or it.demand):
        if it.want is not Want.UP:
            sleep(it)
        elif policy.succeeded(lifecycle, it.exit):
            it.enter(Phase.DONE, None)
            it.say("done", "finished")
        else:
            _fail_for_good(it)
        return
    _count_failure(it)
    it.demand = True
    _back_off(it)


def _after_unhealthy(it: Instance) -> None:
    if it.lifecycle.restart is Restart.NO and not it.demand:
        if it.want is Want.UP:
            _fail_for_good(it)
        else:
            sleep(it)
        return
    _count_failure(it)
    it.demand = True
    _back_off(it)


def _after_failure(it: Instance) -> None:
    if it.want is Want.UP and it.lifecycle.restart is Restart.NO:
        _fail_for_good(it)
    else:
        _back_off(it)


def _fail_for_good(it: Instance) -> None:
    """What is to run has failed and is not to be restarted: an operator has to act."""
    it.enter(Phase.FAILED, None)
    it.say("failed", f"{it.reason}, and is not to be restarted")


def _count_failure(it: Instance) -> None:
    limit = it.lifecycle.start_limit
    it.failures = [*policy.recent(it.failures, limit, it.now), it.now]


def _back_off(it: Instance) -> None:
    limit = it.lifecycle.start_limit
    if policy.limit_reached(it.failures, limit):
        text = f"{it.reason} ({len(it.failures)} failures within {policy.span(limit.window)})"
        it.reason = Reason(it.reason.cause if it.reason else Cause.EXITED, text)
        it.demand = False
        it.woken_at = None
        it.enter(Phase.FAILED, limit.cool_off)
        it.say("failed", f"{text}; next attempt in {policy.span(limit.cool_off)} at the earliest")
        it.out.append(RefuseWaiting(it.refusal(it.now)))
        return
    delay = it.retry_delay()
    it.enter(Phase.BACKOFF, delay)
    it.say("backoff", f"next attempt in {policy.span(delay)}", seconds=delay)


def sleep(it: Instance) -> None:
    """Be asleep."""
    it.demand = False
    it.woken_at = None
    it.enter(Phase.ASLEEP, None)
    it.say("asleep", f"asleep: {it.reason}" if it.reason else "asleep")
