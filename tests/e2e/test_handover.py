"""Sockets that Torpor binds and hands over, and apps that listen at Unix sockets."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from e2e.apps import E2E, EXAMPLES, app, config
from e2e.client import Client
from e2e.harness import Daemon, Launch, Process, wait_for
from e2e.test_sleeping import websocket
from ports import free_port

PROGRAMS = E2E / "programs"
LISTENING = [sys.executable, str(PROGRAMS / "listening.py")]
LINE = b"hello\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
MANY = 200
SERVERS: dict[str, tuple[str | list[str], bytes]] = {
    "plain": (LISTENING, LINE),
    "uvicorn": ("uvicorn pid:asgi --fd 3", REQUEST),
    "gunicorn": ("gunicorn pid:wsgi", REQUEST),
}
"""Commands of servers that are handed their socket, and what they understand."""


class Gate:
    """Holds up each start of an app until it is opened: with its `pre_start`."""

    def __init__(self, home: Path) -> None:
        self._file = home / "open"
        self.open()

    @property
    def hook(self) -> dict[str, object]:
        """The app's `pre_start`."""
        return {"command": f"while [ ! -e {self._file} ]; do sleep 0.02; done", "shell": True}

    def open(self) -> None:
        """Let starts pass."""
        self._file.touch()

    def shut(self) -> None:
        """Hold them up."""
        self._file.unlink()


def handed(command: str | list[str], **settings: object) -> str:
    """An app that always runs and is handed its socket."""
    known = {
        "routes": [],
        "activation": True,
        "always_on": True,
        "working_dir": str(PROGRAMS),
        "backoff": {"initial": "10ms"},
    }
    return app("app", command, **{**known, **settings})


def at_port(port: int) -> Callable[[], socket.socket]:
    """How to connect there."""
    return lambda: socket.create_connection(("127.0.0.1", port), 30)


def at_path(path: Path) -> Callable[[], socket.socket]:
    """How to connect there."""

    def connect() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(30)
        sock.connect(str(path))
        return sock

    return connect


def asked(connect: Callable[[], socket.socket], words: bytes) -> socket.socket:
    """A connection on which this was said."""
    sock = connect()
    sock.sendall(words)
    return sock


def answer_on(sock: socket.socket) -> int:
    """The pid with which it is answered; the connection is closed."""
    with sock, sock.makefile("rb") as lines:
        return int(next(line for line in lines if line[:1].isdigit()))


