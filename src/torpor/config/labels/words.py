"""How values are written in labels: truth, ports, durations of Go, lists."""

from __future__ import annotations

import re

from torpor.config.units import duration_text

_TRUE = frozenset({"1", "t", "true", "yes", "on"})
_FALSE = frozenset({"0", "f", "false", "no", "off", ""})
_PORT = re.compile(r"[0-9]{1,5}")
_STEP = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w|M)")
_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 7 * 86400.0,
    "M": 30 * 86400.0,
}
_LONGEST = 100 * 365 * 86400.0


def truth(text: str) -> bool:
    """Whether the label says yes.  Raises `ValueError`."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"'{text}' is neither true nor false")
    return word in _TRUE


def items(text: str) -> list[str]:
    """The parts between commas, without blanks and empty ones."""
    return [part.strip() for part in text.split(",") if part.strip()]


def port_number(text: str) -> int:
    """A TCP or UDP port.  Raises `ValueError`."""
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"'{text}' is no port")
    return int(text)


def go_seconds(text: str) -> float:
    """The seconds of `90s`, `1h30m`, `-1s`, and with GoDoxy's units `d`, `w`, `M`.  Raises `ValueError`."""
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text.lstrip("+-")
    if rest == "0":
        return 0.0
    steps = list(_STEP.finditer(rest))
    if not steps or "".join(step[0] for step in steps) != rest:
        raise ValueError(f"'{text}' is not a duration; write it like 30s, 10m or 1h30m")
    return sign * min(sum(float(step[1]) * _SECONDS[step[2]] for step in steps), _LONGEST)


def go_duration(text: str) -> str:
    """The same as Torpor writes it; it must be longer than 0.  Raises `ValueError`."""
    seconds = go_seconds(text)
    if seconds < 0.001:
        raise ValueError(f"'{text}' must be longer than 0")
    return duration_text(seconds)
