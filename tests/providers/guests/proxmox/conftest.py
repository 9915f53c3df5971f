"""A small Proxmox VE for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from providers.guests.proxmox.cluster import TOKEN, Cluster
from providers.guests.proxmox.server import Server, make_certificate
from torpor.config.hosts import ProxmoxHost
from torpor.providers.guests.proxmox import api as api_module
from torpor.providers.guests.proxmox import driver as driver_module
from torpor.providers.guests.proxmox import watch as watch_module
from torpor.providers.guests.proxmox.driver import ProxmoxDriver


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody vouches for, and its key."""
    return make_certificate(tmp_path_factory.mktemp("proxmox"))


@pytest.fixture
def cluster() -> Cluster:
    """Two nodes without guests."""
    return Cluster("pve1", "pve2")


@pytest.fixture
def server(cluster: Cluster, certificate: tuple[Path, Path]) -> Iterator[Server]:
    """Their API."""
    with Server(cluster, certificate) as server:
        yield server


@pytest.fixture
def host(server: Server, certificate: tuple[Path, Path]) -> ProxmoxHost:
    """As which it is configured."""
    return ProxmoxHost(urls=(server.url("pve1"), server.url("pve2")), token=TOKEN, ca=certificate[0])


@pytest.fixture
async def driver(host: ProxmoxHost) -> AsyncIterator[ProxmoxDriver]:
    """The driver for it."""
    driver = ProxmoxDriver(host)
    yield driver
    await driver.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less than for a real cluster."""
    monkeypatch.setattr(api_module, "_PAUSE", 0.01)
    monkeypatch.setattr(driver_module, "_LOCK_PAUSE", 0.05)
    monkeypatch.setattr(driver_module, "_HA_PAUSE", 0.05)
    monkeypatch.setattr(driver_module, "_REFUSAL_LIMIT", 0.2)
    monkeypatch.setattr(watch_module, "_USUAL_PAUSE", 0.05)
    monkeypatch.setattr(watch_module, "_SHORT_PAUSE", 0.05)
