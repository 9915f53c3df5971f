"""The minute of the soak that runs with the tests."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from e2e.conftest import home
from e2e.harness import wait_for
from soak.census import MARK, members, zombies
from soak.soak import Soak

__all__ = ["home"]

SECONDS = 60.0


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_minute_of_kills_stops_crashes_and_visitors_leaves_all_as_it_should_be(home: Path) -> None:
    """No orphan, no zombie, no growth, no untrue state, and no failed request to what is always on."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # shown where it fails before there is a report

    report = Soak(home / "0", SECONDS, seed).run()

    assert [] == report.wrong, str(report)


def test_the_census_sees_whom_it_is_for() -> None:
    """A process with the mark of the run is counted, one that has ended and was not reaped is a zombie."""
    environment = {MARK: "test", "TORPOR_INSTANCE": "web/1", "TORPOR_GENERATION": "3"}
    process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, env=environment)
    try:
        (found,) = wait_for("it is executed", lambda: members("test"))
        assert (process.pid, "web/1", 3) == (found.process.pid, found.instance, found.generation)
        assert [] == members("another")

        process.kill()

        wait_for("it is a zombie", lambda: process.pid in zombies(os.getpid()))
        assert [] == members("test")
    finally:
        process.kill()
        process.communicate()
    assert process.pid not in zombies(os.getpid())
