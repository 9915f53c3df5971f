"""Engines that run while the tests of this folder do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import engines
from lending import lent


@pytest.fixture(scope="session")
def docker() -> Iterator[engines.Engine]:
    with lent(engines.Docker) as engine:
        yield engine


@pytest.fixture(scope="session")
def podman() -> Iterator[engines.Engine]:
    with lent(engines.Podman) as engine:
        yield engine


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Iterator[engines.Engine]:
    """Each of them, with no container of an earlier test."""
    engine: engines.Engine = request.getfixturevalue(request.param)
    yield engine
    engine.remove_all()


@pytest.fixture(params=[pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop")])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Only the loop that Torpor mostly runs on: what takes its time here are the engines."""
    return request.param
