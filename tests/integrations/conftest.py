"""What the tests of integrations share: real proxies in front of a real daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.conftest import home, launch
from e2e.harness import Launch
from integrations.proxies import PROGRAMS, Setup

__all__ = ["home", "launch"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder runs real programs, and none of that is quick."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def behind(launch: Launch, home: Path) -> Iterator[Callable[[str], Setup]]:
    """Put Torpor behind a proxy by its name; both end with the test."""
    setups: list[Setup] = []

    def behind(proxy: str) -> Setup:
        if (program := PROGRAMS[proxy]()) is None:
            pytest.skip(f"{proxy} is not installed here")
        setup = Setup(home, launch)
        setups.append(setup)
        setup.start(proxy, program)
        return setup

    yield behind
    for setup in setups:
        setup.stop()
