"""Whole command lines, and a daemon with invented apps in a process of its own for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])


def environment(socket: Path, **more: str) -> dict[str, str]:
    """What a command line sees: the socket, and nothing of the developer's own settings."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(socket.parent),
        "PYTHONPATH": PYTHONPATH,
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TORPOR_SOCKET": str(socket),
        "TORPOR_HOME": str(socket.parent / "home"),
        **more,
    }


class Daemon:
    """`control/daemon.py` from `with` to its end."""

    def __init__(self, directory: Path, apps: int | str = 6) -> None:
        """`apps`: how many, or `family` for some that need each other."""
        self.socket = directory / "torpor.sock"
        self._apps = apps

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/control/daemon.py"), str(self.socket), str(self._apps)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(self.socket),
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)

    def write(self, app: str, line: str) -> None:
        """An app writes a line."""
        self._order("write", app, line)

    def stay(self) -> None:
        """Ignore shutdowns from now on; the fixture ends it all the same."""
        self._order("stay")
        self.wait_for_waiting()

    def wait_for_waiting(self) -> None:
        """Return when a client waits for what never comes true."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"waiting\n"

    def _order(self, *order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()


def torpor(socket: Path, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one command line as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "torpor", *args],
        env=environment(socket, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
