"""A container as its engine lists it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from torpor.config.hosts import DOCKER

MAX_CONTAINERS = 1000
"""Most containers of an engine that are looked at."""
MAX_LABELS = 200
"""Most labels of one dialect that a container may have."""
MAX_LABEL = 200
"""Most characters of the name of a label that is read."""
MAX_VALUE = 10_000
"""Most characters of its value."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,200}")
_REPLACED = re.compile(r"[0-9a-f]{12}_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What discovery knows of a container."""

    name: str
    id: str = field(default="", compare=False)
    """Another one after it was made anew, which makes no other app of it."""
    engine: str = DOCKER
    """By its name in the configuration."""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Its own, and those of its image."""
    image: str = ""
    ports: tuple[int, ...] = ()
    """The TCP ports that it exposes, inside."""
    state: str = field(default="", compare=False)
    """In the engine's word: `running`, `exited`."""
    networks: tuple[str, ...] = ()

    @property
    def project(self) -> str | None:
        """The Compose project that it belongs to."""
        return self.labels.get("com.docker.compose.project")

    @property
    def service(self) -> str | None:
        """Which service of the project it is."""
        return self.labels.get("com.docker.compose.service")

    @property
    def passing(self) -> bool:
        """Whether Compose is about to put it in place of another one: it gets that one's name in a moment."""
        return self.service is not None and _REPLACED.match(self.name) is not None

    @property
    def title(self) -> str:
        """What people know it by: engines do not share their names."""
        return self.name if self.engine == DOCKER else f"{self.name} of {self.engine}"

    def __str__(self) -> str:
        return f"container {self.title}"
