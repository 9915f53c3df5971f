"""The steps from phase to phase that several moves share.

Laws of this file:

- A transition changes its instance and appends to `out` what is to be done; it does nothing else.
- A new generation begins (`launch`) only when nothing of the one before is alive (`finish`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from torpor.core import policy, wakefulness
from torpor.core.endings import Ending, Sequel, sequel
from torpor.core.instance import FREEZE_LIMIT, Instance
from torpor.core.messages import (
    AskWhetherIdle,
    CloseSocket,
    DropStored,
    DropUpstream,
    Exited,
    FreezeInstance,
    KillInstance,
    Reboot,
    StartInstance,
    StopInstance,
    ThawInstance,
)
from torpor.core.model import Cause, ExitInfo, OnWatchdog, Phase, Reason, Refusal, Tier, Want
from torpor.core.outcomes import OpenGate, RefuseWaiting
from torpor.core.upstream import Upstream
from torpor.core.wakefulness import Inquiry

KILL_AGAIN = 2.0
"""Seconds until the second attempt to end by force what survived the first."""
LONGEST_PAUSE = 60.0
"""Seconds between two such attempts at most; the pause grows with the time spent on them."""


def start(it: Instance) -> None:
    """Start as soon as everything it needs is there."""
    it.demand = True
    if it.woken_at is None:
        it.woken_at = it.now
    if it.needs is None:
        launch(it)
        return
    it.reason = it.needs
    it.enter(Phase.BLOCKED, it.patience)
    it.say("blocked", it.needs.text, it.needs.detail)


def launch(it: Instance) -> None:
    """Begin a new generation."""
    it.demand = True
    it.generation += 1
    it.outdated = False
    it.tier = Tier.STOP
    it.frozen = None
    it.reason = None
    it.completed = None
    it.watch_interval = it.lifecycle.watchdog
    it.endpoint = None
    it.ending = Ending.ASKED
    it.was_ready = False
    it.was_stable = False
    it.enter(Phase.STARTING, it.lifecycle.start_timeout)
    it.say("starting", f"starting generation {it.generation}")
    it.out.append(StartInstance(it.id, it.generation))


def stay_blocked(it: Instance, refusal: Refusal) -> None:
    """Tell whoever waits; what must run, or is needed, stays blocked and recovers when its dependency does.

    So does a replica beside others that are in use: no replica sleeps alone.
    """
    if it.demand:  # else it was told already, when somebody asked
        it.say("lost", refusal.reason.text, refusal.reason.detail)
    it.demand = False
    it.reason = refusal.reason
    it.out.append(RefuseWaiting(refusal))
    if _is_missed(it):
        it.enter(Phase.BLOCKED, it.patience)
    else:
        sleep(it)


def open_gate(it: Instance) -> None:
    """Ready: open the gate for everybody who waits."""
    took = None if it.woken_at is None else it.now - it.woken_at
    slept = it.known_tier
    it.tier, it.frozen, it.shallow = Tier.STOP, None, None
    it.woken_at = None
    it.demand = False
    it.was_ready = True
    it.enter(Phase.READY, None)
    if it.upstream is not None:
        it.upstream.open = True
        it.upstream.frozen = False
        it.upstream.last_active = it.now
    elif it.endpoint is not None:
        it.upstream = Upstream(it.id, it.generation, it.endpoint, it.now)
    it.stable_at = it.now + it.lifecycle.stable_after
    it.watch()
    it.deadline = it.ready_deadline()
    text = "ready" if took is None else f"ready after {policy.span(took)}"
    it.say("ready", text, seconds=took)
    it.out.append(OpenGate(it.upstream, took, slept))


def sleep_if_idle(it: Instance) -> None:
    """Fall asleep if nothing keeps it awake; if only a question is open, ask it."""
    _drop_old_answer(it)
    found = it.clauses(it.now)
    if not wakefulness.awake(found):
        answer = "" if it.inquiry is None else it.inquiry.text
        drain(it, Reason(Cause.IDLE, policy.idle_text(it.lifecycle), answer), it.lifecycle.tier)
        return
    if wakefulness.is_to_be_asked(it, found):
        it.inquiry = Inquiry(it.now)
        it.out.append(AskWhetherIdle(it.id, it.generation))
    it.deadline = it.ready_deadline()


def _drop_old_answer(it: Instance) -> None:
    """What was asked before it was used again is moot, and no answer is one that keeps it awake for a while."""
    inquiry, question = it.inquiry, it.lifecycle.question
    if inquiry is None or question is None:
        return
    if inquiry.answered_at is None and it.now >= inquiry.asked_at + question.limit:
        text = f"no answer within {policy.span(question.limit)}"
        inquiry = it.inquiry = inquiry.answer(it.now, text, keeps_awake=True)
    used = inquiry.asked_at < wakefulness.last_active(it)
    old = inquiry.answered_at is not None and it.now >= inquiry.answered_at + wakefulness.pause(it)
    if used or old:
        it.inquiry = None


def drain(it: Instance, reason: Reason, tier: Tier = Tier.STOP, *, patient: bool = False) -> None:
    """Take no new requests; sleep that deep when those in flight are over.

    `patient`: upgraded connections keep the whole drain time, too, before they are closed.
    Those that do not keep it awake stay open over a freeze.
    """
    it.tier = tier
    it.reason = reason
    it.demand = False
    it.close_gate()
    it.enter(Phase.DRAINING, it.lifecycle.drain_timeout)
    said = f"going to sleep: {reason.text}" if reason.cause is Cause.IDLE else reason.text
    it.say("draining", said, reason.detail)
    it.patient = patient or tier.frozen
    if not it.patient:
        it.close_upgraded()
    rest_when_vacant(it)


def rest_when_vacant(it: Instance) -> None:
    """Nobody uses it any more: end it, or freeze it."""
    if it.upstream is None or not (it.upstream.inflight or (it.upstream.parked and not it.tier.frozen)):
        deepen(it, it.tier)


def deepen(it: Instance, tier: Tier) -> None:
    """Sleep that deep from now on."""
    it.tier = tier
    match tier:
        case Tier.PAUSE | Tier.HIBERNATE:
            freeze(it)
        case Tier.STOP:
            stop(it)
        case Tier.KILL:
            kill(it)


def freeze(it: Instance) -> None:
    """Stop it in its tracks, as deep as its tier says."""
    it.frozen = None
    if it.upstream is not None:
        it.upstream.frozen = True
    it.enter(Phase.FROZEN, FREEZE_LIMIT)
    it.out.append(FreezeInstance(it.id, it.generation, it.tier))


def resume(it: Instance) -> None:
    """Let what is frozen go on, as soon as everything it needs is there."""
    if it.needs is not None:
        it.deadline = None if it.patience is None else it.now + it.patience
        it.say("blocked", it.needs.text, it.needs.detail)
        return
    it.reason = None
    it.enter(Phase.STARTING, it.lifecycle.start_timeout)
    it.say("resuming", "resuming")
    it.out.append(ThawInstance(it.id, it.generation))


def lose_in_sleep(it: Instance, refusal: Refusal) -> None:
    """What it needs does not come: tell whoever waits, and sleep on.

    What must run, or is needed, does not sleep on: it is ended, and its next generation blocked.
    """
    it.say("lost", refusal.reason.text, refusal.reason.detail)
    if _is_missed(it):
        it.out.append(RefuseWaiting(refusal))
        stop(it)
        it.demand = True
    else:
        stay_frozen(it, refusal)


def _is_missed(it: Instance) -> bool:
    return (
        it.want is Want.UP
        or it.held
        or any(peer.alive and peer.in_use for peer in it.peers if peer is not it)
    )


def stay_frozen(it: Instance, refusal: Refusal) -> None:
    """Sleep on although somebody knocked; tell whoever waits."""
    it.demand = False
    it.woken_at = None
    if it.upstream is not None:
        it.upstream.frozen = True
    it.deadline = it.frozen_deadline()
    it.out.append(RefuseWaiting(refusal))


def kill(it: Instance) -> None:
    """End it by force, and again until it is gone."""
    it.close_gate()
    it.enter(Phase.STOPPING, KILL_AGAIN)
    it.say("killing", "ending it by force")
    it.out.append(KillInstance(it.id, it.generation))


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


def watchdog_acts(it: Instance, text: str) -> None:
    """Its watchdog has something to say: what the configuration makes of it."""
    match it.lifecycle.on_watchdog:
        case OnWatchdog.RESTART:
            end_unhealthy(it, Reason(Cause.UNHEALTHY, text))
        case OnWatchdog.IGNORE:
            it.say("unhealthy", text)
            it.watch()
            it.deadline = it.ready_deadline()
        case OnWatchdog.REBOOT:
            it.out.append(Reboot(it.id.app, text))
            # If the machine does not go down, a fresh start is the best that is left.
            end_unhealthy(it, Reason(Cause.UNHEALTHY, text))


def end_unhealthy(it: Instance, reason: Reason) -> None:
    """End it as after a crash: it does not do its work."""
    it.ending = Ending.UNHEALTHY
    it.reason = reason
    it.say("unhealthy", reason.text, reason.detail)
    stop(it)


def never_ready(it: Instance, reason: Reason, *, again: bool = False) -> None:
    """A start has failed: tell whoever waits.  `again`: it is to be retried whatever `restart` says."""
    it.ending = Ending.NEVER_READY
    it.reason = reason
    it.demand = again
    it.woken_at = None
    retry_after = None if _sequel(it) is Sequel.FAILED else it.retry_delay()
    it.out.append(RefuseWaiting(Refusal(reason, retry_after)))


def crash(it: Instance, message: Exited, *, expected: bool) -> None:
    """It ended by itself after it had been ready."""
    ended_by_itself(it, message.info, expected=expected)
    assert it.reason is not None
    it.say("exited", it.reason.text, it.reason.detail, expected=expected)
    clean_up(it, message)


def ended_by_itself(it: Instance, info: ExitInfo, *, expected: bool) -> None:
    """Nobody asked for this end, but it may be one to expect."""
    it.exit = info
    it.ending = Ending.FINISHED if expected else Ending.CRASHED
    it.reason = it.ended(Cause.EXITED, info)


def clean_up(it: Instance, message: Exited) -> None:
    """Its main process is gone: what that left behind must go, too, before anything follows."""
    if message.leftovers:
        stop(it)
    else:
        finish(it)


def finish(it: Instance) -> None:
    """Nothing of this generation is alive: do what follows."""
    it.close_gate()
    if it.upstream is not None:
        it.out.append(DropUpstream(it.upstream))
    missed = it.upstream is not None and it.accompanied
    it.upstream = None
    it.frozen = it.shallow = None
    it.endpoint = None
    it.started_at = None
    it.status = it.trouble = it.unheard = None
    if it.ending in (Ending.FINISHED, Ending.CRASHED):
        it.completed = it.exit
    match _sequel(it, missed=missed):
        case Sequel.AGAIN:
            start(it)
        case Sequel.RETRY:
            it.demand = True
            _back_off(it)
        case Sequel.PAUSE:
            _back_off(it)
        case Sequel.DONE | Sequel.FAILED:
            rest(it)
        case Sequel.ASLEEP:
            sleep(it)


def rest(it: Instance) -> None:
    """Stay where an end leads that nothing is to follow; where something is, it is left to others."""
    match _sequel(it):
        case Sequel.DONE:
            _lie_down(it, Phase.DONE)
            it.say("done", "finished")
        case Sequel.FAILED:
            _lie_down(it, Phase.FAILED)
            assert it.reason is not None
            it.say("failed", f"{it.reason.text}, and is not to be restarted", it.reason.detail)
            it.out.append(RefuseWaiting(it.refusal(it.now)))


def _sequel(it: Instance, *, missed: bool = False) -> Sequel:
    return sequel(it.ending, it.want, it.lifecycle.restart, demand=it.demand, missed=missed)


def _back_off(it: Instance) -> None:
    """Count a failure, and rest: the pause before the next attempt, or at the limit the cool-off."""
    limit, delay = it.lifecycle.start_limit, it.retry_delay()
    it.failures = it.failures_with_this()
    if not policy.limit_reached(it.failures, limit):
        it.enter(Phase.BACKOFF, delay)
        it.say("backoff", f"next attempt in {policy.span(delay)}", seconds=delay)
        return
    why = it.reason or Reason(Cause.EXITED, "ended")
    text = f"{why.text} ({len(it.failures)} failures within {policy.span(limit.window)})"
    it.reason = replace(why, text=text)
    it.demand = False
    it.woken_at = None
    _lie_down(it, Phase.FAILED, delay)
    it.say("failed", f"{text}; next attempt in {policy.span(delay)} at the earliest", why.detail)
    it.out.append(RefuseWaiting(it.refusal(it.now)))


def sleep(it: Instance) -> None:
    """Be asleep."""
    it.demand = False
    it.woken_at = None
    _lie_down(it, Phase.ASLEEP)
    reason = it.reason
    it.say("asleep", f"asleep: {reason.text}" if reason else "asleep", reason.detail if reason else "")
    if it.want is Want.DOWN:
        it.out.append(DropStored(it.id))


def forget_reason(it: Instance, causes: Collection[Cause]) -> None:
    """What it sleeps for since it could not run is over, if it was one of these `causes`."""
    if it.reason is not None and it.reason.cause in causes:
        it.reason = None


def _lie_down(it: Instance, phase: Phase, limit: float | None = None) -> None:
    """Be in a phase in which nothing of it is alive until somebody asks for it."""
    it.enter(phase, limit)
    it.out.append(CloseSocket(it.id))
