"""Units of the system's own manager, with its journal, its freezer and its rights."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contract.freeze_contract import FreezeContract
from contract.guest_contract import GuestContract
from contract.hearing_contract import HearingContract
from contract.provider_contract import ID, Behaviour, ProviderContract, wait_for_line
from contract.stillness_contract import StillnessContract
from contract.telling_contract import TellingContract
from providers.guests.runner import running
from providers.guests.unit_world import SystemdWorld
from torpor.core.model import InstanceId
from torpor.providers.guests import life
from torpor.providers.guests.driver import Driver
from torpor.providers.guests.systemd import SystemdDriver
from torpor.providers.process.nursery import Run

UNITS = Path("/run/systemd/system")
CGROUPS = Path("/sys/fs/cgroup/system.slice")
AS_NOBODY = """
import asyncio, os
os.setgroups([]); os.setgid(65534); os.setuid(65534)
from torpor.config.guests import UnitSpec
from torpor.providers.guests.systemd import SystemdDriver

async def main():
    driver = SystemdDriver("system", None, {})
    guest = UnitSpec(name="dbus.service", host="system")
    print((await driver.status(guest)).state)
    try:
        await driver.stop(guest)
    except Exception as error:
        print(error, error.hint, sep="\\n")

asyncio.run(main())
"""


class System:
    """The manager that runs as PID 1."""

    units = UNITS

    def write_nowait(self, name: str, service: str) -> None:
        """Write a service, and have it read."""
        (UNITS / name).write_text(f"[Service]\n{service}\n")
        subprocess.run(("systemctl", "daemon-reload"), check=True)

    async def systemctl(self, *arguments: str) -> str:
        """Run `systemctl`; what it prints."""
        command = ("systemctl", *arguments)
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def processes(self, name: str) -> list[int]:
        """The pids of a service's processes, by its cgroup."""
        try:
            return [int(pid) for pid in (CGROUPS / name / "cgroup.procs").read_text().split()]
        except OSError:
            return []


class SystemWorld(SystemdWorld):
    """See `GuestWorld`."""

    def __init__(self, folder: Path, run: Run) -> None:
        self._command = run
        super().__init__(folder, System())

    def service(self, behaviour: Behaviour, id: InstanceId) -> str:
        """See `SystemdWorld`.  Whoever counts leaves the emulated processor to the others now and then."""
        return super().service(behaviour, id).replace("sleep 0.005", "sleep 0.05")

    def driver(self) -> Driver:
        """See `GuestWorld`."""
        return SystemdDriver("system", self._command, {"PATH": os.environ["PATH"]})


@pytest.fixture(params=[pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop")])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Only the loop that Torpor mostly runs on: a test takes up to a minute here, and `tests/providers` has both."""
    return request.param


@pytest.fixture
async def subject(
    tmp_path: Path, anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SystemWorld]:
    """A provider of services."""
    # To begin to read the journal takes longer than that, where every instruction is translated.
    monkeypatch.setattr(life, "_LAST_WORDS", 100.0)
    async with running() as run:
        world = SystemWorld(tmp_path, run)
        try:
            async with world.opened():
                yield world
        finally:
            for path in UNITS.glob("app-*.service"):
                await world.manager.systemctl("kill", "--signal=KILL", path.name)
                await world.manager.systemctl("stop", path.name)
                path.unlink()
            await world.manager.systemctl("daemon-reload")
            await world.manager.systemctl("reset-failed")


class TestUnits(ProviderContract, TellingContract, HearingContract):
    """Services as apps, and what they write into the journal."""


class TestFreezing(FreezeContract, StillnessContract):
    """Services that are frozen."""


class TestOthers(GuestContract):
    """Services that others start and stop."""


@pytest.mark.anyio
async def test_the_journal_is_read_to_its_end(subject: SystemWorld) -> None:
    """What a service wrote last is told, however soon it ended after it."""
    launch = subject.launch(Behaviour.FAILING)
    await subject.provider.start(launch)
    await subject.facts.exited()
    await wait_for_line(subject, "broken")
    assert ["broken"] == [line for line in subject.provider.output(ID).tail(10) if line == "broken"]


def test_who_may_not_is_told_what_it_takes() -> None:
    """Whoever is not root may look, and is told how to be allowed more."""
    done = subprocess.run((sys.executable, "-c", AS_NOBODY), capture_output=True, text=True, check=True)
    state, why, hint = done.stdout.splitlines()
    assert state == "running"
    assert "does not allow it" in why
    assert "polkit" in hint
