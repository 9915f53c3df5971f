"""The values that a configuration file becomes, beyond what the core knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from torpor.config.hosts import Hosts
from torpor.config.origin import Origin
from torpor.core.model import AppSpec
from torpor.core.sharing import Sharing


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a certificate chain and its key, PEM."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Listen:
    """One address of the gateway."""

    host: str
    port: int
    tls: Tls | None = None
    gate: bool = False
    """Whether it only answers proxies that ask if they may pass a request on."""
    udp: bool = False
    """Whether datagrams are taken there."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger can make the gateway hold.  Durations in seconds, sizes in bytes."""

    request_line: int = 8 * 1024
    headers_size: int = 64 * 1024
    """The whole head, request line included."""
    headers_count: int = 100
    header_timeout: float = 10.0
    """From the first byte of a head (or the connection's start) to its end."""
    idle_timeout: float = 75.0
    """A kept-alive connection without a request."""
    body_timeout: float = 60.0
    """Between two pieces of a request body."""
    connections: int = 10_000
    """Open client connections of all listeners."""


@dataclass(frozen=True, slots=True)
class GatewaySpec:
    """The front door."""

    listen: tuple[Listen, ...] = (Listen("127.0.0.1", 8080),)
    limits: Limits = Limits()
    trusted_proxies: tuple[str, ...] = ()
    """Networks whose `X-Forwarded-*` and `Forwarded` headers are believed and extended."""


class Compression(StrEnum):
    """What archives of a log are compressed with."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


class StderrLog(StrEnum):
    """Where an app's stderr goes."""

    MERGED = "merged"
    SEPARATE = "separate"


class Forward(StrEnum):
    """Whom an app's lines are passed on to."""

    NONE = "none"
    JOURNALD = "journald"
    SYSLOG = "syslog"


@dataclass(frozen=True, slots=True)
class LogSpec:
    """The rotating log of an app: about `(keep + 1) * max_size` bytes."""

    max_size: int = 10 * 1024 * 1024
    """Bytes; a line that is being written goes on beyond it, at most to twice of it."""
    keep: int = 3
    """Archives."""
    max_total: int | None = None
    """Bytes of all of them, the current file included."""
    max_age: float | None = None
    """Seconds since the last byte of an archive."""
    rotate: str | float | None = None
    """`daily`, `hourly`, or seconds since a file's first byte."""
    compress: Compression = Compression.NONE
    timestamps: bool = False
    stderr: StderrLog = StderrLog.MERGED
    forward: Forward = Forward.NONE


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process runs as, looked up when the configuration is read."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary groups, all of them, ascending."""
    name: str
    """For USER and LOGNAME."""
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a process is given by the kernel for itself and hands down.  None: as Torpor's own."""

    umask: int | None = None
    nice: int | None = None
    """The priority itself, not a difference to Torpor's."""
    oom_score_adj: int | None = None
    rlimits: Mapping[str, tuple[int | None, int | None]] = field(default_factory=lambda: MappingProxyType({}))
    """Soft and hard limit by name (`nofile` is RLIMIT_NOFILE), in the unit of setrlimit; None: no limit."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What an instance may use up with all of its processes.  None: no limit."""

    memory_max: int | None = None
    """Bytes."""
    cpus: float | None = None
    """Processors' worth of time: 0.5 is half of one."""
    pids_max: int | None = None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What is taken away from a process."""

    no_new_privileges: bool = False
    drop_capabilities: tuple[str, ...] = ()
    """Names like `net_raw`, ascending, or `("all",)`."""
    read_only: bool = False
    """It sees the file system read-only."""
    private_tmp: bool = False
    """It has a /tmp and a /var/tmp of its own."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A command beside the app's own, run in its directory and environment."""

    command: tuple[str, ...]
    """The argument vector; with `shell`, exactly one element: the shell's text."""
    timeout: float = 30.0
    """Seconds; it is killed then, and has failed."""
    shell: bool = False


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is run around the life of an instance."""

    pre_start: Hook | None = None
    """Before the app's command.  Its failure is a failed start."""
    post_start: Hook | None = None
    """After the app's command was executed.  Its failure is a failed start."""
    pre_stop: Hook | None = None
    """Before the app is asked to end.  Its failure is told, and the stop goes on."""
    post_stop: Hook | None = None
    """After every end, crashes included.  Its failure is told."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """An app that is a plain process.  The `workload` of its AppSpec."""

    command: tuple[str, ...]
    """The argument vector; `$PORT` and `${PORT}` in it are filled in at each start.
    With `shell`, exactly one element: the shell's text."""
    working_dir: Path
    shell: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What the config names (`env_file` included), on top of a small base."""
    clean_env: bool = False
    """Take nothing of the base from Torpor's own environment, only what the system says of the user."""
    stdin: Path | None = None
    """A file to read from; None: /dev/null, or the terminal with `tty`."""
    tty: bool = False
    """Its standard streams are a terminal of its own."""
    stop_signal: int = 15
    stop_command: Hook | None = None
    """Run in place of the stop signal; what still runs when it has ended, or timed out, gets the signal."""
    reload_signal: int | None = None
    reload_command: Hook | None = None
    """At most one of these two is set."""
    resume_signal: int | None = None
    """What tells it, besides SIGCONT, that it was frozen for a while."""
    hooks: Hooks = Hooks()
    identity: Identity | None = None
    """None: as Torpor itself."""
    attributes: Attributes = field(default_factory=Attributes)
    resources: Resources = Resources()
    sandbox: Sandbox = Sandbox()
    notify: bool = False
    """Give it a NOTIFY_SOCKET.  Set too where readiness or a watchdog needs one."""
    log: LogSpec = LogSpec()


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration."""

    source: Path
    gateway: GatewaySpec = GatewaySpec()
    sharing: Sharing = field(default_factory=Sharing)
    hosts: Hosts = field(default_factory=Hosts)
    """Where guests may live."""
    allow_reboot: bool = False
    """Whether an app's failure may reboot the machine."""
    reboot_command: tuple[str, ...] = ("systemctl", "reboot")
    tracking_dir: Path | None = None
    """Where others touch a file with an app's name to tell that it is used."""
    apps: tuple[AppSpec, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=lambda: MappingProxyType({}), compare=False)
    """Where each app is written."""
    spare: tuple[Path, ...] = field(default=(), compare=False)
    """Files of added apps that stand in the configuration by now, with the same meaning: nobody needs these files."""
    blank: bool = field(default=False, compare=False)
    """The file says nothing at all, not even `apps: {}`."""
