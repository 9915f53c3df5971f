"""The moves that the table in `core.machine` names: one function per reaction to an input.

A move changes its instance and appends to `out` what is to be done; it does nothing else.  Here
are those on wishes, needs, deadlines and settings.  Those of one subject stand by themselves: `adoption`, `frozen`,
`health`, `exits`, and `outside` for what others do.
"""

from __future__ import annotations

from dataclasses import replace

from torpor.core import policy, transitions
from torpor.core.endings import Ending
from torpor.core.instance import DeadlineReached, Instance
from torpor.core.messages import (
    Answered,
    BecameReady,
    ConnectRefused,
    DependenciesMet,
    DependencyAwaited,
    DependencyLost,
    DropStored,
    EndAnnounced,
    GroundsChanged,
    ProbeInstance,
    ProgramChanged,
    Released,
    RestartRequested,
    SettingsChanged,
    SleepRequested,
    Started,
    StartRequested,
    StatusChanged,
    StopRequested,
    TimeExtended,
    Vacated,
    WakeRequested,
)
from torpor.core.model import FAILURES, Cause, Phase, Reason, Refusal, Tier, Want
from torpor.core.outcomes import RefuseWaiting

GOODBYE = 2.0
"""Seconds that upgraded connections get to close after a patient drain."""

CHANGED = Reason(Cause.OPERATOR, "its settings have changed")
PUT_TO_SLEEP = Reason(Cause.OPERATOR, "put to sleep by the operator")
_LOST = Reason(Cause.DEPENDENCY, "what it needs did not come")


def ignore(it: Instance, _message: object) -> None:
    """Nothing changes."""


def wake(it: Instance, message: WakeRequested) -> None:
    """Start, because somebody knocked."""
    it.woken_at = it.now
    it.say_woken(message.by)
    transitions.start(it)


def stay_down(it: Instance, _message: StopRequested) -> None:
    """It is asleep, and no request is to wake it any more."""
    it.out.append(DropStored(it.id))


def forget_failures(it: Instance, _message: ProgramChanged) -> None:
    """What failed were the old settings: the new ones have not, nor does it sleep for that."""
    it.failures.clear()
    if not it.finished:
        transitions.forget_reason(it, FAILURES)


def forget_loss(it: Instance, _message: DependenciesMet) -> None:
    """It sleeps because something that it needs had not come, and that is there now."""
    transitions.forget_reason(it, {Cause.DEPENDENCY})


def start_fresh(it: Instance, _message: object) -> None:
    """Start with a clean slate, because an operator said so."""
    it.failures.clear()
    it.woken_at = it.now
    it.woken_by = "operator"
    it.say("waking", "started by the operator", by="operator")
    transitions.start(it)


def unblock(it: Instance, _message: DependenciesMet) -> None:
    """Everything it needs is there: start."""
    transitions.launch(it)


def lose_dependency(it: Instance, message: DependencyLost) -> None:
    """What it needs will not come by itself: tell whoever waits."""
    transitions.stay_blocked(it, message.loss.refusal(it.now))


def await_dependency(it: Instance, message: DependencyAwaited) -> None:
    """What it needs may come after all."""
    it.demand = True
    if it.reason != message.reason:
        it.reason = message.reason
        it.say("blocked", message.reason.text, message.reason.detail)


def blocked_late(it: Instance, _message: DeadlineReached) -> None:
    """What it needs does not come: tell whoever waits."""
    transitions.stay_blocked(it, in_vain(it))


def note_started(it: Instance, message: Started) -> None:
    """It lives; its readiness is still awaited."""
    it.endpoint = message.endpoint
    it.started_at = it.now
    it.say("started", "started" if message.pid is None else f"process {message.pid} started", pid=message.pid)


def open_gate(it: Instance, _message: BecameReady) -> None:
    """Ready: open the gate for everybody who waits."""
    transitions.open_gate(it)


def ready_due(it: Instance, _message: DeadlineReached) -> None:
    """Stable for long enough, or idle for long enough, or not yet after all."""
    if it.stable_at is not None and it.now >= it.stable_at:
        it.stable_at = None
        it.was_stable = True
        it.failures.clear()
    if it.watched_until is not None and it.now >= it.watched_until:
        assert it.watch_interval is not None
        transitions.watchdog_acts(it, f"no sign of life for {policy.span(it.watch_interval)}")
        return
    transitions.sleep_if_idle(it)


