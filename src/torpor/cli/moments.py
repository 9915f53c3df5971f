"""Points in time as people write them."""

from __future__ import annotations

import time
from datetime import datetime

from torpor.config.units import Duration

_SECOND = 1_000_000_000


def parse_moment(text: str, now: float | None = None) -> int:
    """Nanoseconds since the epoch: `10m` ago, a local time of today, or an ISO 8601 date and time.

    What names no zone is local.  Raises `ValueError`.
    """
    now = time.time() if now is None else now
    try:
        return round((now - Duration.parse(text)) * _SECOND)
    except ValueError:
        pass
    today = datetime.fromtimestamp(now).astimezone().date()
    for candidate in (text, f"{today}T{text}"):
        try:
            return round(datetime.fromisoformat(candidate).astimezone().timestamp() * _SECOND)
        except (ValueError, OverflowError):
            continue
    raise ValueError(f"{text!r} is no time; write 10m for ten minutes ago, 14:30, or 2026-05-01T14:30")
