"""Moves on the end of an instance, and on a start that comes to none: what is said of it, and what becomes of it.

What follows an end is decided by the one rule in `endings`.
"""

from __future__ import annotations

from torpor.core import outside, policy, transitions
from torpor.core.endings import Ending
from torpor.core.instance import DeadlineReached, Instance
from torpor.core.messages import Exited, Gone, KillInstance, Reboot, StartRefused, StopProblem
from torpor.core.model import Cause, OnStartTimeout, Reason


def kill(it: Instance, _message: DeadlineReached) -> None:
    """It outlived its stop signal: end it by force, and again until it is gone."""
    # Ever more seldom: its host may be away, and nobody wants to read of it every two seconds.
    spent = it.now - it.phase_since - it.lifecycle.stop_timeout
    it.deadline = it.now + min(max(transitions.KILL_AGAIN, spent), transitions.LONGEST_PAUSE)
    it.unheard = None
    it.say("killing", "did not end in time, killing it")
    it.out.append(KillInstance(it.id, it.generation))


def note_stop_problem(it: Instance, message: StopProblem) -> None:
    """Report it; the deadline tries again."""
    it.unheard = message.text
    it.say("stop-problem", "could not be ended", message.text)


def start_refused(it: Instance, message: StartRefused) -> None:
    """It could not be brought to life."""
    reason = Reason(Cause.START_FAILED, "could not be started", message.text)
    it.say("start-failed", reason.text, reason.detail)
    transitions.never_ready(it, reason)
    transitions.finish(it)


def start_exited(it: Instance, message: Exited) -> None:
    """It ended before it was ready: whoever waits learns so at once."""
    if outside.ended_outside(it, message):
        return
    if it.was_ready:  # and refused a connection since: with whatever code it exits, it failed somebody
        transitions.crash(it, message, expected=False)
        return
    it.exit = message.info
    reason = it.ended(Cause.START_FAILED, message.info, " before it was ready")
    it.say("exited", reason.text, reason.detail)
    transitions.never_ready(it, reason)
    transitions.clean_up(it, message)


def start_late(it: Instance, _message: DeadlineReached) -> None:
    """Not ready in time: what the configuration says, as a rule a failed attempt."""
    assert it.lifecycle.start_timeout is not None
    text = f"not ready within {policy.span(it.lifecycle.start_timeout)}"
    then = it.lifecycle.on_start_timeout
    if then is OnStartTimeout.ACCEPT and it.started:
        it.say("accepted", f"{text}, taken for ready")
        transitions.open_gate(it)
        return
    if then is OnStartTimeout.REBOOT:
        it.out.append(Reboot(it.id.app, text))
    it.say("start-failed", text)
    again = then is OnStartTimeout.RESTART
    transitions.never_ready(it, Reason(Cause.START_TIMEOUT, text), again=again)
    transitions.stop(it)


def crashed(it: Instance, message: Exited) -> None:
    """It ended by itself while it was ready, or others ended it."""
    if not outside.ended_outside(it, message):
        transitions.crash(it, message, expected=policy.succeeded(it.lifecycle, message.info))


def ended_early(it: Instance, message: Exited) -> None:
    """It ended before it was asked to: nobody minds, it was to end."""
    it.exit = message.info
    transitions.clean_up(it, message)


def ended(it: Instance, message: Exited) -> None:
    """The end that was asked for, or that it announced."""
    if it.ending is Ending.FINISHED:
        expected = policy.succeeded(it.lifecycle, message.info)
        transitions.ended_by_itself(it, message.info, expected=expected)
    else:
        it.exit = message.info
    if not message.leftovers:
        transitions.finish(it)


def gone(it: Instance, _message: Gone | StartRefused) -> None:
    """Nothing of it is alive any more."""
    transitions.finish(it)
