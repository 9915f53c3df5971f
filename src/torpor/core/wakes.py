"""How long the last wakes of an app took, by how deep it slept."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from torpor.core import policy
from torpor.core.model import AppMemory, Tier


class Wakes:
    """Durations in seconds, the last ones of each depth."""

    __slots__ = ("_taken",)

    def __init__(self, memory: AppMemory) -> None:
        self._taken = {Tier.STOP: deque(memory.wakes, policy.REMEMBERED_WAKES)}
        for tier, taken in memory.thaws.items():
            self._taken[tier] = deque(taken, policy.REMEMBERED_WAKES)

    def note(self, tier: Tier, took: float) -> None:
        """One more."""
        self._taken.setdefault(tier, deque(maxlen=policy.REMEMBERED_WAKES)).append(took)

    def usual(self, tier: Tier) -> float | None:
        """What a wake from there takes as a rule; None: nobody knows."""
        return policy.usual_wake(self._taken.get(tier, ()))

    @property
    def cold(self) -> tuple[float, ...]:
        """Those from when nothing was alive."""
        return tuple(self._taken[Tier.STOP])

    @property
    def thaws(self) -> Mapping[Tier, tuple[float, ...]]:
        """Those of what was frozen."""
        return {tier: tuple(taken) for tier, taken in self._taken.items() if tier is not Tier.STOP}
