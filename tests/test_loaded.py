"""What a daemon has loaded once it is up: memory that everybody pays for, whatever their apps are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TELL = """
import os, signal, sys
from torpor.control.server import ControlServer
from torpor.daemon import main

mark_ready = ControlServer.mark_ready

def tell(server):
    mark_ready(server)
    print("loaded:", *sorted(sys.modules), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

ControlServer.mark_ready = tell
sys.exit(main(sys.argv[1]))
"""
OPTIONAL = {
    "aiohttp", "cronsim", "dbus_fast", "uvicorn", "zoneinfo", "torpor.config.labels.reading", "torpor.config.schedule",
    "torpor.importers", "torpor.projects", "torpor.providers.guests.docker", "torpor.providers.guests.drivers",
    "torpor.providers.guests.provider", "torpor.providers.guests.proxmox", "torpor.providers.guests.systemd",
}  # fmt: skip
"""What only some apps, or some verbs, need."""


@pytest.mark.slow
@pytest.mark.parametrize("apps", ["{}", "{web: {command: sleep 1000, routes: [web.localhost]}}"])
def test_a_daemon_loads_nothing_that_its_apps_do_not_need(tmp_path: Path, apps: str) -> None:
    """No guests, labels, time zones or cron where no app has any; and no server beside its own."""
    config = tmp_path / "torpor.yaml"
    config.write_text(f"gateway: {{listen: 127.0.0.1:0}}\napps: {apps}\n")
    result = subprocess.run(
        [sys.executable, "-c", TELL, str(config)],
        env={**os.environ, "TORPOR_HOME": str(tmp_path), "TORPOR_SOCKET": str(tmp_path / "s")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    (line,) = [line for line in result.stdout.splitlines() if line.startswith("loaded:")]
    loaded = set(line.split())
    assert "torpor.daemon" in loaded
    assert set() == OPTIONAL & loaded
