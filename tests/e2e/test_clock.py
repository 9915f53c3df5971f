"""The wall clock is for people: setting it moves no deadline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from e2e.harness import PATIENCE, Daemon, wait_for

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

CONFIG = """
gateway: {listen: GATEWAY}
apps:
  web:
    command: python3 -m http.server $PORT --bind 127.0.0.1
    routes: [default]
    idle_timeout: 2s
  worker:
    command: sleep 1000
    always_on: true
    backoff: {initial: 100ms}
"""


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not on this machine")
def test_a_clock_set_back_an_hour_changes_nothing(home: Path) -> None:
    """An app still falls asleep on time, and a crash is still repaired, in the hour that comes twice."""
    daemon = Daemon(home / "0", CONFIG)
    clock = home / "clock"
    clock.write_text("+0")
    process = subprocess.Popen(
        [sys.executable, "-m", "torpor", "up", "-c", daemon.config],
        env=daemon.environment
        | {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        },
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for("the worker runs", lambda: _state(daemon, "worker") == "ready")
        assert 0 == daemon.cli("wake", "web").code

        clock.write_text("-3600")
        first = daemon.apps()["worker"]["pid"]
        os.kill(first, signal.SIGKILL)

        wait_for("another worker runs", lambda: daemon.apps()["worker"]["pid"] not in {None, first})
        wait_for("the app is asleep", lambda: _state(daemon, "web") == "asleep")
        times = [
            json.loads(line)["at"] for line in daemon.cli("events", "--json", "-n", "100").out.splitlines()
        ]
        assert min(_seconds(at) for at in times) < _seconds(times[0]) - 3000
    finally:
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(PATIENCE)


def _state(daemon: Daemon, app: str) -> str | None:
    try:
        state: str = daemon.apps()[app]["state"]
    except OSError:
        return None
    return state


def _seconds(at: Any) -> float:
    return at if isinstance(at, float | int) else datetime.fromisoformat(at).timestamp()
