"""A systemd of its own for a test: a real `systemd --user`, with its bus and its cgroups, whatever PID 1 is.

It runs in a mount namespace where /run is empty but for the sign that systemd looks for, and where
cgroup v2 alone is mounted, from a cgroup of its own on.  Its processes are ordinary ones of this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

from torpor.providers.process.cgroup import pids_below, remove_cgroup

PROGRAM = Path("/usr/lib/systemd/systemd")
_PATIENCE = 30.0
_OUTER = """
echo $$ > "$1/cgroup.procs"
exec unshare --mount --cgroup --propagation private /bin/sh -c "$2" sh "$3"
"""
_INNER = """
mount -t tmpfs none /run && mkdir -p /run/systemd/system || exit 1
umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && mkdir /sys/fs/cgroup/init.scope || exit 1
exec "$1" --user --unit=default.target
"""
_BUS = "dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation"
_UNITS = {
    "default.target": "[Unit]\nDefaultDependencies=no\nWants=dbus.service",
    "dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=%t/bus",
    "dbus.service": "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n"
    f"[Service]\nType=notify\nNotifyAccess=main\nExecStart={_BUS}",
}


def why_not() -> str | None:
    """Why there can be none here; None: there can."""
    if os.getuid():
        return "only root may make namespaces and cgroups for a systemd of the test's own"
    for program in ("unshare", "dbus-daemon", "systemctl"):
        if shutil.which(program) is None:
            return f"there is no {program} here"
    if not PROGRAM.exists():
        return "there is no systemd here"
    return None if _unified() is not None else "no cgroup v2 is mounted here"


class UserManager:
    """One.  `open` before, `close` after; all its units are ended then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.units = folder / "units"
        self.address = f"unix:path={folder}/runtime/bus"
        unified = _unified()
        assert unified is not None
        self.cgroup = unified / f"torpor-test-{secrets.token_hex(4)}"
        self._systemd: subprocess.Popen[bytes] | None = None

    async def open(self) -> None:
        """Start it, and wait until it is on its bus."""
        self.units.mkdir()
        for name, text in _UNITS.items():
            (self.units / name).write_text(text)
        (self.folder / "runtime").mkdir(mode=0o700)
        self.cgroup.mkdir()
        with (self.folder / "systemd.log").open("wb") as log:
            self._systemd = subprocess.Popen(  # noqa: ASYNC220  # executing takes no time here
                ("/bin/sh", "-c", _OUTER, "sh", self.cgroup, _INNER, PROGRAM),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        await self.wait_until_on_bus()

    async def wait_until_on_bus(self) -> None:
        """Return once it can be asked."""
        deadline = time.monotonic() + _PATIENCE
        while "boolean true" not in await self._on_bus("NameHasOwner", "string:org.freedesktop.systemd1"):
            assert time.monotonic() < deadline, (self.folder / "systemd.log").read_text()
            await asyncio.sleep(0.02)

    def end_bus(self) -> None:
        """End its bus by force, before the loop hears of it."""
        for pid in self.processes("dbus.service"):
            number = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(number, signal.SIGKILL)
                select.select([number], [], [], _PATIENCE)
            finally:
                os.close(number)

    def close(self) -> None:
        """End it with all that it has started, and leave nothing."""
        with contextlib.suppress(OSError):
            (self.cgroup / "cgroup.kill").write_text("1")
        if self._systemd is not None:
            self._systemd.send_signal(signal.SIGKILL)
            self._systemd.wait()
        deadline = time.monotonic() + _PATIENCE
        while self.cgroup.exists() and time.monotonic() < deadline:
            remove_cgroup(self.cgroup)

    @property
    def environment(self) -> dict[str, str]:
        """For whoever speaks to it."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder / "runtime"),
            "DBUS_SESSION_BUS_ADDRESS": self.address,
            "SYSTEMD_UNIT_PATH": str(self.units),
            "SYSTEMD_LOG_TARGET": "console",
        }

    async def systemctl(self, *arguments: str) -> str:
        """Run `systemctl --user`; what it prints."""
        return await self._run("systemctl", "--user", *arguments)

    async def _on_bus(self, method: str, *arguments: str) -> str:
        where = (
            f"--bus={self.address}",
            "--dest=org.freedesktop.DBus",
            "--print-reply",
            "/org/freedesktop/DBus",
        )
        return await self._run("dbus-send", *where, f"org.freedesktop.DBus.{method}", *arguments)

    async def _run(self, *argv: str) -> str:
        return await asyncio.to_thread(self._run_nowait, *argv)

    def _run_nowait(self, *argv: str) -> str:
        return subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, check=False
        ).stdout.strip()

    async def write(self, name: str, service: str, unit: str = "") -> None:
        """Write a unit, and have it read."""
        await asyncio.to_thread(self.write_nowait, name, service, unit)

    def write_nowait(self, name: str, service: str, unit: str = "") -> None:
        """The same, while the loop waits."""
        (self.units / name).write_text(f"[Unit]\nDefaultDependencies=no\n{unit}\n[Service]\n{service}\n")
        self._run_nowait("systemctl", "--user", "daemon-reload")

    def processes(self, name: str) -> list[int]:
        """The pids of a unit's processes, by its cgroup."""
        folders = (Path(folder) for folder, _, _ in os.walk(self.cgroup))
        return [pid for folder in folders if folder.name == name for pid in pids_below(folder)]


def _unified() -> Path | None:
    """Where cgroup v2 is mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    return None
