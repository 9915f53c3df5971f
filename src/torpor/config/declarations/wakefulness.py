"""The keys that say what keeps an app awake beside requests, and when it may be awake at all."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from torpor.config.declarations.keys import Keys, about
from torpor.config.declarations.requests import Requests
from torpor.config.scalars import Percent
from torpor.config.units import Duration, PositiveDuration, duration_text
from torpor.core.model import IdleQuestion, Lifecycle

_LIFECYCLE = Lifecycle()
_QUESTION = IdleQuestion()


class KeepAwakeIf(Keys, frozen=True):
    """What is asked before the app falls asleep.  One of `exec` and `http`."""

    exec: (
        Annotated[
            str | list[str],
            about(
                "It stays awake if this command, run in the app's directory and environment, exits 0.",
                "./busy.sh",
            ),
        ]
        | UnsetType
    ) = UNSET
    http: (
        Annotated[
            str,
            about(
                "It stays awake if the app answers a GET of this path with a status from 200 to 299.",
                "/busy",
                pattern="^/",
            ),
        ]
        | UnsetType
    ) = UNSET
    timeout: (
        Annotated[
            PositiveDuration,
            about("Without an answer by then it stays awake.", "10s", duration_text(_QUESTION.timeout)),
        ]
        | UnsetType
    ) = UNSET


class Schedule(Keys, frozen=True):
    """When the app is to be awake by the clock, and when it may not be.

    A window is days, times, or both: `mon-fri 08:00-18:00`, `sat,sun`, `22:00-06:00` (which ends on the next day).
    """

    keep_warm: (
        Annotated[
            str | list[str],
            about("In these windows it does not sleep; it is woken when one begins.", "mon-fri 08:00-18:00"),
        ]
        | UnsetType
    ) = UNSET
    allowed: (
        Annotated[
            str | list[str],
            about(
                "Outside of these windows it is put to sleep, and requests are refused until the next one opens.",
                ["mon-fri 07:00-22:00", "sat 09:00-13:00"],
            ),
        ]
        | UnsetType
    ) = UNSET
    blackout: (
        Annotated[
            str | list[str],
            about("The opposite: within these windows it does not run.", "02:00-04:00"),
        ]
        | UnsetType
    ) = UNSET
    wake_at: (
        Annotated[
            str | list[str],
            about(
                "Moments at which it is woken, as cron has them: minute, hour, day, month, weekday.",
                "0 7 * * mon-fri",
            ),
        ]
        | UnsetType
    ) = UNSET
    timezone: (
        Annotated[str, about("The clock that is meant; without it, the machine's own.", "Europe/Berlin")]
        | UnsetType
    ) = UNSET


class Wakefulness(Requests, frozen=True):
    """What keeps it awake beside requests, and when it may be awake at all."""

    min_uptime: (
        Annotated[
            Duration,
            about(
                "Once ready, it stays awake at least that long.", "2m", duration_text(_LIFECYCLE.min_uptime)
            ),
        ]
        | UnsetType
    ) = UNSET
    cpu_below: (
        Annotated[
            Percent,
            about(
                "It falls asleep only while it uses less CPU than this; 100% is one core. Measured once nothing else "
                "keeps it awake.",
                "5%",
            ),
        ]
        | UnsetType
    ) = UNSET
    cpu_window: (
        Annotated[
            PositiveDuration,
            about("How long that is measured.", "1m", duration_text(_QUESTION.cpu_window)),
        ]
        | UnsetType
    ) = UNSET
    keep_awake_if: (
        Annotated[
            str | list[str] | KeepAwakeIf,
            about(
                "Asked before it falls asleep: a command that exits 0 as long as the app is to stay awake, or a map. "
                "What cannot be found out keeps it awake.",
                "./busy.sh",
            ),
        ]
        | UnsetType
    ) = UNSET
    schedule: (
        Annotated[
            Schedule,
            about(
                "When it is to be awake by the clock, and when it may not be.",
                {"keep_warm": "mon-fri 08:00-18:00", "timezone": "Europe/Berlin"},
            ),
        ]
        | UnsetType
    ) = UNSET
