"""Inputs (past tense: something happened or was asked) and effects (imperative: do it).

Inputs that report on a start attempt carry its generation; the machine drops
those of an older one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from torpor.core.model import (
    AppSpec,
    Caller,
    Endpoint,
    ExitInfo,
    InstanceId,
    Lifecycle,
    Loss,
    Reason,
    Refusal,
    Tier,
    in_full,
)
from torpor.core.schedule import Hours
from torpor.core.sharing import Sharing

if TYPE_CHECKING:
    from torpor.core.upstream import Upstream

# --- inputs to an app -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """A request came while no instance could take it.  `ticket` is the caller's number for it."""

    app: str
    ticket: int
    by: Caller


@dataclass(frozen=True, slots=True)
class PageRequested:
    """A browser got the waiting page: wake the app, but nobody is held."""

    app: str
    by: Caller


@dataclass(frozen=True, slots=True)
class ClientLeft:
    """The client of a held request is gone.  The wake goes on."""

    app: str
    ticket: int


@dataclass(frozen=True, slots=True)
class WakeRequested:
    """An operator asked for the app to be awake now."""

    app: str
    by: Caller = "operator"


@dataclass(frozen=True, slots=True)
class Tracked:
    """The app was used in a way that the gateway does not see: its idle clock begins anew.  Wakes nothing."""

    app: str


@dataclass(frozen=True, slots=True)
class SleepRequested:
    """An operator, or the shortage of something, asked for the app to sleep now; the next request wakes it."""

    app: str
    tier: Tier | None = None
    """How deep at least; None: as it sleeps at first."""
    why: Reason | None = None
    """None: an operator said so."""


@dataclass(frozen=True, slots=True)
class StartRequested:
    """An operator lifted `want: down` and wants the app running now."""

    app: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """An operator set `want: down`: requests are refused until a start."""

    app: str
    why: str = "stopped by the operator"
    force: bool = False
    """Also if other apps hold it."""


@dataclass(frozen=True, slots=True)
class RestartRequested:
    """An operator wants a fresh generation."""

    app: str
    rolling: bool = False
    """One replica after the other, each only when the one before is ready again."""
    why: str = "restarted by the operator"


@dataclass(frozen=True, slots=True)
class ScaleRequested:
    """An operator wants that many replicas."""

    app: str
    replicas: int


@dataclass(frozen=True, slots=True)
class PinRequested:
    """An operator wants the app to be awake, and to stay so."""

    app: str
    seconds: float | None = None
    """How long; None: until an `UnpinRequested`."""


@dataclass(frozen=True, slots=True)
class UnpinRequested:
    """An operator lets the app sleep again."""

    app: str


@dataclass(frozen=True, slots=True)
class ScheduleChanged:
    """The clock on the wall says something else of the app than before."""

    app: str
    hours: Hours


@dataclass(frozen=True, slots=True)
class PriorityRequested:
    """An operator wants it to sleep for others sooner or later than the configuration says."""

    app: str
    priority: int
    always_on: bool | None = None
    """Whether it is to be kept running; None: as before."""


@dataclass(frozen=True, slots=True)
class MemoryMeasured:
    """How much memory there is.  All in bytes."""

    available: int
    """What can be had without swapping, within the tightest limit that holds for all apps."""
    total: int
    """That limit."""
    swap_free: int = 0
    sizes: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """What each app takes now, by its name, with all of its replicas."""
    devices: Mapping[int, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))
    """Of each GPU that a budget names: all of its memory, and what is used by others than apps."""


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """The daemon is going down: stop everything, refuse whoever waits, keep every `want`."""


@dataclass(frozen=True, slots=True)
class Applied:
    """Another configuration holds from now on.

    It is to be a valid one: every app that is needed is among the `apps`, and none needs itself.
    """

    apps: tuple[AppSpec, ...]
    """All apps, in the order of the configuration."""
    renewed: frozenset[str] = frozenset()
    """Those whose running instances have to be started afresh to follow it."""
    sharing: Sharing | None = None
    """How they share memory and budgets; None: as before."""
    closed: Mapping[str, Hours] = field(default_factory=lambda: MappingProxyType({}))
    """The hours of those that may not run now: nobody is to wake them before their `ScheduleChanged` comes."""


# --- inputs to an instance --------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The provider brought it to life; it is not ready yet."""

    id: InstanceId
    generation: int
    endpoint: Endpoint | None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class StartRefused:
    """The provider could not bring it to life; nothing of it exists."""

    id: InstanceId
    generation: int
    text: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """A daemon before this one started it, and it is still alive.  Its generation goes on."""

    id: InstanceId
    generation: int
    endpoint: Endpoint | None
    pid: int | None
    age: float
    """Seconds since it was started."""
    status: str | None = None
    """What it said last of what it is doing."""
    watchdog: float | None = None
    """The watchdog interval that it asked for, in seconds."""
    changed: tuple[str, ...] = ()
    """Settings that it was born with and that are others now."""
    frozen: Tier | None = None
    """How deep it sleeps; None: it is awake."""


