"""Where guests live: the engines and clusters that Torpor speaks to.  Values, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

DOCKER, PODMAN = "docker", "podman"
"""Engines that exist without being configured."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """With which certificates a host is spoken to.  Paths of PEM files."""

    ca: Path | None = None
    """Who vouches for the host; None: whoever the system trusts."""
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class EngineHost:
    """A Docker Engine, or Podman's service, which speaks the same API."""

    url: str
    """`unix:///var/run/docker.sock`, `tcp://10.0.0.2:2376`."""
    tls: ClientTls | None = None
    """None: over TCP in the clear."""
    discover: bool = False
    """Whether its containers become apps by their labels."""


@dataclass(frozen=True, slots=True)
class ProxmoxHost:
    """A Proxmox VE cluster, or a single node."""

    urls: tuple[str, ...]
    """`https://pve1.lan:8006`, and others of the cluster to ask if one does not answer."""
    token: str = field(repr=False, default="")
    """`user@realm!name=secret`."""
    fingerprint: str | None = None
    """SHA-256 of the certificate, hexadecimal with colons; None: it has to be one that `ca` vouches for."""
    ca: Path | None = None
    """None: whoever the system trusts."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """Where guests may live, by the names that apps use."""

    engines: Mapping[str, EngineHost] = field(default_factory=lambda: MappingProxyType({}))
    """`docker` and `podman` are always among them: at their usual sockets, unless configured otherwise."""
    proxmox: Mapping[str, ProxmoxHost] = field(default_factory=lambda: MappingProxyType({}))
