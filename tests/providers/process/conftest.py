"""Each test of processes runs with both ways to keep a tree together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from providers.process.world import World, world
from torpor.providers.process.cgroup import find_cgroup_root
from torpor.providers.process.provider import TreeKind


@pytest.fixture(params=[TreeKind.DESCENT, TreeKind.CGROUP])
async def subject(request: pytest.FixtureRequest, anyio_backend: object) -> AsyncIterator[World]:
    """A process provider in a world of its own."""
    if request.param is TreeKind.CGROUP and not _has_cgroups():
        pytest.skip("this user may not create cgroups (v2) here")
    async with world(request.param) as here:
        yield here


def _has_cgroups() -> bool:
    root: Path | None = find_cgroup_root("torpor-test")
    if root is None:
        return False
    root.rmdir()
    return True
