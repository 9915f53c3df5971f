"""A hostile world for the core: hangs, late results, exits, impatient clients, operators.

Time passes only when the world says so.  After every step the laws are checked.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from torpor.core.app import App
from torpor.core.companions import Company
from torpor.core.dependencies import missing, unmet
from torpor.core.endings import Ending
from torpor.core.fleet import Fleet
from torpor.core.graph import levels
from torpor.core.instance import Instance
from torpor.core.messages import (
    AdaptInstance,
    Adopted,
    Announce,
    Answered,
    Applied,
    AskWhetherIdle,
    BecameReady,
    ClientLeft,
    CloseSocket,
    CloseUpgraded,
    ConnectRefused,
    Effect,
    EndAnnounced,
    EndUnasked,
    Exited,
    Forget,
    ForgetInstance,
    FoundRunning,
    FoundUnhealthy,
    FreezeFailed,
    FreezeInstance,
    Froze,
    Gone,
    GrantTicket,
    HostReturned,
    Input,
    KillInstance,
    MeasureMemory,
    MemoryMeasured,
    PageRequested,
    Pinged,
    PinRequested,
    PriorityRequested,
    ProbeInstance,
    RefuseTicket,
    RequestArrived,
    RestartRequested,
    ScaleRequested,
    ScheduleChanged,
    ShutdownRequested,
    SleepRequested,
    Started,
    StartInstance,
    StartRefused,
    StartRequested,
    StatusChanged,
    StopInstance,
    StopProblem,
    StopRequested,
    Thawed,
    ThawInstance,
    TimeExtended,
    Tracked,
    UnpinRequested,
    Vacated,
    WakeRequested,
    WatchdogChanged,
    WatchdogTriggered,
)
from torpor.core.model import (
    AppSpec,
    Backoff,
    Cause,
    Condition,
    Dependency,
    Endpoint,
    ExitInfo,
    IdleQuestion,
    InstanceId,
    Lifecycle,
    ManualStop,
    OnExternalStart,
    OnStartTimeout,
    OnWatchdog,
    Phase,
    Restart,
    Rung,
    StartLimit,
    Tier,
    Want,
)
from torpor.core.schedule import Hours
from torpor.core.sharing import Admission, Budget, MemoryRules, Share, Sharing
from torpor.core.upstream import Upstream

BUDGETS = ("gpu", "slots")
COMPANIONS = ("a", "b", "c", "d", "group:g")
BY_ITSELF = {Ending.FINISHED, Ending.CRASHED, Ending.UNHEALTHY}
LADDERS = [
    [Tier.STOP],
    [Tier.STOP],
    [Tier.KILL],
    [Tier.PAUSE],
    [Tier.HIBERNATE],
    [Tier.PAUSE, Tier.HIBERNATE, Tier.STOP],
    [Tier.HIBERNATE, Tier.KILL],
]
WAITING = {Phase.BLOCKED, Phase.STARTING, Phase.DRAINING, Phase.STOPPING, Phase.BACKOFF}


class LawBroken(AssertionError):
    """The core did what it must never do."""


def law(holds: bool, text: str) -> None:
    if not holds:
        raise LawBroken(text)


@dataclass
class Body:
    """What really exists of an instance, whatever the core believes."""

    generation: int
    main: bool = True
    leftovers: bool = False
    frozen: Tier | None = None


@dataclass
class World:
    """A fleet, its surroundings, and a seeded will to do harm."""

    seed: int
    now: float = 1000.0
    fleet: Fleet = field(init=False)
    bodies: dict[InstanceId, Body] = field(default_factory=dict)
    open_tickets: dict[int, tuple[str, float]] = field(default_factory=dict)
    leases: list[Upstream] = field(default_factory=list)
    discounted: list[Upstream] = field(default_factory=list)
    """Leases of requests that do not count."""
    parked: list[Upstream] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    answers: dict[str, tuple[float, bool]] = field(default_factory=dict)
    """When it was found out last of each instance whether it was at work, and whether it was."""
    closing: bool = False
    falling_asleep: set[InstanceId] = field(default_factory=set)
    """What nobody needed any more when the end began: who slept frozen beside it needs it as little now."""
    strangers: set[InstanceId] = field(default_factory=set)
    """What others have started, and nobody has taken on."""
    ended_by_others: set[InstanceId] = field(default_factory=set)
    """What others have stopped or frozen at some time: it may sleep although it is to run."""
    left_alone: set[str] = field(default_factory=set)
    """Apps that were not to be restarted at some time: what ended by itself then sleeps on."""

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.tickets = itertools.count(1)
        self.order = itertools.count()
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.hostile = True
        specs = [self._spec("a"), self._spec("b", "a"), self._spec("c", "a", "b")]
        self.sharing = self._sharing()
        self.fleet = Fleet(specs, {}, self.now, self.sharing)
        self._carry_out(self.fleet.boot(self.now))

    def _sharing(self) -> Sharing:
        """Half of the worlds have enough of everything."""
        if self.dice.random() < 0.5:
            return Sharing()
        keep_free = self.dice.choice([None, 100, 0.5])
        rules = MemoryRules(keep_free, self.dice.choice(list(Admission)))
        return Sharing(rules, {name: Budget(self.dice.choice([2, 4, 9])) for name in BUDGETS})

    def _share(self) -> Share:
        dice = self.dice
        return Share(
            priority=dice.randint(1, 100),
            evict_busy=dice.random() < 0.2,
            memory=dice.choice([None, 10, 300]),
            uses={name: dice.randint(1, 2) for name in BUDGETS if dice.random() < 0.4},
        )

    def _spec(self, name: str, *may_need: str) -> AppSpec:
        dice = self.dice
        needed = [
            Dependency(other, dice.choice(list(Condition)), optional=dice.random() < 0.2)
            for other in may_need
            if dice.random() < 0.6
        ]
        idle_timeout = dice.choice([None, 5.0, 60.0])
        tier, *deeper = dice.choice(LADDERS)
        guest = dice.random() < 0.3
        spec = AppSpec(
            name,
            depends_on=tuple(needed),
            companions=tuple(dice.sample(COMPANIONS, dice.choice([0, 0, 1, 2]))),
            groups=frozenset({"g"} if dice.random() < 0.5 else ()),
            guest=guest,
            replicas=1 if guest else dice.choice([1, 1, 1, 2, 3]),
            share=self._share(),
            lifecycle=Lifecycle(
                idle_timeout=idle_timeout,
                tier=tier,
                deeper=tuple(
                    Rung(rung, (idle_timeout or 0.0) + 10.0 * number) for number, rung in enumerate(deeper, 1)
                ),
                min_bytes=dice.choice([0, 0, 1500]),
                wake_timeout=dice.choice([3.0, 30.0]),
                start_timeout=dice.choice([4.0, 40.0]),
                drain_timeout=dice.choice([0.0, 3.0]),
                stop_timeout=dice.choice([1.0, 5.0]),
                always_on=dice.random() < 0.3,
                restart=dice.choice(list(Restart)),
                on_start_timeout=dice.choice(list(OnStartTimeout)),
                watchdog=dice.choice([None, None, 5.0]),
                on_watchdog=dice.choice(list(OnWatchdog)),
                min_uptime=dice.choice([0.0, 0.0, 20.0]),
                question=dice.choice([None, None, IdleQuestion(cpu_below=0.1)]),
                max_waiting=dice.choice([1, 3, 1000]),
                backoff=Backoff(initial=dice.choice([0.0, 0.5]), max=4.0),
                on_external_start=dice.choice(list(OnExternalStart)),
                respect_manual_stop=dice.choice(list(ManualStop)),
                start_limit=StartLimit(failures=dice.choice([1, 3]), window=30.0, cool_off=10.0),
            ),
        )
        if spec.lifecycle.restart is Restart.NO:
            self.left_alone.add(name)
        return spec

    # --- running -------------------------------------------------------------

    def run(self, steps: int) -> None:
        """Let `steps` things happen, then let everything come to rest and check that it did."""
        for _ in range(steps):
            self._something_happens()
        self._come_to_rest()

    def post(self, message: Input) -> None:
        brief = [spec.name for spec in message.apps] if isinstance(message, Applied) else message
        self.trace.append(f"{self.now:9.2f} > {brief}")
        ready = {i for app in self.fleet.apps.values() for i in app.instances if i.phase is Phase.READY}
        in_use, unwilling = self._in_use(), self._unwilling()
        effects = self.fleet.handle(message, self.now)
        if not isinstance(message, Applied):
            self._check_company(in_use, unwilling, effects)
        self._carry_out(effects)
        self._check()
        app = self.fleet.apps.get(message.app) if isinstance(message, StartRequested) else None
        if app is not None and not app.leaving and not self.closing and app.closed is None:
            for instance in app.instances:
                ending = instance.phase in (Phase.DRAINING, Phase.STOPPING) and instance not in ready
                if ending and not instance.leaving:
                    again = instance.demand and instance.ending is Ending.ASKED
                    law(again, f"the start of {instance.id} was lost on what is {instance.phase}")

    def pass_time(self, seconds: float) -> None:
        """Let time flow; whatever becomes due on the way happens in its order."""
        end = self.now + seconds
        moments = itertools.count()
        while True:
            law(next(moments) < 5000, "time does not move on")
            mine = self.agenda[0][0] if self.agenda else None
            theirs = self.fleet.next_deadline()
            due = min((at for at in (mine, theirs) if at is not None), default=None)
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            if mine is not None and mine <= self.now:
                heapq.heappop(self.agenda)[2]()
            else:
                self.trace.append(f"{self.now:9.2f} > deadline")
                in_use, unwilling = self._in_use(), self._unwilling()
                effects = self.fleet.deadline_reached(self.now)
                self._check_company(in_use, unwilling, effects)
                self._carry_out(effects)
                self._check()
        self.now = end

    # --- what may happen -----------------------------------------------------

    def _something_happens(self) -> None:
        name = self.dice.choice(list(self.fleet.apps) or ["a"])
        if not self.fleet.apps:
            self._apply()
            return
        moves: list[tuple[float, Callable[[], None]]] = [
            (5, lambda: self._arrive(name)),
            (1, lambda: self.post(PageRequested(name, "tab"))),
            (2, self._client_leaves),
            (4, self._lease_ends),
            (1, self._lease_is_discounted),
            (1, self._discounted_ends),
            (1, self._lease_parks),
            (2, self._parked_ends),
            (1, self._parked_speaks),
            (1, self._parked_engages),
            (4, lambda: self.pass_time(self.dice.choice([0.0, 0.01, 0.4, 3.0, 20.0, 90.0]))),
            (1, lambda: self._crash(name)),
            (1, self._dies_asleep),
            (0.5, lambda: self._refuse_connection(name)),
            (0.5, lambda: self._lie(name)),
            (1, lambda: self._notify(name)),
            (0.4, lambda: self.post(WakeRequested(name))),
            (0.8, lambda: self.post(SleepRequested(name, self.dice.choice([None, *Tier])))),
            (0.4, lambda: self.post(Tracked(name))),
            (0.4, lambda: self.post(StartRequested(name))),
            (0.4, lambda: self.post(StopRequested(name, force=self.dice.random() < 0.5))),
            (0.4, lambda: self.post(RestartRequested(name, rolling=self.dice.random() < 0.5))),
            (0.3, lambda: self._scale(name)),
            (1, lambda: self._others_act(name)),
            (0.3, lambda: self.post(PinRequested(name, self.dice.choice([None, 5.0, 50.0])))),
            (0.5, lambda: self.post(UnpinRequested(name))),
            (0.6, lambda: self._clock_says(name)),
            (0.3, self._daemon_dies),
            (0.5, self._apply),
            (1, self._measure),
            (0.3, lambda: self.post(PriorityRequested(name, self.dice.randint(1, 100)))),
            (0.3, self._knock_at_nobody),
        ]
        self.dice.choices([do for _, do in moves], [weight for weight, _ in moves])[0]()

    def _scale(self, name: str) -> None:
        """What an operator may ask of it: a guest exists once."""
        if not self.fleet.apps[name].spec.guest:
            self.post(ScaleRequested(name, self.dice.randint(1, 3)))

    def _others_act(self, name: str) -> None:
        """Somebody starts, ends, freezes or thaws it where it lives."""
        app = self.fleet.apps[name]
        if not app.spec.guest:
            return
        instance = app.instances[0]
        id, generation = instance.id, instance.generation
        body = self.bodies.get(id)
        if body is None:
            if self.dice.random() < 0.3:
                self.post(HostReturned(id))
            elif not instance.alive:
                self.strangers.add(id)
                self.post(FoundRunning(id, "somebody has started it"))
        elif not body.main:
            pass
        elif body.frozen is not None and instance.frozen is not None and self.dice.random() < 0.7:
            body.frozen = None
            self.post(Thawed(id, generation))
        elif instance.phase is Phase.READY and self.dice.random() < 0.5:
            body.frozen = Tier.PAUSE
            self.ended_by_others.add(id)
            self.post(Froze(id, generation, Tier.PAUSE, 300 << 20, 300 << 20))
        else:
            self.ended_by_others.add(id)
            del self.bodies[id]
            self.post(Exited(id, generation, ExitInfo(signal=15), by_hand=True))

    def _clock_says(self, name: str) -> None:
        """Its schedule says something else than before; what may not run at times is never to run always."""
        always = self.fleet.apps[name].spec.lifecycle.always_on
        until = self.dice.choice([None, self.now + 5.0])  # which may come true late, or never
        says = [Hours(), Hours(warm="08:00-18:00", until=until)]
        says += [] if always else [Hours(closed="it runs only 08:00-18:00", until=until)]
        self.post(ScheduleChanged(name, self.dice.choice(says)))

    def _daemon_dies(self) -> None:
        """It is killed: its clients are cut off, the apps live on, and the next one takes them on."""
        before = {name: (app.want, app.memory) for name, app in self.fleet.apps.items()}
        specs = [app.spec for app in self.fleet.apps.values() if not app.leaving]
        self.open_tickets.clear()
        self.leases.clear()
        self.discounted.clear()
        self.parked.clear()
        self.agenda.clear()  # whatever would have been reported, nobody hears it
        memories = {name: memory for name, (_, memory) in before.items()}
        self.fleet = Fleet(specs, memories, self.now, self.sharing)
        known = {instance.id for app in self.fleet.apps.values() for instance in app.instances}
        # The provider ends what has lost its main process, and replicas that are not wanted any more.
        self.bodies = {id: body for id, body in self.bodies.items() if body.main and id in known}
        depth = {
            name: number
            for number, level in enumerate(
                levels({spec.name: [needed.app for needed in spec.depends_on] for spec in specs})
            )
            for name in level
        }
        survivors = sorted(self.bodies.items(), key=lambda survivor: depth[survivor[0].app])
        self.trace.append(f"{self.now:9.2f} > another daemon finds {[str(id) for id, _ in survivors]}")
        for id, body in survivors:
            age = self.dice.choice([0.0, 5.0, 1000.0])
            adopted = Adopted(id, body.generation, Endpoint("127.0.0.1", 1), 42, age, frozen=body.frozen)
            self._carry_out(self.fleet.handle(adopted, self.now))
        self._carry_out(self.fleet.boot(self.now))
        for name, app in self.fleet.apps.items():
            want, memory = before[name]
            law(app.want is want, f"{name} is to be {app.want}, and was to be {want}")
            law(app.memory.restarts >= memory.restarts, f"restarts of {name} were forgotten")
        for id, body in survivors:
            instance = next(i for i in self.fleet.apps[id.app].instances if i.id == id)
            law(instance.alive and instance.generation == body.generation, f"{id} was not taken on")
        self._check()

    def _apply(self) -> None:
        """Another configuration holds: some apps are new, some changed, some removed, some left alone."""
        dice, specs, names = self.dice, list[AppSpec](), list[str]()
        before = {name: app.spec for name, app in self.fleet.apps.items()}
        for name in ["a", "b", "c", "d"]:
            if dice.random() < 0.25:
                continue
            old = before.get(name)
            keep = old is not None and all(need.app in names for need in old.depends_on)
            specs.append(
                old if keep and old is not None and dice.random() < 0.5 else self._spec(name, *names)
            )
            names.append(name)
        dice.shuffle(specs)
        renewed = frozenset(name for name in names if dice.random() < 0.5)
        for ticket, (name, deadline) in self.open_tickets.items():
            new = next((spec for spec in specs if spec.name == name), before[name]).lifecycle.wake_timeout
            shifted = deadline + new - before[name].lifecycle.wake_timeout
            self.open_tickets[ticket] = name, max(self.now, shifted)
        live = {i.id: i for app in self.fleet.apps.values() for i in app.instances if i.alive}
        phases = {id: (i.phase, i.generation) for id, i in live.items()}
        untouched = {
            spec.name
            for spec in specs
            if before.get(spec.name) == spec
            and not self.fleet.apps[spec.name].leaving
            and not spec.depends_on
            and self.fleet.apps[spec.name].closed is None  # or it sleeps once it is let go of
        }
        alone = self.sharing == Sharing()
        self.sharing = dice.choice([self.sharing, self._sharing()])
        alone &= self.sharing == Sharing()
        self.post(Applied(tuple(specs), renewed, self.sharing))
        for id, phase in phases.items():
            # What sleeps frozen, or is falling asleep, is woken where somebody needs it now; and others may
            # need what it uses.
            asleep = phase[0] in (Phase.FROZEN, Phase.DRAINING)
            taken_along = self._company().leaders(id.app)
            if (
                id.app in untouched
                and alone
                and not (asleep and (taken_along or self.fleet.apps[id.app].held_by))
            ):
                law((live[id].phase, live[id].generation) == phase, f"{id} was touched by an apply")
        law([s.name for s in specs] == list(self.fleet.apps)[: len(specs)], "apps are out of order")
        for app in list(self.fleet.apps.values())[len(specs) :]:
            law(app.leaving, f"{app.spec.name} is not configured, and stays")

    def _measure(self) -> None:
        """Memory is short, or not."""
        sizes = {name: self.dice.choice([10, 200]) for name in self.fleet.apps if self.dice.random() < 0.8}
        available = self.dice.randint(0, 1000) if self.hostile else 10_000
        self.post(MemoryMeasured(available, max(available, 1000), self.dice.choice([0, 1000]), sizes))

    def _check_victim(self, name: str, data: Mapping[str, object]) -> None:
        """Who is put to sleep for others must not be one that is to stay awake."""
        app = self.fleet.apps[name]
        law(app.want is not Want.UP, f"{name} is to run, and was put to sleep for others")
        law(not app.held_by, f"{name} is needed, and was put to sleep for others")
        may = app.spec.share.evict_busy and "available" in data
        upstreams = [instance.upstream for instance in app.instances]
        busy = any(lease in upstreams for lease in self.leases)
        law(may or not busy, f"{name} is busy, and was put to sleep for others")

    def _knock_at_nobody(self) -> None:
        """A request, or late news, of an app that is not configured any more."""
        name = self.dice.choice(["a", "b", "c", "d"])
        if name in self.fleet.apps:
            return
        ticket = next(self.tickets)
        self.open_tickets[ticket] = (name, self.now)
        self.post(RequestArrived(name, ticket, "GET /"))
        law(ticket not in self.open_tickets, "somebody waits for an app that is not there")
        late: list[Input] = [
            Vacated(InstanceId(name), 1),
            BecameReady(InstanceId(name), 1),
            WakeRequested(name),
        ]
        self.post(self.dice.choice(late))

    def _arrive(self, name: str) -> None:
        upstream = self.fleet.apps[name].enter()
        if upstream is not None:
            law(upstream.open, "entered a closed gate")
            self._check_awake(upstream, "entered")
            self.leases.append(upstream)
            return
        ticket = next(self.tickets)
        wake_timeout = self.fleet.apps[name].spec.lifecycle.wake_timeout
        self.open_tickets[ticket] = (name, self.now + wake_timeout)
        self.post(RequestArrived(name, ticket, "GET /"))

    def _client_leaves(self) -> None:
        if self.open_tickets:
            ticket = self.dice.choice(list(self.open_tickets))
            name, _ = self.open_tickets.pop(ticket)
            self.post(ClientLeft(name, ticket))

    def _lease_ends(self) -> None:
        if self.leases:
            self._repay(self.leases.pop(self.dice.randrange(len(self.leases))))

    def _repay(self, upstream: Upstream) -> None:
        upstream.inflight -= 1
        if upstream.volume is not None:
            upstream.volume.passed += self.dice.choice([10, 1000, 10_000])
        if upstream.volume is None or upstream.volume.suffices():
            upstream.last_active = self.now
        self._acknowledge(upstream)

    def _lease_is_discounted(self) -> None:
        if self.leases:
            upstream = self.leases.pop(self.dice.randrange(len(self.leases)))
            upstream.discounted += 1
            self.discounted.append(upstream)

    def _discounted_ends(self) -> None:
        if self.discounted:
            upstream = self.discounted.pop(self.dice.randrange(len(self.discounted)))
            upstream.discounted -= 1
            upstream.inflight -= 1
            self._acknowledge(upstream)

    def _lease_parks(self) -> None:
        if self.leases:
            upstream = self.leases.pop(self.dice.randrange(len(self.leases)))
            upstream.parked += 1
            self.parked.append(upstream)
            self._repay(upstream)

    def _parked_ends(self) -> None:
        if self.parked:
            upstream = self.parked.pop(self.dice.randrange(len(self.parked)))
            upstream.parked -= 1
            self._acknowledge(upstream)

    def _acknowledge(self, upstream: Upstream) -> None:
        if not upstream.open and not upstream.inflight:
            self.post(Vacated(upstream.id, upstream.generation))

    def _parked_speaks(self) -> None:
        """Data comes on an upgraded connection, as `LocalGate.touch` hears it."""
        if self.parked:
            upstream = self.dice.choice(self.parked)
            upstream.last_active = self.now
            if upstream.frozen:
                upstream.frozen = False
                self.post(PageRequested(upstream.id.app, "data"))

    def _parked_engages(self) -> None:
        """The client of a stream says something, and is owed an answer: as `LocalGate.engage` hears it."""
        if self.parked:
            upstream = self.parked.pop(self.dice.randrange(len(self.parked)))
            upstream.inflight += 1
            upstream.parked -= 1
            self.leases.append(upstream)
            if upstream.frozen:
                upstream.frozen = False
                self.post(PageRequested(upstream.id.app, "data"))

    def _check_awake(self, upstream: Upstream, done: str) -> None:
        body = self.bodies.get(upstream.id)
        law(body is not None, f"{done} an instance that does not exist")
        law(body is not None and body.frozen is None, f"{done} an instance that is frozen")

    def _crash(self, name: str) -> None:
        id = self._any_instance(name).id
        body = self.bodies.get(id)
        if body is not None and body.main:
            self._end_main(id, body, ExitInfo(code=self.dice.choice([0, 1])))

    def _dies_asleep(self) -> None:
        """The kernel needs the memory of what is frozen."""
        frozen = [(id, body) for id, body in self.bodies.items() if body.frozen is not None and body.main]
        if frozen:
            id, body = self.dice.choice(frozen)
            self._end_main(id, body, ExitInfo(signal=9))

    def _any_instance(self, name: str) -> Instance:
        return self.dice.choice(self.fleet.apps[name].instances)

    def _refuse_connection(self, name: str) -> None:
        instance = self._any_instance(name)
        self.post(ConnectRefused(instance.id, instance.generation))

    def _notify(self, name: str) -> None:
        """A living instance says something of itself."""
        instance = self._any_instance(name)
        id, generation = instance.id, instance.generation
        if id in self.bodies and self.bodies[id].generation == generation:
            said: list[Input] = [
                Pinged(id, generation),
                WatchdogChanged(id, generation, 7.0),
                TimeExtended(id, generation, 10.0),
                StatusChanged(id, generation, "busy"),
                EndAnnounced(id, generation),
                FoundUnhealthy(id, generation, "it does not answer"),
                WatchdogTriggered(id, generation),
            ]
            self.post(self.dice.choice(said))

    def _lie(self, name: str) -> None:
        """A result of an older generation arrives late, or one that makes no sense at all."""
        instance = self._any_instance(name)
        generation = instance.generation - self.dice.randint(1, 2)
        id = instance.id
        late: list[Input] = [
            Started(id, generation, None, 1),
            StartRefused(id, generation, "late"),
            BecameReady(id, generation),
            Exited(id, generation, ExitInfo(code=1)),
            Gone(id, generation),
            Vacated(id, generation),
            StopProblem(id, generation, "late"),
        ]
        self.post(self.dice.choice(late))

    # --- the world's answers to effects --------------------------------------

    def _carry_out(self, effects: list[Effect]) -> None:
        # Whatever is started in this same step has just lost what it had completed before.
        self.starting = {effect.id.app for effect in effects if isinstance(effect, StartInstance)}
        for effect in effects:
            match effect:
                case StartInstance(id=id, generation=generation):
                    self._check_budgets(id.app)
                    self._begin(id, generation)
                case MeasureMemory():
                    self._later(self._measure, chance=0.8)
                case Announce(app=name, kind="evicting", data=data):
                    self._check_victim(name, data)
                case ProbeInstance(id=id, generation=generation):
                    self._later(partial(self._ready, id, generation), chance=0.7)
                case StopInstance(id=id, generation=generation):
                    users = [
                        name for name in self._dependents(id.app) if any(name == b.app for b in self.bodies)
                    ]
                    reason = next(i.reason for i in self.fleet.apps[id.app].instances if i.id == id)
                    # Neither failed nor forced, nor on its way to sleep before.
                    asked = reason is not None and "shutting down" in reason.text
                    asked &= id not in self.falling_asleep
                    law(
                        not (self.closing and asked and users),
                        f"{id} was stopped before {users}, which need it",
                    )
                    self._stop(id, generation, chance=0.7)
                case FreezeInstance(id=id, generation=generation, tier=tier):
                    self._freeze(id, generation, tier)
                case ThawInstance(id=id, generation=generation):
                    self._thaw(id, generation)
                case KillInstance(id=id, generation=generation):
                    self._stop(id, generation, chance=0.9)
                case GrantTicket(ticket=ticket, upstream=upstream):
                    law(ticket in self.open_tickets, f"ticket {ticket} got a second verdict")
                    self._check_awake(upstream, "granted")
                    del self.open_tickets[ticket]
                    self.leases.append(upstream)
                case RefuseTicket(ticket=ticket):
                    law(ticket in self.open_tickets, f"ticket {ticket} got a second verdict")
                    del self.open_tickets[ticket]
                case EndUnasked(id=id):
                    law(id in self.strangers, f"{id} was to be ended as a stranger, and is none")
                    self.strangers.discard(id)
                case AskWhetherIdle(id=id, generation=generation):
                    self._later(partial(self._answer, id, generation), chance=0.8)
                case Announce(app=name, instance=instance, kind="draining", text=text):
                    if text.startswith("going to sleep"):
                        self._fell_asleep(self.fleet.apps[name], instance)
                case AdaptInstance(id=id, generation=generation):
                    body = self.bodies.get(id)
                    law(body is None or body.generation == generation, "another generation is to be adapted")
                case ForgetInstance(id=id):
                    law(id not in self.bodies, f"{id} is forgotten while it lives")
                case Forget(app=name):
                    law(name not in self.fleet.apps, f"{name} is to be forgotten, and still there")
                    alive = [str(id) for id in self.bodies if id.app == name]
                    law(not alive, f"{name} is forgotten while {alive} live")
                    law(
                        not any(name == other for other, _ in self.open_tickets.values()),
                        f"{name} had waiters",
                    )
                case CloseSocket(id=id):
                    law(id not in self.bodies, f"{id} lives, and its socket is closed")
                case CloseUpgraded(upstream=upstream):
                    self._later(partial(self._close_parked, upstream), chance=0.8)
                case _:
                    pass

    def _answer(self, id: InstanceId, generation: int) -> None:
        """Somebody has found out whether it is at work."""
        keeps_awake = self.hostile and self.dice.random() < 0.5
        self.answers[str(id)] = self.now, keeps_awake
        self.post(Answered(id, generation, keeps_awake, "asked"))

    def _fell_asleep(self, app: App, name: str) -> None:
        """An instance went to sleep by itself, in this step."""
        law(
            not app.held_by or any(one.demand for one in app.instances),
            f"{name} fell asleep although {app.held_by} need it",
        )
        law(not app.pinned, f"{name} fell asleep although it is pinned")
        law(app.hours.warm is None, f"{name} fell asleep although it is to be warm")
        busy = [upstream for upstream in self.leases if upstream.id.app == app.spec.name]
        law(not any(upstream.open for upstream in busy), f"{name} fell asleep although its app is used")
        leaders = self._company().leaders(app.spec.name)
        led = [upstream for upstream in self.leases if upstream.open and upstream.id.app in leaders]
        law(not led, f"{name} fell asleep although {led and led[0].id}, with which it goes, is used")
        instance = next(one for one in app.instances if str(one.id) == name)
        if app.spec.lifecycle.question is not None:
            at, keeps_awake = self.answers.get(name, (0.0, True))
            used = 0.0 if instance.upstream is None else instance.upstream.last_active
            law(at >= used and not keeps_awake, f"{name} fell asleep although nobody knew it to be idle")

    def _check_budgets(self, name: str) -> None:
        """What is started fits beside the others."""
        for budget in self.fleet.apps[name].spec.share.uses:
            limit = self.sharing.budgets[budget].limit if self.sharing.budgets else None
            used = sum(app.taken.get(budget, 0) for app in self.fleet.apps.values())
            law(
                limit is None or used <= limit,
                f"{name} was started, and {used} of {limit} {budget} are in use",
            )

    def _dependents(self, name: str) -> list[str]:
        return [
            app.spec.name
            for app in self.fleet.apps.values()
            if any(needed.app == name for needed in app.spec.depends_on)
        ]

    def _begin(self, id: InstanceId, generation: int) -> None:
        law(id not in self.bodies, f"{id}: generation {generation} began while another was alive")
        law(self.fleet.apps[id.app].want is not Want.DOWN, f"{id} was started although it is to be down")
        for needed in self.fleet.apps[id.app].spec.depends_on:
            met = (
                needed.optional
                or needed.app in self.starting
                or needed.condition in self.fleet.apps[needed.app].standing.met
            )
            law(met, f"{id} was started before {needed.app} was {needed.condition}")
        fate = self.dice.random() if self.hostile and id not in self.strangers else 0.5
        self.strangers.discard(id)
        if fate < 0.15:
            self._later(lambda: self.post(StartRefused(id, generation, "no such program")), chance=1.0)
            return
        body = self.bodies[id] = Body(generation)
        self.post_later(Started(id, generation, Endpoint("127.0.0.1", 1), 42))
        if fate < 0.3:
            self._later(lambda: self._end_main(id, body, ExitInfo(code=3)), chance=1.0)
        elif fate < 0.9:
            self._later(lambda: self._ready(id, generation), chance=1.0)

    def _freeze(self, id: InstanceId, generation: int, tier: Tier) -> None:
        body = self.bodies.get(id)
        law(body is None or body.generation == generation, "a freeze was meant for another generation")
        busy = sum(1 for upstream in self.leases if upstream.id == id and upstream.generation == generation)
        outside = body is not None and body.frozen is not None and id in self.ended_by_others
        law(not busy or outside, f"{id} was frozen while it answered somebody")
        if body is None or not body.main:
            return  # its end is on the way
        fate = self.dice.random() if self.hostile else 0.5
        if fate < 0.1:
            self.post_later(FreezeFailed(id, generation, "no such cgroup"))
            return
        body.frozen = Tier.PAUSE if fate < 0.2 else tier
        froze = Froze(id, generation, body.frozen, 300 << 20, 11 << 20)

        def report() -> None:
            if self.bodies.get(id) is body and body.frozen is froze.tier:
                self.post(froze)

        self._later(report, chance=0.9)

    def _thaw(self, id: InstanceId, generation: int) -> None:
        body = self.bodies.get(id)
        law(body is None or body.generation == generation, "a thaw was meant for another generation")
        if body is None or not body.main:
            return
        body.frozen = None
        fate = self.dice.random() if self.hostile else 0.5
        if fate < 0.1:
            self.post_later(FoundUnhealthy(id, generation, "cannot go on"))
        elif fate < 0.9:
            self._later(lambda: self._ready(id, generation), chance=1.0, soon=True)

    def post_later(self, message: Input) -> None:
        self._later(lambda: self.post(message), chance=1.0, soon=True)

    def _ready(self, id: InstanceId, generation: int) -> None:
        body = self.bodies.get(id)
        if body is not None and body.generation == generation and body.main:
            self.post(BecameReady(id, generation))

    def _stop(self, id: InstanceId, generation: int, chance: float) -> None:
        body = self.bodies.get(id)
        law(body is None or body.generation == generation, "a stop was meant for another generation")
        if body is not None:
            body.frozen = None
        if self.hostile and self.dice.random() > chance:
            self.post_later(StopProblem(id, generation, "it does not listen"))
        elif body is None:
            pass  # its start has not been answered, or its end is on the way
        elif body.main:
            self._later(lambda: self._end_main(id, body, ExitInfo(signal=15)), chance=1.0)
        elif body.leftovers:
            self._later(lambda: self._end_leftovers(id, body), chance=1.0)

    def _end_main(self, id: InstanceId, body: Body, info: ExitInfo) -> None:
        if self.bodies.get(id) is not body or not body.main:
            return
        body.main = False
        guest = self.fleet.apps[id.app].spec.guest
        body.leftovers = self.hostile and not guest and self.dice.random() < 0.3
        if not body.leftovers:
            del self.bodies[id]
        self.post(Exited(id, body.generation, info, body.leftovers))

    def _end_leftovers(self, id: InstanceId, body: Body) -> None:
        if self.bodies.get(id) is body and body.leftovers:
            del self.bodies[id]
            self.post(Gone(id, body.generation))

    def _close_parked(self, upstream: Upstream) -> None:
        for other in [other for other in self.parked if other is upstream]:
            self.parked.remove(other)
            other.parked -= 1
            self._acknowledge(other)

    def _later(self, do: Callable[[], None], chance: float, *, soon: bool = False) -> None:
        if self.hostile and self.dice.random() > chance:
            return
        delay = 0.001 if soon else self.dice.choice([0.002, 0.3, 2.0, 9.0])
        heapq.heappush(self.agenda, (self.now + delay, next(self.order), do))

    # --- the laws ------------------------------------------------------------

    def _check(self) -> None:
        for ticket, (name, deadline) in self.open_tickets.items():
            law(name in self.fleet.apps, f"ticket {ticket} waits for {name}, which is gone")
            law(self.now <= deadline + 1e-9, f"ticket {ticket} of {name} waits longer than wake_timeout")
        for app in self.fleet.apps.values():
            waiting = sum(1 for name, _ in self.open_tickets.values() if name == app.spec.name)
            law(not (app.leaving and waiting), f"somebody waits for {app.spec.name}, which was removed")
            law(app.snapshot(self.now).waiting == waiting, "the core and the clients disagree on who waits")
            resting = all(i.phase in (Phase.ASLEEP, Phase.DONE) for i in app.instances)
            law(not (waiting and resting), f"somebody waits for {app.spec.name}, which nobody wakes")
            holders = {name for name in self._dependents(app.spec.name) if self.fleet.apps[name].holding}
            law(holders == app.held_by, f"{app.spec.name} is held by {app.held_by}, needed by {holders}")
            self._awaits_what_is_missing(app)
            numbers = [instance.id.replica for instance in app.instances if not instance.leaving]
            law(numbers == list(range(app.replicas)), f"{app.replicas} replicas have the numbers {numbers}")
            for instance in app.instances:
                idle = instance.reason is not None and instance.reason.cause is Cause.IDLE
                begun = instance.phase is Phase.DRAINING and instance.phase_since == self.now
                law(
                    not (begun and idle and holders and not instance.demand),
                    f"{app.spec.name} fell asleep although {holders} need it",
                )
                upstreams = [one.upstream for one in app.instances]
                served = any(lease in upstreams for lease in self.leases)
                law(not (begun and idle and served), f"{app.spec.name} fell asleep over a request")
                if instance.phase in WAITING or (instance.phase is Phase.FROZEN and instance.under_way):
                    law(instance.deadline is not None, f"{instance.phase} waits without a deadline")
                upstream = instance.upstream
                if instance.phase is Phase.READY:
                    asking = [one.name for one in instance.clauses(self.now) if one.keeps_awake] == [
                        "question"
                    ]
                    law(
                        instance.deadline is not None or not asking, "an answer is awaited without a deadline"
                    )
                if instance.phase is Phase.READY and app.door.yielding:
                    law(bool(app.taken), f"{app.spec.name} yields, and uses nothing")
                elif instance.phase is Phase.READY:
                    law(upstream is not None and upstream.open, "ready, but the gate is closed")
                    law(instance.leaving or app.want is not Want.DOWN, f"{instance.id} is ready, to be down")
                    law(waiting == 0, "somebody waits for an app that is ready")
                elif upstream is not None:
                    law(not upstream.open, f"the gate is open while {instance.phase}")
                if not instance.alive:
                    law(instance.id not in self.bodies, f"{instance.phase}, but something of it is alive")
        known = {instance.id for app in self.fleet.apps.values() for instance in app.instances}
        law(self.bodies.keys() <= known, f"something lives that nobody knows: {self.bodies}")
        for upstream in {*self.leases, *self.discounted, *self.parked}:
            held = [*self.leases, *self.discounted]
            law(upstream.inflight == sum(1 for u in held if u is upstream), "a lease was lost")
            law(upstream.parked == sum(1 for u in self.parked if u is upstream), "a parked one was lost")

    def _in_use(self) -> set[str]:
        return {name for name, app in self.fleet.apps.items() if app.instances.in_use}

    def _unwilling(self) -> set[str]:
        """Those that would refuse a request now; at a deadline of theirs that may change, but not before a wake."""
        return {name for name, app in self.fleet.apps.items() if app.refusal(self.now) is not None}

    def _check_company(self, before: set[str], unwilling: set[str], effects: list[Effect]) -> None:
        """Who has begun to wake in this step has taken along all that go with it and might wake.

        Some of them may have been woken in vain by now.  What is blocked has been told so already.
        """
        woken = {effect.app for effect in effects if isinstance(effect, Announce) and effect.kind == "waking"}
        for name in () if self.closing else self._in_use() - before:
            for other in self._company().of(name):
                app = self.fleet.apps[other]
                may = other not in unwilling | self._unwilling() and not app.door.yielding
                taken = app.instances.in_use or app.phase is Phase.BLOCKED or other in woken | before
                law(taken or not may, f"{name} woke, and {other}, its companion, did not")

    def _company(self) -> Company:
        return Company(app.spec for app in self.fleet.apps.values())

    def _awaits_what_is_missing(self, app: App) -> None:
        """What it says that it waits for is what keeps it from being started, and nothing else."""
        standings = {name: one.standing for name, one in self.fleet.apps.items()}
        waits = any(instance.waits for instance in app.instances)
        needs = {need.app for need in unmet(app.spec.depends_on, standings)} if waits else set()
        told = {one.app for one in app.snapshot(self.now).awaited}
        law(told == needs, f"{app.spec.name} says that it waits for {told}, and does for {needs}")

    def _has_recovered(self, app: App) -> None:
        """What is to run does not sleep, nothing waits in its sleep, no replica sleeps alone, and what is blocked waits for somebody.

        That one is at work, or only an operator can help it.
        """
        law(
            app.closed is None or bool(app.held_by) or not any(one.in_use for one in app.instances),
            f"{app.spec.name} runs out of its hours",
        )
        for instance in app.instances:
            law(not (instance.phase is Phase.FROZEN and instance.demand), f"{instance.id} waits in its sleep")
        if app.want is Want.UP:
            waking = not any(
                instance.phase in (Phase.ASLEEP, Phase.FROZEN) and instance.id not in self.ended_by_others
                for instance in app.instances
            )
            law(waking, f"a replica of {app.spec.name} sleeps, though it is to run")
        elif app.phase is Phase.READY and app.settled:
            alone = [
                instance.id
                for instance in app.instances
                if instance.phase in (Phase.ASLEEP, Phase.FROZEN)
                and not (app.spec.name in self.left_alone and instance.ending in BY_ITSELF)
                and instance.id not in self.ended_by_others
            ]
            law(not alone, f"{alone} sleeps alone")
        law(
            not app.door.yielding or app.instances.inflight > 0,
            f"{app.spec.name} takes no requests, and nobody waits for what it uses",
        )
        if app.phase is not Phase.BLOCKED or self.fleet.steward.missing(app.spec.name) is not None:
            return
        name, standing = app.spec.name, app.standing
        if standing.failed is None:
            reason = missing(
                app.spec.depends_on, {other: one.standing for other, one in self.fleet.apps.items()}
            )
            law(reason is not None, f"{name} is blocked for nothing")
            return
        root = self.fleet.apps[standing.failed.app]
        ended = any(instance.completed or instance.ending is Ending.UNHEALTHY for instance in root.instances)
        no_room = self.fleet.steward.missing(root.spec.name) is not None
        given_up = root.want is Want.DOWN or root.closed is not None or root.phase is Phase.FAILED
        given_up |= ended or no_room or any(one.id in self.ended_by_others for one in root.instances)
        law(given_up, f"{name} {standing.failed.reason}, but {root.spec.name} is just {root.phase}")

    def _come_to_rest(self) -> None:
        """The world turns friendly and the clients go: everything must recover, end well, and stay stoppable."""
        self.hostile = False
        for upstream in self.leases[:]:
            self.leases.remove(upstream)
            self._repay(upstream)
        while self.discounted:
            self._discounted_ends()
        if self.dice.random() < 0.5:
            for name in list(self.fleet.apps):
                self.post(ScheduleChanged(name, Hours()))
        self.pass_time(200.0)
        for app in self.fleet.apps.values():
            self._has_recovered(app)
        if self.dice.random() < 0.5:
            self.closing = True
            self.falling_asleep = {
                instance.id
                for app in self.fleet.apps.values()
                for instance in app.instances
                if instance.phase is Phase.DRAINING
            }
            self.post(ShutdownRequested())
            for name in list(self.fleet.apps):  # an operator who does not know yet
                self.post(self.dice.choice([StartRequested, RestartRequested, WakeRequested])(name))
        else:
            for name in list(self.fleet.apps):
                self.post(StopRequested(name, force=True))
        while self.parked:
            self._parked_ends()
        self.pass_time(200.0)
        law(not self.open_tickets, "a client was forgotten")
        law(not self.bodies, f"still alive after a stop: {self.bodies}")
        for app in self.fleet.apps.values():
            law(app.phase is Phase.ASLEEP, f"{app.spec.name} is {app.phase} after a stop")