@dataclass(frozen=True, slots=True)
class FoundRunning:
    """It runs, although nobody here has started it."""

    id: InstanceId
    text: str
    """What is known of that."""
    ours: bool = False
    """Whether a daemon before this one had started it, and its host tells so only now."""


@dataclass(frozen=True, slots=True)
class HostReturned:
    """Its host answers again, whose absence its last start has failed for."""

    id: InstanceId


@dataclass(frozen=True, slots=True)
class Froze:
    """It is frozen now; nobody here has asked for that where it was ready."""

    id: InstanceId
    generation: int
    tier: Tier
    """How deep: less deep than was asked for, where more is not possible here."""
    before: int
    """Its resident bytes before."""
    after: int
    note: str | None = None
    """Why it is not as deep as was asked for."""


@dataclass(frozen=True, slots=True)
class Thawed:
    """It was frozen, and others let it go on."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class FreezeFailed:
    """It could not be frozen, and runs."""

    id: InstanceId
    generation: int
    text: str


@dataclass(frozen=True, slots=True)
class EndRemembered:
    """It ended by itself while a daemon before this one looked, and was not started again."""

    id: InstanceId
    info: ExitInfo


@dataclass(frozen=True, slots=True)
class DependenciesMet:
    """Everything that the app needs is there."""

    app: str


@dataclass(frozen=True, slots=True)
class DependencyLost:
    """Something that the app needs will not come by itself."""

    app: str
    loss: Loss


@dataclass(frozen=True, slots=True)
class DependencyAwaited:
    """Something that the app needs is not there yet, but may come."""

    app: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Released:
    """The last app that held this one let go of it."""

    app: str


@dataclass(frozen=True, slots=True)
class GroundsChanged:
    """What keeps the app awake, whatever it does, is another than before."""

    app: str


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """Other settings hold for the app; what runs goes on with them."""

    app: str
    lifecycle: Lifecycle


@dataclass(frozen=True, slots=True)
class ProgramChanged:
    """What the app is has changed: what runs is to be started afresh."""

    app: str


@dataclass(frozen=True, slots=True)
class BecameReady:
    """Its readiness probes hold."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to `AskWhetherIdle`."""

    id: InstanceId
    generation: int
    keeps_awake: bool
    text: str
    """What was found, for people."""


@dataclass(frozen=True, slots=True)
class Exited:
    """Its main process ended.  `leftovers`: descendants are still alive, a `Gone` will follow."""

    id: InstanceId
    generation: int
    info: ExitInfo
    leftovers: bool = False
    by_hand: bool = False
    """Somebody asked for that end where it lives, and it was not Torpor."""


@dataclass(frozen=True, slots=True)
class Gone:
    """After an exit with leftovers: now nothing of it is alive."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class ConnectRefused:
    """A ready instance refused a connection: it must prove its readiness again."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class Vacated:
    """The last lease of an instance, or a parked connection after it, ended while the core waited for that."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class Pinged:
    """It sent a sign of life (WATCHDOG=1)."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class WatchdogChanged:
    """It asked for another watchdog interval, in seconds (WATCHDOG_USEC)."""

    id: InstanceId
    generation: int
    interval: float


@dataclass(frozen=True, slots=True)
class TimeExtended:
    """It asked for more time to start or to stop: that many seconds from now (EXTEND_TIMEOUT_USEC)."""

    id: InstanceId
    generation: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """It told what it is doing, for people (STATUS)."""

    id: InstanceId
    generation: int
    text: str
    trouble: str | None = None
    """What it says has failed (ERRNO); it stands in `text`, too."""


@dataclass(frozen=True, slots=True)
class EndAnnounced:
    """It is about to end by itself (STOPPING=1)."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class WatchdogTriggered:
    """It says itself that it does not do its work (WATCHDOG=trigger)."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class FoundUnhealthy:
    """Its liveness probe failed too often, or it took more memory than it may."""

    id: InstanceId
    generation: int
    text: str


@dataclass(frozen=True, slots=True)
class StopProblem:
    """A stop or kill could not be carried out; it will be tried again at the next deadline."""

    id: InstanceId
    generation: int
    text: str


