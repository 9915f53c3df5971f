"""A world of programs that commands start and end, by the file with their pid."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from pathlib import Path

from contract.provider_contract import ID, Behaviour
from providers.guests.world import GuestWorld
from torpor.config.guests import CommandsSpec
from torpor.config.settings import Hook
from torpor.core.model import InstanceId
from torpor.providers.guests.commands import CommandDriver
from torpor.providers.guests.driver import Driver
from torpor.providers.process.nursery import Run
from torpor.providers.process.procfs import read_process

PROGRAMS = {
    Behaviour.STEADY: "echo up; exec sleep 1000",
    Behaviour.STUBBORN: "trap '' TERM; echo up; while :; do sleep 1; done",
    Behaviour.FAILING: "echo broken; sleep 1; exit 3",
    Behaviour.NOTIFYING: "sleep 0.05; : >ready; exec sleep 1000",
}
"""Shell scripts that behave so.  What ends before anybody has seen it alive was never started."""
CONTROL = Path(__file__).with_name("control.py")


class CommandWorld(GuestWorld):
    """See `GuestWorld`.  Nobody tells a command who asked for an end."""

    tells_hands = False

    def __init__(self, folder: Path, run: Run) -> None:
        self._run_command = run
        super().__init__(folder)

    def driver(self) -> Driver:
        """See `GuestWorld`."""
        return CommandDriver(self._run_command, {"PATH": os.environ["PATH"]})

    def guest(self, behaviour: Behaviour, id: InstanceId) -> CommandsSpec:
        """See `GuestWorld`."""
        place = self._place(id)
        place.mkdir(exist_ok=True)
        for name in ("out", "ready"):
            (place / name).unlink(missing_ok=True)
        program = PROGRAMS.get(behaviour)
        (place / "program").write_text("exit 1" if program is None else program)

        def verb(name: str) -> Hook:
            return Hook((sys.executable, "-I", "-S", str(CONTROL), name))

        missing = Hook(("torpor-has-no-such-program",))
        ready = Hook(("test", "-e", "ready")) if behaviour is Behaviour.NOTIFYING else None
        return CommandsSpec(
            name=str(id),
            host="commands",
            port=self.port,
            start=missing if behaviour is Behaviour.MISSING else verb("start"),
            stop=verb("stop"),
            status=verb("status"),
            kill=verb("kill"),
            pause=verb("pause"),
            resume=verb("resume"),
            ready=ready,
            interval=0.1,
            working_dir=place,
        )

    async def up(self) -> None:
        """See `GuestWorld`."""
        out = self._place(ID) / "out"
        while not (out.exists() and out.read_text() == "up\n"):
            await asyncio.sleep(0.01)

    def alive(self) -> int:
        """See `GuestWorld`."""
        return int(self._pid() is not None)

    async def start_by_others(self) -> None:
        """See `GuestSubject`."""
        await self._by_others("start")

    async def stop_by_others(self) -> None:
        """See `GuestSubject`."""
        await self._by_others("resume")
        await self._by_others("stop")
        while self.alive():
            await asyncio.sleep(0.01)

    async def restart_by_others(self) -> None:
        """See `GuestSubject`."""
        await self.stop_by_others()
        await self.start_by_others()

    async def crash(self) -> None:
        """See `GuestSubject`."""
        await self._by_others("kill")
        while self.alive():
            await asyncio.sleep(0.01)

    async def pause_by_others(self) -> None:
        """See `PausingSubject`."""
        await self._by_others("pause")

    async def resume_by_others(self) -> None:
        """See `PausingSubject`."""
        await self._by_others("resume")

    def end(self) -> None:
        """Leave nothing."""
        for place in self.folder.glob("guest-*"):
            if (pid := self._pid(place)) is not None:
                os.kill(pid, signal.SIGKILL)

    async def _by_others(self, verb: str) -> None:
        command = shlex.join((sys.executable, "-I", "-S", str(CONTROL), verb))
        process = await asyncio.create_subprocess_shell(command, cwd=self._place(ID))
        await process.wait()

    def _place(self, id: InstanceId) -> Path:
        return self.folder / f"guest-{id.app}-{id.replica}"

    def _pid(self, place: Path | None = None) -> int | None:
        try:
            pid = int(((place or self._place(ID)) / "pid").read_text())
        except (OSError, ValueError):
            return None
        process = read_process(pid)
        return pid if process is not None and process.alive else None
