"""When an app is to be awake by the clock: windows, moments of cron, a time zone."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable
from datetime import datetime
from itertools import islice

from cronsim import CronSim, CronSimError
from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config.layers import Layers
from torpor.config.problems import near_miss
from torpor.core.schedule import MIDNIGHT, WEEK, Schedule, Window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_WINDOWS = 20
_DAY = "|".join(DAYS)
_WINDOW = re.compile(
    rf"(?P<days>(?:{_DAY})(?:-(?:{_DAY}))?(?:,(?:{_DAY})(?:-(?:{_DAY}))?)*)?"
    r"(?:(?:^| +)(?P<begins>[0-9]{1,2}:[0-9]{2})-(?P<ends>[0-9]{1,2}:[0-9]{2}))?"
)
_LOOKED_AT = 200
"""Moments of a `wake_at` of which one at least has to be at a time at which the app may run."""
_MONDAY = datetime(2024, 1, 1)  # noqa: DTZ001  # no zone: only the days of the week count
_WEEK_MINUTES = 7 * MIDNIGHT


def build_schedule(keys: Layers) -> Schedule | None:
    """The app's schedule; None without one.  What is wrong goes to the problems."""
    value = keys.get("schedule", None)
    if value is None:
        return None
    schedule = Schedule(
        keep_warm=_windows(keys, value, "keep_warm"),
        allowed=_windows(keys, value, "allowed"),
        blackout=_windows(keys, value, "blackout"),
        wake_at=_moments(keys, value),
        timezone=_timezone(keys, value),
    )
    _check_reachable(keys, schedule)
    _check_always_on(keys, schedule)
    return schedule


def parse_window(text: str) -> Window:
    """A window from what is written.  Raises `ValueError`."""
    word = " ".join(text.lower().split())
    match = _WINDOW.fullmatch(word)
    if match is None or not word:
        raise ValueError(
            f"'{text}' is no window; write days, times or both: 'mon-fri 08:00-18:00', 'sat,sun', '22:00-06:00'"
        )
    days = WEEK if match["days"] is None else frozenset(_days(match["days"]))
    if match["begins"] is None:
        return Window(word, days)
    begins, ends = _minutes(match["begins"]), _minutes(match["ends"])
    if begins == MIDNIGHT:
        raise ValueError("begins at 24:00; the next day begins at 00:00")
    if begins == ends:
        raise ValueError("begins when it ends; for whole days leave the times out")
    return Window(word, days, begins, ends)


def _days(text: str) -> Iterable[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        yield from (day % 7 for day in range(begin, end + 1 if end >= begin else end + 8))


def _minutes(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if minutes > 59 or hours * 60 + minutes > MIDNIGHT:
        raise ValueError(f"'{text}' is no time of the day; they are from 00:00 to 24:00")
    return hours * 60 + minutes


def _windows(keys: Layers, value: declared.Schedule, name: str) -> tuple[Window, ...]:
    written = getattr(value, name)
    if written is UNSET:
        return ()
    items = written if isinstance(written, list) else [written]
    if not items or len(items) > MAX_WINDOWS:
        what = f"names more than {MAX_WINDOWS} windows" if items else "is empty; leave it out"
        keys.report("schedule", what, name)
        return ()
    found = []
    for position, item in enumerate(items):
        inner = (name, position) if isinstance(written, list) else (name,)
        window = keys.attempt(lambda item=item: parse_window(item), "schedule", *inner)  # type: ignore[misc]
        if window is not None:
            found.append(window)
    return tuple(found)


def _moments(keys: Layers, value: declared.Schedule) -> tuple[str, ...]:
    if value.wake_at is UNSET:
        return ()
    items = value.wake_at if isinstance(value.wake_at, list) else [value.wake_at]
    if len(items) > MAX_WINDOWS:
        keys.report("schedule", f"names more than {MAX_WINDOWS} moments", "wake_at")
        return ()
    for position, item in enumerate(items):
        inner = ("wake_at", position) if isinstance(value.wake_at, list) else ("wake_at",)
        keys.attempt(lambda item=item: _check_moment(item), "schedule", *inner)  # type: ignore[misc]
    return tuple(" ".join(item.split()) for item in items)


def _check_moment(text: str) -> None:
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(
            f"'{text}' has {len(fields)} fields, not five; write minute, hour, day, month and weekday: '0 7 * * mon-fri'"
        )
    try:
        next(CronSim(text, _MONDAY))
    except CronSimError as error:
        raise ValueError(f"'{text}' is nothing that cron knows: {str(error).lower()}") from error
    except StopIteration:
        raise ValueError(f"'{text}' never comes: no such day is in the calendar") from None


def _timezone(keys: Layers, value: declared.Schedule) -> str | None:
    if value.timezone is UNSET:
        return None
    name = value.timezone
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = {zone.lower(): zone for zone in zoneinfo.available_timezones()}
        if not known:
            text = "cannot be looked up: this machine has no time zones; install the package tzdata"
            keys.report("schedule", text, "timezone")
            return None
        guess = near_miss(name, known)
        keys.report(
            "schedule",
            f"'{name}' is no time zone; they are named like Europe/Berlin",
            "timezone",
            suggestion=None if guess is None else known[guess],
        )
        return None
    return name


def _check_reachable(keys: Layers, schedule: Schedule) -> None:
    """Report what can never come true."""
    may = _week(schedule.allowed) if schedule.allowed else set(range(_WEEK_MINUTES))
    may -= _week(schedule.blackout)
    if not may:
        keys.report("schedule", "leaves no time of the week at which the app may run", "blackout")
        return
    for window in schedule.keep_warm:
        if may.isdisjoint(_week([window])):
            text = f"'{window}' is never: the app may not run at any of these times (see `allowed` and `blackout`)"
            keys.report("schedule", text, "keep_warm")
    for text in schedule.wake_at if len(may) < _WEEK_MINUTES else ():
        try:
            moments = list(islice(CronSim(text, _MONDAY), _LOOKED_AT))
        except CronSimError:
            continue  # reported already
        if moments and not any(_minute(moment) in may for moment in moments):
            what = f"'{text}' is always at a time at which the app may not run (see `allowed` and `blackout`)"
            keys.report("schedule", what, "wake_at")


def _check_always_on(keys: Layers, schedule: Schedule) -> None:
    if not keys.get("always_on", False):
        return
    if schedule.limits:
        text = "and `always_on` exclude each other; without `always_on`, `keep_warm` keeps the app awake in its windows"
        keys.report("schedule", text, "allowed" if schedule.allowed else "blackout")
    elif keys.find("schedule") is keys.own:
        keys.report("schedule", "has no effect: an app that is always_on never sleeps; remove one of them")


def _week(windows: Iterable[Window]) -> set[int]:
    """The minutes of the week that lie in the windows; Monday begins with 0."""
    found: set[int] = set()
    for window in windows:
        end = window.ends + (0 if window.ends > window.begins else MIDNIGHT)
        for day in window.days:
            begin = day * MIDNIGHT
            found.update(minute % _WEEK_MINUTES for minute in range(begin + window.begins, begin + end))
    return found


def _minute(moment: datetime) -> int:
    return moment.weekday() * MIDNIGHT + moment.hour * 60 + moment.minute
