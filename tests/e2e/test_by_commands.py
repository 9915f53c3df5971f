"""Apps that commands start and end: a chain of a host and a service on it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from e2e.client import Client
from e2e.harness import Daemon, Launch, Process, wait_for
from ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


class Place:
    """Where a host is on while there is a file, and a web server runs while its process lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    @property
    def config(self) -> str:
        """Both as apps, the server on the host."""
        server = f"{sys.executable} -m http.server --bind 127.0.0.1 {self.port}"
        host = {
            "start": "touch on",
            "stop": "rm on",
            "status": "test -e on",
        }
        web = {
            "start": shell(f"test -e on && {{ {server} >web.log 2>&1 & echo $! >pid.new; mv pid.new pid; }}"),
            "stop": shell("kill $(cat pid)"),
            # A dead process that nobody collects, whoever took it over, is no server.
            "status": shell("grep -qs '^State:.[RSD]' /proc/$(cat pid)/status && echo run=$(cat pid)"),
            "interval": "200ms",
        }
        apps: dict[str, dict[str, object]] = {
            "host": {"commands": host, "idle_timeout": "300ms"},
            "web": {
                "commands": web,
                "port": self.port,
                "routes": ["web.localhost"],
                "depends_on": ["host"],
                "idle_timeout": "1h",
            },
        }
        for app in apps.values():
            app["working_dir"] = str(self.folder)
        return f"gateway: {{listen: GATEWAY}}\napps: {json.dumps(apps)}"

    def is_on(self) -> bool:
        """Whether the host is."""
        return (self.folder / "on").exists()

    @property
    def server(self) -> Process:
        """The web server that was started last."""
        return Process.of(int((self.folder / "pid").read_text()))

    def end(self) -> None:
        """Leave nothing."""
        with suppress(OSError, ValueError, AssertionError):
            os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)


def shell(text: str) -> dict[str, object]:
    """A command for the shell."""
    return {"command": text, "shell": True}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty one."""
    place = Place(tmp_path)
    yield place
    place.end()


def get(daemon: Daemon) -> int:
    """The status of a request to the web server."""
    return Client(daemon.port, "web.localhost").request("/").status


def test_a_knock_wakes_the_whole_chain(launch: Launch, place: Place) -> None:
    """First the host, then what runs on it; they sleep in reverse, and wake again."""
    daemon = launch(place.config)
    for _ in range(2):
        assert 200 == get(daemon)
        assert place.is_on()
        server = place.server
        assert 0 == daemon.cli("sleep", "web").code
        daemon.wait_for_state("host", "asleep")
        assert not place.is_on()
        assert not server.alive


def test_a_crash_is_seen_and_mended(launch: Launch, place: Place) -> None:
    """What has ended unasked is found by looking, and the next request is answered by another run."""
    daemon = launch(place.config)
    assert 200 == get(daemon)
    before = place.server
    os.kill(before.pid, signal.SIGKILL)
    daemon.wait_for_output("web .*exited")
    assert 200 == get(daemon)
    after = place.server
    assert before.pid != after.pid


def test_it_outlives_the_daemon(launch: Launch, place: Place) -> None:
    """After a SIGKILL the next daemon finds both as they were."""
    daemon = launch(place.config)
    assert 200 == get(daemon)
    before = place.server
    daemon.kill()
    daemon.start()
    wait_for("it is taken on", lambda: daemon.apps()["web"]["state"] == "ready")
    assert 200 == get(daemon)
    assert before.alive
    assert before.pid == place.server.pid


def test_a_host_that_hears_no_end_keeps_nobody_waiting(launch: Launch, tmp_path: Path) -> None:
    """`sleep` says at once what is in its way, and the daemon ends by itself; what runs is left to the next."""
    away = shell("test -e back && rm on || { echo the host is away >&2; exit 1; }")
    app = {
        "commands": {"start": "touch on", "stop": away, "status": "test -e on", "interval": "100ms"},
        "working_dir": str(tmp_path),
        "stop_timeout": "500ms",
        "idle_timeout": "1h",
    }
    daemon = launch(f"gateway: {{listen: GATEWAY}}\napps: {json.dumps({'far': app})}")
    assert daemon.cli("wake", "far").code == 0

    asked = daemon.cli("sleep", "far")
    assert asked.code == 1
    assert "far has not ended" in asked.err
    assert "the host is away" in asked.err
    assert "it is asked again" in asked.err.lower()

    assert daemon.stop() == 0
    assert any("left behind, maybe alive: far" in line for line in daemon.output)
    assert (tmp_path / "on").exists()

    (tmp_path / "back").touch()
    daemon.start()
    daemon.wait_for_state("far", "ready")
    assert daemon.cli("sleep", "far").code == 0
    assert not (tmp_path / "on").exists()
