"""Moves for what happens to an instance where it lives: others start it, freeze it, let it go on, end it.

Only guests know such others: containers, units, machines have doors besides Torpor's.  The
rule is that a person who acts there means it, and that a request is worth no less for it.
And only their hosts may be away: that is no failure of theirs.
"""

from __future__ import annotations

from torpor.core import transitions
from torpor.core.endings import Ending
from torpor.core.instance import Instance
from torpor.core.messages import EndUnasked, Exited, FoundRunning, Froze, HostReturned, Thawed
from torpor.core.model import Cause, ManualStop, OnExternalStart, Phase, Reason, Refusal, Want
from torpor.core.outcomes import RefuseWaiting

OTHERS = "others"
"""Who has woken it, where it was nobody that Torpor knows."""
STOPPED = Reason(Cause.OPERATOR, "stopped by others")


def found_running(it: Instance, message: FoundRunning) -> None:
    """Others have started it: take it on, end it, or leave it alone, as the configuration says."""
    policy = OnExternalStart.ADOPT if message.ours else it.lifecycle.on_external_start
    if policy is OnExternalStart.STOP:
        it.say("unasked", f"{message.text}: ending it, as `on_external_start` says")
        it.out.append(EndUnasked(it.id))
    elif policy is OnExternalStart.IGNORE:
        it.say("unasked", f"{message.text}: left alone, as `on_external_start` says")
    elif it.want is Want.DOWN:
        it.say("unasked", f"{message.text}, and is to be down; `torpor start` takes it on")
    elif (closed := it.grounds.closed) is not None:
        it.say("unasked", f"{message.text}, and {closed}; `torpor pin` takes it on")
    else:
        it.woken_by = OTHERS
        it.say("waking", f"{message.text}: taking it on", by=OTHERS)
        transitions.start(it)
        it.woken_at = None  # how long it takes others to start it tells nothing of a wake


def host_returned(it: Instance, _message: HostReturned) -> None:
    """It could not be started for its host's sake: that does not count, and it is soon tried again if it is wanted."""
    it.failures.clear()
    if not it.wanted:
        it.reason = None
        transitions.sleep(it)
        return
    # Not at once: a host that answers every other time is not to be kept busy by its guests.  And soon also
    # where no attempt was to follow, as with `restart: no`: it has not been started yet.
    soon = it.now + it.lifecycle.backoff.initial
    it.deadline = soon if it.deadline is None else min(it.deadline, soon)


def excuse(it: Instance, _message: HostReturned) -> None:
    """It sleeps although somebody came, for its host's sake: nothing is wrong with it any more."""
    it.failures.clear()
    transitions.forget_reason(it, {Cause.START_FAILED})


def froze_outside(it: Instance, message: Froze) -> None:
    """Others have frozen it: it sleeps, and the next request lets it go on."""
    it.tier = it.frozen = message.tier
    it.shallow = None
    it.demand = False
    it.reason = Reason(Cause.OPERATOR, "frozen by others")
    it.close_gate()
    if it.upstream is not None:
        it.upstream.frozen = True
    it.enter(Phase.FROZEN, None)
    it.deadline = it.frozen_deadline()
    it.say("paused", it.reason.text, before=message.before, after=message.after, note=message.note)


def thawed_outside(it: Instance, _message: Thawed) -> None:
    """Others have let it go on: so it does, unless nobody but Torpor is to start it."""
    if it.demand:
        return  # it is to go on as soon as what it needs is there
    busy = it.upstream is not None and it.upstream.inflight > 0
    closed = it.grounds.closed
    if (closed is not None or it.lifecycle.on_external_start is OnExternalStart.STOP) and not busy:
        it.say(
            "unasked", f"others let it go on: freezing it again, {closed or 'as `on_external_start` says'}"
        )
        transitions.freeze(it)
        return
    it.demand = True
    it.woken_by = OTHERS
    it.say("waking", "others let it go on", by=OTHERS)
    transitions.resume(it)


def ended_outside(it: Instance, message: Exited) -> bool:
    """Others have ended it: it sleeps.  False: that counts as any end, says the configuration, or nobody did."""
    if not message.by_hand or it.lifecycle.respect_manual_stop is ManualStop.NEVER:
        return False
    it.exit = message.info
    it.ending = Ending.ASKED
    it.reason = STOPPED
    it.demand = False
    it.woken_at = None
    ended = it.ended(Cause.OPERATOR, message.info)
    it.say("exited", f"{STOPPED}: {ended.text}", ended.detail)
    it.out.append(RefuseWaiting(Refusal(STOPPED, 1.0)))
    transitions.clean_up(it, message)
    return True
