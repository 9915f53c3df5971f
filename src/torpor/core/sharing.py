"""What the apps of one machine share, as it is configured: its memory, and named budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

MEMORY = "memory"
"""What the shortage of memory is called, in the place of a budget's name."""

LOWEST, USUAL, HIGHEST = 1, 50, 100
"""Priorities: the lower, the sooner an app is put to sleep for others."""


class Admission(StrEnum):
    """What becomes of a wake for which there is not enough memory."""

    EVICT = "evict"
    """Others are put to sleep first; it waits for that."""
    REFUSE = "refuse"
    """Whoever asked is told so."""
    ALLOW = "allow"
    """It is started all the same."""


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """How memory is shared.  Sizes in bytes."""

    keep_free: int | float | None = None
    """What is to stay available: bytes, or as a float a share of all; None: no app sleeps for its memory."""
    admission: Admission = Admission.EVICT
    check_interval: float | None = 15.0
    """Seconds between two looks at what is available; None: only when the kernel tells of pressure."""

    def reserve(self, total: int) -> int:
        """The bytes that are to stay available on a machine that has `total`."""
        if isinstance(self.keep_free, float):
            return int(total * self.keep_free)
        return self.keep_free or 0


@dataclass(frozen=True, slots=True)
class Budget:
    """Something of which there is so much, and of which awake apps use up a part."""

    limit: int | None
    """Bytes, or a plain count; None: as much memory as its device has."""
    sized: bool = False
    """Whether it is counted in bytes."""
    device: int | None = None
    """The number of the NVIDIA GPU whose memory this is."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """The part of the configuration that is about sharing."""

    memory: MemoryRules = MemoryRules()
    budgets: Mapping[str, Budget] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Share:
    """What one app asks of the others."""

    priority: int = USUAL
    """1 to 100."""
    evict_busy: bool = False
    """Whether it may be put to sleep for its memory while it answers a request."""
    memory: int | None = None
    """Bytes that it takes when it is awake, all replicas together; None: as has been measured."""
    uses: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """How much of which budget each of its replicas uses up."""

    def times(self, replicas: int) -> dict[str, int]:
        """How much of which budget so many replicas use up."""
        return {budget: amount * replicas for budget, amount in self.uses.items()}
