"""When a segment that is rotated by time ends."""

from __future__ import annotations

import time
from typing import Literal

DAILY: Literal["daily"] = "daily"
HOURLY: Literal["hourly"] = "hourly"
_SECOND = 1_000_000_000


def end_of_period(rotate: str | float, begun: int) -> int:
    """The end of the period in which a segment was begun, both in nanoseconds since the epoch.

    `rotate`: `daily` and `hourly` end with the local day and hour, seconds so long after `begun`.
    """
    if not isinstance(rotate, str):
        return begun + int(rotate * _SECOND)
    local = time.localtime(begun // _SECOND)
    hour = local.tm_hour + 1 if rotate == HOURLY else 24
    # An hour that does not exist or comes twice is for mktime to know; -1: it decides on summer time.
    summer = local.tm_isdst if rotate == HOURLY else -1
    end = time.mktime((local.tm_year, local.tm_mon, local.tm_mday, hour, 0, 0, 0, 0, summer))
    return int(end) * _SECOND
