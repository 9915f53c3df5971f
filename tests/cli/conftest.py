"""Daemons for tests of whole command lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.harness import Daemon


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a daemon whose apps the tests only look at."""
    with Daemon(tmp_path_factory.mktemp("shared")) as daemon:
        yield daemon.socket


@pytest.fixture(scope="session")
def shared_family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a daemon whose apps need each other; the tests only look at them."""
    with Daemon(tmp_path_factory.mktemp("family"), "family") as daemon:
        yield daemon.socket


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon of the test's own, with apps that need each other."""
    with Daemon(tmp_path, "family") as daemon:
        yield daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon of the test's own."""
    with Daemon(tmp_path) as daemon:
        yield daemon
