"""Points in time as engines write them: RFC 3339, to the second or to the nanosecond."""

from __future__ import annotations

from datetime import datetime

SECOND = 1_000_000_000


def nanoseconds(text: str) -> int | None:
    """Nanoseconds since the epoch; None for what is none, and for the year 1, which stands for never."""
    head, dot, tail = text.partition(".")
    fraction = tail.rstrip("Z")
    zone = "Z"
    for sign in "+-":
        if dot and sign in fraction:
            fraction, _, offset = fraction.partition(sign)
            zone = sign + offset
    try:
        moment = datetime.fromisoformat(head + zone if dot else head)
        seconds = int(moment.timestamp())
        # What a float cannot hold is counted by hand.
        return seconds * SECOND + int((fraction or "0").ljust(9, "0")[:9]) if seconds > 0 else None
    except (ValueError, OverflowError):
        return None
