"""What only the guest of `scripts/vmtest` has: systemd as PID 1, all of cgroup v2, and no one else on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vm.cgroups import Cgroup
from vm.unit import Unit

VM = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests change the machine, so they are run on none but the guest."""
    for item in items:
        if VM in item.path.parents:
            item.add_marker(pytest.mark.vm)
            item.add_marker(pytest.mark.slow)
            if not os.environ.get("VMTEST"):
                item.add_marker(pytest.mark.skip(reason="only in the guest of scripts/vmtest"))


@pytest.fixture
def unit() -> Iterator[Unit]:
    """Torpor as a service of systemd, not yet started; nothing of it is left after the test."""
    unit = Unit()
    yield unit
    unit.remove()


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """An empty cgroup with all controllers; whoever is still in it after the test is killed."""
    cgroup = Cgroup.make("vmtest-kernel")
    yield cgroup
    cgroup.remove()
