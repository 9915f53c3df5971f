"""A rolling restart: one replica after the other, each only once the one before is ready."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from torpor.core.instance import Instance
from torpor.core.model import Phase


class Rolling:
    """The replicas of one app that are still to be restarted."""

    __slots__ = ("_begun", "_queue", "ended")

    def __init__(self) -> None:
        self._queue: deque[tuple[Instance, int, str]] = deque()
        """Replicas in turn, each with the generation that is to end, and why."""
        self._begun = False
        """Whether the first of them has been told."""
        self.ended: str | None = None
        """Why the last one ended before every replica had been restarted; None: it did not."""

    def __bool__(self) -> bool:
        """Whether a rolling restart is under way."""
        return bool(self._queue)

    def begin(self, instances: Iterable[Instance], why: str) -> None:
        """Restart these, in turn, behind those whose turn is still to come."""
        self.ended = None
        self._queue.extend((instance, instance.generation, why) for instance in instances)

    def end(self, why: str) -> None:
        """Restart none of those whose turn is still to come."""
        if self._queue:
            self._queue.clear()
            self._begun = False
            self.ended = why

    def go_on(self, restart: Callable[[Instance, str], None]) -> Instance | None:
        """Something has changed: restart whoever is next, if its turn has come, or start it if it does not run.

        Returns the replica that did not become ready, if that ended the whole.
        """
        while self._queue:
            instance, generation, why = self._queue[0]
            if not instance.leaving:
                if instance.generation == generation and not instance.under_way and not self._begun:
                    self._begun = True
                    restart(instance, why)
                if instance.under_way:
                    return None
                if instance.phase is not Phase.READY:
                    self.end(f"{instance.id} is {instance.phase}")
                    return instance
            self._queue.popleft()
            self._begun = False
        return None
