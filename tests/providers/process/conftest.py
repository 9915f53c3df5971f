"""Each test of processes runs with both ways to keep a tree together."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from providers.process.world import World, world
from torpor.providers.process.cgroup import find_cgroup_root
from torpor.providers.process.provider import TreeKind


@pytest.fixture(params=[TreeKind.DESCENT, TreeKind.CGROUP])
async def subject(request: pytest.FixtureRequest, anyio_backend: object) -> AsyncIterator[World]:
    """A process provider in a world of its own."""
    if request.param is TreeKind.CGROUP and not has_cgroups():
        pytest.skip("this user may not create cgroups (v2) here")
    async with world(request.param) as here:
        yield here


def has_cgroups() -> bool:
    """Whether this user may create some (v2).  Each process asks with one of its own: others may ask just now."""
    root = find_cgroup_root(f"torpor-test-{os.getpid()}")
    if root is None:
        return False
    root.rmdir()
    return True
