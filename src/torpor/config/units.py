"""Durations and sizes as people write them.

Both need a unit: `idle_timeout: 30` could mean seconds or minutes, and the wrong
guess is found out at night.  `K M G T` and `KiB MiB GiB TiB` are powers of 1024, as
in Docker and systemd; `KB MB GB TB` are powers of 1000, as on disks.
"""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar, Self

_AMOUNT = r"[0-9]+(?:\.[0-9]+)?"
DURATION_PATTERN = (
    rf"(?=[0-9])(?:{_AMOUNT}d)?(?:{_AMOUNT}h)?(?:{_AMOUNT}m(?!s))?(?:{_AMOUNT}s)?(?:{_AMOUNT}ms)?"
)
SIZE_PATTERN = rf"{_AMOUNT} ?(?:[Bb]|[KkMmGgTt](?:[Ii]?[Bb])?)"

_DURATION = re.compile(
    rf"(?=[0-9])(?:({_AMOUNT})d)?(?:({_AMOUNT})h)?(?:({_AMOUNT})m(?!s))?(?:({_AMOUNT})s)?(?:({_AMOUNT})ms)?"
)
_SECONDS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_LONGEST = 100 * 365 * 86400.0
_SIZE = re.compile(rf"({_AMOUNT}) ?(?:[Bb]|([KkMmGgTt])([Ii]?[Bb])?)")
_LARGEST = 2**50
_BARE = re.compile(r"[-+]?[0-9]*\.?[0-9]+")


class Duration(float):
    """Seconds, written `30s`, `10m`, `1h30m`, `500ms`, `1d`; zero is allowed."""

    __slots__ = ()
    positive: ClassVar[bool] = False
    optional: ClassVar[bool] = False
    """Whether `never` and `off` may be written; they are infinite."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """The duration.  Raises `ValueError` with what to write instead."""
        if not isinstance(value, str):
            raise ValueError(_without_unit(value, "30s or 30m"))  # noqa: TRY004 - msgspec reports a ValueError
        if cls.optional and value in {"never", "off"}:
            return cls(math.inf)
        match = _DURATION.fullmatch(value)
        if match is None:
            if _BARE.fullmatch(value):
                raise ValueError(f"'{value}' needs a unit, e.g. {value}s or {value}m")
            also = ", or 'never'" if cls.optional else ""
            raise ValueError(f"'{value}' is not a duration; write it like 30s, 10m, 1h30m or 500ms{also}")
        seconds = sum(float(n) * unit for n, unit in zip(match.groups(), _SECONDS, strict=True) if n)
        if seconds > _LONGEST:
            raise ValueError("is longer than 100 years")
        if cls.positive and seconds == 0:
            also = "; write 'never' to switch it off" if cls.optional else ""
            raise ValueError(f"must be longer than 0{also}")
        return cls(seconds)

    @property
    def limit(self) -> float | None:
        """The seconds, or None for `never`."""
        return None if math.isinf(self) else float(self)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""
        pattern = f"^(?:{DURATION_PATTERN}|never|off)$" if cls.optional else f"^{DURATION_PATTERN}$"
        name = "duration, or `never`" if cls.optional else "duration"
        return {"title": name, "type": "string", "pattern": pattern}


class PositiveDuration(Duration):
    """A duration longer than 0."""

    __slots__ = ()
    positive = True


class Patience(Duration):
    """A duration longer than 0, or `never`."""

    __slots__ = ()
    positive = True
    optional = True


class Size(int):
    """Bytes, written `512M`, `2GiB`, `100KB`, `4096B`."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """The size.  Raises `ValueError` with what to write instead."""
        if not isinstance(value, str):
            raise ValueError(_without_unit(value, "512K or 64M"))  # noqa: TRY004
        match = _SIZE.fullmatch(value)
        if match is None:
            if _BARE.fullmatch(value):
                raise ValueError(f"'{value}' needs a unit, e.g. {value}K or {value}M")
            raise ValueError(f"'{value}' is not a size; write it like 512K, 64M or 2GiB")
        power = " kmgt".index((match[2] or " ").lower())
        base = 1000 if (match[3] or "").lower() == "b" else 1024
        amount = float(match[1]) * base**power
        if amount > _LARGEST:
            raise ValueError("is larger than 1024 TiB")
        if amount < 1:
            raise ValueError("must be at least one byte")
        return cls(amount)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""
        return {"title": "size", "type": "string", "pattern": f"^{SIZE_PATTERN}$"}


def duration_text(seconds: float | None) -> str:
    """How a configuration would write that many seconds; None is `never`.

    Exact to the millisecond: `Duration.parse` gives it back.
    """
    if seconds is None:
        return "never"
    left = round(seconds * 1000)
    parts: list[str] = []
    for name, unit in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        amount, left = divmod(left, unit)
        if amount:
            parts.append(f"{amount}{name}")
    return "".join(parts) or "0s"


def size_text(size: int) -> str:
    """How a configuration would write that many bytes.  `Size.parse` gives it back."""
    for name, unit in (("T", 2**40), ("G", 2**30), ("M", 2**20), ("K", 2**10)):
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    return f"{size}B"


def _without_unit(value: object, examples: str) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value} needs a unit, e.g. {examples}"
    return f"must be text with a unit, e.g. {examples}"
