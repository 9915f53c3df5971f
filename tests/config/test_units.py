"""Durations and sizes are read exactly, and a bare number is never guessed at."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.config.scalars import Regex, Signal
from torpor.config.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    Duration,
    Patience,
    PositiveDuration,
    Size,
    duration_text,
    size_text,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (30.0, "30s"),
        (600.0, "10m"),
        (5400.0, "1h30m"),
        (0.5, "500ms"),
        (86400.0, "1d"),
        (5400.0, "1.5h"),
        (90061.001, "1d1h1m1s1ms"),
        (0.0, "0s"),
        (60.005, "1m5ms"),
    ],
)
def test_durations_are_seconds(seconds: float, text: str) -> None:
    """Each unit alone and all of them in order."""
    assert seconds == Duration.parse(text)


@pytest.mark.parametrize(
    "text", ["", "s", "1", "30 s", "1m1h", "-1s", "1s1s", "1w", "١s", "1e3s", "never", "0x1s", "101000d"]
)
def test_other_durations_are_refused(text: str) -> None:
    """No unit, a wrong order, a sign, other digits, other words, or centuries."""
    with pytest.raises(ValueError, match=r"write it like|needs a unit|longer than 100 years"):
        Duration.parse(text)


@pytest.mark.parametrize("word", ["never", "off"])
def test_never_is_no_limit(word: str) -> None:
    """Where a limit may be absent, both words say so."""
    assert None is Patience.parse(word).limit
    assert math.isinf(Patience.parse(word))


@pytest.mark.parametrize("kind", [PositiveDuration, Patience])
def test_zero_is_refused_where_it_makes_no_sense(kind: type[Duration]) -> None:
    """A timeout of nothing is a mistake."""
    with pytest.raises(ValueError, match="longer than 0"):
        kind.parse("0ms")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (2**29, "512M"),
        (2**31, "2GiB"),
        (2**20, "1m"),
        (10**6, "1MB"),
        (4096, "4096B"),
        (1536, "1.5K"),
        (2**40, "1 TiB"),
    ],
)
def test_sizes_are_bytes(size: int, text: str) -> None:
    """Letters alone and KiB … are powers of 1024, KB … of 1000."""
    assert size == Size.parse(text)


@pytest.mark.parametrize("text", ["", "512", "1.5", "M", "-1M", "1X", "0K", "5000T", "0.1B"])
def test_other_sizes_are_refused(text: str) -> None:
    """No unit, no number, nothing at all, or more than any disk."""
    with pytest.raises(ValueError, match=r"write it like|needs a unit|at least one byte|larger than"):
        Size.parse(text)


@given(st.integers(0, 10**11))
def test_a_duration_survives_being_written(milliseconds: int) -> None:
    """What `duration_text` writes is read as the same time."""
    assert milliseconds == round(Duration.parse(duration_text(milliseconds / 1000)) * 1000)


@given(st.integers(1, 2**50))
def test_a_size_survives_being_written(size: int) -> None:
    """What `size_text` writes is read as the same size."""
    assert size == Size.parse(size_text(size))


@given(
    st.one_of(
        st.text(), st.from_regex(DURATION_PATTERN), st.from_regex(SIZE_PATTERN), st.integers(), st.none()
    )
)
def test_any_value_is_read_or_refused(value: object) -> None:
    """No value makes the readers fail in another way, and the published patterns agree with them."""
    for kind in (Duration, Patience, PositiveDuration, Size, Signal, Regex):
        try:
            kind.parse(value)
        except ValueError:
            continue
        if issubclass(kind, (Duration, Size)):
            assert isinstance(value, str)
            assert re.search(kind.schema()["pattern"], value)


@pytest.mark.parametrize("text", ["TERM", "SIGTERM", "term", 15])
def test_signals_have_names_and_numbers(text: object) -> None:
    """Each usual way to write a signal gives its number."""
    assert 15 == Signal.parse(text)


@pytest.mark.parametrize("value", ["SIGNOPE", "", 0, 999, True, 1.5, None])
def test_other_signals_are_refused(value: object) -> None:
    """What the system does not know is refused."""
    with pytest.raises(ValueError, match="signal"):
        Signal.parse(value)
