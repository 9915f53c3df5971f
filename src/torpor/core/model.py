"""The frozen values that all of Torpor speaks in.

Times are seconds (float).  A point in time is monotonic, as handed to the core
in `now`; the wall clock never appears here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from torpor.core.rules import Glob, Rule
from torpor.core.schedule import ANY_HOURS, Hours, Schedule
from torpor.core.sharing import USUAL, Share


class Tier(StrEnum):
    """How deep an instance sleeps."""

    PAUSE = "pause"
    """Frozen; its memory stays where it is."""
    HIBERNATE = "hibernate"
    """Frozen, and its memory is paged out to swap."""
    STOP = "stop"
    """Ended by its stop signal; nothing of it is alive."""
    KILL = "kill"
    """Ended by force: for what has nothing to put in order."""

    @property
    def depth(self) -> int:
        """The larger, the deeper; what is killed sleeps no deeper than what is stopped."""
        return {Tier.PAUSE: 1, Tier.HIBERNATE: 2, Tier.STOP: 3, Tier.KILL: 3}[self]

    @property
    def frozen(self) -> bool:
        """Whether its processes are still there."""
        return self in (Tier.PAUSE, Tier.HIBERNATE)


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of the ladder by which an app sleeps deeper and deeper."""

    tier: Tier
    after: float
    """Seconds of idleness."""


class Phase(StrEnum):
    """What an instance is doing.  The table in `core.machine` says how it moves."""

    ASLEEP = "asleep"
    """Nothing of it is alive."""
    FROZEN = "frozen"
    """It sleeps, but its processes are there: paused or hibernated (its tier says which)."""
    BLOCKED = "blocked"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    FAILED = "failed"
    DONE = "done"


class Want(StrEnum):
    """What the operator or the config asks for, whatever the phase is."""

    UP = "up"
    """Keep it running."""
    AUTO = "auto"
    """Run it on demand."""
    DOWN = "down"
    """Refuse to wake it until an operator starts it."""


class OnExternalStart(StrEnum):
    """What becomes of an app that others have started."""

    ADOPT = "adopt"
    """It is taken on, as if it had been woken."""
    STOP = "stop"
    """It is ended again."""
    IGNORE = "ignore"
    """It is left alone until somebody knocks; it is taken on then."""


class ManualStop(StrEnum):
    """How much it counts that others have stopped an app."""

    UNTIL_WAKE = "until_wake"
    """It sleeps, and the next request wakes it."""
    ALWAYS = "always"
    """It is down until an operator starts it."""
    NEVER = "never"
    """It has ended like any program that ends by itself."""


class Restart(StrEnum):
    """What to do when an instance exits by itself."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NO = "no"


class OnStartTimeout(StrEnum):
    """What becomes of a start that is not ready in time."""

    FAIL = "fail"
    """It is stopped and counts as a failure; `restart` decides on another attempt."""
    ACCEPT = "accept"
    """It counts as ready."""
    RESTART = "restart"
    """It is stopped, counts as a failure, and is started again whatever `restart` says."""
    REBOOT = "reboot"
    """The configured reboot command is run."""


class OnWatchdog(StrEnum):
    """What becomes of an instance whose sign of life did not come in time."""

    RESTART = "restart"
    """It is stopped and counts as a failure; `restart` decides on another attempt."""
    IGNORE = "ignore"
    """It is told in the journal, and nothing else."""
    REBOOT = "reboot"
    """The configured reboot command is run."""


class WakeOn(StrEnum):
    """Which requests may wake an app."""

    ANY = "any"
    NAVIGATION = "navigation"
    """Only a page load: a forgotten tab's reconnect is refused while the app sleeps."""


class SocketActivity(StrEnum):
    """What an upgraded connection (WebSocket …) or a stream means for idleness."""

    DATA = "data"
    """Data frames from the client are activity; pings and an open socket are not.
    For a stream: data of either side, and waiting for an answer."""
    OPEN = "open"
    """An open connection keeps the app awake."""
    IGNORE = "ignore"
    """Open connections are no activity at all."""


