"""Engines that run while the tests of this folder do."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import engines


def _running(kind: type[engines.Engine]) -> Iterator[engines.Engine]:
    if (reason := engines.why_not(kind)) is not None:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="torpor-engine-"))
    try:
        with engines.running(kind, folder) as engine:
            yield engine
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def docker() -> Iterator[engines.Engine]:
    yield from _running(engines.Docker)


@pytest.fixture(scope="session")
def podman() -> Iterator[engines.Engine]:
    yield from _running(engines.Podman)


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Iterator[engines.Engine]:
    """Each of them, with no container of an earlier test."""
    engine: engines.Engine = request.getfixturevalue(request.param)
    yield engine
    for container in engine.call("GET", "/containers/json?all=1"):
        engine.remove(container["Id"])


@pytest.fixture(params=[pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop")])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Only the loop that Torpor mostly runs on: what takes its time here are the engines."""
    return request.param
