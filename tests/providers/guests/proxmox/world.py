"""A small Proxmox VE as the world of a provider."""

from __future__ import annotations

import asyncio
from pathlib import Path

from contract.provider_contract import ID, Behaviour
from providers.guests.proxmox.cluster import Cluster, Guest
from providers.guests.world import GuestWorld
from torpor.config.guests import GuestSpec, MachineKind, MachineSpec
from torpor.config.hosts import ProxmoxHost
from torpor.core.model import InstanceId
from torpor.providers.guests.driver import Driver
from torpor.providers.guests.proxmox.driver import ProxmoxDriver


class ProxmoxWorld(GuestWorld):
    """Guests of one kind."""

    def __init__(self, folder: Path, cluster: Cluster, host: ProxmoxHost, kind: MachineKind) -> None:
        """`host`: as which `cluster` is configured."""
        self._cluster = cluster
        self._host_of_it = host
        self._kind = kind
        self._prefix = "vz" if kind is MachineKind.LXC else "qm"
        super().__init__(folder)

    def driver(self) -> Driver:
        """See `GuestWorld`."""
        return ProxmoxDriver(self._host_of_it)

    def guest(self, behaviour: Behaviour, id: InstanceId) -> GuestSpec:
        """See `GuestWorld`."""
        number = 100 + id.replica
        spec = MachineSpec(name=str(number), host="host", port=self.port, kind=self._kind)
        if behaviour is Behaviour.MISSING:
            self._cluster.guests.pop(number, None)
            return spec
        guest = self._cluster.guests.get(number) or self._cluster.add(number, kind=self._kind.value)
        guest.obeys = behaviour is not Behaviour.STUBBORN
        guest.lives = behaviour is not Behaviour.FAILING
        return spec

    def alive(self) -> int:
        """See `GuestWorld`."""
        guest = self._cluster.guests.get(100 + ID.replica)
        return int(guest is not None and guest.alive)

    async def up(self) -> None:
        """Nothing is kept of what it writes: it is up when it runs."""
        while not self.alive():
            await asyncio.sleep(0.01)

    async def start_by_others(self) -> None:
        """See `GuestSubject`."""
        self._cluster.by_hand(self._guest.vmid, f"{self._prefix}start")

    async def stop_by_others(self) -> None:
        """See `GuestSubject`."""
        self._cluster.by_hand(self._guest.vmid, f"{self._prefix}shutdown")

    async def restart_by_others(self) -> None:
        """See `GuestSubject`."""
        await self.stop_by_others()
        await self.start_by_others()

    async def crash(self) -> None:
        """See `GuestSubject`."""
        self._guest.end()

    async def pause_by_others(self) -> None:
        """See `PausingSubject`."""
        self._guest.qemu = "paused"

    async def resume_by_others(self) -> None:
        """See `PausingSubject`."""
        self._guest.qemu = "running"

    async def lose_host(self) -> None:
        """See `HostSubject`."""
        self._cluster.down = set(self._cluster.nodes)

    async def restore_host(self) -> None:
        """See `HostSubject`."""
        self._cluster.down = set()

    @property
    def _guest(self) -> Guest:
        return self._cluster.guests[100 + ID.replica]
