"""A simulated machine: apps that take memory and time, and a clock that runs only when told to."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence

from torpor.core.fleet import Fleet
from torpor.core.messages import (
    Announce,
    BecameReady,
    CloseUpgraded,
    Effect,
    Exited,
    FreezeInstance,
    Froze,
    GrantTicket,
    Input,
    KillInstance,
    MeasureMemory,
    MemoryMeasured,
    PageRequested,
    RefuseTicket,
    RequestArrived,
    Started,
    StartInstance,
    StopInstance,
    ThawInstance,
    Vacated,
)
from torpor.core.model import AppMemory, AppSpec, Endpoint, ExitInfo, InstanceId, Phase, Tier
from torpor.core.sharing import MemoryRules, Sharing
from torpor.core.upstream import Upstream

MiB = 2**20
GiB = 2**30


class Computer:
    """A fleet on a machine with `total` bytes; each app takes its size while it is awake."""

    def __init__(
        self,
        *specs: AppSpec,
        sharing: Sharing | None = None,
        total: int = 1000 * MiB,
        sizes: Mapping[str, int] | None = None,
        swap: int = 0,
        memory: Mapping[str, AppMemory] | None = None,
        start_takes: float = 1.0,
        stop_takes: float = 0.1,
    ) -> None:
        self.now = 1000.0
        self.total, self.swap = total, swap
        self.others = 0
        """Bytes that nothing of ours takes."""
        self.sizes = dict(sizes or {})
        self.start_takes, self.stop_takes = start_takes, stop_takes
        self.resident: dict[InstanceId, int] = {}
        self.stubborn: set[str] = set()
        """Who does not end when asked to, nor when killed."""
        self.told: list[Announce] = []
        self.granted: dict[int, Upstream] = {}
        self.refused: dict[int, str] = {}
        self.starts: list[str] = []
        self.sleeps: list[tuple[str, Tier]] = []
        """Who was put to sleep for others, in order, and how deep."""
        self.measured = 0
        self.after: Callable[[Effect], None] = lambda _effect: None
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._tickets = itertools.count(1)
        self.fleet = Fleet(specs, memory or {}, self.now, sharing)
        self.measure()
        self._take(self.fleet.boot(self.now))

    # --- what happens --------------------------------------------------------

    def post(self, message: Input) -> None:
        self._take(self.fleet.handle(message, self.now))

    def arrive(self, app: str) -> int:
        """A request; served at once where the app takes it, else held.  Its number."""
        ticket = next(self._tickets)
        if (upstream := self.fleet.apps[app].enter()) is not None:
            self.granted[ticket] = upstream
        else:
            self.post(RequestArrived(app, ticket, "GET /"))
        return ticket

    def leave(self, ticket: int) -> None:
        """It has been answered."""
        upstream = self.granted.pop(ticket)
        upstream.inflight -= 1
        upstream.last_active = self.now
        if not upstream.open and not upstream.inflight:
            self.post(Vacated(upstream.id, upstream.generation))

    def request(self, app: str, takes: float) -> int:
        """A request that takes so long once it is served."""
        ticket = self.arrive(app)
        self._serve(ticket, takes)
        return ticket

    def page(self, app: str) -> None:
        self.post(PageRequested(app, "a browser"))

    def use(self, *apps: str) -> None:
        """Wake each of them and serve it a request, one after the other."""
        for app in apps:
            ticket = self.arrive(app)
            self.run(self.start_takes + 1)
            self.leave(ticket)

    def run(self, seconds: float) -> None:
        """Let time flow."""
        end = self.now + seconds
        while True:
            mine = self._agenda[0][0] if self._agenda else None
            theirs = self.fleet.next_deadline()
            due = min((at for at in (mine, theirs) if at is not None), default=None)
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            if mine is not None and mine <= self.now:
                heapq.heappop(self._agenda)[2]()
            else:
                self._take(self.fleet.deadline_reached(self.now))
        self.now = end

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), do))

    def measure(self) -> None:
        """Tell the core how much memory there is."""
        self.measured += 1
        self.post(self.facts())

    def facts(self) -> MemoryMeasured:
        """How much memory there is."""
        sizes: dict[str, int] = {}
        for id, size in self.resident.items():
            sizes[id.app] = sizes.get(id.app, 0) + size
        return MemoryMeasured(self.available, self.total, self.swap, sizes)

    @property
    def available(self) -> int:
        return self.total - self.others - sum(self.resident.values())

    # --- questions -----------------------------------------------------------

    def phases(self) -> dict[str, Phase]:
        return {name: app.phase for name, app in self.fleet.apps.items()}

    def awake(self) -> list[str]:
        return [name for name, phase in self.phases().items() if phase is Phase.READY]

    def kinds(self) -> Sequence[str]:
        return [it.kind for it in self.told if "pressure" in it.kind or it.kind in ("evicting", "no-room")]

    # --- the machine's side --------------------------------------------------

    def _serve(self, ticket: int, takes: float) -> None:
        if ticket in self.granted:
            self.later(takes, lambda: self.leave(ticket))
        elif ticket not in self.refused:
            self.later(0.05, lambda: self._serve(ticket, takes))

    def _take(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            self._carry_out(effect)
            self.after(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case StartInstance(id=id, generation=generation):
                self.starts.append(id.app)
                self.resident[id] = 0
                self.post(Started(id, generation, Endpoint("127.0.0.1", 1), 7))
                self.later(self.start_takes, lambda: self._ready(id, generation))
            case ThawInstance(id=id, generation=generation):
                self.later(0.01, lambda: self._ready(id, generation))
            case StopInstance(id=id, generation=generation) | KillInstance(id=id, generation=generation):
                if id.app not in self.stubborn:
                    self.later(self.stop_takes, lambda: self._exit(id, generation))
            case FreezeInstance(id=id, generation=generation, tier=tier):
                self.later(0.05, lambda: self._froze(id, generation, tier))
            case MeasureMemory():
                self.later(0, self.measure)
            case GrantTicket(ticket=ticket, upstream=upstream):
                self.granted[ticket] = upstream
            case RefuseTicket(ticket=ticket, refusal=refusal):
                self.refused[ticket] = str(refusal.reason)
            case Announce():
                self.told.append(effect)
                if effect.kind == "evicting":
                    self.sleeps.append((effect.app, Tier(str(effect.data["tier"]))))
            case CloseUpgraded():
                pass

    def _ready(self, id: InstanceId, generation: int) -> None:
        if id in self.resident:
            self.resident[id] = self.sizes.get(id.app, 0)
            self.post(BecameReady(id, generation))

    def _exit(self, id: InstanceId, generation: int) -> None:
        if self.resident.pop(id, None) is not None:
            self.post(Exited(id, generation, ExitInfo(signal=15)))

    def _froze(self, id: InstanceId, generation: int, tier: Tier) -> None:
        if id in self.resident:
            before = self.resident[id]
            if tier is Tier.HIBERNATE and self.swap >= before:
                self.swap -= before
                self.resident[id] = 0
            elif tier is Tier.HIBERNATE:
                tier = Tier.PAUSE
            self.post(Froze(id, generation, tier, before, self.resident[id]))


def keep_free(amount: float) -> Sharing:
    return Sharing(MemoryRules(amount))
