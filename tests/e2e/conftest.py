"""What the end-to-end tests share: real daemons that end with their test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import engines
from e2e.harness import Daemon, Launch
from lending import lent

E2E = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder runs real programs, and none of that is quick."""
    for item in items:
        if E2E in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for one test with a path short enough for a unix socket in it."""
    path = Path(tempfile.mkdtemp(prefix="torpor-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def engine() -> Iterator[engines.Engine]:
    """A Docker Engine for the tests of one file."""
    with lent(engines.Docker) as engine:
        yield engine


@pytest.fixture
def docker(engine: engines.Engine) -> Iterator[engines.Engine]:
    """With no container of another test."""
    yield engine
    engine.remove_all()


@pytest.fixture
def launch(home: Path) -> Iterator[Launch]:
    """Start daemons from the text of a configuration; all of them end with the test."""
    daemons: list[Daemon] = []

    def launch(config: str) -> Daemon:
        daemon = Daemon(home / str(len(daemons)), config)
        daemons.append(daemon)
        daemon.start()
        return daemon

    yield launch
    for daemon in daemons:
        if daemon.running:
            daemon.stop()
