"""Durations and sizes as other managers write them, in Torpor's words."""

from __future__ import annotations

import math
import re

from torpor.config.units import duration_text, size_text
from torpor.importers.values import Value, shown

_SECONDS = {
    **dict.fromkeys(("us", "µs", "usec"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
    **dict.fromkeys(("M", "month", "months"), 2629800.0),
    **dict.fromkeys(("y", "year", "years"), 31557600.0),
}
"""systemd's units; those of Go (Compose) and of PM2 are among them."""
_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-zµ]*)")
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgtpe]?)(?:i?b|i)?\s*", re.IGNORECASE)
_LONGEST = 100 * 365 * 86400.0
_LARGEST = 2**50


def seconds(value: Value, *, bare: float = 1.0) -> float:
    """The duration in seconds; `bare` is the unit of a number without one.  Raises `ValueError`.

    `infinity` is infinite.
    """
    text = value.strip() if isinstance(value, str) else ""
    if text == "infinity":
        return math.inf
    total, at = 0.0, 0
    while at < len(text):
        match = _PART.match(text, at)
        unit = None if match is None else _SECONDS.get(match[2], bare if not match[2] else None)
        if match is None or unit is None:
            raise ValueError(f"{shown(value)!r} is not a duration")
        total += float(match[1]) * unit
        at = match.end()
    if not text:
        raise ValueError(f"{shown(value)!r} is not a duration")
    return total


def duration(value: Value, *, bare: float = 1.0) -> str:
    """The duration in Torpor's words; zero is allowed.  Raises `ValueError`."""
    return duration_of(seconds(value, bare=bare))


def duration_of(amount: float) -> str:
    """Seconds in Torpor's words, at least a millisecond of any time at all.  Raises `ValueError`."""
    if amount > _LONGEST:
        raise ValueError("Torpor needs a limit here")
    return duration_text(max(amount, 0.001) if amount else 0)


def positive(value: Value, *, bare: float = 1.0) -> str:
    """The duration in Torpor's words, longer than nothing.  Raises `ValueError`."""
    if not (amount := seconds(value, bare=bare)):
        raise ValueError("Torpor needs a time longer than 0 here")
    return duration_of(amount)


def milliseconds(value: Value) -> str:
    """A duration whose bare number counts milliseconds.  Raises `ValueError`."""
    return duration(value, bare=0.001)


def size_in_bytes(value: Value) -> int:
    """The size; units are powers of 1024, as supervisord, PM2, systemd and Docker have them.  Raises `ValueError`."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)!r} is not a size")
    return int(float(match[1]) * 1024 ** " kmgtpe".index(match[2].lower() or " "))


def size(value: Value) -> str:
    """The size in Torpor's words.  Raises `ValueError`."""
    return size_of(size_in_bytes(value))


def size_of(amount: int) -> str:
    """Bytes in Torpor's words.  Raises `ValueError`."""
    if not 1 <= amount <= _LARGEST:
        raise ValueError("Torpor takes sizes from one byte to 1024 TiB")
    return size_text(amount)
