"""The clock on the wall: tells the apps that have a schedule what it says now.

The core knows no wall clock.  This is its only reader for schedules: it works out the next
moment at which anything changes, and waits for it, but no longer than a minute, so that a
clock that was set, a machine that slept or a changed zone is noticed.  While no app has a
schedule it does not wait for anything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from torpor.core.messages import Input, ScheduleChanged, WakeRequested
from torpor.core.model import AppSpec
from torpor.core.schedule import Hours, Schedule
from torpor.runtime import clock, timetable
from torpor.runtime.timetable import Reading

log = logging.getLogger(__name__)

LONGEST_WAIT = 60.0
"""Seconds until the clock is looked at again, whatever it said before."""
SHORTEST_WAIT = 0.01
MISSED = 120.0
"""Seconds after which a moment of `wake_at` that has passed unseen is skipped: nobody waits for it any more."""
_DRIFT = 1.0
"""Seconds by which the end of a window may move without being worth a word."""


class Calendar:
    """Follows the schedules of the apps.  `specs` are those of now; `post` takes what they say."""

    def __init__(
        self,
        specs: Callable[[], Iterable[AppSpec]],
        post: Callable[[Input], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._specs = specs
        self._post = post
        self._wall = wall
        self._told: dict[str, Hours] = {}
        self._seen: float | None = None
        """The moment up to which `wake_at` has been seen to."""
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def look(self) -> None:
        """Look at the clock now: the apps may be others than before."""
        if self._closed:
            return
        now = self._wall()
        scheduled = {spec.name: spec.schedule for spec in self._specs() if spec.schedule is not None}
        self._told = {name: hours for name, hours in self._told.items() if name in scheduled}
        seen = now if self._seen is None or self._seen > now else max(self._seen, now - MISSED)
        self._seen = now
        nexts = []
        for name, schedule in scheduled.items():
            nexts += self._tell(name, schedule, now)
            nexts += self._wake(name, schedule, seen, now)
        self._arm(min(nexts, default=now + LONGEST_WAIT) - now if scheduled else None)

    def closed(self, specs: Iterable[AppSpec]) -> dict[str, Hours]:
        """The hours of those of these apps that may not run now."""
        now = self._wall()
        found = {}
        for spec in specs:
            if spec.schedule is not None and spec.schedule.limits:
                hours = _hours(timetable.read(spec.schedule, now), now)
                if hours.closed is not None:
                    found[spec.name] = hours
        return found

    def close(self) -> None:
        """End: nobody is told anything any more."""
        self._closed = True
        self._arm(None)

    def _tell(self, name: str, schedule: Schedule, now: float) -> list[float]:
        """Tell the app what its schedule says, if that is news; when it says something else."""
        reading = timetable.read(schedule, now)
        hours = _hours(reading, now)
        before = self._told.get(name)
        if before is None or _differ(before, hours):
            self._told[name] = hours
            self._post(ScheduleChanged(name, hours))
        return [] if reading.until is None else [reading.until]

    def _wake(self, name: str, schedule: Schedule, seen: float, now: float) -> list[float]:
        """Wake the app if a moment of its `wake_at` has come; when the next one comes."""
        found = timetable.next_wake(schedule, seen)
        if found is not None and found[0] <= now:
            self._post(WakeRequested(name, f"its schedule, {found[1]}"))
            found = timetable.next_wake(schedule, now)
        return [] if found is None else [found[0]]

    def _arm(self, wait: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wait is not None:
            wait = min(max(wait, SHORTEST_WAIT), LONGEST_WAIT)
            self._timer = asyncio.get_running_loop().call_later(wait, self._due)

    def _due(self) -> None:
        try:
            self.look()
        except Exception:  # a zone that was uninstalled, say: the others go on
            log.exception("cannot tell what the schedules say")
            self._arm(LONGEST_WAIT)


def _hours(reading: Reading, now: float) -> Hours:
    """What was read at `now` on the wall, on the clock of the core."""
    until = None if reading.until is None else clock.now() + reading.until - now
    return Hours(reading.warm, reading.closed, until)


def _differ(before: Hours, after: Hours) -> bool:
    if (before.warm, before.closed) != (after.warm, after.closed):
        return True
    if before.until is None or after.until is None:
        return before.until is not after.until
    return abs(before.until - after.until) > _DRIFT
