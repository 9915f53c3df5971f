"""What an engine says of what a container uses."""

from __future__ import annotations

import msgspec

from torpor.providers.guests.driver import Usage

_NANO = 1_000_000_000


class _Times(msgspec.Struct):
    total_usage: int = 0


class _Cpu(msgspec.Struct):
    cpu_usage: _Times = msgspec.field(default_factory=_Times)


class _Memory(msgspec.Struct):
    usage: int = 0
    stats: dict[str, int] | None = None


class Figures(msgspec.Struct):
    """The answer to a question for statistics."""

    cpu_stats: _Cpu = msgspec.field(default_factory=_Cpu)
    memory_stats: _Memory = msgspec.field(default_factory=_Memory)


def usage_of(figures: Figures) -> Usage:
    """What it uses; files that the kernel keeps in memory as long as nobody needs it are not counted."""
    stats = figures.memory_stats.stats or {}
    # As the two versions of cgroups call it.
    cached = stats.get("total_inactive_file", stats.get("inactive_file", 0))
    return Usage(max(0, figures.memory_stats.usage - cached), figures.cpu_stats.cpu_usage.total_usage / _NANO)