@contextlib.contextmanager
def beside(action: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread meanwhile, and wait for its end."""
    thread = threading.Thread(target=action)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def ready(daemon: Daemon) -> Process:
    """The app's process, once it is ready."""
    return Process.of(daemon.wait_for_state("app", "ready")["pid"])


@pytest.mark.parametrize("server", SERVERS)
def test_whoever_connects_during_a_restart_is_answered(launch: Launch, home: Path, server: str) -> None:
    """None is refused while nothing of the app is alive, neither in a restart nor after a crash."""
    command, words = SERVERS[server]
    gate, port = Gate(home), free_port()
    daemon = launch(config(handed(command, port=port, pre_start=gate.hook)))
    connect = at_port(port)

    first = ready(daemon)
    first_answer = answer_on(asked(connect, words))
    gate.shut()
    with beside(lambda: daemon.cli("restart", "app")):
        wait_for("it has ended", lambda: not first.alive)
        queued = [asked(connect, words) for _ in range(MANY)]
        gate.open()
    assert first_answer not in [answer_on(sock) for sock in queued]

    second = ready(daemon)
    gate.shut()
    second.kill()
    wait_for("it has ended", lambda: not second.alive)
    queued = [asked(connect, words) for _ in range(MANY)]
    gate.open()
    assert MANY == len([answer_on(sock) for sock in queued])
    assert second.pid != ready(daemon).pid


def test_a_restart_under_load_loses_nobody(launch: Launch) -> None:
    """Clients that come all the time see no gap."""
    port = free_port()
    daemon = launch(config(handed(LISTENING, port=port)))
    first = ready(daemon)

    with ThreadPoolExecutor(4) as clients, beside(lambda: daemon.cli("restart", "app")):
        pids = set(clients.map(lambda _: answer_on(asked(at_port(port), LINE)), range(MANY)))
        wait_for("the next one answers", lambda: answer_on(asked(at_port(port), LINE)) != first.pid)

    assert pids <= {first.pid, ready(daemon).pid}


@pytest.mark.parametrize("kind", ["port", "path"])
def test_the_next_daemon_takes_the_socket_back(launch: Launch, home: Path, kind: str) -> None:
    """An app that survived `kill -9` of its daemon holds the socket, and its next generation gets it."""
    gate, port = Gate(home), free_port()
    where = {"port": port} if kind == "port" else {"address": "unix:./app.sock"}
    daemon = launch(config(handed(LISTENING, pre_start=gate.hook, **where)))
    connect = at_port(port) if kind == "port" else at_path(daemon.home / "app.sock")
    first = ready(daemon)
    daemon.kill()
    assert first.pid == answer_on(asked(connect, LINE))
    daemon.start()
    assert first == ready(daemon)

    gate.shut()
    with beside(lambda: daemon.cli("restart", "app")):
        wait_for("it has ended", lambda: not first.alive)
        queued = [asked(connect, LINE) for _ in range(MANY)]
        gate.open()
    second = ready(daemon)
    assert {second.pid} == {answer_on(sock) for sock in queued}


def test_nobody_queues_up_where_nothing_is_to_come(launch: Launch) -> None:
    """An app that sleeps, or is kept down, refuses who connects past Torpor, and has the same port afterwards."""
    daemon = launch(config(handed(LISTENING, always_on=False)))
    daemon.cli("wake", "app")
    port = daemon.wait_for_state("app", "ready")["port"]
    assert answer_on(asked(at_port(port), LINE))

    for verb, back, state in (("sleep", "wake", "asleep"), ("stop", "start", "asleep")):
        daemon.cli(verb, "app")
        daemon.wait_for_state("app", state)
        with pytest.raises(ConnectionRefusedError):
            at_port(port)()
        daemon.cli(back, "app")
        assert port == daemon.wait_for_state("app", "ready")["port"]
        assert answer_on(asked(at_port(port), LINE))


def chat(*, activation: bool, **settings: object) -> str:
    """The example that chats, at a Unix socket."""
    options = "--fd 3" if activation else "--uds $SOCKET"
    known = {
        "activation": activation,
        "address": "unix:./chat.sock",
        "readiness": "/healthz",
        "working_dir": str(EXAMPLES / "chat"),
    }
    return app("chat", f"uvicorn chat:app {options} --no-access-log", **{**known, **settings})


@pytest.mark.parametrize("activation", [False, True])
def test_an_app_at_a_unix_socket(launch: Launch, activation: bool) -> None:
    """Requests, WebSockets, raw connections and probes get there; it is shown, and survives with its daemon killed."""
    port = free_port()
    routes = ["chat.localhost", f"tcp://127.0.0.1:{port}"]
    daemon = launch(config(chat(activation=activation, routes=routes)))
    path = daemon.home / "chat.sock"
    client = Client(daemon.port, "chat.localhost")

    assert [204] * 20 == [answer.status for answer in client.together(20, "/healthz")]
    with websocket(daemon.port, "chat.localhost", "/room") as room:
        assert "someone came in" in str(room.recv(30))
        room.send("good morning")
        assert "good morning" == room.recv(30)
    with asked(at_port(port), REQUEST) as sock:
        assert sock.recv(100).startswith(b"HTTP/1.1 ")
    with asked(at_path(path), REQUEST) as sock:
        assert sock.recv(100).startswith(b"HTTP/1.1 ")
    assert f"on {path}" in daemon.cli("show", "chat").out
    assert daemon.apps()["chat"]["port"] is None

    daemon.kill()
    daemon.start()
    daemon.wait_for_state("chat", "ready")
    assert 204 == client.request("/healthz").status
    assert 0 == daemon.cli("restart", "chat").code
    assert 204 == client.request("/healthz").status


def test_what_lies_where_an_app_is_to_listen(launch: Launch) -> None:
    """A socket at which nobody listens any more is removed; one of another program, or a file, ends the attempt."""
    daemon = launch(config(chat(activation=True, restart="no")))
    path, client = daemon.home / "chat.sock", Client(daemon.port, "chat.localhost")

    path.write_text("precious")
    assert (503, "precious") == (client.request("/healthz").status, path.read_text())
    assert "no socket" in daemon.apps()["chat"]["reason"]
    path.unlink()
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(path))
        foreign.listen()
        daemon.cli("start", "chat")
        daemon.wait_for_output(f"cannot listen at {path}: another program does")
        assert path.exists()
    assert 0 == daemon.cli("start", "chat").code
    assert 204 == client.request("/healthz").status


def test_an_apply_changes_who_binds(launch: Launch) -> None:
    """The app is restarted, at the same port; one that binds by itself again finds that free."""
    port = free_port()
    own = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    daemon = launch(config(handed(own, activation=False, port=port)))
    ready(daemon)
    for activation, command in ((True, LISTENING), (False, own), (True, LISTENING)):
        daemon.write_config(config(handed(command, activation=activation, port=port)))
        applied = daemon.cli("apply")
        assert (0, True) == (applied.code, "activation" in applied.out), applied
        ready(daemon)
        with asked(at_port(port), b"hello\n" if activation else REQUEST) as sock:
            assert sock.recv(100)


def test_replicas_have_a_socket_each(launch: Launch) -> None:
    """A rolling restart replaces them one by one, and nobody who comes through the gateway notices."""
    settings = {"routes": ["app.localhost"], "replicas": 2}
    daemon = launch(config(handed("uvicorn pid:asgi --fd 3", **settings)))
    client = Client(daemon.port, "app.localhost")

    def both() -> list[dict[str, Any]]:
        instances: list[dict[str, Any]] = daemon.apps()["app"]["instances"]
        return instances if all(one["state"] == "ready" for one in instances) else []

    instances = wait_for("both are ready", both)
    first = [Process.of(one["pid"]) for one in instances]
    assert 2 == len({one["port"] for one in instances})

    with beside(lambda: daemon.cli("restart", "--rolling", "app")):
        answers = [client.request() for _ in range(50)]
        wait_for("both are replaced", lambda: not any(one.alive for one in first))
    assert {200} == {answer.status for answer in answers}
