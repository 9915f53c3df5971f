"""A world of systemd units, with a systemd of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from contract.provider_contract import ID, Behaviour
from providers.guests.user_manager import UserManager
from providers.guests.world import GuestWorld
from torpor.config.guests import UnitSpec
from torpor.core.model import InstanceId
from torpor.providers.guests.driver import Driver
from torpor.providers.guests.systemd import SystemdDriver
from torpor.providers.process.nursery import Run

_STUBBORN = "trap '' TERM; echo up; while :; do sleep 1000 & wait $$!; done"
_HEARING = "trap 'echo got signal 10' USR1; echo up; while :; do sleep 1000 & wait $$!; done"
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


class UnitWorld(GuestWorld):
    """See `GuestWorld`.  There is no journal in it: what units write goes into files."""

    def __init__(self, folder: Path, manager: UserManager, run: Run) -> None:
        self.manager = manager
        self._command = run
        super().__init__(folder)

    def driver(self) -> Driver:
        """See `GuestWorld`."""
        return SystemdDriver("user", self._command, {}, address=self.manager.address)

    def guest(self, behaviour: Behaviour, id: InstanceId) -> UnitSpec:
        """See `GuestWorld`."""
        name = _unit(id)
        self._output(id).unlink(missing_ok=True)
        (self.manager.units / name).unlink(missing_ok=True)
        if behaviour is not Behaviour.MISSING:
            service = f"{SERVICES[behaviour]}\nStandardOutput=append:{self._output(id)}"
            self.manager.write_nowait(name, service)
        return UnitSpec(name=name, host="user", port=self.port)

    async def up(self) -> None:
        """See `GuestWorld`."""
        while not (self._output(ID).exists() and self._output(ID).read_text() == "up\n"):
            await asyncio.sleep(0.01)

    def alive(self) -> int:
        """See `GuestWorld`."""
        return len(self.manager.processes(_unit(ID)))

    async def start_by_others(self) -> None:
        """See `GuestSubject`."""
        await self.manager.systemctl("start", _unit(ID))

    async def stop_by_others(self) -> None:
        """See `GuestSubject`."""
        await self.manager.systemctl("stop", _unit(ID))

    async def restart_by_others(self) -> None:
        """See `GuestSubject`."""
        await self.manager.systemctl("restart", _unit(ID))

    async def crash(self) -> None:
        """See `GuestSubject`."""
        await self.manager.systemctl("kill", "--signal=KILL", _unit(ID))
        while self.alive():
            await asyncio.sleep(0.01)

    async def pause_by_others(self) -> None:
        """See `PausingSubject`."""
        await self.manager.systemctl("freeze", _unit(ID))

    async def resume_by_others(self) -> None:
        """See `PausingSubject`."""
        await self.manager.systemctl("thaw", _unit(ID))

    async def lose_host(self) -> None:
        """See `HostSubject`."""
        await self.manager.systemctl("stop", "dbus.socket", "dbus.service")

    async def restore_host(self) -> None:
        """See `HostSubject`."""
        await self.manager.systemctl("start", "dbus.service")
        await self.manager.wait_until_on_bus()

    def _output(self, id: InstanceId) -> Path:
        return self.folder / f"{_unit(id)}.out"


def _unit(id: InstanceId) -> str:
    return f"{id.app}-{id.replica}.service"