Wish = (
    WakeRequested
    | SleepRequested
    | StartRequested
    | StopRequested
    | RestartRequested
    | ScaleRequested
    | PinRequested
    | UnpinRequested
    | PriorityRequested
)
"""What an operator may ask of an app.  The app may object."""
AppInput = RequestArrived | PageRequested | ClientLeft | Tracked | ScheduleChanged | Wish
FleetInput = (
    DependenciesMet
    | DependencyLost
    | DependencyAwaited
    | Released
    | GroundsChanged
    | SettingsChanged
    | ProgramChanged
)
"""What an app tells its instances about its surroundings and its settings."""
InstanceInput = (
    Adopted
    | EndRemembered
    | FoundRunning
    | HostReturned
    | Froze
    | Thawed
    | FreezeFailed
    | Started
    | StartRefused
    | BecameReady
    | Pinged
    | WatchdogChanged
    | TimeExtended
    | StatusChanged
    | EndAnnounced
    | WatchdogTriggered
    | FoundUnhealthy
    | Answered
    | Exited
    | Gone
    | ConnectRefused
    | Vacated
    | StopProblem
)
Input = AppInput | InstanceInput | Applied | MemoryMeasured | ShutdownRequested

# --- effects ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartInstance:
    """Start it and watch for its readiness; report Started or StartRefused, then BecameReady."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class ProbeInstance:
    """Watch for its readiness again."""

    id: InstanceId
    generation: int
    refused: bool
    """Whether it refused a connection: it has to take one, whatever it said of its readiness before."""


@dataclass(frozen=True, slots=True)
class WatchInstance:
    """It counts as ready: probe its readiness no more, but its liveness, if it has a probe for that."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class AdaptInstance:
    """The app's settings changed: from now on it is supervised by these."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class AskWhetherIdle:
    """Nothing else keeps it awake: find out whether it is at work, and report Answered.

    One that is asked again is to be asked afresh.
    """

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class Reboot:
    """Run the configured reboot command, if the configuration allows it."""

    app: str
    text: str


@dataclass(frozen=True, slots=True)
class FreezeInstance:
    """Freeze it, that deep; report Froze or FreezeFailed.  It may be frozen already, less deep."""

    id: InstanceId
    generation: int
    tier: Tier


@dataclass(frozen=True, slots=True)
class ThawInstance:
    """Let it go on where it was frozen, whether that is done or under way; report BecameReady."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class StopInstance:
    """Ask it to end (its stop signal, to its whole tree), also if it is frozen.  Report Exited."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class KillInstance:
    """End it by force, all of it."""

    id: InstanceId
    generation: int


@dataclass(frozen=True, slots=True)
class EndUnasked:
    """It runs although nobody here has started it: end it, first by its stop signal."""

    id: InstanceId


@dataclass(frozen=True, slots=True)
class DropStored:
    """It is to stay down: give up what was kept for its next generation."""

    id: InstanceId


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Nothing of it is alive, and nothing follows by itself: let nobody queue up where it listened."""

    id: InstanceId


@dataclass(frozen=True, slots=True)
class CloseUpgraded:
    """Say good-bye (1001) on the upgraded connections of this upstream; each one repays itself."""

    upstream: Upstream


@dataclass(frozen=True, slots=True)
class DropUpstream:
    """This upstream is over: forget its pooled connections."""

    upstream: Upstream


@dataclass(frozen=True, slots=True)
class GrantTicket:
    """The held request may go to this upstream; its lease is already counted."""

    ticket: int
    upstream: Upstream


@dataclass(frozen=True, slots=True)
class RefuseTicket:
    """The held request gets this verdict."""

    ticket: int
    refusal: Refusal


DAEMON = "torpor"
"""The name under which events tell of what belongs to no app."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the journal.  Who may read `text`, and who `detail`, is as with a `Reason`."""

    app: str
    instance: str
    kind: str
    text: str
    reason: Reason | None = None
    data: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    detail: str = ""

    def __str__(self) -> str:
        return in_full(self.text, self.detail)


@dataclass(frozen=True, slots=True)
class Remember:
    """What is remembered of this app changed: write it down."""

    app: str


@dataclass(frozen=True, slots=True)
class MeasureMemory:
    """Measure the memory now; report MemoryMeasured."""


@dataclass(frozen=True, slots=True)
class ForgetInstance:
    """It is none of its app's any more, and nothing of it is alive: let go of all that is kept for it."""

    id: InstanceId


@dataclass(frozen=True, slots=True)
class Forget:
    """The app was removed, and its instances are forgotten: let go of all that is kept for it."""

    app: str


Effect = (
    StartInstance
    | ProbeInstance
    | WatchInstance
    | AdaptInstance
    | AskWhetherIdle
    | FreezeInstance
    | ThawInstance
    | Reboot
    | StopInstance
    | KillInstance
    | EndUnasked
    | DropStored
    | CloseSocket
    | CloseUpgraded
    | DropUpstream
    | GrantTicket
    | RefuseTicket
    | Announce
    | Remember
    | MeasureMemory
    | ForgetInstance
    | Forget
)
