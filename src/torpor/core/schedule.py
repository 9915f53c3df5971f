"""When an app is to be awake by the clock on the wall, as values.

What the clock says is nobody's business in here: `runtime.calendar` looks at it, and tells
an app by `ScheduleChanged` which `Hours` hold for it from now on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

WEEK = frozenset(range(7))
MIDNIGHT = 24 * 60
"""Minutes from the beginning of a day to its end."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time of the day on some days of the week.  One that ends before it begins ends on the next day."""

    text: str
    """As it is written."""
    days: frozenset[int] = WEEK
    """On which it begins; Monday is 0."""
    begins: int = 0
    """Minutes after midnight."""
    ends: int = MIDNIGHT

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is to be when, on the clock of `timezone`."""

    keep_warm: tuple[Window, ...] = ()
    """It is woken when one begins, and does not sleep before it ends."""
    allowed: tuple[Window, ...] = ()
    """Outside of these it does not run; none: it may always run."""
    blackout: tuple[Window, ...] = ()
    """Within these it does not run."""
    wake_at: tuple[str, ...] = ()
    """Moments at which it is woken, as five fields of cron."""
    timezone: str | None = None
    """A name of the IANA database; None: the machine's own."""

    @property
    def limits(self) -> bool:
        """Whether there are hours in which it does not run: then it cannot be always on."""
        return bool(self.allowed or self.blackout)


@dataclass(frozen=True, slots=True)
class Hours:
    """What a schedule says now."""

    warm: str | None = None
    """Why it is to be awake; None: it may sleep."""
    closed: str | None = None
    """Why it is not to run; None: it may."""
    until: float | None = None
    """When that changes (monotonic); None: it does not."""

    def left(self, now: float) -> Hours:
        """The same with the seconds until that changes."""
        return self if self.until is None else replace(self, until=max(0.0, self.until - now))


ANY_HOURS = Hours()
"""It may run and sleep as it likes."""
