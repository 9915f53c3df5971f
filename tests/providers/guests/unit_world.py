"""A world of systemd units, with a systemd of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from contract.provider_contract import ID, Behaviour
from providers.guests.user_manager import UserManager
from providers.guests.world import GuestWorld
from torpor.config.guests import UnitSpec
from torpor.core.model import InstanceId
from torpor.providers.guests.driver import Driver
from torpor.providers.guests.systemd import SystemdDriver
from torpor.providers.process.nursery import Run

_STUBBORN = "trap '' TERM; echo up; while :; do sleep 1000 & wait $$!; done"
_HEARING = "trap 'echo got signal 10' USR1; sleep 1000 & echo up; while :; do wait; done"
SERVICES = {
    Behaviour.STEADY: """ExecStart=/bin/sh -c "echo up; exec sleep 1000" """,
    Behaviour.STUBBORN: f"""ExecStart=/bin/sh -c "{_STUBBORN}"\nTimeoutStopSec=infinity""",
    Behaviour.FAILING: """ExecStart=/bin/sh -c "echo broken; exit 3" """,
    Behaviour.NOTIFYING: """Type=notify\nNotifyAccess=all
ExecStart=/bin/sh -c "systemd-notify --ready; exec sleep 1000" """,
    Behaviour.HEARING: f"""ExecStart=/bin/sh -c "{_HEARING}" """,
    Behaviour.COUNTING: """ExecStart=/bin/sh -c "i=0; while :; do i=$$((i+1)); echo $$i; sleep 0.005; done" """,
}
"""Services that behave so.  A shell's dollar is written twice."""


class Manager(Protocol):
    """A systemd."""

    units: Path

    def write_nowait(self, name: str, service: str) -> None:
        """Write a service, and have it read."""
        ...

    async def systemctl(self, *arguments: str) -> str:
        """What `systemctl` prints."""
        ...

    def processes(self, name: str) -> list[int]:
        """The pids of a unit's processes."""
        ...


class SystemdWorld(GuestWorld):
    """See `GuestWorld`."""

    def __init__(self, folder: Path, manager: Manager) -> None:
        self.manager = manager
        super().__init__(folder)

    def guest(self, behaviour: Behaviour, id: InstanceId) -> UnitSpec:
        """See `GuestWorld`."""
        name = unit_of(id)
        (self.manager.units / name).unlink(missing_ok=True)
        if behaviour is not Behaviour.MISSING:
            self.manager.write_nowait(name, self.service(behaviour, id))
        return UnitSpec(name=name, host="systemd", port=self.port)

    def service(self, behaviour: Behaviour, id: InstanceId) -> str:
        """The settings of a service that behaves so."""
        return SERVICES[behaviour]

    def alive(self) -> int:
        """See `GuestWorld`."""
        return len(self.manager.processes(unit_of(ID)))

    async def start_by_others(self) -> None:
        """See `GuestSubject`."""
        await self.manager.systemctl("start", unit_of(ID))

    async def stop_by_others(self) -> None:
        """See `GuestSubject`.  What is frozen does not stop (since systemd 256)."""
        await self.manager.systemctl("thaw", unit_of(ID))
        await self.manager.systemctl("stop", unit_of(ID))

    async def restart_by_others(self) -> None:
        """See `GuestSubject`."""
        await self.manager.systemctl("restart", unit_of(ID))

    async def crash(self) -> None:
        """See `GuestSubject`."""
        await self.manager.systemctl("kill", "--signal=KILL", unit_of(ID))
        while self.alive():
            await asyncio.sleep(0.01)

    async def pause_by_others(self) -> None:
        """See `PausingSubject`."""
        await self.manager.systemctl("freeze", unit_of(ID))

    async def resume_by_others(self) -> None:
        """See `PausingSubject`."""
        await self.manager.systemctl("thaw", unit_of(ID))


class UnitWorld(SystemdWorld):
    """One with a systemd of its own.  There is no journal in it: what units write goes into files."""

    def __init__(self, folder: Path, manager: UserManager, run: Run) -> None:
        self._host = manager
        self._command = run
        super().__init__(folder, manager)

    def driver(self) -> Driver:
        """See `GuestWorld`."""
        return SystemdDriver("user", self._command, {}, address=self._host.address)

    def service(self, behaviour: Behaviour, id: InstanceId) -> str:
        """See `SystemdWorld`."""
        self._output(id).unlink(missing_ok=True)
        return f"{SERVICES[behaviour]}\nStandardOutput=append:{self._output(id)}"

    async def up(self) -> None:
        """See `GuestWorld`."""
        while not (self._output(ID).exists() and self._output(ID).read_text() == "up\n"):
            await asyncio.sleep(0.01)

    async def lose_host(self) -> None:
        """See `HostSubject`."""
        await self.manager.systemctl("stop", "dbus.socket", "dbus.service")

    async def restore_host(self) -> None:
        """See `HostSubject`."""
        await self.manager.systemctl("start", "dbus.service")
        await self._host.wait_until_on_bus()

    def _output(self, id: InstanceId) -> Path:
        return self.folder / f"{unit_of(id)}.out"


def unit_of(id: InstanceId) -> str:
    """The name of an instance's unit."""
    return f"{id.app}-{id.replica}.service"
