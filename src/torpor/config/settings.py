"""The values that a configuration file becomes, beyond what the core knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from torpor.core.model import AppSpec


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


@dataclass(frozen=True, slots=True)
class LogSpec:
    """The rotating log file of an app: at most `(keep + 1) * max_size` bytes."""

    max_size: int = 10 * 1024 * 1024
    keep: int = 3


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """An app that is a plain process.  The `workload` of its AppSpec."""

    command: tuple[str, ...]
    """The argument vector; `$PORT` and `${PORT}` in it are filled in at each start.
    With `shell`, exactly one element: the shell's text."""
    working_dir: Path
    shell: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What the config names (`env_file` included), on top of a small clean base."""
    stop_signal: int = 15
    log: LogSpec = LogSpec()


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration."""

    source: Path
    gateway: GatewaySpec = GatewaySpec()
    apps: tuple[AppSpec, ...] = ()
