"""Numbers for people."""

from __future__ import annotations

NONE = "-"


def duration(seconds: float | None) -> str:
    """At most two units: `8s`, `4m05s`, `3h12m`, `5d03h`."""
    if seconds is None:
        return NONE
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def lapse(seconds: float) -> str:
    """How long something took: `12 ms`, `1.2 s`, `4m05s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    return f"{seconds:.1f} s" if seconds < 100 else duration(seconds)


def size(number: int | None) -> str:
    """Bytes in powers of 1024 with about three digits: `812K`, `11.3M`, `2.1G`."""
    if number is None:
        return NONE
    value, units = float(number), iter("BKMGT")
    unit = next(units)
    while value >= 999.5 and unit != "T":
        value /= 1024
        unit = next(units)
    exact = 1 if value < 99.95 and unit not in "BK" else 0
    return f"{value:.{exact}f}{unit}"
