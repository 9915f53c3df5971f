"""One instance: its record, and the moves that the table in `core.machine` names.

Laws of this file:

- A public method that takes a message is a move.  Only `machine.step` calls it.
- A move changes this record and appends to `out` what is to be done; it does nothing else.
- Every phase that waits for the world owns a deadline, set on entry.
- A new generation begins only when nothing of the one before is alive.

`want` is what the app is asked to be, `phase` what the instance is: there is no
phase for each wish.  `demand` is the wish of the moment: somebody knocked, or the
restart policy says so.  It is spent when the instance is ready or its start failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from torpor.core import policy
from torpor.core.messages import (
    Adopted,
    Announce,
    BecameReady,
    CloseUpgraded,
    ConnectRefused,
    DependenciesMet,
    DependencyLost,
    DropUpstream,
    Effect,
    EndAnnounced,
    Exited,
    FoundUnhealthy,
    Gone,
    KillInstance,
    Pinged,
    ProbeInstance,
    Reboot,
    Released,
    RestartRequested,
    SleepRequested,
    Started,
    StartInstance,
    StartRefused,
    StartRequested,
    StatusChanged,
    StopInstance,
    StopProblem,
    StopRequested,
    TimeExtended,
    WakeRequested,
    WatchdogChanged,
)
from torpor.core.model import (
    Cause,
    Endpoint,
    ExitInfo,
    InstanceId,
    InstanceSnapshot,
    Lifecycle,
    OnStartTimeout,
    OnWatchdog,
    Phase,
    Reason,
    Refusal,
    Restart,
    Want,
)
from torpor.core.upstream import Upstream

KILL_AGAIN = 2.0
"""Seconds between two attempts to end by force what survived the first."""

GOODBYE = 2.0
"""Seconds that upgraded connections get to close after a patient drain."""

UNUSED = frozenset({Phase.ASLEEP, Phase.FAILED, Phase.DONE})
"""Phases in which an instance needs nothing of others."""

ALIVE = frozenset({Phase.STARTING, Phase.READY, Phase.DRAINING, Phase.STOPPING})
"""Phases in which something of the instance may be alive."""

_PUT_TO_SLEEP = Reason(Cause.OPERATOR, "put to sleep by the operator")


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The phase's deadline has passed."""


@dataclass(frozen=True, slots=True)
class OpenGate:
    """For the app: this upstream takes requests; grant to all who wait.

    `took` is the duration of the wake in seconds, None where it was no wake.
    """

    upstream: Upstream | None
    took: float | None


@dataclass(frozen=True, slots=True)
class CloseGate:
    """For the app: this upstream takes no new requests."""

    upstream: Upstream


@dataclass(frozen=True, slots=True)
class RefuseWaiting:
    """For the app: everybody who waits gets this verdict now."""

    refusal: Refusal


Outcome = Effect | OpenGate | CloseGate | RefuseWaiting


class Ending(Enum):
    """What brought an instance to its end, and so what follows it."""

    ASKED = auto()
    CRASHED = auto()
    NEVER_READY = auto()
    UNHEALTHY = auto()


