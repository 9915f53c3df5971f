"""The sockets that are bound for apps: how long they live, and in whose way they are not."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from torpor.core.model import AppSpec, InstanceId
from torpor.errors import StartFailed
from torpor.runtime.ports import Ports
from torpor.runtime.sockets import Sockets, clear, port_of

ID = InstanceId("app")
SPEC = AppSpec("app", activation=True)


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    sockets = Sockets(Ports())
    yield sockets
    sockets.let_go()


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppSpec:
    """Of an app at a Unix socket; its path is short enough wherever the tests run."""
    monkeypatch.chdir(tmp_path)
    return AppSpec("app", activation=True, socket="./app.sock")


def test_the_same_one_for_each_generation(sockets: Sockets) -> None:
    """Whatever a generation did to it, the next one finds it as if it were new, with those who came meanwhile."""
    first = sockets.open(ID, SPEC)
    port = port_of(first)
    with socket.create_connection(("127.0.0.1", port or 0)):
        first.setblocking(False)
        second = sockets.open(ID, SPEC)
        assert (first, True) == (second, os.get_blocking(second.fileno()))
        second.accept()[0].close()

    # Some servers end what they listen on for everybody who holds it.
    second.shutdown(socket.SHUT_RDWR)
    assert port == port_of(sockets.open(ID, SPEC))
    socket.create_connection(("127.0.0.1", port or 0)).close()


def test_another_port_is_another_socket(sockets: Sockets) -> None:
    """Where the configuration names a port, what was bound before is closed."""
    before = port_of(sockets.open(ID, SPEC))
    fixed = Ports().allot(InstanceId("other"), SPEC)

    assert fixed == port_of(sockets.open(ID, AppSpec("app", activation=True, port=fixed)))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", before or 0))


def test_closed_and_bound_again(sockets: Sockets) -> None:
    """Nobody queues up while nothing is to come; afterwards it is the same port."""
    port = port_of(sockets.open(ID, SPEC))
    sockets.close(ID)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port or 0))
    assert port == port_of(sockets.open(ID, SPEC))


def test_a_unix_socket_leaves_no_file(sockets: Sockets, spec: AppSpec) -> None:
    """Its file is there as long as somebody may connect; one that was taken away is made again."""
    path = Path(spec.socket or "")
    sockets.open(ID, spec)
    assert path.is_socket()
    path.unlink()
    sockets.open(ID, spec)
    assert path.is_socket()
    sockets.close(ID)
    assert not path.exists()


def test_one_that_was_taken_back_must_be_the_right_one(sockets: Sockets) -> None:
    """An app that holds another socket under that name does not get it as its own place."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        sockets.keep(ID, AppSpec("app", activation=True, port=port), os.dup(foreign.fileno()))
        assert port == port_of(sockets.open(ID, AppSpec("app", activation=True, port=port)))
        sockets.close(ID)

        other = AppSpec("app", activation=True, port=Ports().allot(ID, SPEC))
        sockets.keep(ID, other, os.dup(foreign.fileno()))
        assert other.port == port_of(sockets.open(ID, other))


def test_only_what_is_dead_is_removed(spec: AppSpec) -> None:
    """The file of a server that was killed is in nobody's interest; everything else is somebody's."""
    path = spec.socket or ""
    clear(path)
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(path)
        foreign.listen(0)
        with pytest.raises(StartFailed, match="another program"):
            clear(path)
    clear(path)
    assert not Path(path).exists()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as foreign:
        foreign.bind(path)
        with pytest.raises(StartFailed, match="another program"):
            clear(path)
    os.unlink(path)

    Path(path).write_text("precious")
    with pytest.raises(StartFailed, match="no socket"):
        clear(path)
    with pytest.raises(StartFailed, match="there is no directory /nowhere"):
        clear("/nowhere/app.sock")
