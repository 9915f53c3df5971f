"""The daemon as somebody else's service."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

from e2e.harness import PATIENCE, Daemon

CONFIG = """
gateway: {listen: GATEWAY}
apps:
  work:
    command: sleep 1000
    always_on: true
"""


def test_it_speaks_sd_notify_itself(home: Path) -> None:
    """It says that it is up, gives signs of life, and says that it is about to end; its apps hear nothing of it."""
    daemon = Daemon(home / "0", CONFIG)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(home / "n"))
        supervisor.settimeout(PATIENCE)
        environment = daemon.environment | {"NOTIFY_SOCKET": str(home / "n"), "WATCHDOG_USEC": "100000"}
        process = subprocess.Popen(
            [sys.executable, "-m", "torpor", "up", "-c", daemon.config],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            assert b"READY=1\nSTATUS=runs 1 apps" == supervisor.recv(4096)
            assert [b"WATCHDOG=1"] * 3 == [supervisor.recv(4096) for _ in range(3)]
            pid = daemon.apps()["work"]["pid"]
            assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE)

        said = b""
        while said != b"STOPPING=1":
            said = supervisor.recv(4096)
        assert 0 == code