def look_again(it: Instance, _message: GroundsChanged) -> None:
    """Something else keeps it awake than before, or nothing any more: that is looked at in a moment.

    Once for all that is said at a time: a whole company may part at once, and each tells all others.
    """
    it.deadline = it.now


def answered(it: Instance, message: Answered) -> None:
    """What was found out about it: it sleeps if that is all that kept it awake, else it is asked again later."""
    if it.inquiry is not None:
        it.inquiry = it.inquiry.answer(it.now, message.text, keeps_awake=message.keeps_awake)
        transitions.sleep_if_idle(it)


def touch(it: Instance, _message: WakeRequested) -> None:
    """An operator's wake of a ready instance is activity."""
    if it.upstream is not None:
        it.upstream.last_active = it.now


def note_status(it: Instance, message: StatusChanged) -> None:
    """Its own words on what it is doing."""
    it.status = message.text
    it.trouble = message.trouble


def extend(it: Instance, message: TimeExtended) -> None:
    """It is alive and needs longer."""
    if it.deadline is not None:
        it.deadline = max(it.deadline, it.now + message.seconds)


def let_end(it: Instance, _message: EndAnnounced) -> None:
    """It is about to end by itself: send it nobody, and see to it that it does end."""
    it.ending = Ending.FINISHED  # as long as its exit does not say otherwise
    it.close_gate()
    it.enter(Phase.STOPPING, it.lifecycle.stop_timeout)
    it.say("stopping", "announced its own end")


def released(it: Instance, _message: Released) -> None:
    """Nobody holds it any more: from now on it may become idle."""
    if it.upstream is not None:
        it.upstream.last_active = it.now
    it.deadline = it.ready_deadline()


def prove_again(it: Instance, _message: ConnectRefused) -> None:
    """A connection was refused: close the gate until the readiness probes hold again."""
    it.close_gate()
    it.demand = True
    it.enter(Phase.STARTING, it.lifecycle.start_timeout)
    it.say("unready", "refused a connection, checking its readiness")
    it.out.append(ProbeInstance(it.id, it.generation, refused=True))


def drain_for_sleep(it: Instance, message: SleepRequested) -> None:
    """Finish what is in flight, then sleep."""
    transitions.drain(it, message.why or PUT_TO_SLEEP, message.tier or it.lifecycle.tier)


def drain_for_down(it: Instance, message: StopRequested) -> None:
    """Finish what is in flight, then stop."""
    transitions.drain(it, Reason(Cause.DOWN, message.why))


def drain_for_restart(it: Instance, message: RestartRequested) -> None:
    """Finish what is in flight, then start a new generation."""
    it.failures.clear()
    transitions.drain(it, Reason(Cause.OPERATOR, message.why), patient=message.rolling)
    it.demand = True


def take_over(it: Instance, message: SettingsChanged) -> None:
    """What comes is decided by the new settings; a deadline that runs already stays."""
    it.lifecycle = message.lifecycle


def take_over_ready(it: Instance, message: SettingsChanged) -> None:
    """The new settings say when it becomes idle."""
    it.lifecycle = message.lifecycle
    it.inquiry = None
    it.deadline = it.ready_deadline()


def renew_start(it: Instance, _message: ProgramChanged) -> None:
    """Give up this start for one with the new settings; whoever waits goes on waiting."""
    it.failures.clear()
    it.outdated = True
    transitions.stop(it)
    it.demand = True


def drain_for_renewal(it: Instance, _message: ProgramChanged) -> None:
    """Finish what is in flight, then start a new generation with the new settings."""
    it.failures.clear()
    it.outdated = True
    transitions.drain(it, CHANGED)
    it.demand = True


def renew_end(it: Instance, _message: ProgramChanged) -> None:
    """It is to end, not to be frozen; whoever comes before it has ended gets a new generation."""
    it.tier = Tier.STOP
    it.outdated = True


def try_renewed(it: Instance, _message: ProgramChanged) -> None:
    """What failed were the old settings: start with the new ones if anybody wants it, else it may be woken."""
    it.failures.clear()
    it.reason = CHANGED
    if it.wanted:
        transitions.start(it)
    else:
        transitions.sleep(it)


