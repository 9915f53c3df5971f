"""Workloads that others made and that are started and ended where they live: the values.

A guest is a container, an LXC guest or virtual machine, a systemd unit, or whatever commands reach.
Torpor neither makes nor deletes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from torpor.config.settings import Hook, LogSpec

POLL_INTERVAL = 10.0
"""Seconds between two looks, as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSpec:
    """What all guests have.  The `workload` of an AppSpec."""

    name: str
    """What it is called where it lives: a container's name, a unit's, the number of an LXC guest."""
    host: str
    """Which of the configured hosts it lives on; each kind has names of its own."""
    address: str | None = None
    """Where it is reached: a host name or IP address; None: as its host says."""
    socket: str | None = None
    """The path of the Unix socket at which it is reached, in place of an address and a port."""
    port: int | None = None
    """The port that it listens on, inside; None: as its host says."""
    stop_signal: int | None = None
    """What asks it to end; None: its own way."""
    log: LogSpec = field(default_factory=LogSpec)

    @property
    def identity(self) -> tuple[type, str, str]:
        """Which one of all guests it is."""
        # A service may be named without saying that it is one.
        return type(self), self.host, self.name.removesuffix(".service")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec(GuestSpec):
    """A container of Docker or Podman."""

    network: str | None = None
    """The network on which it is reached; None: any that leads there, or a published port."""


class MachineKind(StrEnum):
    """What lives on a Proxmox node, by the word of its API."""

    LXC = "lxc"
    QEMU = "qemu"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec(GuestSpec):
    """An LXC guest or virtual machine of Proxmox VE.  `name` is its number."""

    kind: MachineKind = MachineKind.LXC
    node: str | None = None
    """The node that it lives on; None: wherever the cluster says, which may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSpec(GuestSpec):
    """A unit of systemd.  `host` is `system` or `user`: the manager that it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandsSpec(GuestSpec):
    """Whatever commands start, end and ask after.  `name` is that of its app."""

    start: Hook
    stop: Hook
    status: Hook
    """Exits 0 while it is alive, and otherwise when it is not."""
    kill: Hook | None = None
    """Ends it by force; None: `stop` once more."""
    pause: Hook | None = None
    resume: Hook | None = None
    """Both or none of the two."""
    ready: Hook | None = None
    """Exits 0 once it is ready; None: as soon as it is alive."""
    interval: float = POLL_INTERVAL
    """Seconds between two looks at its `status` while nothing is under way."""
    working_dir: Path = Path()
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
