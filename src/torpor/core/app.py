"""One app: takes each input, has its parts deal with it, and returns what is to be done.

Its parts own what it consists of: `Replicas` its instances, `Door` the requests and the leases
on them, `Needs` what it waits for, `Remembered` what outlives the daemon.  What it does as its
operator wishes, on other grounds to be awake, and to have more replicas or fewer stands in
`wishes`, `grounds` and `scaling`.

Laws of this file:

- A client that leaves never cancels a wake.
- Other settings never end a generation that can go on with them; they reach all replicas or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torpor.core import dependencies, grounds, refusals, scaling, wishes
from torpor.core.door import Door
from torpor.core.instance import UNUSED, DeadlineReached, Instance
from torpor.core.machine import step
from torpor.core.messages import (
    AdaptInstance,
    Adopted,
    Announce,
    Answered,
    AppInput,
    ClientLeft,
    DependenciesMet,
    DependencyAwaited,
    DependencyLost,
    Effect,
    EndRemembered,
    Exited,
    GrantTicket,
    GroundsChanged,
    InstanceInput,
    PageRequested,
    RefuseTicket,
    Released,
    Remember,
    RequestArrived,
    RestartRequested,
    ScheduleChanged,
    SettingsChanged,
    StopRequested,
    Tracked,
    WakeRequested,
    WatchInstance,
    Wish,
)
from torpor.core.model import (
    AppMemory,
    AppSnapshot,
    AppSpec,
    Caller,
    Dependency,
    Loss,
    ManualStop,
    Phase,
    Refusal,
    Standing,
    Want,
)
from torpor.core.needs import Needs
from torpor.core.objections import objection
from torpor.core.outcomes import CloseGate, OpenGate, Outcome, RefuseWaiting
from torpor.core.remembered import Remembered
from torpor.core.replicas import Replicas
from torpor.core.rolling import Rolling
from torpor.core.room import Room
from torpor.core.schedule import ANY_HOURS
from torpor.core.wakefulness import Grounds


class App:
    """An app and everything that is waiting for it.  Owned by the fleet."""

    __slots__ = (
        "_needs",
        "_spared_by",
        "closing",
        "door",
        "enter",
        "goes_with",
        "held_by",
        "hours",
        "instances",
        "leaving",
        "out",
        "patience",
        "remembered",
        "rolling",
        "spec",
    )

    def __init__(
        self,
        spec: AppSpec,
        memory: AppMemory,
        now: float,
        standings: Mapping[str, Standing] = MappingProxyType({}),
        room: Room | None = None,
    ) -> None:
        """For `standings` and `room` see `Needs`."""
        self.spec = spec
        self.leaving = False
        """Whether it is configured no more, to be forgotten once nothing of it is alive."""
        self._needs = Needs(standings, room)
        self.held_by: set[str] = set()
        """Apps that need this one now."""
        self._spared_by: set[str] = set()
        """Those among them that do not miss it."""
        self.goes_with: tuple[Replicas, ...] = ()
        """Those of the apps whose companion it is: it stays awake as long as they would.  The fleet knows them."""
        self.hours = ANY_HOURS
        """What its schedule says now."""
        self.remembered = Remembered(memory, now)
        self.door = Door(spec)
        self.enter = self.door.enter
        """The hot path: the door's own method."""
        self.patience = spec.lifecycle.start_timeout
        """Seconds that it waits for what it needs, at most; None: for ever.  The fleet knows how long that may take."""
        self.closing = False
        """Whether the daemon goes down."""
        self.out: list[Effect] = []
        """What is to be done for the input at hand."""
        self.rolling = Rolling()
        self.instances = Replicas()
        for number in range(self.replicas):
            instance = scaling.add(self, number, now)
            instance.completed = next(iter(memory.completed[number : number + 1]), None)
            instance.failures = list(*memory.failures[number : number + 1])
        self.instances[0].restarts = memory.restarts

    @property
    def want(self) -> Want:
        """What the operator asks for, or else the configuration."""
        return self.remembered.want(self.spec)

    @property
    def always_on(self) -> bool:
        """Whether it is to be kept running, as the operator says or else the configuration."""
        return self.remembered.always_on(self.spec)

    @property
    def priority(self) -> int:
        """The same for its priority."""
        return self.remembered.priority(self.spec)

    @property
    def pinned(self) -> bool:
        """Whether an operator keeps it awake."""
        return self.remembered.pin is not None

    @property
    def closed(self) -> str | None:
        """Why its schedule lets it not run now; None: it may, or an operator has pinned it."""
        return None if self.pinned else self.hours.closed

    @property
    def replicas(self) -> int:
        """How many instances there are to be."""
        return self.remembered.replicas(self.spec)

    # --- decisions -----------------------------------------------------------

    def handle(self, message: AppInput, now: float) -> list[Effect]:
        """Take one input about this app and return what is to be done.

        A wish that meets an objection changes nothing: whoever asked has been told by then,
        or has lost a race against another wish.
        """
        self.out = []
        if isinstance(message, Wish):
            if objection(self, message, now) is not None:
                return self.out
            wishes.grant(self, message, now)
            return self._done(now)
        match message:
            case RequestArrived(ticket=ticket, by=by):
                self._arrive(ticket, by, now)
            case PageRequested(by=by):
                if self.door.yielding:
                    self.door.knocked(by)
                elif self.refusal(now) is None:
                    self.tell_all(WakeRequested(self.spec.name, by), now)
            case ClientLeft(ticket=ticket):
                self.door.waiting.left(ticket)
            case Tracked():
                for instance in self.instances:
                    instance.tracked_at = now
            case ScheduleChanged(hours=hours):
                grounds.follow_schedule(self, hours, now)
        return self._done(now)

    def report(self, message: InstanceInput, now: float) -> list[Effect]:
        """Take one report about an instance and return what is to be done."""
        self.out = []
        for instance in self.instances:
            if instance.id == message.id:
                if isinstance(message, Adopted):
                    instance.generation = message.generation
                if isinstance(message, Exited) and message.generation == instance.generation:
                    self._mind_stop(message)
                self.tell(instance, message, now)
                if isinstance(message, Answered):  # others may have waited for nothing else
                    self.tell_all(GroundsChanged(self.spec.name), now)
        return self._done(now)

    def deadline_reached(self, now: float) -> list[Effect]:
        """Do whatever is due at `now`."""
        self.out = []
        missing = self._needs.missing(self.spec) if self._needs else None
        late = self.door.waiting.late(now)
        self.out += [RefuseTicket(ticket, refusals.too_late(self, missing, now)) for ticket in late]
        if (over := self.remembered.unpinned_at) is not None and over <= now:
            wishes.unpin(self, "its pin is over: it may sleep again", now)
        for instance in self.instances:
            due = instance.deadline
            if due is not None and due <= now:
                self.tell(instance, DeadlineReached(), now)
        return self._done(now)

    def next_deadline(self) -> float | None:
        """When something is due at the earliest; None: only when an input comes."""
        due = [at for instance in self.instances if (at := instance.deadline) is not None]
        if (first := self.door.waiting.deadline) is not None:
            due.append(first)
        if (over := self.remembered.unpinned_at) is not None:
            due.append(over)
        return min(due, default=None)

    def boot(self, now: float, by: str = "boot") -> list[Effect]:
        """The daemon has come up, or the app is new: start what is to run, or is in use but for a replica."""
        self.out = []
        serving = any(instance.in_use and instance.endpoint is not None for instance in self.instances)
        for instance in self.instances:
            if (info := instance.completed) is not None and instance.phase is Phase.ASLEEP:
                self.tell(instance, EndRemembered(instance.id, info), now)
            wanted = self.want is Want.UP or serving or (self.pinned and not instance.ended_for_good)
            if wanted and instance.phase not in UNUSED - {Phase.ASLEEP}:
                self.tell(instance, WakeRequested(self.spec.name, by), now)
        self._note_awaited(now)
        return self.out

    def close(self) -> list[Effect]:
        """The daemon goes down: refuse whoever waits and whoever comes."""
        self.out = []
        self.closing = True
        self.rolling.end(refusals.SHUTDOWN.reason.text)
        self.out += self.door.waiting.refuse(refusals.SHUTDOWN)
        self.out.append(Remember(self.spec.name))
        return self.out

    def shut_down(self, now: float) -> list[Effect]:
        """It was removed, or the daemon goes down: stop all instances; what is wanted stays as it is."""
        self.out = []
        why = refusals.SHUTDOWN if self.closing else refusals.REMOVED
        for instance in self.instances:
            instance.want = Want.DOWN
            self.tell(instance, StopRequested(self.spec.name, why.reason.text), now)
        self._note_awaited(now)
        return self.out

    # --- the configuration ---------------------------------------------------

    def change(self, before: AppSpec, now: float, *, renewed: bool) -> list[Effect]:
        """Other settings hold, those of `spec`; `renewed`: what runs is to be started afresh for them.

        Nothing of it is started that does not run.  An app that was removed, and is back
        before it was gone, runs again if it is to.
        """
        self.out = []
        name, spec = self.spec.name, self.spec
        back, self.leaving = self.leaving, False
        was_up = not back and self.instances[0].want is Want.UP
        self.out += self.remembered.follow(before, spec)
        if spec.schedule is None:
            self.hours = ANY_HOURS
        self.door.waiting.shift(spec.lifecycle.wake_timeout - before.lifecycle.wake_timeout)
        self.agree()
        if spec.lifecycle.min_bytes != before.lifecycle.min_bytes:
            self.door.weigh(spec, self.instances)
        for instance in self.instances:
            self.tell(instance, SettingsChanged(name, spec.lifecycle), now)
        scaling.resize(self, self.replicas, now, "the configuration")
        if renewed or back:
            scaling.renew(self, now)
        for instance in self.instances:
            if instance.started:
                self.out.append(AdaptInstance(instance.id, instance.generation))
            if instance.phase is Phase.READY and spec.liveness != before.liveness:
                self.out.append(WatchInstance(instance.id, instance.generation))
        if self.want is Want.UP and not was_up:
            self.tell_all(WakeRequested(name, "the configuration"), now)
        return self._done(now)

    def leave(self) -> list[Effect]:
        """It is configured no more: refuse whoever waits and whoever comes.  `shut_down` ends it."""
        self.out = []
        self.leaving = True
        self.rolling.end(refusals.REMOVED.reason.text)
        self.out += self.door.waiting.refuse(refusals.REMOVED)
        return self.out

    @property
    def over(self) -> bool:
        """Whether it was removed and nothing is left of it."""
        return self.leaving and all(instance.phase is Phase.ASLEEP for instance in self.instances)

    # --- dependencies --------------------------------------------------------

    def hold(self, by: str, need: Dependency, now: float) -> list[Effect]:
        """Another app needs this one: be awake, and do not sleep meanwhile."""
        self.out = []
        self.note_hold(by, need)
        there = need.condition in self.standing.met
        if not there and self.refusal(now) is None:
            self.tell_all(WakeRequested(self.spec.name, f"{by}, which needs it"), now)
        return self._done(now)

    def note_hold(self, by: str, need: Dependency) -> None:
        """Another app needs this one, and misses it unless its need is optional."""
        self.held_by.add(by)
        if need.optional:
            self._spared_by.add(by)
        else:
            self._spared_by.discard(by)

    def release(self, by: str, now: float) -> list[Effect]:
        """That app needs it no more."""
        self.out = []
        self.held_by.discard(by)
        self._spared_by.discard(by)
        if not self.held_by:
            self.tell_all(Released(self.spec.name), now)
            grounds.reconsider_blocked(self, now)
            grounds.keep_closed(self, now)
        return self._done(now)

    def go_along(self, leader: str, now: float) -> list[Effect]:
        """An app whose companion this one is begins to wake: so does this one, unless a request would be refused."""
        self.out = []
        if not (self.instances.in_use or self.door.yielding) and self.refusal(now) is None:
            self.tell_all(WakeRequested(self.spec.name, f"{leader}, with which it goes"), now)
        return self._done(now)

    def look_again(self, now: float) -> list[Effect]:
        """One that it goes with does not keep it awake any more, or another one does."""
        self.out = []
        self.tell_all(GroundsChanged(self.spec.name), now)
        return self._done(now)

    def reconsider(self, now: float) -> list[Effect]:
        """The standing of something that this app needs has changed."""
        self.out = []
        self._note_awaited(now)
        missing = self._needs.missing(self.spec)
        if missing is None:
            self.tell_all(DependenciesMet(self.spec.name), now)
        elif (lost := self.lost) is not None:
            self.tell_all(DependencyLost(self.spec.name, lost), now)
        else:
            self.tell_all(DependencyAwaited(self.spec.name, missing), now)
        return self._done(now)

    @property
    def waits_in_vain(self) -> bool:
        """Whether an instance waits for what had been lost before it began to wait."""
        return self.instances.waiting and self.lost is not None

    @property
    def holding(self) -> bool:
        """Whether it needs its dependencies now."""
        return any(instance.holding for instance in self.instances) or (self.closing and self.instances.alive)

    @property
    def concerned(self) -> bool:
        """Whether it matters to it what its dependencies are: it needs them, or sleeps because they did not come."""
        return self.holding or self.instances.bereft

    @property
    def standing(self) -> Standing:
        """What this app is to those that depend on it."""
        lost = self.lost if self.phase is Phase.BLOCKED else None
        return dependencies.standing(
            self.spec.lifecycle, self.want, self.instances, held=bool(self.held_by), lost=lost
        )

    # --- sharing -------------------------------------------------------------

    def keep_room(self) -> list[Effect]:
        """Nobody waits for what it uses any more: take requests again."""
        return self.door.keep_room(self.instances)

    def note_size(self, size: int) -> list[Effect]:
        """It was measured."""
        awake = all(instance.phase is Phase.READY for instance in self.instances)
        return self.remembered.measured(size, self.spec) if awake else []

    @property
    def size(self) -> int | None:
        """Bytes that it is known to take when it is awake."""
        return self.remembered.size(self.spec)

    @property
    def uses(self) -> dict[str, int]:
        """How much of which budget it uses up when all of its replicas are awake."""
        return self.spec.share.times(len(self.instances))

    @property
    def taken(self) -> dict[str, int]:
        """How much of which budget it uses up now."""
        return self.spec.share.times(sum(instance.alive for instance in self.instances))

    @property
    def waits_for_room(self) -> bool:
        """Whether it would be started if there were room beside the others."""
        blocked = any(instance.phase is Phase.BLOCKED for instance in self.instances)
        return blocked and self._needs.met(self.spec)

    @property
    def in_line(self) -> bool:
        """Whether somebody waits for it, and it for its turn."""
        return self.waits_for_room or self.door.missed

    # --- questions -----------------------------------------------------------

    def refusal(self, now: float) -> Refusal | None:
        """The verdict on a request that came now, if the app will not wake for it."""
        return refusals.refusal(self, now)

    def would_wake(self, now: float) -> bool:
        """Whether a request that came now would begin a wake.

        It would not where something serves, or is about to without it, and where it would be refused.
        """
        coming = any(instance.in_use or instance.phase is Phase.STARTING for instance in self.instances)
        return not coming and self.refusal(now) is None

    @property
    def missed_by(self) -> set[str]:
        """Apps that would have to stop without this one."""
        return self.held_by - self._spared_by

    @property
    def lost(self) -> Loss | None:
        """What it needs and cannot get for now."""
        return self._needs.lost(self.spec)

    @property
    def settled(self) -> bool:
        """Whether nothing is under way: every instance is where it stays unless others change."""
        return not self.rolling and not self.instances.under_way

    @property
    def phase(self) -> Phase:
        """The phase of its most useful instance."""
        return self.instances.speaker.phase

    @property
    def memory(self) -> AppMemory:
        """What is to be remembered over a restart of the daemon.

        After an orderly end everything begins anew: what had run to its end runs again.
        """
        return self.remembered.memory(self.instances, anew=self.closing)

    def snapshot(self, now: float) -> AppSnapshot:
        """This app at this moment."""
        over = self.remembered.unpinned_at
        return AppSnapshot(
            name=self.spec.name,
            want=self.want,
            phase=self.phase,
            waiting=len(self.door.waiting),
            eta=self.remembered.wakes.usual(self.instances.slept),
            waking_for=self.instances.waking_for(now),
            instances=tuple(instance.snapshot(now) for instance in self.instances),
            spec=self.spec,
            held_by=tuple(sorted(self.held_by)),
            priority=self.priority,
            always_on=self.always_on,
            size=self.size,
            yielding=self.door.yielding,
            roll_ended=self.rolling.ended,
            pinned=self.pinned,
            pinned_for=None if over is None else over - now,
            hours=self.hours.left(now),
            awaited=self._needs.awaited(self.spec, now),
            gives_up_in=self.instances.speaker.gives_up_in(now),
        )

    # --- what `wishes`, `grounds` and `scaling` change it by -------------------

    @property
    def grounds(self) -> Grounds:
        """What keeps it awake beside its requests."""
        return Grounds(tuple(sorted(self.held_by)), self.remembered.pin, self.hours, self.goes_with)

    def agree(self) -> None:
        """Let each instance know what is wanted."""
        for instance in self.instances:
            instance.want = Want.DOWN if instance.leaving else self.want

    def tell_all(self, message: object, now: float) -> None:
        """Let each replica that remains deal with it."""
        for instance in self.instances.remaining:
            self.tell(instance, message, now)

    def tell(self, instance: Instance, message: object, now: float) -> None:
        """Let one replica deal with it, and take note of what comes of that."""
        before = (instance.generation, instance.restarts, instance.completed, tuple(instance.failures))
        instance.grounds = self.grounds
        instance.held = instance.grounds.hold
        instance.needs, instance.patience = self._needs.missing(self.spec), self.patience
        for outcome in step(instance, message, now):
            self._settle(instance, outcome)
            if isinstance(outcome, OpenGate):
                self.out.append(WatchInstance(instance.id, instance.generation))
                if outcome.upstream is not None:
                    self._wake_others(instance, now)
        after = (instance.generation, instance.restarts, instance.completed, tuple(instance.failures))
        if after != before:
            self.out.append(Remember(self.spec.name))

    # --- helpers -------------------------------------------------------------

    def _arrive(self, ticket: int, by: Caller, now: float) -> None:
        lifecycle = self.spec.lifecycle
        if (upstream := self.enter()) is not None:
            self.out.append(GrantTicket(ticket, upstream))
        elif (refusal := self.refusal(now)) is not None:
            self.out.append(RefuseTicket(ticket, refusal))
        elif len(self.door.waiting) >= lifecycle.max_waiting:
            self.out.append(RefuseTicket(ticket, refusals.room_full(self, len(self.door.waiting))))
        else:
            self.door.waiting.admit(ticket, now + lifecycle.wake_timeout)
            if not self.door.yielding:
                self.tell_all(WakeRequested(self.spec.name, by), now)

    def _done(self, now: float) -> list[Effect]:
        """The input is dealt with: what follows for the replicas among each other."""
        self._note_awaited(now)  # before what follows, which may begin another attempt

        def restart(instance: Instance, why: str) -> None:
            self.tell(instance, RestartRequested(self.spec.name, rolling=True, why=why), now)

        if (failed := self.rolling.go_on(restart)) is not None:
            text = f"rolling restart ended: {self.rolling.ended}"
            self.out.append(Announce(self.spec.name, str(failed.id), "roll-ended", text))
        for instance in [i for i in self.instances if i.leaving and not i.alive]:
            scaling.forget(self, instance)
        if self.door.yielding and not self.instances.alive:
            self._come_again(now)
        self._note_awaited(now)  # and after it: a rolling restart begins to wait, too
        return self.out

    def _come_again(self, now: float) -> None:
        """It has made room: whoever came for it meanwhile wakes it, when its turn comes."""
        by = self.door.yielded()
        if (refusal := self.refusal(now)) is not None:
            self.out += self.door.waiting.refuse(refusal)
        elif by is not None:
            self.tell_all(WakeRequested(self.spec.name, by), now)

    def _note_awaited(self, now: float) -> None:
        """Tell which apps it begins to wait for, and which of them have come."""
        self.out += self._needs.note(self.spec, now, waits=self.instances.waiting)

    def _mind_stop(self, message: Exited) -> None:
        """Whoever ended it by hand may have meant it for good."""
        if message.by_hand and self.spec.lifecycle.respect_manual_stop is ManualStop.ALWAYS:
            wishes.set_want(self, Want.DOWN)
            self.out += self.remembered.set_pin(None, "stopped: pinned no more", self.spec)
            self.out += self.door.waiting.refuse(refusals.DOWN)

    def _wake_others(self, instance: Instance, now: float) -> None:
        """No replica sleeps alone: a wake of one of those that share the requests is a wake of all."""
        for other in self.instances:
            if other is not instance and not other.leaving:
                self.tell(other, WakeRequested(self.spec.name, f"{instance.id}, which is ready"), now)

    def _settle(self, instance: Instance, outcome: Outcome) -> None:
        match outcome:
            case OpenGate(upstream=upstream, took=took, tier=tier):
                if took is not None:
                    self.remembered.wakes.note(tier, took)
                    self.out.append(Remember(self.spec.name))
                if upstream is not None:
                    self.out += self.door.lead_to(upstream)
            case CloseGate(upstream=upstream):
                self.door.shut(upstream)
            case RefuseWaiting(refusal=refusal):
                others = (other for other in self.instances if other is not instance and not other.leaving)
                if not any(other.demand for other in others):
                    self.out += self.door.waiting.refuse(refusal)
            case _:
                self.out.append(outcome)
