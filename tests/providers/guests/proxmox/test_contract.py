"""The provider of guests keeps the contract on Proxmox VE, with LXC guests and with virtual machines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contract.freeze_contract import FreezeContract
from contract.guest_contract import GuestContract, HostContract, PausedByOthersContract
from contract.provider_contract import ProviderContract
from providers.guests.proxmox.cluster import Cluster
from providers.guests.proxmox.world import ProxmoxWorld
from torpor.config.guests import MachineKind
from torpor.config.hosts import ProxmoxHost


@pytest.fixture(params=list(MachineKind))
def kind(request: pytest.FixtureRequest) -> MachineKind:
    """What the guests are."""
    assert isinstance(request.param, MachineKind)
    return request.param


@pytest.fixture
async def subject(
    tmp_path: Path, cluster: Cluster, host: ProxmoxHost, kind: MachineKind, anyio_backend: object
) -> AsyncIterator[ProxmoxWorld]:
    """A cluster."""
    world = ProxmoxWorld(tmp_path, cluster, host, kind)
    async with world.opened():
        yield world


class TestProxmox(ProviderContract, GuestContract, HostContract):
    """LXC guests, and virtual machines."""


@pytest.mark.parametrize("kind", [MachineKind.QEMU])
class TestProxmoxFreezing(FreezeContract, PausedByOthersContract):
    """Virtual machines alone can be paused."""
