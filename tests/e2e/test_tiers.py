"""Apps that sleep frozen: their processes, memory and connections are there when they go on."""

from __future__ import annotations

import json
import socket

import pytest
from websockets.sync.client import connect

from e2e.apps import app, config, example, web
from e2e.client import Client
from e2e.harness import Daemon, Launch, Process

PROGRAM = """
import os, socket, time
from http.server import BaseHTTPRequestHandler, HTTPServer

def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.timeout = 0.1
say("READY=1")
while True:
    server.handle_request()
    say("WATCHDOG=1")
"""


def kinds_of_events(daemon: Daemon, app: str) -> list[str]:
    """What has happened to an app, in its order: of a state that passes, this is seen by whoever looks late, too."""
    return [json.loads(line)["kind"] for line in daemon.cli("events", app, "--json").out.splitlines()]


def test_a_paused_app_goes_on_where_it_was(launch: Launch) -> None:
    """The same process answers again; nothing was started."""
    daemon = launch(config(example("api", sleep="pause", idle_timeout="300ms")))
    client = Client(daemon.port, "api.localhost")
    first = client.request().json["pid"]
    paused = daemon.wait_for_state("api", "paused")

    assert first == client.request().json["pid"]
    assert (1, first) == (paused["generation"], paused["pid"])
    assert "idle" == paused["cause"]


def test_a_browser_sees_a_paused_app_and_no_waiting_page(launch: Launch) -> None:
    """It goes on faster than a page could show."""
    daemon = launch(config(example("clock", sleep="pause")))
    client = Client(daemon.port, "clock.localhost")
    browser = {"Sec-Fetch-Dest": "document", "Accept": "text/html"}
    assert 503 == client.request(headers=browser).status
    daemon.wait_for_state("clock", "ready")
    assert 0 == daemon.cli("sleep", "clock").code

    assert 200 == client.request(headers=browser).status


def test_the_ladder_leads_to_a_stop(launch: Launch) -> None:
    """Deeper with time; a request after the last rung is a cold start."""
    daemon = launch(config(example("api", sleep={"pause": "200ms", "stop": "700ms"})))
    client = Client(daemon.port, "api.localhost")
    first = client.request().json["pid"]
    daemon.wait_for_state("api", "asleep")
    kinds = kinds_of_events(daemon, "api")

    assert kinds.index("paused") < kinds.index("asleep")
    assert first != client.request().json["pid"]
    assert "paused after 200ms, stopped after 700ms without requests" in daemon.cli("show", "api").out


def test_a_websocket_stays_open_over_a_pause_and_wakes_the_app(launch: Launch) -> None:
    """A tab whose app sleeps goes on as if nothing had been, when its user does."""
    daemon = launch(config(example("chat", sleep="pause", idle_timeout="300ms")))
    raw = socket.create_connection(("127.0.0.1", daemon.port), 30)
    with connect(f"ws://chat.localhost:{daemon.port}/room", sock=raw, ping_interval=None, proxy=None) as room:
        room.recv(30)
        for _ in range(2):
            daemon.wait_for_state("chat", "paused")
            room.send("still here")
            assert "still here" == room.recv(30)


def test_it_sleeps_on_when_its_daemon_dies(launch: Launch) -> None:
    """The next daemon finds it paused, and wakes it for the next request."""
    daemon = launch(config(example("api", sleep="pause")))
    client = Client(daemon.port, "api.localhost")
    first = client.request().json["pid"]
    assert 0 == daemon.cli("sleep", "api").code
    daemon.kill()
    daemon.start()

    assert first == daemon.wait_for_state("api", "paused")["pid"]
    assert first == client.request().json["pid"]


def test_nobody_expects_signs_of_life_of_what_is_paused(launch: Launch) -> None:
    """Neither its watchdog nor its liveness probe ends it, while it sleeps and after that."""
    daemon = launch(
        config(
            app(
                "speaker",
                ["python3", "-c", PROGRAM],
                readiness={"notify": True},
                watchdog="1s",
                liveness={"http": "/", "interval": "1s", "timeout": "1s", "failures": 2},
                sleep={"pause": "300ms", "stop": "5s"},
            )
        )
    )
    client = Client(daemon.port, "speaker.localhost")
    assert 204 == client.request().status
    daemon.wait_for_state("speaker", "asleep")
    kinds = kinds_of_events(daemon, "speaker")

    assert "unhealthy" not in kinds
    assert "paused" in kinds
    assert 204 == client.request().status


@pytest.mark.parametrize("tier", ["stop", "kill"])
def test_an_operator_chooses_how_deep(launch: Launch, tier: str) -> None:
    """What is paused is ended, by its signal or by force; nothing of it is left."""
    daemon = launch(config(example("api", sleep="pause")))
    client = Client(daemon.port, "api.localhost")
    first = Process.of(client.request().json["pid"])
    assert 0 == daemon.cli("sleep", "api").code
    said = daemon.cli("sleep", "api", "--tier", tier)

    assert (0, "asleep") == (said.code, daemon.apps()["api"]["state"])
    assert not first.alive


def test_what_it_needs_may_sleep_meanwhile_and_is_woken_before_it(launch: Launch) -> None:
    """A paused app holds nothing; it goes on once what it needs is there again."""
    daemon = launch(
        config(
            example("api", sleep="pause", idle_timeout="300ms", depends_on=["web"]),
            web("web", idle_timeout="300ms"),
        )
    )
    client = Client(daemon.port, "api.localhost")
    first = client.request().json["pid"]
    daemon.wait_for_state("web", "asleep")
    assert "paused" == daemon.apps()["api"]["state"]

    assert first == client.request().json["pid"]
    assert 2 == daemon.apps()["web"]["generation"]
