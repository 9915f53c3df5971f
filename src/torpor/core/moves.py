"""The moves that the table in `core.machine` names: one function per reaction to an input.

A move changes its instance and appends to `out` what is to be done; it does nothing else.
"""

from __future__ import annotations

from dataclasses import replace

from torpor.core import outside, policy, transitions
from torpor.core.endings import Ending
from torpor.core.instance import FREEZE_LIMIT, DeadlineReached, Instance
from torpor.core.messages import (
    Adopted,
    Answered,
    BecameReady,
    ConnectRefused,
    DependenciesMet,
    DependencyAwaited,
    DependencyLost,
    DropStored,
    EndAnnounced,
    EndRemembered,
    Exited,
    FoundUnhealthy,
    FreezeFailed,
    Froze,
    Gone,
    GroundsChanged,
    KillInstance,
    Pinged,
    ProbeInstance,
    ProgramChanged,
    Reboot,
    Released,
    RestartRequested,
    SettingsChanged,
    SleepRequested,
    Started,
    StartRefused,
    StartRequested,
    StatusChanged,
    StopProblem,
    StopRequested,
    TimeExtended,
    Vacated,
    WakeRequested,
    WatchdogChanged,
    WatchdogTriggered,
)
from torpor.core.model import FAILURES, Cause, OnStartTimeout, OnWatchdog, Phase, Reason, Refusal, Tier, Want
from torpor.core.outcomes import RefuseWaiting
from torpor.core.upstream import Upstream

GOODBYE = 2.0
"""Seconds that upgraded connections get to close after a patient drain."""

_TRIGGERED = "says that it does not work (WATCHDOG=trigger)"
CHANGED = Reason(Cause.OPERATOR, "its settings have changed")

_LOST = Reason(Cause.DEPENDENCY, "what it needs did not come")
_PUT_TO_SLEEP = Reason(Cause.OPERATOR, "put to sleep by the operator")


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
    transitions.stay_blocked(it, _in_vain(it))


def adopt(it: Instance, message: Adopted) -> None:
    """It outlived the daemon that started it: take it on, once its readiness is proven."""
    it.endpoint = message.endpoint
    it.started_at = it.now - message.age
    it.reason = None
    it.completed = None
    it.ending = Ending.ASKED
    it.was_stable = message.age >= it.lifecycle.stable_after
    who = "it" if message.pid is None else f"process {message.pid}"
    it.say("adopted", f"{who} goes on", pid=message.pid)
    if it.want is Want.DOWN:
        it.reason = Reason(Cause.DOWN, "stopped by the operator")
        transitions.stop(it)
        return
    it.status = message.status
    it.watch_interval = message.watchdog or it.lifecycle.watchdog
    it.frozen = message.frozen
    if message.changed:
        text = f"started anew: while no daemon ran, there was a change of {', '.join(message.changed)}"
        it.reason = Reason(Cause.OPERATOR, text)
        it.say("outdated", text)
        transitions.stop(it)
        it.demand = message.frozen is None
        return
    if message.frozen is not None:
        _adopt_frozen(it, message.frozen)
        return
    it.demand = True
    it.enter(Phase.STARTING, it.lifecycle.start_timeout)
    it.out.append(ProbeInstance(it.id, it.generation, refused=False))


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
    it.reason = message.why or _PUT_TO_SLEEP
    if it.demand:
        transitions.stay_frozen(it, Refusal(it.reason, 1.0))
    tier = message.tier or it.lifecycle.tier
    # It may sleep less deep than it was asked to, for want of swap: now there may be some.
    if tier.depth > it.known_tier.depth:
        transitions.deepen(it, tier)


def end_frozen(it: Instance, message: StopRequested) -> None:
    """End it: nothing of it is to be there any more."""
    want_no_more(it, message)
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
    it.reason = CHANGED
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
        transitions.lose_in_sleep(it, _in_vain(it))
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


def _adopt_frozen(it: Instance, tier: Tier) -> None:
    """It outlived its daemon in its sleep, and sleeps on."""
    it.tier = tier
    it.was_ready = True
    if it.endpoint is not None:
        it.upstream = Upstream(it.id, it.generation, it.endpoint, it.now)
        it.upstream.open = False
        it.upstream.frozen = True
    it.enter(Phase.FROZEN, None)
    it.deadline = it.frozen_deadline()


def remember_end(it: Instance, message: EndRemembered) -> None:
    """What a daemon before this one saw it do counts: what has run to its end does not run again."""
    it.completed = message.info
    expected = policy.succeeded(it.lifecycle, message.info)
    transitions.ended_by_itself(it, message.info, expected=expected)
    transitions.rest(it)


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
    transitions.drain(it, message.why or _PUT_TO_SLEEP, message.tier or it.lifecycle.tier)


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
    if it.demand or it.held or it.want is Want.UP:
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
    transitions.abandon(it, message.why or _PUT_TO_SLEEP, retry_after=1.0)


def abandon_for_down(it: Instance, message: StopRequested) -> None:
    """Give up the start: the operator wants it down."""
    transitions.abandon(it, Reason(Cause.DOWN, message.why), retry_after=None)


def start_over(it: Instance, _message: RestartRequested) -> None:
    """Give up this start for a new one; whoever waits goes on waiting."""
    it.failures.clear()
    transitions.stop(it)
    it.demand = True


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
        it.reason, retry_after = message.why or _PUT_TO_SLEEP, 1.0
    it.ending = Ending.ASKED
    it.out.append(RefuseWaiting(Refusal(it.reason, retry_after)))


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


def _in_vain(it: Instance) -> Refusal:
    """It has waited long enough for what it needs, or knows for long that this will not come."""
    why = it.reason
    if it.demand and it.needs is not None and it.patience is not None:
        text = f"gave up after {policy.span(it.patience)} of {it.needs.text}"
        why = replace(it.needs, text=text)
    return Refusal(why or _LOST, it.lifecycle.backoff.initial)


def _end_start(it: Instance, why: Reason) -> None:
    if it.was_ready:  # and was to prove it again
        transitions.end_unhealthy(it, why)
        return
    it.say("start-failed", why.text, why.detail)
    transitions.never_ready(it, replace(why, cause=Cause.START_FAILED))
    transitions.stop(it)


def _unhealthy(message: FoundUnhealthy) -> Reason:
    return Reason(Cause.UNHEALTHY, "is not healthy", message.text)
