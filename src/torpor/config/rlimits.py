"""Limits of setrlimit as people write them: `65536`, `1024:65536`, `512M`, `16M:unlimited`.

One value is both the soft limit and the hard one.  Bytes and times need a unit, as
everywhere; 0 needs none.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

from torpor.config.units import DURATION_PATTERN, SIZE_PATTERN, Duration, Size

UNLIMITED = "unlimited"


class LimitPair(tuple[float | None, float | None]):
    """A soft and a hard limit; None: no limit."""

    __slots__ = ()
    noun: ClassVar[str]
    example: ClassVar[str]
    pattern: ClassVar[str]
    """What one of the two looks like."""
    bare: ClassVar[int] = 0
    """The largest number that may stand without a unit."""

    @classmethod
    def amount(cls, text: str) -> float:
        """One of the two.  Raises `ValueError`."""
        raise NotImplementedError

    @classmethod
    def parse(cls, value: object) -> Self:
        """Both limits.  Raises `ValueError` with what to write instead."""
        parts = str(value).split(":")
        if isinstance(value, bool) or not isinstance(value, (str, int)) or len(parts) > 2:
            raise ValueError(f"must be a {cls.noun}, SOFT:HARD, or '{UNLIMITED}', e.g. {cls.example}")
        soft, hard = cls._one(parts[0].strip()), cls._one(parts[-1].strip())
        if hard is not None and (soft is None or soft > hard):
            raise ValueError(f"'{value}': the soft limit, which stands first, is above the hard one")
        return cls((soft, hard))

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Its JSON Schema."""
        one = rf"(?:0|{UNLIMITED}|{cls.pattern})"
        written = {"type": "string", "pattern": f"^{one}(?::{one})?$"}
        number = {"type": "integer", "minimum": 0, "maximum": cls.bare}
        return {"title": f"{cls.noun}, SOFT:HARD, or `{UNLIMITED}`", "anyOf": [written, number]}

    @classmethod
    def _one(cls, text: str) -> float | None:
        if text == UNLIMITED:
            return None
        return 0 if text == "0" else cls.amount(text)


class CountLimit(LimitPair):
    """Limits on a number of something."""

    __slots__ = ()
    noun = "number"
    example = "1024:65536"
    pattern = "[0-9]{1,19}"
    bare = 2**62

    @classmethod
    def amount(cls, text: str) -> float:
        """The number.  Raises `ValueError`."""
        if re.fullmatch(cls.pattern, text) is None or int(text) > cls.bare:
            raise ValueError(f"'{text}' is not a limit; write a number, SOFT:HARD, or '{UNLIMITED}'")
        return int(text)


class SizeLimit(LimitPair):
    """Limits in bytes."""

    __slots__ = ()
    noun = "size"
    example = "16M:64M"
    pattern = SIZE_PATTERN

    @classmethod
    def amount(cls, text: str) -> float:
        """The bytes.  Raises `ValueError`."""
        return int(Size.parse(text))


class TimeLimit(LimitPair):
    """Limits in seconds."""

    __slots__ = ()
    noun = "duration"
    example = "30s:1m"
    pattern = f"(?:{DURATION_PATTERN})"

    @classmethod
    def amount(cls, text: str) -> float:
        """The seconds.  Raises `ValueError`."""
        return float(Duration.parse(text))
