"""A world whose host is in memory."""

from __future__ import annotations

from pathlib import Path

from contract.provider_contract import ID, Behaviour
from providers.guests.fake import FakeDriver, FakeGuest, FakeHost
from providers.guests.world import GuestWorld
from torpor.config.guests import GuestSpec
from torpor.core.model import ExitInfo, InstanceId
from torpor.providers.guests.driver import Driver


class FakeWorld(GuestWorld):
    """See `GuestWorld`."""

    def __init__(self, folder: Path) -> None:
        self.host = FakeHost()
        super().__init__(folder)

    def driver(self) -> Driver:
        """See `GuestWorld`."""
        return FakeDriver(self.host)

    def guest(self, behaviour: Behaviour, id: InstanceId) -> GuestSpec:
        """See `GuestWorld`.  One guest for each instance: it may be made anew by others as something else."""
        name = str(id)
        if behaviour is not Behaviour.MISSING:
            self.host.guests.setdefault(name, FakeGuest(behaviour)).behaviour = behaviour
        else:
            self.host.guests.pop(name, None)
        return GuestSpec(name=name, host="memory", port=self.port)

    def alive(self) -> int:
        """See `GuestWorld`."""
        found = self.host.guests.get(str(ID))
        return int(found is not None and found.alive)

    async def start_by_others(self) -> None:
        """See `GuestSubject`."""
        self.host.start(str(ID))

    async def stop_by_others(self) -> None:
        """See `GuestSubject`."""
        self.host.resume(str(ID))
        self.host.end(str(ID), ExitInfo(code=0), by_hand=True)

    async def restart_by_others(self) -> None:
        """See `GuestSubject`."""
        await self.stop_by_others()
        await self.start_by_others()

    async def crash(self) -> None:
        """See `GuestSubject`."""
        self.host.end(str(ID), ExitInfo(signal=9))

    async def pause_by_others(self) -> None:
        """See `PausingSubject`."""
        self.host.pause(str(ID))

    async def resume_by_others(self) -> None:
        """See `PausingSubject`."""
        self.host.resume(str(ID))

    async def lose_host(self) -> None:
        """See `HostSubject`."""
        self.host.lose()

    async def restore_host(self) -> None:
        """See `HostSubject`."""
        self.host.down = False
