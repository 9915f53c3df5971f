"""A rolling restart: one replica after the other, each only once the one before is ready."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from torpor.core.instance import Instance
from torpor.core.model import Phase

UNDER_WAY = frozenset({Phase.BLOCKED, Phase.STARTING, Phase.DRAINING, Phase.STOPPING})
"""Phases that an instance is only passing through."""


class Rolling:
    """The replicas of one app that are still to be restarted."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: deque[tuple[Instance, int, str]] = deque()
        """Replicas in turn, each with the generation that is to end, and why."""

    def __bool__(self) -> bool:
        """Whether a rolling restart is under way."""
        return bool(self._queue)

    def begin(self, instances: Iterable[Instance], why: str) -> None:
        """Restart these, in turn, behind those whose turn is still to come."""
        self._queue.extend((instance, instance.generation, why) for instance in instances)

    def end(self) -> None:
        """Restart none of those whose turn is still to come."""
        self._queue.clear()

    def go_on(self, restart: Callable[[Instance, str], None]) -> Instance | None:
        """Something has changed: restart whoever is next, if its turn has come.

        Returns the replica that did not become ready, if that ended the whole.
        """
        while self._queue:
            instance, generation, why = self._queue[0]
            if instance.generation == generation and instance.phase is Phase.READY:
                restart(instance, why)
            if instance.phase in UNDER_WAY or (instance.generation == generation and instance.demand):
                return None
            self._queue.popleft()
            if instance.phase is not Phase.READY:
                self._queue.clear()
                return instance
        return None
