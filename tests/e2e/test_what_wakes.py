"""Uptime monitors, bots, prefetches and forgotten tabs at the door of a real app."""

from __future__ import annotations

import contextlib
import json
import subprocess
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from e2e.apps import config, example
from e2e.client import BROWSER, Client
from e2e.harness import PATIENCE, Daemon, Launch, wait_for
from e2e.test_sleeping import websocket

MONITOR = {"User-Agent": "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"}


def curl(port: int, host: str, *options: str) -> str:
    """What curl prints of a request."""
    command = [
        "curl",
        "-sS",
        "--max-time",
        "30",
        *options,
        "-H",
        f"Host: {host}",
        f"http://127.0.0.1:{port}/",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=40, check=True).stdout


def events(daemon: Daemon, app: str) -> list[dict[str, Any]]:
    """What has happened to an app."""
    return [json.loads(line) for line in daemon.cli("events", app, "--json").out.splitlines()]


def talk(room: ClientConnection) -> None:
    """Say something ten times a second, for as long as the socket is open."""
    for _ in range(10 * int(PATIENCE)):
        room.send("I am still here")
        with contextlib.suppress(TimeoutError):
            while True:
                room.recv(0.1)


def test_an_uptime_monitor_neither_wakes_an_app_nor_keeps_it_awake(launch: Launch) -> None:
    """Asleep it gets the answer of the rule, awake the app's own; meanwhile the app falls asleep."""
    rule = {
        "user_agent": "UptimeRobot",
        "wake": False,
        "activity": False,
        "answer": {"status": 200, "body": "resting"},
    }
    daemon = launch(config(example("api", idle_timeout="1s", rules=[rule])))
    client = Client(daemon.port, "api.localhost")

    asleep = client.request(headers=MONITOR)
    assert (200, "asleep", "resting") == (asleep.status, asleep.headers["x-torpor"], asleep.text)
    assert 0 == daemon.apps()["api"]["generation"]

    pid = client.request().json["pid"]
    awake = client.request(headers=MONITOR)
    assert (pid, None) == (awake.json["pid"], awake.headers.get("x-torpor"))
    # It asks again and again, faster than the idle time: the app sleeps all the same.
    wait_for("the monitor hears that it rests", lambda: "resting" == client.request(headers=MONITOR).text)
    daemon.wait_for_state("api", "asleep")
    assert 1 == daemon.apps()["api"]["generation"]


def test_known_bots_are_ignored_and_curl_is_not(launch: Launch) -> None:
    """`ignore_bots` knows a monitor by its name; a script is somebody who waits for an answer."""
    daemon = launch(config(example("api", ignore_bots=True)))

    told = json.loads(curl(daemon.port, "api.localhost", "-A", "Uptime-Kuma/1.23.13"))
    assert ("asleep", "api") == (told["cause"], told["app"])
    assert "HTTP/1.1 503" in curl(
        daemon.port, "api.localhost", "-A", "Googlebot/2.1", "-D", "-", "-o", "/dev/null"
    )
    assert 0 == daemon.apps()["api"]["generation"]
    assert json.loads(curl(daemon.port, "api.localhost", "-A", "curl/8.5"))["pid"]

    woken_by = daemon.apps()["api"]["woken_by"]
    assert {
        "by": "GET / from 127.0.0.1", "address": "127.0.0.1", "user_agent": "curl/8.5",
        "method": "GET", "path": "/", "rule": "wake_on",
    } == woken_by  # fmt: skip
    shown = daemon.cli("show", "api").out
    assert "woken by" in shown
    assert "GET / from 127.0.0.1, curl/8.5, by the rule wake_on" in shown
    [woken] = [event for event in events(daemon, "api") if event["kind"] == "waking"]
    assert woken_by.items() <= woken["data"].items()


def test_only_the_login_page_wakes(launch: Launch) -> None:
    """Under `wake_paths` everything else is told so, and the app sleeps on."""
    daemon = launch(config(example("api", wake_paths=["/login"])))
    client = Client(daemon.port, "api.localhost")

    page = client.navigate("/")
    assert (503, "asleep") == (page.status, page.headers["x-torpor"])
    assert "asleep, and this address does not wake it." in page.text
    assert ("asleep", 0) == (daemon.apps()["api"]["state"], daemon.apps()["api"]["generation"])
    assert "waking" == client.navigate("/login").headers["x-torpor"]
    daemon.wait_for_state("api", "ready")
    assert 200 == client.request("/").status


def test_a_prefetch_does_not_wake(launch: Launch) -> None:
    """A browser that loads a link in advance says so in a header."""
    rule = {"header": "Sec-Purpose: prefetch*", "wake": False, "activity": False}
    daemon = launch(config(example("api", rules=[rule])))
    client = Client(daemon.port, "api.localhost")

    ahead = client.request(headers={**BROWSER, "Sec-Purpose": "prefetch;prerender"})
    assert (503, "asleep") == (ahead.status, ahead.headers["x-torpor"])
    assert 0 == daemon.apps()["api"]["generation"]


def test_a_socket_that_does_not_count_lets_the_app_sleep(launch: Launch) -> None:
    """Data on it is no activity, under a rule for its path."""
    daemon = launch(config(example("chat", idle_timeout="1s", rules=[{"path": "/room", "activity": False}])))
    Client(daemon.port, "chat.localhost").request("/healthz")
    with websocket(daemon.port, "chat.localhost", "/room") as room, pytest.raises(ConnectionClosed) as closed:
        talk(room)
    assert closed.value.rcvd is not None
    assert 1001 == closed.value.rcvd.code
    daemon.wait_for_state("chat", "asleep")


def test_a_tab_that_polls_lets_the_app_sleep_under_min_bytes(launch: Launch) -> None:
    """Its small answers do not make up the volume within the idle time; `show` says what does."""
    daemon = launch(config(example("api", idle_timeout="1s", min_bytes="1M")))
    client = Client(daemon.port, "api.localhost")
    first = client.request().json["pid"]

    # Each of these would have kept it awake for another second.
    wait_for("another one answers", lambda: first != client.request().json["pid"])
    assert "or fewer than 1048576 bytes" in daemon.cli("show", "api").out
    said = [event["text"] for event in events(daemon, "api") if event["kind"] == "draining"]
    assert "going to sleep: fewer than 1048576 bytes within 1 s" == said[0]


def test_rules_hold_at_once_when_they_are_applied(launch: Launch) -> None:
    """Nothing is restarted for them, and a kept connection follows them, too."""
    daemon = launch(config(example("api")))
    client = Client(daemon.port, "api.localhost")
    pid = client.request().json["pid"]
    daemon.write_config(config(example("api", rules=[{"path": "/", "wake": False, "answer": 204}])))

    assert 0 == daemon.cli("apply").code
    assert pid == client.request().json["pid"]
    assert 0 == daemon.cli("sleep", "api").code
    assert 204 == client.request().status


def test_a_rule_with_a_mistake_changes_nothing(launch: Launch) -> None:
    """The place of the mistake is told, and what holds goes on."""
    daemon = launch(config(example("api")))
    daemon.write_config(config(example("api", rules=[{"cidr": "10.0.0.0/64", "wake": False}])))

    refused = daemon.cli("apply")
    assert refused.code != 0
    assert (
        "apps.api.rules.0.cidr: '10.0.0.0/64' is neither an address nor a network"
        in refused.out + refused.err
    )
    assert Client(daemon.port, "api.localhost").request().json["pid"]
