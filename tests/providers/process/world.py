"""Real programs for the process provider's tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from contract.provider_contract import ID, Behaviour, Facts, wait_for_line
from torpor.config.settings import Hook, Hooks, LogSpec, ProcessSpec
from torpor.core.model import AppSpec, InstanceId, Lifecycle, NotifyProbe, Readiness
from torpor.providers.base import Launch
from torpor.providers.outputs import Outputs
from torpor.providers.process.cgroup import remove_cgroup
from torpor.providers.process.procfs import Process, read_process, send_signal
from torpor.providers.process.provider import ProcessProvider, TreeKind
from torpor.providers.process.spawn import base_environment

PORT = 18000
DEFAULT_LOG = LogSpec()
NO_PROBES = Readiness(())

_DYING = 5.0
"""Seconds that what was killed gets to be gone."""
_STUBBORN = "trap '' TERM; echo up; while :; do sleep 1000 & wait $!; done"
_HEARING = (
    f"trap 'echo got signal {signal.SIGUSR1:d}' USR1; trap 'echo reloaded' HUP; "
    "sleep 1000 & echo up; while :; do wait; done"
)
# A fork for each number: it is to be frozen in the middle of that, too.
_COUNTING = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.005; done"
_READY = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.sendto(b"STATUS=fine\\nREADY=1\\nX_UNKNOWN=1", os.environ["NOTIFY_SOCKET"])
time.sleep(1000)
"""
PROGRAMS = {
    Behaviour.STEADY: ("/bin/sh", "-c", "echo up; exec sleep 1000"),
    Behaviour.STUBBORN: ("/bin/sh", "-c", _STUBBORN),
    Behaviour.FAILING: ("/bin/sh", "-c", "echo broken; exit 3"),
    Behaviour.MISSING: ("torpor-has-no-such-program",),
    Behaviour.LEAVING: ("/bin/sh", "-c", "sleep 1000 &"),
    Behaviour.LEAVING_STUBBORN: ("/bin/sh", "-c", "trap '' TERM; sleep 1000 &"),
    Behaviour.NOTIFYING: (sys.executable, "-c", _READY),
    Behaviour.HEARING: ("/bin/sh", "-c", _HEARING),
    Behaviour.COUNTING: ("/bin/sh", "-c", _COUNTING),
}


class World:
    """A process provider and the state directory it lives on."""

    def __init__(self, folder: Path, trees: TreeKind) -> None:
        self.folder = folder
        self.trees = trees
        self.facts = Facts()
        self.outputs = Outputs(folder / "state")
        self.provider = new_provider(folder, self.facts, self.outputs, trees)

    def launch(self, behaviour: Behaviour, generation: int = 1, id: InstanceId = ID) -> Launch:
        """A launch of a program that behaves so."""
        probes = (NotifyProbe(),) if behaviour is Behaviour.NOTIFYING else ()
        reload_signal = signal.SIGHUP if behaviour is Behaviour.HEARING else None
        launch = self.run(
            PROGRAMS[behaviour], generation, readiness=Readiness(probes), reload_signal=reload_signal
        )
        return replace(launch, id=id)

    async def up(self) -> None:
        """Wait for its line."""
        await wait_for_line(self, "up")

    def run(
        self,
        command: tuple[str, ...],
        generation: int = 1,
        *,
        shell: bool = False,
        log: LogSpec = DEFAULT_LOG,
        readiness: Readiness = NO_PROBES,
        lifecycle: Lifecycle = Lifecycle(),  # noqa: B008 - frozen
        environment: dict[str, str] | None = None,
        stop_signal: int = signal.SIGTERM,
        reload_signal: int | None = None,
        reload_command: Hook | None = None,
        resume_signal: int | None = None,
        hooks: Hooks = Hooks(),  # noqa: B008 - frozen
    ) -> Launch:
        """A launch of any command."""
        workload = ProcessSpec(
            command,
            self.folder,
            shell=shell,
            environment=environment or {},
            stop_signal=stop_signal,
            reload_signal=reload_signal,
            reload_command=reload_command,
            resume_signal=resume_signal,
            hooks=hooks,
            log=log,
        )
        return Launch(
            ID, generation, AppSpec(ID.app, lifecycle, readiness=readiness, workload=workload), PORT
        )

    def alive(self) -> int:
        """How many processes descend from anything that was started here."""
        return len(self.processes())

    def processes(self) -> list[Process]:
        """All live processes that work in this world's folder, whoever their parent is."""
        return [process for pid in _pids() if (process := self._look(pid)) is not None]

    def _look(self, pid: int) -> Process | None:
        # The folder is another way to know them than the one under test.
        try:
            if os.readlink(f"/proc/{pid}/cwd") != str(self.folder):
                return None
        except OSError:
            return None
        process = read_process(pid)
        return process if process is not None and process.alive else None

    async def succeed(self) -> None:
        """Open the next daemon's provider on the same state directory."""
        await self.close()
        self.facts = Facts()
        self.outputs = Outputs(self.folder / "state")
        self.provider = new_provider(self.folder, self.facts, self.outputs, self.trees)
        await self.provider.open()

    async def close(self) -> None:
        """End the daemon's part of it."""
        await self.provider.close()
        self.outputs.close()

    def clean_up(self) -> None:
        """End what a test left, and reap what nobody else does."""
        self.provider._trees.thaw_all_but(())  # cgroup v1 holds even what was killed
        for process in self.processes():
            # Waited for only if it was killed: a test that has failed must not hang as well.
            if send_signal(process, signal.SIGKILL):
                with contextlib.suppress(ChildProcessError):
                    os.waitid(os.P_PID, process.pid, os.WEXITED)
        # Whose parent is somebody else is still about to die.
        deadline = time.monotonic() + _DYING
        for root in (self.provider._trees.root, self.provider._trees.legacy):
            while root is not None and root.exists() and time.monotonic() < deadline:
                remove_cgroup(root)
                time.sleep(0.001)


@asynccontextmanager
async def world(trees: TreeKind) -> AsyncIterator[World]:
    """A world in a fresh folder, cleaned up at the end."""
    folder = Path(tempfile.mkdtemp(prefix="torpor-test-"))
    here = World(folder, trees)
    await here.provider.open()
    try:
        yield here
    finally:
        await here.close()
        here.clean_up()
        shutil.rmtree(folder)


def new_provider(folder: Path, facts: Facts, outputs: Outputs, trees: TreeKind) -> ProcessProvider:
    """A provider, still to be opened, whose state lies in `folder`."""
    return ProcessProvider(folder / "state", facts, base_environment(os.environ), outputs, trees=trees)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]
