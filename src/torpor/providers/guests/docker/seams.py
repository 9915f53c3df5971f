"""Where in the log of a container one run ends and the next begins.

An engine keeps the output of all runs of a container in one log, and notes down late when a run has begun: it may
have written by then, and even have ended.  The end of the run before is the better bound.  An engine tells of
that while a run is alive, and forgets it for that run's own end.  So it is remembered here.
"""

from __future__ import annotations

from dataclasses import dataclass

from torpor.providers.guests.docker.container import Container, run_of, start_of, state_of
from torpor.providers.guests.docker.moments import SECOND, nanoseconds
from torpor.providers.guests.driver import State

_LATEST = 2 * SECOND
"""Nanoseconds by which an engine may note down a beginning late: a busy one does it by much."""
_LATE = SECOND // 10
"""The same where it is not known when the run before has ended: what that wrote last should not be told again."""


@dataclass(slots=True)
class _Seen:
    """What is known of a container's last run; moments are nanoseconds since the epoch, by the engine's clock."""

    id: str
    """The container's: made anew, it has another log."""
    run: str | None
    """None: it never ran."""
    before: int | None
    """When the one before it had ended, and what that wrote was told; None: not known."""
    end: int | None = None
    """When it has ended, and what it wrote was told; None: not known."""
    previous: str | None = None
    """The run before it, if that was seen."""


class Seams:
    """Those of all containers that are looked at, by name."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def note(self, container: Container) -> None:
        """It was looked at."""
        run, state = run_of(container), state_of(container)
        seen = self._seen.get(container.name)
        if seen is None or seen.id != container.id:
            seen = self._seen[container.name] = _Seen(container.id, run, None)
        elif seen.run != run:
            seen = self._seen[container.name] = _Seen(container.id, run, seen.end, previous=seen.run)
        ended = nanoseconds(container.state.finished_at) or 0
        if state in (State.RUNNING, State.PAUSED):
            seen.before = max(seen.before or 0, ended)
        elif state is State.STOPPED:
            seen.end = max(seen.end or 0, ended)

    def note_told(self, container: Container, run: str, moment: int) -> None:
        """All that this run had written until then was told: a message may be stamped after the end of its run."""
        seen = self._seen.get(container.name)
        if seen is None:
            return
        if run == seen.run:
            seen.end = max(seen.end or 0, moment + 1)
        elif run == seen.previous:  # it is read to its end after the next one was seen
            seen.before = max(seen.before or 0, moment + 1)

    def beginning(self, container: Container, run: str) -> int:
        """Before all that this run has written, and after all that the one before it has."""
        _, started = start_of(run)
        seen = self._seen.get(container.name)
        before = seen.before if seen is not None and seen.run == run else None
        if before is None or before > started:  # the clock was set back
            return max(0, started - _LATE)
        return max(before, started - _LATEST)

    def end_before(self, container: Container, run: str) -> int:
        """After all that the run before this one has written, and before what this one has, as far as can be told."""
        _, started = start_of(run)
        beginning = self.beginning(container, run)
        return max((beginning + started) // 2, started - _LATE)
