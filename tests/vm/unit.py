"""Torpor as a service of systemd, by the very unit that docs/running.md shows."""

from __future__ import annotations

import functools
import http.client
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from e2e.harness import NeverHappened, Process, UnixConnection
from vm.cgroups import Cgroup

T = TypeVar("T")

RUNNING = Path(__file__).parents[2] / "docs" / "running.md"
UNITS = Path("/etc/systemd/system")
NAME = "torpor.service"
CONFIG = Path("/etc/torpor/torpor.yaml")
STATE = Path("/var/lib/torpor")
SOCKET = Path("/run/torpor/torpor.sock")
PORT = 8080
PATIENCE = 240.0
"""Seconds within which a fact has to come true in a guest whose instructions are translated."""
GLANCE = 0.3
"""Seconds between two looks: whoever looks all the time leaves nothing of such a processor to the others."""


class Unit:
    """The service.  `write` its configuration, then `systemctl` what it shall do."""

    def __init__(self) -> None:
        self._seen: list[Process] = []

    def write(self, apps: str, **service: str) -> None:
        """Install the unit with this configuration; `service`: settings that override the unit's."""
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(f"gateway: {{listen: 127.0.0.1:{PORT}}}\napps:\n{apps}")
        (UNITS / NAME).write_text(documented_unit())
        if service:
            override = UNITS / f"{NAME}.d" / "override.conf"
            override.parent.mkdir(exist_ok=True)
            override.write_text("[Service]\n" + "".join(f"{key}={value}\n" for key, value in service.items()))
        self.systemctl("daemon-reload")

    def start(self, apps: str, **service: str) -> None:
        """Install it and start it: returns when systemd holds it for started."""
        self.write(apps, **service)
        self.systemctl("start", NAME)

    def systemctl(self, *arguments: str) -> None:
        """Run `systemctl`.  Raises `NeverHappened` with what the journal says if it fails."""
        done = subprocess.run(("systemctl", *arguments), capture_output=True, text=True, check=False)
        if done.returncode:
            raise NeverHappened(f"systemctl {' '.join(arguments)}: {done.stderr}\n{self.journal()}")

    def show(self, name: str) -> str:
        """A property of the unit."""
        command = ("systemctl", "show", "--value", "--property", name, NAME)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def journal(self) -> str:
        """What the daemon and systemd said of it, the last lines."""
        command = ("journalctl", "--no-pager", "--output=cat", "--lines=60", "--unit", NAME)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    @property
    def daemon(self) -> Process:
        """The daemon that runs now.  Raises `NeverHappened` if none does."""
        pid = int(self.show("MainPID"))
        if not pid:
            raise NeverHappened(f"no daemon runs:\n{self.journal()}")
        return Process.of(pid)

    @property
    def cgroup(self) -> Cgroup:
        """The unit's own."""
        return Cgroup(Path(f"/sys/fs/cgroup{self.show('ControlGroup')}"))

    def crash(self) -> None:
        """Kill the daemon, and wait until systemd has started another one."""
        before = self.daemon
        before.kill()
        self.wait_for("another daemon is up", lambda: self._has_followed(before))

    def _has_followed(self, before: Process) -> bool:
        pid = int(self.show("MainPID"))
        return pid not in {0, before.pid} and self.show("ActiveState") == "active"

    def wait_for(self, what: str, look: Callable[[], T | None]) -> T:
        """The first truthy answer of `look`.  Raises `NeverHappened` with what the journal says."""
        deadline = time.monotonic() + PATIENCE
        while not (found := look()):
            if time.monotonic() > deadline:
                raise NeverHappened(f"within {PATIENCE:g} s: {what}\n{self.journal()}")
            time.sleep(GLANCE)
        return found

    def apps(self) -> dict[str, dict[str, Any]]:
        """Facts of all apps by name; none while the daemon does not answer."""
        connection = UnixConnection(SOCKET, PATIENCE)
        try:
            connection.request("GET", "/api/v1/apps")
            return {app["name"]: app for app in json.loads(connection.getresponse().read())}
        except OSError:
            return {}
        finally:
            connection.close()

    def wait_for_state(self, app: str, *states: str) -> Process:
        """Wait until the app is in one of these states; its main process."""

        def look() -> dict[str, Any] | None:
            facts = self.apps().get(app)
            return facts if facts is not None and facts["state"] in states else None

        try:
            facts = self.wait_for(f"{app} is {' or '.join(states)}", look)
        except NeverHappened as late:
            raise NeverHappened(f"{late}\n{self.apps()}") from None
        process = Process.of(facts["pid"])
        self._seen.append(process)
        return process

    def ask(self, host: str) -> tuple[int, str]:
        """Status and body of the gateway's answer for this host."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)
        try:
            connection.request("GET", "/", headers={"Host": host})
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        finally:
            connection.close()

    def remove(self) -> None:
        """Stop it, end what it may have left, and take everything away."""
        subprocess.run(("systemctl", "stop", NAME), capture_output=True, check=False)
        subprocess.run(("systemctl", "reset-failed", NAME), capture_output=True, check=False)
        for process in self._seen:
            process.kill()
        shutil.rmtree(UNITS / f"{NAME}.d", ignore_errors=True)
        (UNITS / NAME).unlink(missing_ok=True)
        for folder in (CONFIG.parent, STATE, SOCKET.parent):
            shutil.rmtree(folder, ignore_errors=True)
        self.systemctl("daemon-reload")


def documented_unit() -> str:
    """The unit file of docs/running.md, as it stands there."""
    blocks: list[str] = re.findall(
        r"^```ini\n(.*?)^```", RUNNING.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    (unit,) = (block for block in blocks if "[Unit]" in block)
    return unit


@functools.cache
def systemd_version() -> int:
    """The number of the systemd that runs here."""
    try:
        out = subprocess.run(("systemctl", "--version"), capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        return 0
    return int(out.split()[1])
