"""A real `torpor up` for the end-to-end tests: its own home, socket and port.

Laws:

1. The harness knows Torpor only from outside: its command line, its control socket, its gateway.
2. It waits for facts, each within a limit; nothing sleeps for a time and hopes.
3. It ends only what it started: the daemon by its handle, an orphaned app by the pid that the
   daemon reported and only while that pid still has the start time it had then.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar

from ports import free_port

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds within which any fact of these tests has to come true on a slow, busy machine."""
GLANCE = 0.02
"""Seconds between two looks at something that cannot notify us."""


class NeverHappened(AssertionError):
    """A fact that a test waited for did not come true in time."""


def wait_for(what: str, look: Callable[[], T | None], patience: float = PATIENCE) -> T:
    """The first truthy answer of `look`.  Raises `NeverHappened`, naming `what`."""
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise NeverHappened(f"within {patience:g} s: {what}")
        time.sleep(GLANCE)


@dataclass(frozen=True)
class Process:
    """A process and the moment it began: together they never name another one."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this pid now."""
        return cls(pid, _start_time(pid))

    @property
    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        try:
            return _start_time(self.pid) == self.started
        except (FileNotFoundError, ProcessLookupError):
            return False

    def kill(self) -> None:
        """End it and the group it leads, if it is still the process we mean."""
        if self.alive and os.getpgid(self.pid) == self.pid:
            os.killpg(self.pid, signal.SIGKILL)
        elif self.alive:
            os.kill(self.pid, signal.SIGKILL)


def _start_time(pid: int) -> int:
    """Clock ticks from boot to its start.  Raises `FileNotFoundError` when it is gone."""
    fields = (
        Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    )
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return int(fields[19])


@dataclass(frozen=True)
class Ran:
    """What a finished command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output as one JSON document."""
        return json.loads(self.out)


class UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("torpor", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of to a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Daemon:
    """One `torpor up` in a home of its own.  `start` runs it, `stop` ends it; both may be repeated."""

    def __init__(self, home: Path, config: str) -> None:
        self.home = home
        self.port = free_port()
        self.config = home / "torpor.yaml"
        self.socket = home / "s"
        self.output: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        home.mkdir(parents=True, exist_ok=True)
        self.write_config(config)

    def write_config(self, config: str) -> None:
        """Put a configuration in place; `GATEWAY` in it becomes the gateway's address."""
        self.config.write_text(config.replace("GATEWAY", f"127.0.0.1:{self.port}"), encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """What the daemon and the command line run with."""
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("TORPOR", "XDG_"))
        }
        return inherited | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TORPOR_HOME": str(self.home / "state"),
            "TORPOR_SOCKET": str(self.socket),
            "NO_COLOR": "1",
        }

    @property
    def pid(self) -> int:
        """The daemon's own pid."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Run it in the foreground and wait until its control socket answers."""
        self._process = subprocess.Popen(
            [*_torpor(), "up", "-c", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            cwd=self.home,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,))
        self._reader.start()
        wait_for("the daemon answers", self._answers)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.output.append(line.rstrip("\n"))

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise NeverHappened(
                f"the daemon ended with {self._process.returncode}:\n" + "\n".join(self.output)
            )
        try:
            self.apps()
        except (OSError, NeverHappened):
            return False
        return True

    def stop(self) -> int:
        """Ask it to end as Ctrl-C does; its exit code.  Force after the limit is a failure."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does: nothing of it gets a last word."""
        assert self._process is not None
        self._process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for its end; its exit code."""
        assert self._process is not None
        assert self._reader is not None
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise NeverHappened("the daemon ended by itself:\n" + "\n".join(self.output)) from None
        self._reader.join()
        return code

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def cli(self, *arguments: str, patience: float = PATIENCE) -> Ran:
        """Run one command of `torpor` against this daemon."""
        done = subprocess.run(
            [*_torpor(), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.home,
            timeout=patience,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def apps(self) -> dict[str, dict[str, Any]]:
        """Facts of all apps by name, as the control socket tells them."""
        connection = UnixConnection(self.socket, PATIENCE)
        try:
            connection.request("GET", "/api/v1/apps")
            reply = connection.getresponse()
            body = reply.read()
        finally:
            connection.close()
        if reply.status != 200:
            raise NeverHappened(f"GET /apps answers 200, not {reply.status}: {body!r}")
        return {app["name"]: app for app in json.loads(body)}

    def wait_for_state(self, app: str, *states: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait until the app is in one of the states; its facts then."""

        def look() -> dict[str, Any] | None:
            facts = self.apps()[app]
            return facts if facts["state"] in states else None

        try:
            return wait_for(f"{app} is {' or '.join(states)}", look, patience)
        except NeverHappened as late:
            raise NeverHappened(f"{late}; it is {self.apps()[app]}\n" + "\n".join(self.output)) from None

    def wait_for_output(self, pattern: str, patience: float = PATIENCE) -> re.Match[str]:
        """Wait until a line that the daemon printed matches."""
        return wait_for(
            f"the daemon prints {pattern!r}",
            lambda: next((found for line in self.output if (found := re.search(pattern, line))), None),
            patience,
        )


Launch = Callable[[str], Daemon]
"""Starts a daemon from the text of a configuration: the fixture `launch`."""


def _torpor() -> Sequence[str]:
    """The command under test.  While coverage is measured here, the daemon is measured too."""
    if os.environ.get("COVERAGE_RUN"):
        return (sys.executable, "-m", "coverage", "run", "-m", "torpor")
    return (sys.executable, "-m", "torpor")