class Instance:
    """One copy of an app.  Owned by its `App`; changed by `machine.step` only."""

    __slots__ = (
        "_deadline",
        "_ending",
        "_exit",
        "_failures",
        "_interval",
        "_stable_at",
        "_started_at",
        "_was_stable",
        "_watched_until",
        "completed",
        "demand",
        "endpoint",
        "generation",
        "held",
        "id",
        "leaving",
        "lifecycle",
        "needs",
        "now",
        "out",
        "patient",
        "peers",
        "phase",
        "phase_since",
        "reason",
        "restarts",
        "status",
        "upstream",
        "want",
        "woken_at",
    )

    def __init__(self, id: InstanceId, lifecycle: Lifecycle, now: float, *, want: Want) -> None:
        self.id = id
        self.lifecycle = lifecycle
        self.want = want
        self.demand = False
        self.phase = Phase.ASLEEP
        self.phase_since = now
        self.generation = 0
        self.restarts = 0
        self.reason: Reason | None = None
        self.endpoint: Endpoint | None = None
        self.upstream: Upstream | None = None
        self._deadline: float | None = None
        self._ending = Ending.ASKED
        self._exit = ExitInfo()
        self._failures: list[float] = []
        self._stable_at: float | None = None
        self.patient = False
        self._was_stable = False
        self._started_at: float | None = None
        self.leaving = False
        """Whether it is one replica too many, to be forgotten once it has ended."""
        self.peers: Sequence[Instance] = (self,)
        """All replicas of its app, itself included: they are idle together or not at all."""
        self.held = False
        """Whether other apps need it now."""
        self.needs: Reason | None = None
        """What it waits for before it may be started."""
        self.status: str | None = None
        """Its own words on what it is doing."""
        self._interval = lifecycle.watchdog
        self._watched_until: float | None = None
        self.completed: ExitInfo | None = None
        """How it ended by itself, until it is started again."""
        self.woken_at: float | None = None
        self.now = now
        self.out: list[Outcome] = []

    def next_deadline(self) -> float | None:
        """When `DeadlineReached` is due, at the earliest."""
        return self._deadline

    @property
    def alive(self) -> bool:
        """Whether something of it may exist."""
        return self.phase in ALIVE

    @property
    def started(self) -> bool:
        """Whether the provider has brought its current generation to life."""
        return self._started_at is not None

    @property
    def last_exit(self) -> ExitInfo:
        """How it ended last, as far as anybody knows."""
        return self._exit

    def snapshot(self, now: float) -> InstanceSnapshot:
        """This instance at this moment."""
        upstream = self.upstream
        return InstanceSnapshot(
            id=self.id,
            phase=self.phase,
            generation=self.generation,
            phase_age=now - self.phase_since,
            uptime=None if self._started_at is None else now - self._started_at,
            restarts=self.restarts,
            inflight=upstream.inflight if upstream else 0,
            parked=upstream.parked if upstream else 0,
            idle_in=self._idle_in(now),
            retry_in=self.retry_in(now),
            endpoint=self.endpoint,
            reason=self.reason,
            status=self.status,
        )

    def retry_in(self, now: float) -> float | None:
        """Seconds until the next attempt or the end of the cool-off; None where none is planned."""
        if self.phase not in (Phase.BACKOFF, Phase.FAILED) or self._deadline is None:
            return None
        return max(0.0, self._deadline - now)

    def refusal(self, now: float) -> Refusal:
        """The verdict for a request that comes while the instance is FAILED."""
        assert self.reason is not None
        return Refusal(Reason(Cause.FAILED, self.reason.text), self.retry_in(now))

    # --- moves: beginning ----------------------------------------------------

    def ignore(self, _message: object) -> None:
        """Nothing changes."""

    def wake(self, message: WakeRequested) -> None:
        """Start, because somebody knocked."""
        self.woken_at = self.now
        self._say("waking", f"woken by {message.by}", by=message.by)
        self._start()

    def start_fresh(self, _message: object) -> None:
        """Start with a clean slate, because an operator said so."""
        self._failures.clear()
        self.woken_at = self.now
        self._say("waking", "started by the operator", by="operator")
        self._start()

    def _start(self) -> None:
        self.demand = True
        if self.woken_at is None:
            self.woken_at = self.now
        if self.needs is None:
            self._launch()
            return
        self.reason = self.needs
        self._enter(Phase.BLOCKED, self.lifecycle.start_timeout)
        self._say("blocked", self.needs.text)

    def unblock(self, _message: DependenciesMet) -> None:
        """Everything it needs is there: start."""
        self._launch()

    def lose_dependency(self, message: DependencyLost) -> None:
        """What it needs will not come by itself: tell whoever waits."""
        self._stay_blocked(message.reason)

    def blocked_late(self, _message: DeadlineReached) -> None:
        """What it needs does not come: tell whoever waits."""
        assert self.needs is not None
        self._stay_blocked(self.needs)

    def _stay_blocked(self, reason: Reason) -> None:
        self.reason = reason
        self.out.append(RefuseWaiting(Refusal(reason, self.lifecycle.backoff.initial)))
        if self.want is Want.UP:  # it recovers by itself when its dependency does
            self._enter(Phase.BLOCKED, self.lifecycle.start_timeout)
            self._say("blocked", reason.text)
        else:
            self._sleep(None)

    def _launch(self) -> None:
        self.generation += 1
        self.reason = None
        self.completed = None
        self.status = None
        self._interval = self.lifecycle.watchdog
        self.endpoint = None
        self._ending = Ending.ASKED
        self._was_stable = False
        self._enter(Phase.STARTING, self.lifecycle.start_timeout)
        self._say("starting", f"starting generation {self.generation}")
        self.out.append(StartInstance(self.id, self.generation))

    def adopt(self, message: Adopted) -> None:
        """It outlived the daemon that started it: take it on, once its readiness is proven."""
        self.endpoint = message.endpoint
        self._started_at = self.now - message.age
        self.reason = None
        self._ending = Ending.ASKED
        self._was_stable = message.age >= self.lifecycle.stable_after
        self._say("adopted", f"process {message.pid} goes on", pid=message.pid)
        if self.want is Want.DOWN:
            self.reason = Reason(Cause.DOWN, "stopped by the operator")
            self._stop()
            return
        self._enter(Phase.STARTING, self.lifecycle.start_timeout)
        self.out.append(ProbeInstance(self.id, self.generation))

    def note_started(self, message: Started) -> None:
        """It lives; its readiness is still awaited."""
        self.endpoint = message.endpoint
        self._started_at = self.now
        if message.pid is not None:
            self._say("started", f"process {message.pid} started", pid=message.pid)

    def open(self, _message: BecameReady) -> None:
        """Ready: open the gate for everybody who waits."""
        took = None if self.woken_at is None else self.now - self.woken_at
        self.woken_at = None
        self.demand = False
        self._enter(Phase.READY, None)
        if self.upstream is not None:
            self.upstream.open = True
            self.upstream.last_active = self.now
        elif self.endpoint is not None:
            self.upstream = Upstream(self.id, self.generation, self.endpoint, self.now)
        self._stable_at = self.now + self.lifecycle.stable_after
        self._watch()
        self._deadline = self._ready_deadline()
        text = "ready" if took is None else f"ready after {policy.span(took)}"
        self._say("ready", text, seconds=took)
        self.out.append(OpenGate(self.upstream, took))

    # --- moves: ready --------------------------------------------------------

    def ready_due(self, _message: DeadlineReached) -> None:
        """Stable for long enough, or idle for long enough, or not yet after all."""
        if self._stable_at is not None and self.now >= self._stable_at:
            self._stable_at = None
            self._was_stable = True
            self._failures.clear()
        if self._watched_until is not None and self.now >= self._watched_until:
            self._missed_heartbeat()
            return
        idle_in = self._idle_in(self.now)
        if idle_in is not None and idle_in <= 0:
            assert self.lifecycle.idle_timeout is not None
            text = f"no request for {policy.span(self.lifecycle.idle_timeout)}"
            self._drain(Reason(Cause.IDLE, text))
        else:
            self._deadline = self._ready_deadline()

    def _ready_deadline(self) -> float | None:
        """The earliest moment at which something may be due.

        While requests are in flight the true idle deadline is unknown; if the last one
        ended right now it would be a whole idle timeout away, so that is early enough.
        """
        due = [at for at in (self._stable_at, self._watched_until) if at is not None]
        if (idle_timeout := self._idle_timeout()) is not None:
            due.append((self.now if self._busy() else self._last_active()) + idle_timeout)
        return min(due, default=None)

    def _idle_in(self, now: float) -> float | None:
        idle_timeout = self._idle_timeout()
        if self.phase is not Phase.READY or idle_timeout is None or self._busy():
            return None
        return self._last_active() + idle_timeout - now

    def _idle_timeout(self) -> float | None:
        return None if self.want is Want.UP or self.held else self.lifecycle.idle_timeout

    def _busy(self) -> bool:
        return any(peer.upstream is not None and peer.upstream.inflight > 0 for peer in self.peers)

    def _last_active(self) -> float:
        active = [peer.upstream.last_active for peer in self.peers if peer.upstream is not None]
        return max(active, default=self.phase_since)

    def touch(self, _message: WakeRequested) -> None:
        """An operator's wake of a ready instance is activity."""
        if self.upstream is not None:
            self.upstream.last_active = self.now

    def ping(self, _message: Pinged) -> None:
        """A sign of life: the next one is due an interval from now."""
        self._watch()
        self._deadline = self._ready_deadline()

    def set_watchdog(self, message: WatchdogChanged) -> None:
        """It knows best how often it can send a sign of life."""
        self._interval = message.interval
        if self.phase is Phase.READY:
            self._watch()
            self._deadline = self._ready_deadline()

    def _watch(self) -> None:
        self._watched_until = None if self._interval is None else self.now + self._interval

    def _missed_heartbeat(self) -> None:
        assert self._interval is not None
        text = f"no sign of life for {policy.span(self._interval)}"
        match self.lifecycle.on_watchdog:
            case OnWatchdog.RESTART:
                self._end_unhealthy(text)
            case OnWatchdog.IGNORE:
                self._say("unhealthy", text)
                self._watch()
                self._deadline = self._ready_deadline()
            case OnWatchdog.REBOOT:
                self._say("unhealthy", text)
                self.out.append(Reboot(self.id.app, text))
                self._watch()
                self._deadline = self._ready_deadline()

    def unhealthy(self, message: FoundUnhealthy) -> None:
        """It does not do its work any more: end it, and start it again as after a crash."""
        self._end_unhealthy(message.text)

    def _end_unhealthy(self, text: str) -> None:
        self._ending = Ending.UNHEALTHY
        self.reason = Reason(Cause.UNHEALTHY, text)
        self._say("unhealthy", text)
        self._stop()

    def note_status(self, message: StatusChanged) -> None:
        """Its own words on what it is doing."""
        self.status = message.text

    def extend(self, message: TimeExtended) -> None:
        """It is alive and needs longer."""
        assert self._deadline is not None
        self._deadline = max(self._deadline, self.now + message.seconds)

    def let_end(self, _message: EndAnnounced) -> None:
        """It is about to end by itself: send it nobody, and see to it that it does end."""
        self._ending = Ending.CRASHED
        self._close_gate()
        self._enter(Phase.STOPPING, self.lifecycle.stop_timeout)
        self._say("stopping", "announced its own end")

    def released(self, _message: Released) -> None:
        """Nobody holds it any more: from now on it may become idle."""
        if self.upstream is not None:
            self.upstream.last_active = self.now
        self._deadline = self._ready_deadline()

    def prove_again(self, _message: ConnectRefused) -> None:
        """A connection was refused: close the gate until the readiness probes hold again."""
        self._close_gate()
        self.demand = True
        self._enter(Phase.STARTING, self.lifecycle.start_timeout)
        self._say("unready", "refused a connection, checking its readiness")
        self.out.append(ProbeInstance(self.id, self.generation))

    # --- moves: ending on request --------------------------------------------

    def drain_for_sleep(self, _message: SleepRequested) -> None:
        """Finish what is in flight, then sleep."""
        self._drain(_PUT_TO_SLEEP)

    def drain_for_down(self, message: StopRequested) -> None:
        """Finish what is in flight, then stop."""
        self._drain(Reason(Cause.DOWN, message.why))

    def drain_for_restart(self, message: RestartRequested) -> None:
        """Finish what is in flight, then start a new generation."""
        self._failures.clear()
        self._drain(Reason(Cause.OPERATOR, "restarted by the operator"), patient=message.rolling)
        self.demand = True

    def _drain(self, reason: Reason, *, patient: bool = False) -> None:
        """`patient`: upgraded connections keep the whole drain time, too, before they are closed."""
        self.reason = reason
        self.demand = False
        self._close_gate()
        self._enter(Phase.DRAINING, self.lifecycle.drain_timeout)
        self._say("draining", f"going to sleep: {reason}" if reason.cause is Cause.IDLE else reason.text)
        self.patient = patient
        if not patient:
            self._close_upgraded()
        self.stop_when_vacant(None)

    def _close_upgraded(self) -> None:
        if self.upstream is not None and (self.upstream.parked or self.upstream.inflight):
            self.out.append(CloseUpgraded(self.upstream))

    def stop_when_vacant(self, _message: object) -> None:
        """Nobody uses it any more: stop."""
        if self.upstream is None or not (self.upstream.inflight or self.upstream.parked):
            self._stop()

    def reopen(self, _message: object) -> None:
        """Somebody came before it was stopped: ready again."""
        if self.demand:  # a restart drains for a new generation, which serves whoever came
            return
        self.reason = None
        self.open(BecameReady(self.id, self.generation))

    def drain_late(self, _message: DeadlineReached) -> None:
        """Out of patience: close upgraded connections if they are still open, else stop."""
        if self.patient:
            self.patient = False
            self._deadline = self.now + GOODBYE
            self._close_upgraded()
        else:
            self._stop()

    def _stop(self) -> None:
        self._close_gate()
        self._enter(Phase.STOPPING, self.lifecycle.stop_timeout)
        self._say("stopping", "stopping")
        self.out.append(StopInstance(self.id, self.generation))

    def abandon_for_sleep(self, _message: SleepRequested) -> None:
        """Give up the start: the operator wants it asleep."""
        self._abandon(_PUT_TO_SLEEP, retry_after=1.0)

    def abandon_for_down(self, message: StopRequested) -> None:
        """Give up the start: the operator wants it down."""
        self._abandon(Reason(Cause.DOWN, message.why), retry_after=None)

    def _abandon(self, reason: Reason, retry_after: float | None) -> None:
        self.demand = False
        self.reason = reason
        self.woken_at = None
        self.out.append(RefuseWaiting(Refusal(reason, retry_after)))
        self._stop()

    def start_over(self, _message: RestartRequested) -> None:
        """Give up this start for a new one; whoever waits goes on waiting."""
        self._failures.clear()
        self._stop()
        self.demand = True

    def kill(self, _message: DeadlineReached) -> None:
        """It outlived its stop signal: end it by force, and again until it is gone."""
        self._deadline = self.now + KILL_AGAIN
        self._say("killing", "did not end in time, killing it")
        self.out.append(KillInstance(self.id, self.generation))

    def note_stop_problem(self, message: StopProblem) -> None:
        """Report it; the deadline tries again."""
        self._say("stop-problem", message.text)

    def want_again(self, message: WakeRequested | StartRequested | RestartRequested) -> None:
        """Start a new generation as soon as that may be."""
        if not self.demand:
            self.demand = True
            self.woken_at = self.now
            by = message.by if isinstance(message, WakeRequested) else "the operator"
            self._say("waking", f"woken by {by}", by=by)

    def want_no_more(self, message: SleepRequested | StopRequested) -> None:
        """Do not start again after this end."""
        self.demand = False
        self.woken_at = None
        if isinstance(message, StopRequested):
            self.reason, retry_after = Reason(Cause.DOWN, message.why), None
        else:
            self.reason, retry_after = _PUT_TO_SLEEP, 1.0
        self._ending = Ending.ASKED
        self.out.append(RefuseWaiting(Refusal(self.reason, retry_after)))

    # --- moves: ending by itself ---------------------------------------------

    def start_refused(self, message: StartRefused) -> None:
        """It could not be brought to life."""
        self._say("start-failed", message.text)
        self._never_ready(Reason(Cause.START_FAILED, message.text))
        self._finish()

    def start_exited(self, message: Exited) -> None:
        """It ended before it was ready: whoever waits learns so at once."""
        if self.upstream is not None:  # it had been ready, and was to prove it again
            self.crashed(message)
            return
        self._exit = message.info
        self._say("exited", f"{message.info} before it was ready")
        self._never_ready(Reason(Cause.START_FAILED, f"{message.info} before it was ready"))
        self._end(message)

    def start_late(self, _message: DeadlineReached) -> None:
        """Not ready in time: what the configuration says, as a rule a failed attempt."""
        text = f"not ready within {policy.span(self.lifecycle.start_timeout)}"
        then = self.lifecycle.on_start_timeout
        if then is OnStartTimeout.ACCEPT and self.started:
            self._say("accepted", f"{text}, taken for ready")
            self.open(BecameReady(self.id, self.generation))
            return
        if then is OnStartTimeout.REBOOT:
            self.out.append(Reboot(self.id.app, text))
        self._say("start-failed", text)
        self._never_ready(Reason(Cause.START_TIMEOUT, text))
        self.demand = then is OnStartTimeout.RESTART
        self._stop()

    def _never_ready(self, reason: Reason) -> None:
        self._ending = Ending.NEVER_READY
        self.reason = reason
        self.demand = False
        self.woken_at = None
        self._count_failure()
        self.out.append(RefuseWaiting(Refusal(reason, self._retry_delay())))

    def crashed(self, message: Exited) -> None:
        """It ended by itself while it was ready."""
        self._exit = message.info
        self._ending = Ending.CRASHED
        self.reason = Reason(Cause.EXITED, str(message.info))
        self._say("exited", str(message.info))
        self._end(message)

    def ended(self, message: Exited) -> None:
        """The end that was asked for."""
        self._exit = message.info
        self._end(message)

    def _end(self, message: Exited) -> None:
        if message.leftovers and self.phase is not Phase.STOPPING:
            self._stop()
        elif not message.leftovers:
            self._finish()

    def gone(self, _message: Gone | StartRefused) -> None:
        """Nothing of it is alive any more."""
        self._finish()

    def _finish(self) -> None:
        """Nothing of this generation is alive: decide what follows."""
        self._close_gate()
        if self.upstream is not None:
            self.out.append(DropUpstream(self.upstream))
        self.upstream = None
        self.endpoint = None
        self._started_at = None
        if self._ending is Ending.ASKED or self.want is Want.DOWN:
            if self.demand and self.want is not Want.DOWN:
                self._start()
            else:
                self._sleep(None)
        elif self._ending is Ending.CRASHED:
            self.completed = self._exit
            self._after_crash()
        elif self._ending is Ending.UNHEALTHY:
            self._after_unhealthy()
        else:
            self._after_failure()

    def _after_crash(self) -> None:
        lifecycle = self.lifecycle
        if self.reason is None:  # it had announced its end, and is not to be blamed before it came
            self.reason = Reason(Cause.EXITED, str(self._exit))
        if not (policy.restart_wanted(lifecycle, self._exit) or self.demand):
            if self.want is not Want.UP:
                self._sleep(None)
            elif policy.succeeded(lifecycle, self._exit):
                self._enter(Phase.DONE, None)
                self._say("done", "finished")
            else:
                self._enter(Phase.FAILED, None)
                self._say("failed", f"{self._exit}, and is not to be restarted")
            return
        self._count_failure()
        self.demand = True
        self._back_off()

    def _after_unhealthy(self) -> None:
        if self.lifecycle.restart is Restart.NO and not self.demand:
            if self.want is Want.UP:
                self._enter(Phase.FAILED, None)
                self._say("failed", f"{self.reason}, and is not to be restarted")
            else:
                self._sleep(None)
            return
        self._count_failure()
        self.demand = True
        self._back_off()

    def _count_failure(self) -> None:
        limit = self.lifecycle.start_limit
        self._failures = [*policy.recent(self._failures, limit, self.now), self.now]

    def _after_failure(self) -> None:
        if self.want is Want.UP and self.lifecycle.restart is Restart.NO:
            self._enter(Phase.FAILED, None)
            self._say("failed", f"{self.reason}, and is not to be restarted")
        else:
            self._back_off()

    def _back_off(self) -> None:
        limit = self.lifecycle.start_limit
        if policy.limit_reached(self._failures, limit):
            text = f"{self.reason} ({len(self._failures)} failures within {policy.span(limit.window)})"
            self.reason = Reason(self.reason.cause if self.reason else Cause.EXITED, text)
            self.demand = False
            self.woken_at = None
            self._enter(Phase.FAILED, limit.cool_off)
            self._say("failed", f"{text}; next attempt in {policy.span(limit.cool_off)} at the earliest")
            self.out.append(RefuseWaiting(self.refusal(self.now)))
            return
        delay = self._retry_delay()
        self._enter(Phase.BACKOFF, delay)
        self._say("backoff", f"next attempt in {policy.span(delay)}", seconds=delay)

    def _retry_delay(self) -> float:
        limit = self.lifecycle.start_limit
        if policy.limit_reached(self._failures, limit):
            return limit.cool_off
        return policy.retry_delay(
            self.lifecycle.backoff, len(self._failures), was_stable=self._was_stable, dice=self._dice()
        )

    def _dice(self) -> float:
        """A number in [0, 1) that differs between instances and attempts: the core has no randomness."""
        seed = sum(str(self.id).encode()) + 1000 * self.id.replica + self.generation
        return seed * 2654435761 % 2**32 / 2**32  # Knuth's multiplicative hash

    def retry(self, _message: DeadlineReached) -> None:
        """The backoff is over: start if anybody still wants it."""
        if self.demand or self.held or self.want is Want.UP:
            self.restarts += 1
            self._start()
        else:
            self._sleep(None)

    def cool_off_over(self, _message: DeadlineReached) -> None:
        """Tried often enough and rested long enough: the next one may try again."""
        self._failures.clear()
        if self.held or self.want is Want.UP:
            self.restarts += 1
            self._start()
        else:
            self._sleep(None)

    def _sleep(self, _message: object) -> None:
        """Be asleep."""
        self.demand = False
        self.woken_at = None
        self._enter(Phase.ASLEEP, None)
        self._say("asleep", f"asleep: {self.reason}" if self.reason else "asleep")

    def give_up(self, message: SleepRequested | StopRequested) -> None:
        """Stop retrying: the operator wants it asleep or down."""
        self.want_no_more(message)
        self._sleep(None)

    # --- helpers -------------------------------------------------------------

    def _enter(self, phase: Phase, limit: float | None) -> None:
        self.phase = phase
        self.phase_since = self.now
        self._stable_at = None
        self._watched_until = None
        self._deadline = None if limit is None else self.now + limit

    def _close_gate(self) -> None:
        if self.upstream is not None and self.upstream.open:
            self.upstream.open = False
            self.out.append(CloseGate(self.upstream))

    def _say(self, kind: str, text: str, **data: object) -> None:
        reason = self.reason if kind in ("backoff", "failed", "asleep") else None
        data["generation"] = self.generation
        self.out.append(Announce(self.id.app, str(self.id), kind, text, reason, data))
