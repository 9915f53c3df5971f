"""The command line's HTTP client against peers that behave badly."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torpor.control.client import DEFAULT_TIMEOUT, LOOK_TIMEOUT, Client, Problem
from torpor.errors import DaemonUnreachable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def peer(path: Path, *pieces: bytes) -> Iterator[list[bytes]]:
    """A peer that takes one connection, reads the request's head, sends the pieces and hangs up."""
    requests: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(65536)
                requests.append(request)
                for piece in pieces:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        yield requests
        thread.join(20)


def test_a_document_of_announced_length(tmp_path: Path) -> None:
    """Content-Length framing, in pieces of any size."""
    text = json.dumps({"name": "café"}, ensure_ascii=False).encode()
    answer = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(text), text)
    with peer(tmp_path / "s", *(answer[i : i + 1] for i in range(len(answer)))):
        assert {"name": "café"} == Client(tmp_path / "s", timeout=20).get("apps", "café")


def test_a_chunked_stream_is_cut_into_lines(tmp_path: Path) -> None:
    """Lines may begin and end anywhere in the chunks; the last one needs no line feed."""
    answer = (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        b"2\r\non\r\n5\r\ne\ntwo\r\n1;x=y\r\n\n\r\n9\r\n\nthree\nfo\r\n2\r\nur\r\n0\r\n\r\n"
    )
    with peer(tmp_path / "s", answer), Client(tmp_path / "s", timeout=20).send("GET", "logs") as stream:
        assert [b"one", b"two", b"", b"three", b"four"] == list(stream.lines())


def test_the_request_is_quoted(tmp_path: Path) -> None:
    """Nothing in a name or a value can change the shape of the request."""
    with peer(tmp_path / "s", HEAD + b"Content-Length: 2\r\n\r\n{}") as requests:
        Client(tmp_path / "s", timeout=20).post(
            "apps", "a/b ?\r\nX: y", "stop", by="me & you", app=["x", "y"]
        )
    line, *headers = requests[0].split(b"\r\n")
    assert b"POST /api/v1/apps/a%2Fb%20%3F%0D%0AX%3A%20y/stop?by=me+%26+you&app=x&app=y HTTP/1.1" == line
    assert [b"Host", b"Accept", b"Content-Length", b"Connection"] == [
        header.split(b":")[0] for header in headers if header
    ]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        HEAD + b"Content-Length: 10\r\n\r\n{}",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ],
)
def test_a_daemon_that_dies_halfway(tmp_path: Path, answer: bytes) -> None:
    """An incomplete answer is never taken for a complete one."""
    with peer(tmp_path / "s", answer), pytest.raises(DaemonUnreachable, match="hung up before"):
        Client(tmp_path / "s", timeout=20).get("apps")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 what\r\n\r\n",
        HEAD + b"Content-Length: many\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        HEAD + b"Content-Length: 9\r\n\r\n<html></>",
    ],
)
def test_what_is_no_daemon(tmp_path: Path, answer: bytes) -> None:
    """Something else behind the socket is called by its name."""
    with peer(tmp_path / "s", answer), pytest.raises(DaemonUnreachable, match="no torpor daemon"):
        Client(tmp_path / "s", timeout=20).get("apps")


def test_a_hung_daemon(tmp_path: Path) -> None:
    """A peer that accepts and says nothing is given up after the timeout."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with pytest.raises(DaemonUnreachable, match="does not answer"):
            Client(tmp_path / "s", timeout=0.01).get("apps")


@pytest.mark.parametrize(
    ("words", "there"), [("Its log may tell why: {}", True), ("Its log may tell why.", False)]
)
def test_where_a_hung_daemons_log_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, *, there: bool
) -> None:
    """It is named where there is one: a daemon in the foreground or under a service manager has none."""
    monkeypatch.setenv("TORPOR_HOME", str(tmp_path))
    if there:
        (tmp_path / "daemon.log").touch()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with pytest.raises(DaemonUnreachable) as caught:
            Client(tmp_path / "s", timeout=0.01).get("apps")
    assert words.format(tmp_path / "daemon.log") == caught.value.hint


@pytest.mark.parametrize(("patience", "method"), [(LOOK_TIMEOUT, "GET"), (DEFAULT_TIMEOUT, "POST")])
def test_who_only_looks_waits_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: float, method: str
) -> None:
    """Looking takes the daemon no time; carrying out may."""
    limits: list[float | None] = []

    class Spy(socket.socket):
        def settimeout(self, value: float | None) -> None:
            limits.append(value)
            super().settimeout(value)

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        monkeypatch.setattr(socket, "socket", Spy)
        Client(tmp_path / "s").send(method, "apps").close()
    assert patience == limits[-1]


def test_nobody_there(tmp_path: Path) -> None:
    """No socket, or the socket of a dead daemon: how to start one."""
    with pytest.raises(DaemonUnreachable, match="no daemon answers") as caught:
        Client(tmp_path / "s").get("apps")
    assert caught.value.hint is not None
    assert "torpor up" in caught.value.hint
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    with pytest.raises(DaemonUnreachable, match="no daemon answers"):
        Client(tmp_path / "s").get("apps")


def test_a_refusal_carries_its_document(tmp_path: Path) -> None:
    """A problem document becomes an error with its message and hint; plain text one with the text."""
    text = json.dumps(
        {"detail": "no app is called 'x'", "hint": "Did you mean y?", "code": "unknown-app"}
    ).encode()
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
    with peer(tmp_path / "s", answer), pytest.raises(Problem) as caught:
        Client(tmp_path / "s", timeout=20).get("apps", "x")
    assert ("no app is called 'x'", "Did you mean y?") == (caught.value.message, caught.value.hint)
    (tmp_path / "s").unlink()
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\ntoo many\n"
    with peer(tmp_path / "s", answer), pytest.raises(Problem, match="too many"):
        Client(tmp_path / "s", timeout=20).get("apps")
