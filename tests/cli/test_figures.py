"""Numbers for people."""

from __future__ import annotations

import pytest

from torpor.cli.figures import duration, lapse, size


@pytest.mark.parametrize(
    ("expected", "seconds"),
    [
        ("-", None),
        ("0s", -0.4),
        ("0s", 0.0),
        ("59s", 59.4),
        ("1m00s", 59.6),
        ("4m05s", 245.0),
        ("59m59s", 3599.0),
        ("1h00m", 3600.0),
        ("23h59m", 86399.0),
        ("1d00h", 86400.0),
        ("400d03h", 400 * 86400 + 3 * 3600.0),
    ],
)
def test_durations_have_at_most_two_units(expected: str, seconds: float | None) -> None:
    """Short enough for a column, exact enough to be of use."""
    assert expected == duration(seconds)


@pytest.mark.parametrize(
    ("expected", "number"),
    [
        ("-", None),
        ("0B", 0),
        ("999B", 999),
        ("1K", 1000),
        ("812K", 812 * 1024),
        ("11.3M", 11_849_000),
        ("99.9M", 104_752_742),
        ("100M", 104_857_600),
        ("300M", 300 * 2**20),
        ("1.0G", 1023 * 2**20),
        ("2.1G", 2_254_857_830),
        ("2048T", 2 * 2**50),
    ],
)
def test_sizes_have_three_digits(expected: str, number: int | None) -> None:
    """Powers of 1024 with one decimal where it tells something."""
    assert expected == size(number)


@pytest.mark.parametrize(
    ("expected", "seconds"), [("0 ms", 0.0), ("812 ms", 0.812), ("1.2 s", 1.24), ("2m05s", 125.0)]
)
def test_lapses_read_like_speech(expected: str, seconds: float) -> None:
    """How long something took, in a sentence."""
    assert expected == lapse(seconds)