def run_renewed(it: Instance, _message: ProgramChanged) -> None:
    """What is to run has finished with the old settings: run it with the new ones."""
    if it.want is Want.UP:
        transitions.start(it)
    else:
        it.reason = CHANGED
        transitions.sleep(it)


def rest_when_vacant(it: Instance, _message: Vacated) -> None:
    """Nobody uses it any more: stop, or freeze."""
    transitions.rest_when_vacant(it)


def reopen(it: Instance, message: WakeRequested | StartRequested) -> None:
    """Somebody came before it was stopped: ready again, or a new generation if its settings are outdated."""
    if it.demand:  # a restart drains for a new generation, which serves whoever came
        return
    if it.outdated:
        want_again(it, message)
        return
    it.reason = None
    transitions.open_gate(it)


def drain_late(it: Instance, _message: DeadlineReached) -> None:
    """Out of patience: close upgraded connections if they are still open, else stop; what was to be frozen goes on."""
    if it.patient:
        it.patient = False
        it.deadline = it.now + GOODBYE
        it.close_upgraded()
    elif it.tier.frozen:
        # Whoever waits for an answer of what is frozen would wait for ever.
        it.say("busy", "not put to sleep: requests are still in flight")
        transitions.open_gate(it)
    else:
        transitions.stop(it)


def abandon_for_sleep(it: Instance, message: SleepRequested) -> None:
    """Give up the start: it is to sleep."""
    transitions.abandon(it, message.why or PUT_TO_SLEEP, retry_after=1.0)


def abandon_for_down(it: Instance, message: StopRequested) -> None:
    """Give up the start: the operator wants it down."""
    transitions.abandon(it, Reason(Cause.DOWN, message.why), retry_after=None)


def start_over(it: Instance, _message: RestartRequested) -> None:
    """Give up this start for a new one; whoever waits goes on waiting."""
    it.failures.clear()
    transitions.stop(it)
    it.demand = True


def want_again(it: Instance, message: WakeRequested | StartRequested | RestartRequested) -> None:
    """Start a new generation as soon as that may be."""
    if not it.demand:
        it.demand = True
        it.woken_at = it.now
        it.say_woken(message.by if isinstance(message, WakeRequested) else "the operator")


def want_afresh(it: Instance, message: StartRequested | RestartRequested) -> None:
    """Start a new generation as soon as that may be, with a clean slate: an operator said so."""
    it.failures.clear()
    it.tier = Tier.STOP
    it.ending = Ending.ASKED
    want_again(it, message)


def want_no_more(it: Instance, message: SleepRequested | StopRequested) -> None:
    """Do not start again after this end."""
    it.demand = False
    it.woken_at = None
    if isinstance(message, StopRequested):
        it.tier = Tier.STOP
        it.reason, retry_after = Reason(Cause.DOWN, message.why), None
    else:
        it.tier = max(it.tier, message.tier or it.lifecycle.tier, key=lambda tier: tier.depth)
        it.reason, retry_after = message.why or PUT_TO_SLEEP, 1.0
    it.ending = Ending.ASKED
    it.out.append(RefuseWaiting(Refusal(it.reason, retry_after)))


def retry(it: Instance, _message: DeadlineReached) -> None:
    """The backoff is over: start if anybody still wants it, or other replicas are in use."""
    if it.wanted:
        it.restarts += 1
        transitions.start(it)
    else:
        transitions.sleep(it)


def cool_off_over(it: Instance, _message: DeadlineReached) -> None:
    """Tried often enough and rested long enough: the next one may try again."""
    it.failures.clear()
    if it.wanted:
        it.restarts += 1
        transitions.start(it)
    else:
        transitions.sleep(it)


def give_up(it: Instance, message: SleepRequested | StopRequested) -> None:
    """Stop retrying: the operator wants it asleep or down."""
    want_no_more(it, message)
    transitions.sleep(it)


def in_vain(it: Instance) -> Refusal:
    """It has waited long enough for what it needs, or knows for long that this will not come."""
    why = it.reason
    if it.demand and it.needs is not None and it.patience is not None:
        text = f"gave up after {policy.span(it.patience)} of {it.needs.text}"
        why = replace(it.needs, text=text)
    return Refusal(why or _LOST, it.lifecycle.backoff.initial)
