"""Traffic that does not pass the gateway: who tells of it, and who asks before it."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from e2e.apps import config, web
from e2e.client import Client
from e2e.harness import PATIENCE, Daemon, Launch, UnixConnection, wait_for
from ports import free_port

FRESH = 3598.0
"""Seconds: more are left of an hour only to whoever was used a moment ago."""


def idle_in(daemon: Daemon) -> float:
    """Seconds until the app would sleep."""
    left: float = daemon.apps()["web"]["idle_in"]
    return left


def ask(connection: HTTPConnection, address: str, **headers: str) -> HTTPResponse:
    """A question to a gate, answered and read."""
    try:
        connection.request("GET", address, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


def test_track_begins_the_idle_clock_anew(launch: Launch) -> None:
    """And wakes nothing that sleeps."""
    daemon = launch(config(web(idle_timeout="1h")))
    told = daemon.cli("track", "web")
    assert (0, "asleep") == (told.code, daemon.apps()["web"]["state"])
    assert 200 == Client(daemon.port, "web.localhost").request().status
    wait_for("time passes", lambda: idle_in(daemon) < FRESH)

    told = daemon.cli("track", "web")

    assert "web counts as used now; left alone, it sleeps in 1h00m\n" == told.out
    assert idle_in(daemon) > FRESH


def test_a_touched_file_begins_the_idle_clock_anew(launch: Launch, home: Path) -> None:
    """In the directory that holds now: an apply may name another one."""
    one, other = home / "one", home / "other"
    daemon = launch(f"tracking_dir: {one}\n" + config(web(idle_timeout="1h")))
    assert 200 == Client(daemon.port, "web.localhost").request().status
    for folder in (one, other):
        wait_for("time passes", lambda: idle_in(daemon) < FRESH)
        (folder / "web").touch()
        wait_for("the clock began anew", lambda: idle_in(daemon) > FRESH)
        (folder / "stranger").touch()
        daemon.write_config(f"tracking_dir: {other}\n" + config(web(idle_timeout="1h")))
        assert 0 == daemon.cli("apply").code
    daemon.wait_for_output("tracking_dir: 'stranger' was touched, but no app has that name")


def test_a_gate_wakes_and_tells_where_the_app_is(launch: Launch) -> None:
    """On a listener of its own and on the control socket, by name and by host; the page is for browsers."""
    port = free_port()
    listen = ["GATEWAY", {"address": f"127.0.0.1:{port}", "gate": True}]
    daemon = launch(config(web()).replace('"GATEWAY"', str(listen)))

    by_name, by_host = "/api/v1/apps/web/gate", "/api/v1/gate"
    page = ask(HTTPConnection("127.0.0.1", port, PATIENCE), by_name, Accept="text/html")
    assert (503, "waking") == (page.status, page.headers["X-Torpor"])
    for connection, address in (
        (HTTPConnection("127.0.0.1", port, PATIENCE), by_name),
        (HTTPConnection("127.0.0.1", port, PATIENCE), by_host),
        (UnixConnection(daemon.socket, PATIENCE), by_name),
        (UnixConnection(daemon.socket, PATIENCE), by_host),
    ):
        answer = ask(connection, address, X_Forwarded_Host="web.localhost", X_Forwarded_Method="POST")
        upstream = f"127.0.0.1:{daemon.apps()['web']['port']}"
        assert (204, upstream) == (answer.status, answer.headers["X-Torpor-Upstream"])
    assert 1 == daemon.apps()["web"]["generation"]
    assert port not in [
        int(url.rpartition(":")[2]) for url in daemon.cli("version", "--json").json["daemon"]["listen"]
    ]
