"""What an engine says of a container, and what that means."""

from __future__ import annotations

import math
import signal

import msgspec

from torpor.core.model import ExitInfo
from torpor.providers.guests.docker.moments import SECOND, nanoseconds
from torpor.providers.guests.driver import Health, State

_KEPT = 500
"""Characters of the last output of a health check that are worth telling."""
_RETRIES = 3
"""How often a health check may fail in a row that says nothing of that."""


class Check(msgspec.Struct, rename="pascal"):
    """One run of its health check."""

    exit_code: int = 0
    output: str = ""


class HealthSaid(msgspec.Struct, rename="pascal"):
    """What its health check has come to."""

    status: str = ""
    failing_streak: int = 0
    log: list[Check] | None = None


class Condition(msgspec.Struct, rename="pascal"):
    """Its `State`."""

    status: str
    started_at: str = ""
    finished_at: str = ""
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    health: HealthSaid | None = None


class Binding(msgspec.Struct, rename="pascal"):
    """A port of the machine that leads to one of the container."""

    host_ip: str = ""
    host_port: str = ""


class Attachment(msgspec.Struct, rename="pascal"):
    """Its place on a network."""

    gateway: str = ""
    ip_address: str = msgspec.field(name="IPAddress", default="")
    ipv6_gateway: str = msgspec.field(name="IPv6Gateway", default="")
    ipv6_address: str = msgspec.field(name="GlobalIPv6Address", default="")


class Networking(msgspec.Struct, rename="pascal"):
    """Its `NetworkSettings`."""

    ports: dict[str, list[Binding] | None] | None = None
    networks: dict[str, Attachment] | None = None


class HealthCheck(msgspec.Struct, rename="pascal"):
    """Its own health check."""

    retries: int = 0


class Config(msgspec.Struct, rename="pascal"):
    """What it was made with."""

    tty: bool = False
    healthcheck: HealthCheck | None = None
    exposed_ports: dict[str, object] | None = None


class HostConfig(msgspec.Struct, rename="pascal"):
    """What it was made with on the side of the machine."""

    network_mode: str = ""


class Container(msgspec.Struct, rename="pascal"):
    """The answer to an inspection."""

    id: str
    name: str
    state: Condition
    config: Config
    host_config: HostConfig = msgspec.field(default_factory=HostConfig)
    network_settings: Networking = msgspec.field(default_factory=Networking)

    def is_called(self, name: str) -> bool:
        """Whether that is its name: an engine takes the beginning of an id for one, too."""
        return self.name.removeprefix("/") == name


# What the engines say, `dead` being one that could not be removed whole.  Docker's `restarting` waits for its
# own next attempt, Podman's `stopping` was asked to end and has not ended.
_STATES = {
    "running": State.RUNNING,
    "paused": State.PAUSED,
    "created": State.STOPPED,
    "configured": State.STOPPED,
    "initialized": State.STOPPED,
    "exited": State.STOPPED,
    "stopped": State.STOPPED,
    "dead": State.STOPPED,
}
_HEALTH = {"starting": Health.PENDING, "healthy": Health.HEALTHY, "unhealthy": Health.UNHEALTHY}


def state_of(container: Container) -> State:
    """What it is; whatever else engines may say is on its way to something."""
    return _STATES.get(container.state.status, State.CHANGING)


def run_of(container: Container) -> str | None:
    """Which run this is or was; None: it never ran."""
    started = nanoseconds(container.state.started_at)
    return None if started is None else f"{container.id[:12]}@{started}"


def start_of(run: str) -> tuple[str, int]:
    """The beginning of the id of the container that a run is of, and when it began (ns since the epoch)."""
    id, _, started = run.partition("@")
    return id, int(started or 0)


def age_of(container: Container, now: int) -> float:
    """Seconds since its run began; `now` is the engine's (ns since the epoch)."""
    started = nanoseconds(container.state.started_at)
    return 0.0 if started is None else max(0.0, (now - started) / SECOND)


def seconds_since_end(container: Container, now: int) -> float:
    """How long ago it ended, infinite if it never did; `now` is the engine's, and may be a second behind."""
    ended = nanoseconds(container.state.finished_at)
    return math.inf if ended is None else (now - ended) / SECOND


def health_of(container: Container) -> tuple[Health, str]:
    """What its own check says, and what that check has written last.

    Docker calls a paused container `unhealthy`, and one that goes on until its check has run again: of the
    failures that its check may have there is none then, or not enough of them.
    """
    said = container.state.health
    if said is None or said.status not in _HEALTH:
        return Health.UNCHECKED, ""
    health = _HEALTH[said.status]
    check = container.config.healthcheck
    if health is Health.UNHEALTHY and said.failing_streak < ((check and check.retries) or _RETRIES):
        return Health.PENDING, ""
    if health is Health.HEALTHY or not said.log:
        return health, ""
    last = said.log[-1]
    return health, f"its health check exits with {last.exit_code}: {last.output.strip()[-_KEPT:]}".rstrip(
        ": "
    )


def exit_of(container: Container) -> ExitInfo:
    """How its last run ended.

    A code above 128 may stand for a signal, or have been chosen: only the kernel's own kill is certain.
    """
    state = container.state
    note = state.error.strip()
    if state.oom_killed:
        note = f"out of memory; {note}" if note else "out of memory"
        if state.exit_code == 128 + signal.SIGKILL:
            return ExitInfo(signal=signal.SIGKILL, note=note)
    return ExitInfo(code=state.exit_code, note=note)
