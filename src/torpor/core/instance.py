"""One instance: what is known of it, and the questions that can be answered from that.

Laws of this file:

- Only `machine.step` changes an instance, by the moves that its table names.
- Every phase that waits for the world owns a deadline, set on entry (`enter`), unless the
  configuration lets a start take for ever.

`want` is what the app is asked to be, `phase` what the instance is: there is no
phase for each wish.  `demand` is the wish of the moment: somebody knocked, or the
restart policy says so.  It is spent when the instance is ready or its start failed.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from torpor.core import policy, wakefulness
from torpor.core.endings import Ending, Sequel, sequel
from torpor.core.messages import Announce, CloseUpgraded
from torpor.core.model import (
    Caller,
    Cause,
    Endpoint,
    ExitInfo,
    InstanceId,
    InstanceSnapshot,
    Knock,
    Lifecycle,
    Phase,
    Reason,
    Refusal,
    Rung,
    Tier,
    Want,
)
from torpor.core.outcomes import CloseGate, Outcome
from torpor.core.upstream import Upstream
from torpor.core.wakefulness import Clause, Grounds, Inquiry

UNUSED = frozenset({Phase.ASLEEP, Phase.FAILED, Phase.DONE})
"""Phases in which an instance needs nothing of others."""

AWAKE = frozenset({Phase.STARTING, Phase.READY, Phase.DRAINING, Phase.STOPPING})
"""Phases in which something of the instance may be running."""

ALIVE = AWAKE | {Phase.FROZEN}
"""Phases in which something of the instance may be alive."""


_UNDER_WAY = frozenset({Phase.BLOCKED, Phase.STARTING, Phase.DRAINING, Phase.STOPPING})
"""Phases that an instance is only passing through, as a rule."""


FREEZE_LIMIT = 120.0
"""Seconds in which a freeze must have been reported: compressing 10 GB takes about 30."""


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The phase's deadline has passed."""