class Condition(StrEnum):
    """What must be true of a dependency before its dependent is started."""

    STARTED = "started"
    """It is alive."""
    HEALTHY = "healthy"
    """It is ready."""
    COMPLETED = "completed"
    """It has run and ended, however it ended."""
    COMPLETED_SUCCESSFULLY = "completed_successfully"
    """It has run and ended in a way that its `exit_codes` call a success."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """An app that another one needs."""

    app: str
    condition: Condition = Condition.HEALTHY
    optional: bool = False
    """It is started along, but neither waited for nor missed."""


@dataclass(frozen=True, slots=True)
class InstanceId:
    """One copy of an app: replica number × release."""

    app: str
    replica: int = 0
    release: int = 0

    def __str__(self) -> str:
        name = self.app if self.replica == 0 else f"{self.app}/{self.replica}"
        return name if self.release == 0 else f"{name}@{self.release}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an instance listens: at a port, or at a Unix socket."""

    host: str
    port: int
    path: str | None = None
    """Of the Unix socket; then there is neither host nor port."""
    ways: Ways | None = None
    """How its further ports are reached; None: at the same host, under their own numbers."""

    @classmethod
    def at(cls, path: str) -> Endpoint:
        """That of a Unix socket."""
        return cls("", 0, path)

    def of_port(self, port: int, *, datagrams: bool = False) -> Endpoint | None:
        """Where a further port of the instance is reached; None: there is no way to it."""
        if self.ways is not None:
            return self.ways.to(port, datagrams=datagrams)
        return None if self.path is not None else Endpoint(self.host, port)

    @property
    def relayed(self) -> bool:
        """Whether it is a published port: somebody in between accepts connections there, whoever listens behind it."""
        published = () if self.ways is None else self.ways.published
        return any((self.host, self.port) == (one.host, one.port) for _, one in published)

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Ways:
    """How each port of an instance is reached that has a network of its own."""

    host: str | None
    """Where those are that are not published; None: nowhere."""
    published: tuple[tuple[str, Endpoint], ...] = ()
    """Ports by number and protocol (`22/tcp`), and where each is reached."""

    def to(self, port: int, *, datagrams: bool) -> Endpoint | None:
        """Where that port is reached; None: there is no way to it."""
        wanted = f"{port}/{'udp' if datagrams else 'tcp'}"
        direct = None if self.host is None else Endpoint(self.host, port)
        return next((endpoint for name, endpoint in self.published if name == wanted), direct)


