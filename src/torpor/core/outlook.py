"""What would be done for memory, told beforehand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torpor.core import pressure
from torpor.core.messages import MemoryMeasured
from torpor.core.pressure import Candidate


@dataclass(frozen=True, slots=True)
class Outlook:
    """The victims of a shortage, by what is known now.  Sizes in bytes."""

    available: int
    total: int
    keep_free: int
    short: int
    """How much more is to be available."""
    victims: tuple[Candidate, ...]
    """Who would be put to sleep, in that order."""
    others: tuple[Candidate, ...]
    """Who would not: those whose turn is next, and then those that are spared."""


def outlook(facts: MemoryMeasured, keep_free: int, candidates: Collection[Candidate]) -> Outlook:
    """What would be done if this were measured now."""
    short = max(0, keep_free - facts.available)
    turn = pressure.victims(candidates)
    chosen = pressure.enough(turn, short)
    spared = sorted((it for it in candidates if it.spared is not None), key=pressure.order)
    others = (*turn[len(chosen) :], *spared)
    return Outlook(facts.available, facts.total, keep_free, short, tuple(chosen), others)
