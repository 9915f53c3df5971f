"""The client for apps: what it sends, and that it harms nobody where nobody listens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torpor import notify


@pytest.fixture(params=["path", "abstract"])
def supervisor(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """Somebody who listens at NOTIFY_SOCKET."""
    name = str(tmp_path / "s") if request.param == "path" else f"@torpor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield sock


@pytest.mark.parametrize(
    ("say", "message"),
    [
        (notify.ready, "READY=1"),
        (lambda: notify.ready("all is well"), "READY=1\nSTATUS=all is well"),
        (notify.heartbeat, "WATCHDOG=1"),
        (lambda: notify.status("reads\nREADY=1"), "STATUS=reads READY=1"),
        (lambda: notify.status("caf\udce9"), "STATUS=caf?"),
        (notify.stopping, "STOPPING=1"),
        (lambda: notify.extend_timeout(2.5), "EXTEND_TIMEOUT_USEC=2500000"),
    ],
)
def test_what_is_sent(supervisor: socket.socket, say: Callable[[], bool], message: str) -> None:
    """Each function sends its message, and says that it was sent; a status is one line."""
    assert say()
    assert message == supervisor.recv(1000).decode()


def test_a_reload_tells_when(supervisor: socket.socket) -> None:
    """RELOADING=1 carries the monotonic time in microseconds."""
    before = time.monotonic_ns() // 1000
    assert notify.reloading()
    first, second = supervisor.recv(1000).decode().split("\n")
    assert "RELOADING=1" == first
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_supervisor_that_hangs_holds_up_nobody(supervisor: socket.socket) -> None:
    """Once its socket is full nothing more is said, until it reads again."""
    said = 0
    while notify.heartbeat():
        said += 1
        assert said < 10_000
    for _ in range(said):
        assert b"WATCHDOG=1" == supervisor.recv(1000)
    assert notify.heartbeat()


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all", "vsock:1:2", "@nobody-listens-here"])
def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    """Without a supervisor nothing happens, and nothing is raised."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not notify.ready()


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        (None, None, None),
        ("1500000", None, 1.5),
        pytest.param("1500000", os.getpid(), 1.5, id="ours"),
        ("1500000", 1, None),
        ("0", None, None),
        ("soon", None, None),
    ],
)
def test_the_watchdog_interval(
    monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: int | None, seconds: float | None
) -> None:
    """It is known where the supervisor named it, and meant this process."""
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, str(value))
    assert seconds == notify.watchdog_interval()


def test_it_brings_nothing_along() -> None:
    """Importing it imports nothing else of the package, and nothing that is not of the standard library."""
    code = (
        "import sys; import torpor.notify; print(*sorted(m for m in sys.modules if m.startswith('torpor')))"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "torpor torpor.notify\n" == ran.stdout
