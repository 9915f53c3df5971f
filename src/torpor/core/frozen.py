"""Moves of an instance that sleeps frozen: paused or hibernated, all there and doing nothing."""

from __future__ import annotations

from torpor.core import moves, policy, transitions
from torpor.core.instance import FREEZE_LIMIT, DeadlineReached, Instance
from torpor.core.messages import (
    DependenciesMet,
    DependencyLost,
    Exited,
    FreezeFailed,
    Froze,
    ProgramChanged,
    RestartRequested,
    SettingsChanged,
    SleepRequested,
    StartRequested,
    StopRequested,
    WakeRequested,
)
from torpor.core.model import Cause, Reason, Refusal, Tier


def resume(it: Instance, message: WakeRequested) -> None:
    """Let it go on, because somebody knocked."""
    if not it.demand:
        it.demand = True
        it.woken_at = it.now
        it.say_woken(message.by)
        transitions.resume(it)


def resume_for_operator(it: Instance, _message: StartRequested) -> None:
    """Let it go on, because an operator said so."""
    resume(it, WakeRequested(it.id.app))


def resume_when_met(it: Instance, _message: DependenciesMet) -> None:
    """Everything it needs is there: let it go on if anybody wants that."""
    if it.demand:
        transitions.resume(it)


def lose_frozen(it: Instance, message: DependencyLost) -> None:
    """What it needs will not come by itself: tell whoever waits, and sleep on, or be blocked if it must run."""
    if it.demand:
        transitions.lose_in_sleep(it, message.loss.refusal(it.now))


def sleep_deeper(it: Instance, message: SleepRequested) -> None:
    """Sleep as deep as that, if it does not already; whoever woke it meanwhile waits in vain."""
    it.reason = message.why or moves.PUT_TO_SLEEP
    if it.demand:
        transitions.stay_frozen(it, Refusal(it.reason, 1.0))
    tier = message.tier or it.lifecycle.tier
    # It may sleep less deep than it was asked to, for want of swap: now there may be some.
    if tier.depth > it.known_tier.depth:
        transitions.deepen(it, tier)


def end_frozen(it: Instance, message: StopRequested) -> None:
    """End it: nothing of it is to be there any more."""
    moves.want_no_more(it, message)
    transitions.stop(it)


def start_afresh(it: Instance, _message: RestartRequested) -> None:
    """End it for a new generation."""
    it.failures.clear()
    transitions.stop(it)
    if not it.demand:
        it.demand = True
        it.woken_at = it.now


def end_outdated(it: Instance, _message: ProgramChanged) -> None:
    """It sleeps with settings that do not hold any more: end it; the next one is started with the new ones."""
    it.reason = moves.CHANGED
    it.outdated = True
    transitions.stop(it)


def take_over_frozen(it: Instance, message: SettingsChanged) -> None:
    """The new settings say when it sleeps deeper."""
    it.lifecycle = message.lifecycle
    if not it.demand:
        it.deadline = it.frozen_deadline()


def note_frozen(it: Instance, message: Froze) -> None:
    """It is frozen, as deep as it can be here."""
    it.frozen, it.shallow = message.tier, message.note
    if not it.demand:
        it.deadline = it.frozen_deadline()
    word = "hibernated" if message.tier is Tier.HIBERNATE else "paused"
    sizes = f"{message.before >> 20} MiB in memory"
    if message.after < message.before:
        sizes = f"{message.before >> 20} MiB in memory became {message.after >> 20} MiB"
    note = f" ({message.note})" if message.note else ""
    why = f": {it.reason}" if it.reason else ""
    detail = f"{sizes}{why}{note}"
    it.say(word, word, detail, before=message.before, after=message.after, note=message.note)


def freeze_failed(it: Instance, message: FreezeFailed) -> None:
    """It cannot be frozen: end it, as it is to sleep."""
    it.say("freeze-failed", "cannot be frozen, so it is stopped", message.text)
    transitions.stop(it)


def frozen_due(it: Instance, _message: DeadlineReached) -> None:
    """Idle for longer: sleep deeper.  Or what it waits for has not come."""
    if it.demand:
        transitions.lose_in_sleep(it, moves.in_vain(it))
    elif it.frozen is None:
        it.say("freeze-failed", f"not frozen within {policy.span(FREEZE_LIMIT)}, so it is stopped")
        transitions.stop(it)
    elif (rung := it.next_rung()) is not None and it.held:
        it.deadline = it.now + rung.after  # others froze it, and it is needed: no deeper for now
    elif rung is not None:
        it.reason = Reason(Cause.IDLE, f"no request for {policy.span(rung.after)}")
        transitions.deepen(it, rung.tier)


def ended_asleep(it: Instance, message: Exited) -> None:
    """It ended in its sleep (the kernel may have needed its memory): nobody minds, until somebody knocks."""
    it.exit = message.info
    it.reason = it.ended(Cause.EXITED, message.info, " in its sleep")
    it.say("exited", it.reason.text, it.reason.detail, expected=True)
    transitions.clean_up(it, message)
