"""Sockets that systemd opened before the daemon ran."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.harness import PATIENCE, Daemon, wait_for

ACTIVATE = shutil.which("systemd-socket-activate")

CONFIG = """
gateway: {listen: GATEWAY}
apps:
  web:
    command: python3 -m http.server $PORT --bind 127.0.0.1
    routes: [default]
"""


@pytest.mark.skipif(ACTIVATE is None, reason="systemd-socket-activate is not on this machine")
def test_the_first_knock_may_start_the_daemon_itself(home: Path) -> None:
    """The connection that systemd accepted on is served by the daemon it started, on the same address."""
    daemon = Daemon(home / "0", CONFIG)
    environment = daemon.environment
    passed_on = [f"--setenv={name}={environment[name]}" for name in ("PATH", "TORPOR_HOME", "TORPOR_SOCKET")]
    if "PYTHONPATH" in environment:
        passed_on.append(f"--setenv=PYTHONPATH={environment['PYTHONPATH']}")
    address = f"127.0.0.1:{daemon.port}"
    activated = subprocess.Popen(
        [
            str(ACTIVATE),
            "-l",
            address,
            *passed_on,
            sys.executable,
            "-m",
            "torpor",
            "up",
            "-c",
            str(daemon.config),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=daemon.home,
    )
    try:

        def answer() -> int | None:
            client = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
            try:
                client.request("GET", "/")
                return client.getresponse().status
            except ConnectionRefusedError:
                return None
            finally:
                client.close()

        assert 200 == wait_for("systemd listens and the daemon answers", answer)
    finally:
        activated.terminate()
        output, _ = activated.communicate(timeout=PATIENCE)
    assert b"runs 1 app of" in output