@dataclass(frozen=True, slots=True)
class ExitInfo:
    """How a process ended.  Both fields are None where nobody could tell (it was not our child)."""

    code: int | None = None
    signal: int | None = None
    note: str = ""
    """What else is known of the end, for people."""

    @property
    def clean(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.code == 0

    def __str__(self) -> str:
        return f"{self.words} ({self.note})" if self.note else self.words

    @property
    def words(self) -> str:
        """The same without the note, which may quote a host."""
        if self.signal is not None:
            return f"killed by signal {self.signal}"
        if self.code is not None:
            return f"exited with code {self.code}"
        return "exited with unknown status"


def in_full(text: str, detail: str) -> str:
    """A sentence for operators, who may read all of it."""
    return f"{text}: {detail}" if detail else text


class Cause(StrEnum):
    """Why an instance is where it is, or why a request was refused.  Stable codes for programs.

    The gateway sends the code of a refusal as `X-Torpor`.
    """

    IDLE = "idle"
    OPERATOR = "operator"
    EXITED = "exited"
    START_FAILED = "start-failed"
    START_TIMEOUT = "start-timeout"
    UNHEALTHY = "unhealthy"
    WAKE_TIMEOUT = "wake-timeout"
    ROOM_FULL = "waiting-room-full"
    DOWN = "down"
    SCHEDULE = "schedule"
    DEPENDENCY = "dependency"
    FAILED = "failed"
    ASLEEP = "asleep"
    SHUTDOWN = "shutdown"
    REMOVED = "removed"
    EVICTED = "evicted"
    """It was put to sleep for others."""
    NO_MEMORY = "no-memory"
    NO_BUDGET = "no-budget"


FAILURES = frozenset({Cause.EXITED, Cause.START_FAILED, Cause.START_TIMEOUT, Cause.UNHEALTHY})
"""Causes by which an app failed by itself, unless it has ended as it should: its own words may tell more."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A cause and a sentence for people.

    Whoever knocks may read `text`, so it is in Torpor's own words.  What others say, who may
    name paths, sockets, hosts and commands of this machine, is `detail`.
    """

    cause: Cause
    text: str
    detail: str = ""
    """What the program, its host or a probe has to say of it: for operators only."""

    def __str__(self) -> str:
        return in_full(self.text, self.detail)


@dataclass(frozen=True, slots=True)
class Knock:
    """A request that may wake an app: what is kept of it.  Every text is cut to a bound."""

    method: str
    path: str
    """Without its query, which is nobody's business."""
    address: str
    """Of whoever asked."""
    user_agent: str
    rule: str
    """The name of what lets it wake the app."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} from {self.address}"


Caller = Knock | str
"""Who woke an app: a request, or whoever it was in words."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The verdict on a request that will not be served now.

    `retry_after` is in seconds; None where trying again is pointless without an operator.
    """

    reason: Reason
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delay before the n-th restart: `initial * factor**(n-1)` seconds, spread by chance, at most `max`."""

    initial: float = 0.5
    factor: float = 2.0
    max: float = 30.0
    jitter: float = 0.1
    """Share of the delay, from 0 to 1, by which chance makes it longer or shorter."""


@dataclass(frozen=True, slots=True)
class StartLimit:
    """After `failures` failed starts or crashes within `window` seconds: FAILED for `cool_off` seconds."""

    failures: int = 5
    window: float = 60.0
    cool_off: float = 60.0


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The settings that `core` decides by.  Durations in seconds."""

    idle_timeout: float | None = 1800.0
    """None: never sleeps because of idleness."""
    tier: Tier = Tier.STOP
    """How it sleeps at first."""
    deeper: tuple[Rung, ...] = ()
    """How it sleeps later: deeper ones, each after a longer idleness than `idle_timeout` and the one before."""
    wake_timeout: float = 30.0
    """How long one request is held."""
    start_timeout: float | None = 120.0
    """From the start attempt to ready; longer is a failed attempt.  None: it may take for ever."""
    drain_timeout: float = 30.0
    """How long in-flight requests may hold up a sleep, stop or restart."""
    stop_timeout: float = 10.0
    """From the stop signal to KILL."""
    always_on: bool = False
    restart: Restart = Restart.ON_FAILURE
    max_waiting: int = 1000
    """Requests held at once; one more is refused."""
    backoff: Backoff = Backoff()
    start_limit: StartLimit = StartLimit()
    stable_after: float = 10.0
    """Ready for that long forgets earlier failures."""
    exit_codes: tuple[int, ...] = (0,)
    """Ends that count as success: exit codes, and -N for signal N."""
    on_start_timeout: OnStartTimeout = OnStartTimeout.FAIL
    min_bytes: int = 0
    """Bytes that must pass within `idle_timeout` to keep it awake; 0: every request does."""
    watchdog: float | None = None
    """Longest silence (no WATCHDOG=1) of a ready instance; None: it need not speak."""
    on_watchdog: OnWatchdog = OnWatchdog.RESTART
    min_uptime: float = 0.0
    """How long it stays awake at least, once it is ready."""
    question: IdleQuestion | None = None
    """What else has to be found out before it may fall asleep."""
    on_external_start: OnExternalStart = OnExternalStart.ADOPT
    respect_manual_stop: ManualStop = ManualStop.UNTIL_WAKE

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """All of its rungs, the first one included."""
        return (
            self.deeper if self.idle_timeout is None else (Rung(self.tier, self.idle_timeout), *self.deeper)
        )


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """GET `path` answers with a status inside one of the inclusive `codes` ranges."""

    path: str
    codes: tuple[tuple[int, int], ...] = ((200, 399),)


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """The instance's port accepts a connection."""


@dataclass(frozen=True, slots=True)
class LogProbe:
    """A line of output matches the regular expression."""

    pattern: str


@dataclass(frozen=True, slots=True)
class ExecProbe:
    """The command, run in the app's directory and environment, exits 0."""

    command: tuple[str, ...]
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class NotifyProbe:
    """The instance sends READY=1 to its NOTIFY_SOCKET (sd_notify)."""


@dataclass(frozen=True, slots=True)
class DelayProbe:
    """That many seconds have passed since the start."""

    seconds: float


Probe = HttpProbe | TcpProbe | LogProbe | ExecProbe | NotifyProbe | DelayProbe


@dataclass(frozen=True, slots=True)
class IdleQuestion:
    """What is asked about an app that nothing else keeps awake, before it falls asleep."""

    cpu_below: float | None = None
    """It is at work while it uses this share of one core or more; None: that is not measured."""
    cpu_window: float = 10.0
    """Seconds over which that is measured."""
    probe: HttpProbe | ExecProbe | None = None
    """It stays awake as long as this holds; what cannot be found out holds."""
    timeout: float = 5.0
    """Seconds that the probe may take."""

    @property
    def limit(self) -> float:
        """Seconds after which there will be no answer any more."""
        window = 0.0 if self.cpu_below is None else self.cpu_window
        return window + (0.0 if self.probe is None else self.timeout) + _ANSWER_MARGIN


_ANSWER_MARGIN = 5.0
"""Seconds by which an answer may be late: a busy machine is no reason to give up on it."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """All `probes` must have held once, and `settle` seconds must then pass."""

    probes: tuple[Probe, ...] = (TcpProbe(),)
    settle: float = 0.0


@dataclass(frozen=True, slots=True)
class Liveness:
    """Once ready, `probe` is asked every `interval` seconds and must hold within `timeout` seconds.

    After `failures` failures in a row the instance is found unhealthy.
    """

    probe: HttpProbe | TcpProbe | ExecProbe
    interval: float = 10.0
    timeout: float = 1.0
    failures: int = 3


@dataclass(frozen=True, slots=True)
class Route:
    """A host name (with or without a path prefix) that leads to an app.

    `host` is lower case without port; `*.example.org` matches any name below
    example.org, `notes.*` that name below any domain; None is the default route for
    hosts that nobody names.
    """

    host: str | None
    path: str = "/"
    strip_prefix: bool = False
    rules: tuple[Rule, ...] = ()
    """What requests on this route mean for the app; asked before the app's own."""
    app_port: int | None = None
    """The port of the app that it leads to; None: the app's main one."""

    def __str__(self) -> str:
        host = "default" if self.host is None else self.host
        return host if self.path == "/" else host + self.path


class Scheme(StrEnum):
    """What comes on a stream's address."""

    TCP = "tcp"
    """Connections."""
    TLS = "tls"
    """Connections that say which server they are for."""
    UDP = "udp"
    """Datagrams."""


class ProxyVersion(StrEnum):
    """A version of the PROXY protocol."""

    V1 = "v1"
    """In text."""
    V2 = "v2"
    """In binary."""


@dataclass(frozen=True, slots=True)
class StreamRoute:
    """An address whose connections, or datagrams, lead to an app byte by byte: `tcp://127.0.0.1:5432`.

    With TLS, only those do that ask for the server `name`, as the host of a `Route`, in
    their greeting: `tls://git.example.org@0.0.0.0:443`.  They are not decrypted.
    """

    host: str
    port: int
    scheme: Scheme = Scheme.TCP
    name: str | None = None
    """None: any name that no other route of the address has."""
    accept_proxy: bool = False
    """Whether proxies that are trusted, and nobody else, connect there, and say for whom."""
    send_proxy: ProxyVersion | None = None
    """How the app is told who connects; None: not at all."""
    app_port: int | None = None
    """The port of the app that it leads to; None: the app's main one."""

    def __str__(self) -> str:
        address = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        server = f"{self.name or 'default'}@" if self.scheme is Scheme.TLS else ""
        return f"{self.scheme}://{server}{address}"


@dataclass(frozen=True, slots=True)
class LoadingPage:
    """What a browser sees while the app wakes."""

    enabled: bool = True
    title: str | None = None
    template: str | None = None
    """The text of the user's own template, already checked."""
    show_logs: bool = False
    """Whether the page may show the app's last log lines when it failed."""


@dataclass(frozen=True, slots=True)
class SocketPolicy:
    """How upgraded connections count, and how old (seconds) one may become; None: any age."""

    activity: SocketActivity = SocketActivity.DATA
    max_age: float | None = None


@dataclass(frozen=True, slots=True)
class AppSpec:
    """One app of the configuration, validated and with all defaults filled in."""

    name: str
    lifecycle: Lifecycle = Lifecycle()
    routes: tuple[Route, ...] = ()
    streams: tuple[StreamRoute, ...] = ()
    """Where raw connections to it are taken."""
    readiness: Readiness = Readiness()
    liveness: Liveness | None = None
    loading_page: LoadingPage = LoadingPage()
    wake_on: WakeOn = WakeOn.ANY
    wake_paths: tuple[Glob, ...] = ()
    """Where requests wake it; nothing named: everywhere."""
    ignore_bots: bool = False
    """Whether the programs of `core.bots` neither wake it nor keep it awake."""
    rules: tuple[Rule, ...] = ()
    """What requests mean for it; the first that meets a request decides."""
    websocket: SocketPolicy = SocketPolicy()
    stream_activity: SocketActivity = SocketActivity.DATA
    """How the connections of its streams count."""
    stream_max_age: float | None = None
    """How old (seconds) one of them may become; None: any age."""
    port: int | None = None
    """A fixed port; None lets Torpor allot one per instance."""
    socket: str | None = None
    """Path of the Unix socket at which it listens, in place of a port."""
    activation: bool = False
    """Whether Torpor binds where it listens, and hands that over to each generation."""
    replicas: int = 1
    """How many instances it has."""
    depends_on: tuple[Dependency, ...] = ()
    """Apps that are started before it, and held as long as it runs."""
    companions: tuple[str, ...] = ()
    """Names of apps, and `group:NAME`: who is woken with it, and stays awake with it."""
    groups: frozenset[str] = frozenset()
    """Names under which operators mean it together with others."""
    schedule: Schedule | None = None
    """When it is to be awake, and when it may not be."""
    share: Share = field(default_factory=Share)
    """What it uses of what all apps share."""
    workload: object = None
    """What the instances are made of; only the provider looks inside."""
    guest: bool = False
    """Whether others made it, and its one instance lives where they act on it, too."""

    @property
    def further_ports(self) -> Mapping[int, tuple[Route | StreamRoute, ...]]:
        """The ports beside its main one that routes lead to, and which routes."""
        found: dict[int, tuple[Route | StreamRoute, ...]] = {}
        routes: tuple[Route | StreamRoute, ...] = (*self.routes, *self.streams)
        for route in routes:
            if route.app_port is not None:
                found[route.app_port] = (*found.get(route.app_port, ()), route)
        return found

    @property
    def fixed_ports(self) -> frozenset[int]:
        """The ports of this machine that are to be its own; a guest has a machine of its own."""
        main = () if self.port is None else (self.port,)
        return frozenset() if self.guest else frozenset((*main, *self.further_ports))

    @property
    def single(self) -> bool:
        """Whether there can be but one instance of it: others would have to listen at the same place."""
        return self.guest or self.socket is not None or bool(self.fixed_ports)

    @property
    def listens(self) -> bool:
        """Whether its instances are given a port."""
        if self.socket is not None:
            return False
        question = self.lifecycle.question
        probes = [*self.readiness.probes, *([self.liveness.probe] if self.liveness else [])]
        probes += [question.probe] if question is not None and question.probe is not None else []
        asked = any(isinstance(probe, HttpProbe | TcpProbe) for probe in probes)
        return bool(self.routes or self.streams) or self.port is not None or self.activation or asked


@dataclass(frozen=True, slots=True)
class Awaited:
    """Something that an app waits for before it is started."""

    app: str
    condition: Condition
    seconds: float
    """How long it has waited for that."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Why an app will not come to be what others need of it."""

    app: str
    """Whose fault it is: the app itself, or the one at the end of what it needs."""
    reason: Reason
    retry_at: float | None = None
    """When it is tried again; None: once an operator acts."""

    def refusal(self, now: float) -> Refusal:
        """The verdict for a request that comes now."""
        return Refusal(self.reason, None if self.retry_at is None else max(0.0, self.retry_at - now))


@dataclass(frozen=True, slots=True)
class Standing:
    """What an app is to those that depend on it."""

    met: frozenset[Condition] = frozenset()
    failed: Loss | None = None
    """Why it will not come to be more by itself; None while it may."""


_FROZEN_WORDS = {Tier.PAUSE: "paused", Tier.HIBERNATE: "hibernated"}


@dataclass(frozen=True, slots=True)
class InstanceSnapshot:
    """One instance at one moment.  Durations are seconds relative to the snapshot."""

    id: InstanceId
    phase: Phase
    generation: int
    phase_age: float
    uptime: float | None
    """Since it became alive; None while it is not."""
    restarts: int
    """Times it was started again after an exit or a failed start that nobody asked for."""
    inflight: int
    parked: int
    """Open upgraded connections that do not keep it awake."""
    idle_in: float | None
    """Until it goes to sleep if nobody comes; None where it would not."""
    retry_in: float | None
    """Until the next attempt (BACKOFF) or the end of the cool-off (FAILED)."""
    endpoint: Endpoint | None
    reason: Reason | None
    status: str | None = None
    """Its own words on what it is doing (sd_notify STATUS)."""
    woken_by: Caller | None = None
    """Who woke it last; None: nobody since the daemon began."""
    finished: bool = False
    """Whether it has done what it was started for: it ended by itself, as its `exit_codes` expect."""
    tier: Tier | None = None
    """How deep it sleeps where it is frozen."""
    deeper: Tier | None = None
    """How it sleeps next, if it sleeps for longer; None: it stays as it is."""
    deeper_in: float | None = None
    """Until it sleeps deeper if nobody comes; None where it would not."""
    shallow: str | None = None
    """Why it sleeps less deep than it was to."""
    unheard: str | None = None
    """Why its last end could not be asked for; that is tried again."""

    @property
    def state(self) -> str:
        """The word for what it is: that of its phase, or of how it sleeps."""
        return self.phase.value if self.tier is None else _FROZEN_WORDS[self.tier]


@dataclass(frozen=True, slots=True)
class AppSnapshot:
    """One app at one moment."""

    name: str
    want: Want
    phase: Phase
    """The phase of its most useful instance."""
    waiting: int
    """Requests held at this moment."""
    eta: float | None
    """Seconds that a wake usually takes (median of the last ones)."""
    waking_for: float | None
    """Seconds since the wake in progress began."""
    instances: tuple[InstanceSnapshot, ...]
    spec: AppSpec
    held_by: tuple[str, ...] = ()
    """Apps that need it now; it may not sleep meanwhile."""
    priority: int = USUAL
    """1 to 100: the lower, the sooner it is put to sleep for others."""
    always_on: bool = False
    """Whether it is kept running, as the operator says or else the configuration."""
    size: int | None = None
    """Bytes that it takes awake: as its `memory` says, or as it was measured last."""
    yielding: bool = False
    """Whether it takes no new requests, because others wait for what it uses."""
    roll_ended: str | None = None
    """Why the last rolling restart ended before every replica had been restarted; None: it did not."""
    pinned: bool = False
    """Whether an operator keeps it awake."""
    pinned_for: float | None = None
    """How much longer; None: until the operator says otherwise."""
    hours: Hours = ANY_HOURS
    """What its schedule says now; `until` is relative, too."""
    awaited: tuple[Awaited, ...] = ()
    """The apps that it waits for before it is started."""
    gives_up_in: float | None = None
    """Until the wake in progress is over at the latest, ready or not; None: it may take for ever, or there is none."""

    @property
    def state(self) -> str:
        """The word for what its most useful instance is."""
        return next(one.state for one in self.instances if one.phase is self.phase)


@dataclass(frozen=True, slots=True)
class Pin:
    """An operator's word that an app is to stay awake."""

    until: float | None = None
    """A point in time, of this boot of the machine; None: until the operator says otherwise."""


@dataclass(frozen=True, slots=True)
class AppMemory:
    """What is remembered of an app over a restart of the daemon."""

    want: Want | None = None
    """The operator's wish; None: as the config says."""
    restarts: int = 0
    generation: int = 0
    replicas: int | None = None
    """The operator's number of replicas; None: as the config says."""
    wakes: tuple[float, ...] = ()
    """Durations of the last wakes in seconds from when nothing of it was alive, oldest first."""
    thaws: Mapping[Tier, tuple[float, ...]] = field(default_factory=dict)
    """The same by how it slept, for wakes of what was frozen."""
    completed: tuple[ExitInfo | None, ...] = ()
    """How each replica ended by itself, if it did and was not started again; means something within one boot."""
    failures: tuple[tuple[float, ...], ...] = ()
    """When each replica failed of late, on the monotonic clock; means something within one boot."""
    pin: Pin | None = None
    """One with an end means something within one boot."""
    size: int | None = None
    """Bytes that it took when it was measured last, awake, all replicas together."""
    priority: int | None = None
    """The operator's priority; None: as the config says."""
    always_on: bool | None = None
    """Whether the operator wants it always on; None: as the config says."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an app, for people and for the live views.

    `at` is wall-clock seconds since the epoch, stamped by the journal.  Who may read
    `text`, and who `detail`, is as with a `Reason`.
    """

    seq: int
    at: float
    app: str
    kind: str
    text: str
    instance: str
    data: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    detail: str = ""

    def __str__(self) -> str:
        return in_full(self.text, self.detail)
