"""Settings that are one word but more than a string: signals, regular expressions, permissions.

Like `Duration` and `Size`, each class has `parse`, which raises `ValueError` with
words for people, and `schema`.
"""

from __future__ import annotations

import re
import signal
from typing import Any, Self

from torpor.config.problems import near_miss
from torpor.config.rlimits import LimitPair
from torpor.config.units import DURATION_PATTERN, SIZE_PATTERN, Duration, PositiveDuration, Size

_SIGNALS = {name.removeprefix("SIG"): int(value) for name, value in signal.Signals.__members__.items()}
_PART = re.compile(r"(?:[0-9]|[1-8][0-9]|90)(?:\.[0-9]{1,3})?%")
_UMASK = re.compile(r"0?[0-7]{1,3}")
MAX_REGEX = 1000
_PERCENT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?%")
_LARGEST_SHARE = 1000.0
_NAMED_PERIODS = ("daily", "hourly")
_SHORTEST_PERIOD = 1.0
"""Seconds."""


class Signal(int):
    """A signal's number, written `TERM`, `SIGTERM` or `15`."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """The signal.  Raises `ValueError`."""
        if isinstance(value, int) and not isinstance(value, bool):
            if value in _SIGNALS.values():
                return cls(value)
            raise ValueError(f"{value} is no signal of this system; write its name, e.g. TERM")
        if isinstance(value, str):
            name = value.upper().removeprefix("SIG")
            if name in _SIGNALS:
                return cls(_SIGNALS[name])
            guess = near_miss(name.lower(), [known.lower() for known in _SIGNALS])
            hint = f" (did you mean '{guess.upper()}'?)" if guess else ""
            raise ValueError(f"'{value}' is no signal of this system; write its name, e.g. TERM{hint}")
        raise ValueError("must be a signal's name or number, e.g. TERM")

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""
        name = {"type": "string", "pattern": "^(SIG|sig)?[A-Za-z][A-Za-z0-9+]*$"}
        return {"title": "signal", "anyOf": [name, {"type": "integer"}]}


class Regex(str):
    """A regular expression of Python's `re` that compiles."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """The expression.  Raises `ValueError`."""
        if not isinstance(value, str):
            raise ValueError("must be a regular expression in quotes, e.g. 'listening on'")  # noqa: TRY004
        if not value:
            raise ValueError("is empty, which every line matches; write a part of the line to wait for")
        if len(value) > MAX_REGEX:
            raise ValueError(f"is longer than {MAX_REGEX} characters")
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"'{value}' is not a regular expression: {error}") from error
        return cls(value)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""
        return {"title": "regular expression", "type": "string", "format": "regex", "minLength": 1}


class KeepFree(str):
    """What is to stay free: a size, or a share of all like `10%`."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """The amount.  Raises `ValueError`."""
        if not isinstance(value, str) or not value.endswith("%"):
            Size.parse(value)
        elif _PART.fullmatch(value) is None:
            raise ValueError(f"'{value}' is no share from 0% to 90%; write it like 10%")
        return cls(value)

    @property
    def amount(self) -> int | float:
        """Bytes; or a share from 0 to 1, as a float."""
        return float(self[:-1]) / 100 if self.endswith("%") else int(Size.parse(str(self)))

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""
        pattern = f"^(?:{SIZE_PATTERN}|{_PART.pattern})$"
        return {"title": "size or percentage", "type": "string", "pattern": pattern}


class Umask(int):
    """Permissions that new files do not get, written as octal text: `"022"`."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """The permissions.  Raises `ValueError`."""
        if isinstance(value, int) and not isinstance(value, bool):
            raise ValueError(  # noqa: TRY004 - msgspec reports a ValueError
                f"must be octal text in quotes, e.g. '022'; without them it is the number {value} to YAML"
            )
        if not isinstance(value, str) or _UMASK.fullmatch(value) is None:
            raise ValueError("must be up to three octal digits in quotes, e.g. '022'")
        return cls(value, 8)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""
        return {"title": "octal text", "type": "string", "pattern": f"^{_UMASK.pattern}$"}


class Period(str):
    """How often something happens: `daily`, `hourly`, or a duration."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """The period.  Raises `ValueError`."""
        if value not in _NAMED_PERIODS and PositiveDuration.parse(value) < _SHORTEST_PERIOD:
            raise ValueError(f"must be at least {_SHORTEST_PERIOD:g}s")
        return cls(value)

    @property
    def meaning(self) -> str | float:
        """Its name, or its seconds."""
        return str(self) if self in _NAMED_PERIODS else float(PositiveDuration.parse(str(self)))

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""
        names = "|".join(_NAMED_PERIODS)
        return {"title": "period", "type": "string", "pattern": f"^(?:{names}|{DURATION_PATTERN})$"}


class Percent(float):
    """A share, written `5%`; 100% is 1.0.  It may be more than that."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """The share.  Raises `ValueError`."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            raise ValueError(f"{value} needs a percent sign, e.g. {value}%")  # noqa: TRY004
        match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"'{value}' is no share; write it like 5% or 0.5%")
        share = float(match[1]) / 100
        if not 0 < share <= _LARGEST_SHARE:
            raise ValueError(f"must be more than 0% and at most {_LARGEST_SHARE * 100:.0f}%")
        return cls(share)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""
        return {"title": "share", "type": "string", "pattern": f"^{_PERCENT.pattern}$"}


_SCALARS = (Duration, Size, KeepFree, Signal, Regex, Umask, LimitPair, Period, Percent)


def parse_scalar(kind: type, value: object) -> Any:
    """What msgspec calls for a type that it does not know.  Raises `ValueError`."""
    if issubclass(kind, _SCALARS):
        return kind.parse(value)
    raise NotImplementedError(kind)


def scalar_schema(kind: type) -> dict[str, Any]:
    """The JSON Schema of such a type."""
    if issubclass(kind, _SCALARS):
        return kind.schema()
    raise NotImplementedError(kind)
