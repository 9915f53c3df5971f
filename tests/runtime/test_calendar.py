"""The calendar: what it tells of the clock on the wall, and that it does so once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from torpor.config.schedule import parse_window
from torpor.core.messages import Input, ScheduleChanged, WakeRequested
from torpor.core.model import AppSpec
from torpor.core.schedule import Schedule
from torpor.runtime.calendar import Calendar

pytestmark = pytest.mark.anyio

MIDNIGHT = 1_777_852_800.0
"""2026-05-04 00:00 in UTC, a Monday."""
HOUR = 3600.0
OFFICE = Schedule(keep_warm=(parse_window("mon-fri 08:00-18:00"),), timezone="UTC")
NIGHT = Schedule(wake_at=("0 7 * * *",), timezone="UTC")


@dataclass
class Desk:
    """A clock in the teller's hand, apps, and what they were told."""

    wall: float = MIDNIGHT
    passed: float = 0.0
    specs: list[AppSpec] = field(default_factory=list)
    told: list[Input] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.calendar = Calendar(lambda: self.specs, self.told.append, lambda: self.wall)

    def look(self, hours: float = 0.0, *, by_hand: bool = False) -> list[str]:
        """Look at the clock that many hours later, or set by that much; what was said then."""
        self.wall += hours * HOUR
        self.passed += 0.0 if by_hand else hours * HOUR
        self.told.clear()
        self.calendar.look()
        return [_brief(message) for message in self.told]

    def waits(self) -> bool:
        """Whether a timer runs."""
        return self.calendar._timer is not None


def _brief(message: Input) -> str:
    if isinstance(message, ScheduleChanged):
        return f"{message.app} {message.hours.warm or message.hours.closed or 'as it likes'}"
    assert isinstance(message, WakeRequested)
    return f"wake {message.app} by {message.by}"


@pytest.fixture
async def desk(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    desk = Desk()
    monkeypatch.setattr("torpor.runtime.clock.now", lambda: desk.passed)
    yield desk
    desk.calendar.close()


async def test_an_app_is_told_what_holds_when_it_begins_and_when_it_ends(desk: Desk) -> None:
    """Once each, however often the calendar looks."""
    desk.specs = [AppSpec("office", schedule=OFFICE)]

    assert ["office as it likes"] == desk.look()
    assert [] == desk.look(7)
    assert ["office mon-fri 08:00-18:00 (UTC)"] == desk.look(1)
    assert [] == desk.look(9.5)
    assert ["office as it likes"] == desk.look(0.5)


async def test_a_clock_that_is_set_is_believed(desk: Desk) -> None:
    """Forward or back: what holds is what the clock says now."""
    desk.specs = [AppSpec("office", schedule=OFFICE)]
    desk.look()

    assert ["office mon-fri 08:00-18:00 (UTC)"] == desk.look(12, by_hand=True)
    assert ["office as it likes"] == desk.look(-12, by_hand=True)


async def test_a_moment_is_seen_to_once(desk: Desk) -> None:
    """Also if the look comes a little late; a moment that has passed for long is skipped."""
    desk.specs = [AppSpec("night", schedule=NIGHT)]
    desk.look(6.99)

    assert ["wake night by its schedule, 0 7 * * *"] == desk.look(0.02)
    assert [] == desk.look(0.01)
    assert [] == desk.look(36)  # the machine slept over two of them


async def test_another_schedule_is_told_at_once(desk: Desk) -> None:
    """After an apply: new apps, changed ones, and those that are back."""
    spec = AppSpec("office", schedule=OFFICE)
    desk.specs = [spec]
    desk.look(12)
    closed = replace(OFFICE, keep_warm=(), blackout=(parse_window("12:00-13:00"),))

    desk.specs = [replace(spec, schedule=closed), AppSpec("plain")]
    assert ["office it does not run 12:00-13:00 (UTC)"] == desk.look()
    desk.specs = [replace(spec, schedule=None)]
    assert [] == desk.look()
    desk.specs = [spec]
    assert ["office mon-fri 08:00-18:00 (UTC)"] == desk.look()


async def test_without_schedules_nothing_is_waited_for(desk: Desk) -> None:
    """No timer runs for apps that have none, and none once it is closed."""
    desk.specs = [AppSpec("plain")]
    desk.look()
    assert not desk.waits()

    desk.specs = [AppSpec("office", schedule=OFFICE)]
    desk.look()
    assert desk.waits()
    desk.calendar.close()
    assert not desk.waits()
    assert [] == desk.look(12)


async def test_who_may_not_run_now_is_known_before_anybody_is_told(desk: Desk) -> None:
    """Of apps that are only about to be configured, those that are out of their hours."""
    night = Schedule(blackout=(parse_window("00:00-04:00"),), timezone="UTC")
    specs = [AppSpec("db", schedule=night), AppSpec("office", schedule=OFFICE), AppSpec("web")]

    found = desk.calendar.closed(specs)

    assert ["db"] == list(found)
    assert 4 * HOUR == found["db"].until
    assert [] == desk.told
    desk.wall += 5 * HOUR
    assert {} == desk.calendar.closed(specs)
