"""The minute of the soak that runs with the tests."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from e2e.conftest import home
from soak.soak import Soak

__all__ = ["home"]

SECONDS = 60.0


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_minute_of_kills_stops_crashes_and_visitors_leaves_all_as_it_should_be(home: Path) -> None:
    """No orphan, no zombie, no growth, no untrue state, and no failed request to what is always on."""
    report = Soak(home / "0", SECONDS, random.randrange(10**6)).run()

    assert [] == report.wrong, str(report)
