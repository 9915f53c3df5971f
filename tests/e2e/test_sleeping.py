"""What keeps an app awake, what does not, and what its going to sleep looks like."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from e2e.apps import app, config, example
from e2e.client import Client
from e2e.harness import Launch, Process, wait_for


@contextmanager
def websocket(port: int, host: str, path: str) -> Iterator[ClientConnection]:
    """A WebSocket through the gateway that sends no pings of its own accord."""
    raw = socket.create_connection(("127.0.0.1", port), 30)
    with connect(f"ws://{host}:{port}{path}", sock=raw, ping_interval=None, proxy=None) as connection:
        yield connection


def test_an_idle_app_falls_asleep_and_the_next_request_wakes_it(launch: Launch) -> None:
    """Nobody asks for a while: the process ends.  Somebody asks: a new one answers."""
    daemon = launch(config(example("api", idle_timeout="500ms")))
    client = Client(daemon.port, "api.localhost")
    first = client.request().json["pid"]

    asleep = daemon.wait_for_state("api", "asleep")

    assert (None, "idle") == (asleep["pid"], asleep["cause"])
    assert first != client.request().json["pid"]


def test_a_kept_alive_connection_outlives_the_sleep_of_the_app(launch: Launch) -> None:
    """A client's connection is to the gateway: over it the app may sleep, and be woken again."""
    daemon = launch(config(example("api")))
    connection = HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    pids, ends = set(), set()
    for _ in range(3):
        connection.request("GET", "/", headers={"Host": "api.localhost"})
        pids.add(json.loads(connection.getresponse().read())["pid"])
        ends.add(connection.sock.getsockname())
        assert 0 == daemon.cli("sleep", "api").code
    connection.close()

    assert (3, 1) == (len(pids), len(ends))


def test_a_request_in_flight_keeps_the_app_awake(launch: Launch) -> None:
    """An answer that takes longer than `idle_timeout` is not cut off."""
    daemon = launch(config(example("api", idle_timeout="300ms")))

    answer = Client(daemon.port, "api.localhost").request("/slow?seconds=1.5")

    assert {"slept": 1.5} == answer.json


def test_an_open_event_stream_keeps_the_app_awake(launch: Launch) -> None:
    """A long response is a request in flight, until its client leaves."""
    daemon = launch(config(example("clock", idle_timeout="300ms", drain_timeout="1s")))
    connection, reply = Client(daemon.port, "clock.localhost").open("/ticks")

    ticks = [reply.readline() for _ in range(6)]

    assert 3 == sum(tick.startswith(b"data: ") for tick in ticks)
    assert ("ready", 1) == (daemon.apps()["clock"]["state"], daemon.apps()["clock"]["inflight"])
    reply.close()
    connection.close()
    daemon.wait_for_state("clock", "asleep")


def test_a_websocket_handshake_wakes_the_app_and_its_messages_travel(launch: Launch) -> None:
    """The handshake is held until the app is ready; then both sides speak through it."""
    daemon = launch(config(example("chat")))

    with websocket(daemon.port, "chat.localhost", "/room") as room:
        greeting = room.recv(30)
        room.send("good morning")
        echo = room.recv(30)

    assert "· someone came in (1 here)" == greeting
    assert "good morning" == echo


def test_pings_do_not_keep_an_app_awake_and_it_says_goodbye(launch: Launch) -> None:
    """A tab that only pings is idle: it is closed with 1001 and the app sleeps."""
    daemon = launch(config(example("chat", idle_timeout="500ms")))
    gone = threading.Event()

    with websocket(daemon.port, "chat.localhost", "/room") as room:
        room.recv(30)

        def ping() -> None:
            while not gone.wait(0.05):
                try:
                    room.ping()
                except ConnectionClosed:
                    return

        pinging = threading.Thread(target=ping)
        pinging.start()
        with pytest.raises(ConnectionClosed) as closed:
            room.recv(30)
        gone.set()
        pinging.join()

    assert closed.value.rcvd is not None
    assert 1001 == closed.value.rcvd.code
    daemon.wait_for_state("chat", "asleep")


def test_an_open_websocket_keeps_the_app_awake_where_the_config_says_so(launch: Launch) -> None:
    """`websocket_activity: open` counts the socket itself, until it is closed."""
    daemon = launch(config(example("chat", idle_timeout="300ms", websocket_activity="open")))

    with websocket(daemon.port, "chat.localhost", "/room") as room:
        room.recv(30)
        with pytest.raises(TimeoutError):
            room.recv(1.5)
        assert "ready" == daemon.apps()["chat"]["state"]

    daemon.wait_for_state("chat", "asleep")


def test_a_forgotten_tab_does_not_wake_an_app_that_only_navigation_may_wake(launch: Launch) -> None:
    """Under `wake_on: navigation` a stale tab's reconnect is refused; opening the page wakes."""
    daemon = launch(config(example("chat", wake_on="navigation")))

    with pytest.raises(InvalidStatus) as refused, websocket(daemon.port, "chat.localhost", "/room"):
        pass

    assert 503 == refused.value.response.status_code
    assert "asleep" == refused.value.response.headers["X-Torpor"]
    assert ("asleep", 0) == (daemon.apps()["chat"]["state"], daemon.apps()["chat"]["generation"])
    assert 503 == Client(daemon.port, "chat.localhost").navigate().status
    daemon.wait_for_state("chat", "ready")


def test_nothing_of_an_app_survives_its_sleep(launch: Launch, home: Path) -> None:
    """Wrappers that fork, children that ignore TERM and run away into sessions of their own: all end."""
    pids = home / "pids"
    pids.touch()
    script = (
        f"note() {{ echo $1 >> {pids}; }}; note $$$$; "  # `$$` in a configuration is one `$`
        "(trap '' TERM; sh -c 'trap \"\" TERM; exec sleep 1000' & note $!; wait) & note $!; "
        "(setsid sleep 1000 & note $!); wait"
    )
    daemon = launch(
        config(
            app("wrapper", script, shell=True, routes=[], readiness={"delay": "1ms"}, stop_timeout="300ms")
        )
    )
    daemon.cli("wake", "wrapper")
    wait_for("all four have started", lambda: pids.read_text().count("\n") == 4)
    family = [Process.of(int(pid)) for pid in pids.read_text().split()]

    assert 0 == daemon.cli("sleep", "wrapper").code

    assert [] == [one for one in family if one.alive]
