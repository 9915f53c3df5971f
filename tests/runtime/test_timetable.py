"""What a schedule says at a moment: windows, moments of cron, and the two odd days of the year."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from torpor.config.schedule import parse_window
from torpor.core.schedule import Schedule
from torpor.runtime.timetable import next_wake, read

BERLIN = "Europe/Berlin"


def at(text: str, *, fold: int = 0) -> float:
    """A moment, on the clock of Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN), fold=fold).timestamp()


def schedule(**windows: str | list[str]) -> Schedule:
    moments = windows.pop("wake_at", [])
    parsed = {
        name: tuple(map(parse_window, [texts] if isinstance(texts, str) else texts))
        for name, texts in windows.items()
    }
    return Schedule(**parsed, wake_at=tuple(moments), timezone=BERLIN)


@pytest.mark.parametrize(
    ("window", "moment", "inside", "until"),
    [
        ("mon-fri 08:00-18:00", "2026-05-04T07:59:59", False, "2026-05-04T08:00"),
        ("mon-fri 08:00-18:00", "2026-05-04T08:00", True, "2026-05-04T18:00"),
        ("mon-fri 08:00-18:00", "2026-05-08T18:00", False, "2026-05-11T08:00"),
        ("22:00-06:00", "2026-05-04T23:00", True, "2026-05-05T06:00"),
        ("22:00-06:00", "2026-05-04T05:59", True, "2026-05-04T06:00"),
        ("fri 22:00-06:00", "2026-05-09T05:00", True, "2026-05-09T06:00"),
        ("fri 22:00-06:00", "2026-05-08T05:00", False, "2026-05-08T22:00"),
        ("fri-mon", "2026-05-12T00:00", False, "2026-05-15T00:00"),
        ("fri-mon", "2026-05-11T23:00", True, "2026-05-12T00:00"),
        ("sat,sun 10:00-24:00", "2026-05-09T12:00", True, "2026-05-10T00:00"),
        # The hour from two to three is skipped on this day: the window begins an hour later.
        ("02:30-05:00", "2026-03-29T01:59", False, "2026-03-29T03:30"),
        ("02:30-05:00", "2026-03-29T03:29", False, "2026-03-29T03:30"),
        ("22:00-06:00", "2026-03-28T23:00", True, "2026-03-29T06:00"),
        # And it comes twice on this one: the window has it twice.
        ("02:30-03:30", "2026-10-25T02:45", True, "2026-10-25T03:30"),
    ],
)
def test_a_window_begins_and_ends_on_the_clock_of_its_zone(
    window: str, moment: str, inside: bool, until: str
) -> None:
    """Over midnight, over the week's end and over the changes to and from summer time."""
    reading = read(schedule(keep_warm=window), at(moment))

    assert (inside, at(until)) == (reading.warm is not None, reading.until)


def test_the_hour_that_comes_twice_belongs_to_the_window_both_times() -> None:
    """A window of one hour is open for two of them then."""
    within = schedule(keep_warm="02:30-03:30")

    assert all(read(within, at("2026-10-25T02:45", fold=fold)).warm for fold in (0, 1))
    assert 7200 == at("2026-10-25T03:30") - at("2026-10-25T02:30")


def test_windows_that_meet_are_one() -> None:
    """What it says changes where nobody goes on, not where one window is followed by the next."""
    reading = read(schedule(allowed=["00:00-12:00", "12:00-20:00"]), at("2026-05-04T03:00"))

    assert (None, at("2026-05-04T20:00")) == (reading.closed, reading.until)


def test_out_of_its_hours_it_may_not_even_be_warm() -> None:
    """A blackout wins over what is allowed, and both over what is to be warm; each gives its reason."""
    hours = schedule(keep_warm="mon-fri", allowed="08:00-20:00", blackout="12:00-13:00")

    early, noon, later = (read(hours, at(f"2026-05-04T{hour}:30")) for hour in ("07", "12", "13"))

    assert (None, f"it runs only 08:00-20:00 ({BERLIN})") == (early.warm, early.closed)
    assert (None, f"it does not run 12:00-13:00 ({BERLIN})") == (noon.warm, noon.closed)
    assert (f"mon-fri ({BERLIN})", None, at("2026-05-04T20:00")) == (later.warm, later.closed, later.until)


@pytest.mark.parametrize("always", [{"keep_warm": "00:00-24:00"}, {"allowed": ["mon-fri", "sat,sun"]}, {}])
def test_what_never_changes_has_no_end(always: dict[str, str | list[str]]) -> None:
    """A window that is always open gives nobody a moment to wait for."""
    assert read(schedule(**always), at("2026-05-04T03:00")).until is None


@pytest.mark.parametrize(
    ("moments", "after", "expected"),
    [
        (["0 7 * * mon-fri"], "2026-05-08T07:00", "2026-05-11T07:00"),
        (["0 7 * * mon-fri", "30 6 * * *"], "2026-05-08T07:00", "2026-05-09T06:30"),
        (["30 2 * * *"], "2026-03-28T12:00", "2026-03-29T03:00"),
        (["30 2 * * *"], "2026-10-25T02:31", "2026-10-26T02:30"),
    ],
)
def test_the_next_moment_is_the_first_of_all(moments: list[str], after: str, expected: str) -> None:
    """As cron has it, also on the days on which the clock is changed."""
    found = next_wake(schedule(wake_at=moments), at(after))

    assert found is not None
    assert at(expected) == found[0]


def test_without_moments_there_is_no_next_one() -> None:
    """A schedule of windows wakes by these alone."""
    assert next_wake(schedule(keep_warm="mon"), 0.0) is None
