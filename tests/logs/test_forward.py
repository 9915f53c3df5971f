"""Lines on their way to the system's log."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from torpor.config.settings import Forward
from torpor.logs.forward import Forwarder


@pytest.fixture
def journal(tmp_path: Path) -> socket.socket:
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    taken.bind(str(tmp_path / "socket"))
    return taken


def forwarder(journal: socket.socket, kind: Forward, stream: str = "stdout") -> Forwarder:
    return Forwarder(kind, "web", "web/1", stream, address=journal.getsockname())


def test_journald(journal: socket.socket) -> None:
    """One datagram for each line, with who says it; what spans lines has its length before it."""
    made = forwarder(journal, Forward.JOURNALD, "stderr")
    made.send("hello")
    made.send("a\nb")
    first, second = journal.recv(4096), journal.recv(4096)
    assert (
        b"PRIORITY=3\nSYSLOG_IDENTIFIER=web\nTORPOR_APP=web\nTORPOR_INSTANCE=web/1\nTORPOR_STREAM=stderr\nMESSAGE=hello\n"
    ) == first
    assert second.endswith(b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n")
    made.close()
    journal.close()


def test_syslog(journal: socket.socket) -> None:
    """A line as syslog(3) would send it."""
    made = forwarder(journal, Forward.SYSLOG)
    made.send("hello")
    said = journal.recv(4096)
    assert said.startswith(b"<14>")
    assert said.endswith(b": hello")
    assert b" web/1[" in said
    made.close()
    journal.close()


def test_nobody_is_waited_for(journal: socket.socket) -> None:
    """What is not taken at once is counted: a full socket, and none at all."""
    made = forwarder(journal, Forward.JOURNALD)
    for _ in range(5000):
        made.send("x" * 100)
    assert 0 < made.dropped < 5000
    full = made.dropped
    journal.close()
    made.send("lost")
    assert full + 1 == made.dropped
    made.close()