class Instance:
    """One copy of an app.  Owned by its `App`; changed by `machine.step` only."""

    __slots__ = (
        "completed",
        "deadline",
        "demand",
        "ending",
        "endpoint",
        "exit",
        "failures",
        "frozen",
        "generation",
        "grounds",
        "held",
        "id",
        "inquiry",
        "leaving",
        "lifecycle",
        "needs",
        "now",
        "out",
        "outdated",
        "patience",
        "patient",
        "peers",
        "phase",
        "phase_since",
        "reason",
        "restarts",
        "shallow",
        "stable_at",
        "started_at",
        "status",
        "tier",
        "tracked_at",
        "trouble",
        "unheard",
        "upstream",
        "want",
        "was_ready",
        "was_stable",
        "watch_interval",
        "watched_until",
        "woken_at",
        "woken_by",
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
        self.deadline: float | None = None
        self.ending = Ending.ASKED
        self.exit = ExitInfo()
        self.failures: list[float] = []
        self.stable_at: float | None = None
        self.patient = False
        self.was_ready = False
        """Whether its current generation has been ready before, and so cannot fail to start."""
        self.tier = Tier.STOP
        """How deep it is to sleep now, or next."""
        self.frozen: Tier | None = None
        """How deep it is known to sleep, as long as something of it is there."""
        self.shallow: str | None = None
        """Why it did not fall asleep as deep as it was to, the last time."""
        self.outdated = False
        """Whether what runs was started from settings that do not hold any more."""
        self.was_stable = False
        self.started_at: float | None = None
        self.leaving = False
        """Whether it is one replica too many, to be forgotten once it has ended."""
        self.peers: Sequence[Instance] = (self,)
        """All replicas of its app, itself included: they are idle together or not at all."""
        self.grounds = Grounds()
        """What keeps all of its app awake."""
        self.held = False
        """Whether it is to be awake: other apps need it, it is pinned, or its schedule says so."""
        self.inquiry: Inquiry | None = None
        """What was asked about it last before it might fall asleep, and is not moot."""
        self.needs: Reason | None = None
        """What it waits for before it may be started."""
        self.patience = lifecycle.start_timeout
        """Seconds that it waits for that, at most; None: for ever."""
        self.status: str | None = None
        """Its own words on what it is doing, as long as something of it is alive."""
        self.trouble: str | None = None
        """What it says has failed."""
        self.unheard: str | None = None
        """Why its end could not be asked for the last time; None: it could, or nobody has asked."""
        self.watch_interval = lifecycle.watchdog
        self.watched_until: float | None = None
        self.completed: ExitInfo | None = None
        """How it ended by itself, until it is started again."""
        self.woken_at: float | None = None
        self.woken_by: Caller | None = None
        self.tracked_at = now
        """When somebody told last that it is used past the gateway."""
        self.now = now
        self.out: list[Outcome] = []

    @property
    def alive(self) -> bool:
        """Whether something of it may exist."""
        return self.phase in ALIVE

    @property
    def in_use(self) -> bool:
        """Whether it serves, or is to as soon as it can."""
        return self.phase is Phase.READY or self.demand

    @property
    def accompanied(self) -> bool:
        """Whether other replicas are in use: then it is not to sleep alone."""
        return any(peer is not self and peer.in_use and not peer.leaving for peer in self.peers)

    @property
    def wanted(self) -> bool:
        """Whether it is to be there: somebody has come for it, or it is to run for other reasons."""
        return self.demand or self.held or self.accompanied or self.want is Want.UP

    @property
    def under_way(self) -> bool:
        """Whether it only passes through its phase; what is blocked by a loss stays there."""
        if self.phase is Phase.FROZEN:
            return self.demand or self.frozen is None
        return self.phase in _UNDER_WAY and (self.demand or self.phase is not Phase.BLOCKED)

    @property
    def holding(self) -> bool:
        """Whether it needs what its app depends on; what is frozen does so once it is to go on."""
        return self.demand if self.phase is Phase.FROZEN else self.phase not in UNUSED

    @property
    def waits(self) -> bool:
        """Whether it waits for what its app depends on."""
        return self.demand and self.phase in (Phase.BLOCKED, Phase.FROZEN)

    @property
    def ended_for_good(self) -> bool:
        """Whether it has ended by itself, and nothing is to follow that."""
        then = sequel(self.ending, self.want, self.lifecycle.restart, demand=self.demand)
        return self.completed is not None and then is Sequel.ASLEEP

    @property
    def started(self) -> bool:
        """Whether the provider has brought its current generation to life."""
        return self.started_at is not None

    @property
    def known_tier(self) -> Tier:
        """How deep it sleeps in FROZEN, or slept until now: as is known of it, else as it was asked to."""
        return self.frozen or self.tier

    def snapshot(self, now: float) -> InstanceSnapshot:
        """This instance at this moment."""
        upstream = self.upstream
        return InstanceSnapshot(
            id=self.id,
            phase=self.phase,
            generation=self.generation,
            phase_age=now - self.phase_since,
            uptime=None if self.started_at is None else now - self.started_at,
            restarts=self.restarts,
            inflight=upstream.inflight if upstream else 0,
            parked=upstream.parked if upstream else 0,
            idle_in=self.idle_in(now),
            retry_in=self.retry_in(now),
            endpoint=self.endpoint,
            reason=self.reason,
            status=self.status,
            woken_by=self.woken_by,
            finished=self.finished,
            tier=self.known_tier if self.phase is Phase.FROZEN else None,
            deeper=self._deeper(),
            deeper_in=self._deeper_in(now),
            shallow=self.shallow if self.phase is Phase.FROZEN and self.frozen is not None else None,
            unheard=self.unheard,
        )

    @property
    def finished(self) -> bool:
        """Whether it has done what it was started for: it ended by itself, as its `exit_codes` expect."""
        ended = self.phase in UNUSED and self.reason is not None and self.reason.cause is Cause.EXITED
        return ended and self.completed is not None and policy.succeeded(self.lifecycle, self.completed)

    def retry_in(self, now: float) -> float | None:
        """Seconds until the next attempt or the end of the cool-off; None where none is planned."""
        if self.phase not in (Phase.BACKOFF, Phase.FAILED) or self.deadline is None:
            return None
        return max(0.0, self.deadline - now)

    def gives_up_in(self, now: float) -> float | None:
        """Seconds until its start is over at the latest; None where there is none, or it may take for ever."""
        if self.deadline is None or not (self.waits or self.phase is Phase.STARTING):
            return None
        left = max(0.0, self.deadline - now)
        if not self.waits:
            return left
        return None if self.lifecycle.start_timeout is None else left + self.lifecycle.start_timeout

    def beyond_reach(self, now: float) -> bool:
        """Whether it could neither be asked to end nor be killed, and that is known only of its host."""
        return self.unheard is not None and now - self.phase_since >= self.lifecycle.stop_timeout

    def ended(self, cause: Cause, info: ExitInfo, when: str = "") -> Reason:
        """Why it is not there any more: how it ended, what its host knows of that, and its own word on why."""
        detail = "; ".join(said for said in (info.note, self.trouble) if said)
        return Reason(cause, f"{info.words}{when}", detail)

    def refusal(self, now: float) -> Refusal:
        """The verdict for a request that comes while the instance is FAILED."""
        assert self.reason is not None
        return Refusal(replace(self.reason, cause=Cause.FAILED), self.retry_in(now))

    def clauses(self, now: float) -> tuple[Clause, ...]:
        """All that its falling asleep depends on; nothing while it is not ready."""
        return wakefulness.clauses(self, now) if self.phase is Phase.READY else ()

    def idle_in(self, now: float) -> float | None:
        """Seconds until it would fall asleep if nobody came; None where it would not."""
        if self.phase is not Phase.READY:
            return None
        at = wakefulness.sleeps_at(self.clauses(now), now)
        return None if at is None else at - now

    def _deeper(self) -> Tier | None:
        if self.phase is not Phase.FROZEN or (rung := self.next_rung()) is None:
            return None
        return rung.tier

    def _deeper_in(self, now: float) -> float | None:
        if self.phase is not Phase.FROZEN or self.under_way or self.deadline is None:
            return None
        return max(0.0, self.deadline - now)

    def next_rung(self) -> Rung | None:
        """How it sleeps deeper once it has been idle for longer."""
        return next((rung for rung in self.lifecycle.ladder if rung.tier.depth > self.tier.depth), None)

    def frozen_deadline(self) -> float | None:
        """When it is to sleep deeper, or its freeze has failed; None: it stays as it is."""
        if self.frozen is None:
            return self.phase_since + FREEZE_LIMIT
        rung = self.next_rung()
        return None if rung is None else max(self.now, wakefulness.last_active(self) + rung.after)

    def ready_deadline(self) -> float | None:
        """The earliest moment at which something may be due."""
        looks = (self.stable_at, self.watched_until, wakefulness.look_again(self.clauses(self.now), self.now))
        return min((at for at in looks if at is not None), default=None)

    @property
    def used(self) -> bool:
        """Whether it answers a request, or has done so since it became ready."""
        upstream = self.upstream
        return upstream is not None and (upstream.inflight > 0 or upstream.last_active > self.phase_since)

    def last_active(self) -> float:
        """When it, or any other replica, was used last."""
        return wakefulness.last_active(self)

    def failures_with_this(self) -> list[float]:
        """When it failed, as far as that still counts, and now."""
        return [*policy.recent(self.failures, self.lifecycle.start_limit, self.now), self.now]

    def retry_delay(self) -> float:
        """Seconds from a failure now until the next attempt."""
        lifecycle, failures = self.lifecycle, self.failures_with_this()
        if policy.limit_reached(failures, lifecycle.start_limit):
            return lifecycle.start_limit.cool_off
        return policy.retry_delay(
            lifecycle.backoff, len(failures), was_stable=self.was_stable, dice=self._dice()
        )

    def _dice(self) -> float:
        """A number in [0, 1) that differs between instances and attempts: the core has no randomness."""
        return zlib.crc32(f"{self.id}#{self.generation}".encode()) / 2**32

    def enter(self, phase: Phase, limit: float | None) -> None:
        """Be in `phase` from now on, for `limit` seconds at most."""
        self.phase = phase
        self.phase_since = self.now
        self.stable_at = None
        self.watched_until = None
        self.inquiry = None
        self.deadline = None if limit is None else self.now + limit

    def watch(self) -> None:
        """Expect the next sign of life an interval from now."""
        self.watched_until = None if self.watch_interval is None else self.now + self.watch_interval

    def close_gate(self) -> None:
        """Take no new requests."""
        if self.upstream is not None and self.upstream.open:
            self.upstream.open = False
            self.out.append(CloseGate(self.upstream))

    def close_upgraded(self) -> None:
        """Have its upgraded connections closed."""
        if self.upstream is not None and (self.upstream.parked or self.upstream.inflight):
            self.out.append(CloseUpgraded(self.upstream))

    def say_woken(self, by: Caller) -> None:
        """Tell the journal of a wake, and remember who caused it."""
        self.woken_by = by
        known = asdict(by) if isinstance(by, Knock) else {}
        self.say("waking", f"woken by {by}", by=str(by), **known)

    def say(self, kind: str, text: str, detail: str = "", **data: object) -> None:
        """Tell the journal; see `Announce`."""
        reason = self.reason if kind in ("backoff", "failed", "asleep") else None
        data["generation"] = self.generation
        self.out.append(Announce(self.id.app, str(self.id), kind, text, reason, data, detail))
