"""A `torpor up` of its own for a benchmark: its home, its socket, its CPU and memory."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
LIMIT = 60.0
"""Seconds within which a daemon must be ready, or gone."""


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Daemon:
    """A daemon that is ready, seen from outside."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    @property
    def rss(self) -> int:
        """Resident bytes."""
        return int(self._proc("statm").split()[1]) * PAGE

    @property
    def cpu(self) -> float:
        """CPU seconds used so far, to the nanosecond where the kernel tells it."""
        return int(self._proc("schedstat").split()[0]) / 1e9

    def run(self, *arguments: str) -> str:
        """What `torpor …` prints."""
        return subprocess.run(
            [sys.executable, "-m", "torpor", *arguments],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def status(self) -> Any:
        """`torpor status --json`."""
        return json.loads(self.run("status", "--json"))

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()


@contextmanager
def running(config: str, prepare: Callable[[Path], None] | None = None) -> Iterator[Daemon]:
    """A daemon on this configuration, stopped by its own handle in the end.

    `prepare` is given its home before it starts.
    """
    with tempfile.TemporaryDirectory(prefix="torpor-bench-") as home:
        path = Path(home, "torpor.yaml")
        path.write_text(config)
        if prepare is not None:
            prepare(Path(home))
        environment = {
            name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
        } | {"TORPOR_HOME": home, "TORPOR_SOCKET": f"{home}/s"}
        with open(f"{home}/out", "wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "torpor", "up", "-c", str(path)],
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_until_ready(process, home)
            yield Daemon(process, environment)
        finally:
            process.terminate()
            try:
                process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], home: str) -> None:
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the daemon ended: {Path(home, 'out').read_text()}")
        with socket.socket(socket.AF_UNIX) as control:
            try:
                control.connect(f"{home}/s")
                control.sendall(b"GET /api/v1/readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if control.recv(64).startswith(b"HTTP/1.1 200"):
                    return
            except OSError:
                pass
        time.sleep(0.02)
    raise RuntimeError("the daemon was not ready in time")


def about_this_run() -> str:
    """Date, machine and versions, for the head of a table."""
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} × {model}, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )
