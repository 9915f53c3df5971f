"""What a schedule says at a moment, and when it says something else: pure functions of the wall clock.

Moments are seconds since the epoch, so that nothing is ambiguous; only the beginning and end of
a window are looked up on the clock of its zone.  In the hour that summer time skips, a window's
bounds come an hour later; of the hour that comes twice, a window has both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from torpor.core.schedule import Schedule, Window

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_WEEK = 7 * 86400.0 + 7200.0
"""Seconds after which all repeats itself, with what summer time may add."""
_AHEAD = 9
"""Days of which the windows are known: those of a week, and what is said at its end."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a schedule says from a moment on."""

    warm: str | None
    """The window in which the app is kept awake."""
    closed: str | None
    """Why it may not run."""
    until: float | None
    """When it says something else; None: never."""


def read(schedule: Schedule, at: float) -> Reading:
    """What it says at that moment."""
    spans = _Spans.around(schedule, at)
    now = spans.say(at)
    later = (moment for moment in spans.bounds() if at < moment <= at + _WEEK and spans.say(moment) != now)
    return Reading(*now, next(later, None))


def next_wake(schedule: Schedule, after: float) -> tuple[float, str] | None:
    """The next moment of `wake_at` after that one, and how it is written; None: there is none."""
    moments = ((_next_moment(text, after, schedule.timezone), text) for text in schedule.wake_at)
    return min(((moment, text) for moment, text in moments if moment is not None), default=None)


Span = tuple[float, float, Window]
"""When a window begins and ends."""


@dataclass(frozen=True, slots=True)
class _Spans:
    """The windows of a schedule, as they are from a day ago to a week ahead."""

    warm: Sequence[Span]
    open: Sequence[Span] | None
    """None: always."""
    closed: Sequence[Span]
    schedule: Schedule

    @classmethod
    def around(cls, schedule: Schedule, at: float) -> _Spans:
        """Those around a moment."""
        zone = schedule.timezone
        today = datetime.fromtimestamp(at, _zone(zone)).date()

        def spans(windows: Iterable[Window]) -> list[Span]:
            # One that goes over midnight may have begun yesterday.
            days = [today + timedelta(number) for number in range(-1, _AHEAD)]
            return [
                _span(window, day, zone) for window in windows for day in days if day.weekday() in window.days
            ]

        return cls(
            warm=spans(schedule.keep_warm),
            open=spans(schedule.allowed) if schedule.allowed else None,
            closed=spans(schedule.blackout),
            schedule=schedule,
        )

    def bounds(self) -> Sequence[float]:
        """When windows begin or end, in order."""
        spans = (*self.warm, *(self.open or ()), *self.closed)
        return sorted({moment for begins, ends, _ in spans for moment in (begins, ends)})

    def say(self, at: float) -> tuple[str | None, str | None]:
        """Why it is to be awake at that moment, and why it may not run."""
        if (window := _inside(self.closed, at)) is not None:
            return None, f"it does not run {window}{self._clock()}"
        if self.open is not None and _inside(self.open, at) is None:
            return None, f"it runs only {', '.join(map(str, self.schedule.allowed))}{self._clock()}"
        window = _inside(self.warm, at)
        return None if window is None else f"{window}{self._clock()}", None

    def _clock(self) -> str:
        zone = self.schedule.timezone
        return "" if zone is None else f" ({zone})"


def _inside(spans: Iterable[Span], at: float) -> Window | None:
    """The first of the windows in which that moment lies."""
    return next((window for begins, ends, window in spans if begins <= at < ends), None)


def _span(window: Window, day: date, zone: str | None) -> Span:
    """The window that begins on that day."""
    over = timedelta(0 if window.ends > window.begins else 1)
    return _moment(day, window.begins, zone), _moment(day + over, window.ends, zone), window


def _moment(day: date, minutes: int, zone: str | None) -> float:
    days, rest = divmod(minutes, 24 * 60)
    there = day + timedelta(days)
    return datetime(there.year, there.month, there.day, rest // 60, rest % 60, tzinfo=_zone(zone)).timestamp()


def _next_moment(text: str, after: float, zone: str | None) -> float | None:
    from cronsim import CronSim  # noqa: PLC0415  # most daemons have no such app

    moments: Iterator[datetime] = CronSim(text, datetime.fromtimestamp(after, _zone(zone)))
    return next((moment.timestamp() for moment in moments), None)


@lru_cache(maxsize=64)
def _zone(name: str | None) -> ZoneInfo | None:
    """The zone of that name; None: datetime then takes the machine's own."""
    if name is None:
        return None
    from zoneinfo import ZoneInfo  # noqa: PLC0415  # most daemons have no such app

    return ZoneInfo(name)
