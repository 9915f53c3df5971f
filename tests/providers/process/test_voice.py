"""What an app says of itself, word by word, and what real programs say."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.world import World
from torpor.core.messages import (
    EndAnnounced,
    Exited,
    InstanceInput,
    Pinged,
    StatusChanged,
    TimeExtended,
    WatchdogChanged,
    WatchdogTriggered,
)
from torpor.core.model import ExitInfo, Lifecycle, NotifyProbe, Readiness
from torpor.providers.process.voice import Voice

NOTIFYING = Readiness((NotifyProbe(),))


class Keeper:
    """Notes what a voice asks for."""

    def __init__(self) -> None:
        self.ready = 0
        self.followed: list[int] = []
        self.statuses: list[str] = []
        self.intervals: list[float] = []

    def note_status(self, text: str) -> None:
        """Note it."""
        self.statuses.append(text)

    def note_watchdog(self, seconds: float) -> None:
        """Note it."""
        self.intervals.append(seconds)

    def note_ready(self) -> None:
        """Count it."""
        self.ready += 1

    def follow(self, pid: int) -> None:
        """Note it."""
        self.followed.append(pid)


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where a real program is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        ({"STATUS": "fine"}, [StatusChanged(ID, 3, "fine")]),
        ({"STATUS": "x" * 1000}, [StatusChanged(ID, 3, "x" * 200)]),
        ({"STATUS": ""}, []),
        ({"STOPPING": "1"}, [EndAnnounced(ID, 3)]),
        ({"STOPPING": "0"}, []),
        ({"WATCHDOG": "1"}, [Pinged(ID, 3)]),
        ({"WATCHDOG": "trigger"}, [WatchdogTriggered(ID, 3)]),
        ({"WATCHDOG": "2"}, []),
        ({"WATCHDOG_USEC": "2500000"}, [WatchdogChanged(ID, 3, 2.5)]),
        ({"WATCHDOG_USEC": "1"}, [WatchdogChanged(ID, 3, 0.1)]),
        ({"WATCHDOG_USEC": "0"}, []),
        ({"WATCHDOG_USEC": "-1"}, []),
        ({"EXTEND_TIMEOUT_USEC": "1500000"}, [TimeExtended(ID, 3, 1.5)]),
        ({"EXTEND_TIMEOUT_USEC": "9" * 20}, [TimeExtended(ID, 3, 604800.0)]),
        ({"EXTEND_TIMEOUT_USEC": "9" * 5000}, []),
        ({"EXTEND_TIMEOUT_USEC": "²"}, []),
        ({"ERRNO": "2"}, [StatusChanged(ID, 3, *["No such file or directory (error 2)"] * 2)]),
        ({"ERRNO": "99999"}, [StatusChanged(ID, 3, "error 99999", "error 99999")]),
        ({"ERRNO": "0"}, []),
        ({"READY": "1", "X_OTHER": "1", "BARRIER": "1"}, []),
        ({"MAINPID": "nonsense"}, []),
    ],
)
def test_a_word_is_a_fact(said: dict[str, str], facts: list[InstanceInput]) -> None:
    """Each word becomes the fact that it states; nonsense becomes none."""
    heard: list[InstanceInput] = []
    voice = Voice(ID, 3, heard.append, Keeper())
    voice.hear(said)
    assert facts == heard


def test_an_error_adds_to_the_status() -> None:
    """ERRNO in the same message says why, behind what STATUS says."""
    heard: list[InstanceInput] = []
    Voice(ID, 3, heard.append, Keeper()).hear({"ERRNO": "12", "STATUS": "failed to start"})
    why = "Cannot allocate memory (error 12)"
    assert StatusChanged(ID, 3, f"failed to start: {why}", why) == heard[-1]


def test_ready_is_noted_once() -> None:
    """READY=1 counts once; anything else than 1 is not ready."""
    keeper = Keeper()
    voice = Voice(ID, 3, lambda _: None, keeper)
    voice.hear({"READY": "0"})
    assert not voice.ready.is_set()
    voice.hear({"READY": "1"})
    voice.hear({"READY": "1"})
    assert voice.ready.is_set()
    assert 1 == keeper.ready


def test_a_reload_is_shown_until_it_is_over() -> None:
    """RELOADING=1 shows as status, and READY=1 brings the app's own status back."""
    heard: list[InstanceInput] = []
    voice = Voice(ID, 3, heard.append, Keeper(), ready=True)
    voice.hear({"STATUS": "serving"})
    voice.hear({"RELOADING": "1", "MONOTONIC_USEC": "12345"})
    voice.hear({"READY": "1"})
    assert ["serving", "reloading", "serving"] == [
        fact.text for fact in heard if isinstance(fact, StatusChanged)
    ]


def test_the_main_process_is_followed_before_anything_else() -> None:
    """MAINPID is passed on, however the message is ordered."""
    keeper = Keeper()
    Voice(ID, 3, lambda _: None, keeper).hear({"READY": "1", "MAINPID": "42"})
    assert [42] == keeper.followed


@pytest.mark.anyio
async def test_the_end_of_the_process_it_named_is_its_end(subject: World) -> None:
    """After MAINPID the exit of that process is the app's, and what started it may go."""
    text = """
import os, socket, sys, time
reader, writer = os.pipe()
if os.fork():
    os.read(reader, 1)
    os._exit(0)
os.setsid()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.sendto(f"MAINPID={os.getpid()}\\nREADY=1".encode(), os.environ["NOTIFY_SOCKET"])
os.write(writer, b"x")
while not os.path.exists("go"):
    time.sleep(0.01)
os._exit(6)
"""
    launch = subject.run((sys.executable, "-S", "-c", text), readiness=NOTIFYING)
    running = await subject.provider.start(launch)
    await subject.provider.wait_for_notify(ID, 1)
    stats = subject.provider.stats(ID)
    assert stats is not None
    assert running.pid != stats.pid
    await subject.succeed()
    (survivor,) = await subject.provider.survivors()
    assert stats.pid == survivor.running.pid
    subject.provider.adopt(launch)
    while len(subject.processes()) > 1:
        await asyncio.sleep(0.001)
    (subject.folder / "go").touch()
    assert Exited(ID, 1, ExitInfo(code=6)) == await subject.facts.exited()


@pytest.mark.anyio
async def test_last_words_are_heard_before_the_end(subject: World) -> None:
    """However much it had to say, what an app said before it ended is told before its end."""
    text = """
import os, socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    for number in range(100):
        sock.sendto(f"STATUS={number}".encode(), os.environ["NOTIFY_SOCKET"])
"""
    await subject.provider.start(subject.run((sys.executable, "-S", "-c", text), readiness=NOTIFYING))
    await subject.facts.exited()
    assert [StatusChanged(ID, 1, "99"), Exited(ID, 1, ExitInfo(code=0))] == subject.facts.all[-2:]


@pytest.mark.anyio
async def test_a_stranger_is_no_main_process(subject: World) -> None:
    """MAINPID of a process that is none of the app's changes nothing."""
    text = """
import os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.sendto(b"MAINPID=1\\nREADY=1", os.environ["NOTIFY_SOCKET"])
sys.stdin.read()
import time; time.sleep(1000)
"""
    running = await subject.provider.start(
        subject.run((sys.executable, "-S", "-c", text), readiness=NOTIFYING)
    )
    await subject.provider.wait_for_notify(ID, 1)
    stats = subject.provider.stats(ID)
    assert stats is not None
    assert running.pid == stats.pid


@pytest.mark.anyio
async def test_a_watchdog_is_told_its_interval(subject: World) -> None:
    """WATCHDOG_USEC and NOTIFY_SOCKET are in the environment when a watchdog is configured."""
    lifecycle = Lifecycle(watchdog=1.5)
    command = "echo $WATCHDOG_USEC; test -S $NOTIFY_SOCKET && echo socket"
    await subject.provider.start(subject.run((command,), shell=True, lifecycle=lifecycle))
    await subject.facts.exited()
    assert ["1500000", "socket"] == subject.provider.output(ID).tail(5)


@needs("systemd-notify")
@pytest.mark.anyio
async def test_systemd_notify(subject: World) -> None:
    """The shell's way to say it: ready with a status, and it waits until it was heard."""
    command = "systemd-notify --ready --status='all is well' && echo heard; exec sleep 1000"
    await subject.provider.start(subject.run((command,), shell=True, readiness=NOTIFYING))
    await subject.provider.wait_for_notify(ID, 1)
    await wait_for_line(subject, "heard")
    assert StatusChanged(ID, 1, "all is well") in subject.facts.all


@needs("redis-server")
@pytest.mark.anyio
async def test_redis(subject: World) -> None:
    """Redis under `--supervised systemd` says what it does and when it is ready."""
    socket = subject.folder / "redis.sock"
    command = ("redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "")
    await subject.provider.start(subject.run((*command, "--supervised", "systemd"), readiness=NOTIFYING))
    await subject.provider.wait_for_notify(ID, 1)
    assert socket.exists()
    assert "Ready to accept connections" in _status(subject)
    await subject.provider.stop(ID, 1)
    assert Exited(ID, 1, ExitInfo(code=0)) == await subject.facts.exited()


@needs("haproxy")
@pytest.mark.anyio
async def test_haproxy(subject: World) -> None:
    """HAProxy's master says READY=1 once its worker runs, and that it reloads."""
    config = subject.folder / "haproxy.cfg"
    config.write_text(
        "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n"
        f"frontend one\n bind unix@{subject.folder}/haproxy.sock\n",
        encoding="utf-8",
    )
    running = await subject.provider.start(
        subject.run(("haproxy", "-Ws", "-f", str(config)), readiness=NOTIFYING, reload_signal=signal.SIGUSR2)
    )
    await subject.provider.wait_for_notify(ID, 1)
    before = {process.pid for process in subject.processes()}
    await subject.provider.reload(ID, 1)
    while not {process.pid for process in subject.processes()} - before:
        await asyncio.sleep(0.01)
    while "reloading" not in [fact.text for fact in subject.facts.all if isinstance(fact, StatusChanged)]:
        await asyncio.sleep(0.01)
    while "reloading" in _status(subject):
        await asyncio.sleep(0.01)
    stats = subject.provider.stats(ID)
    assert stats is not None
    assert running.pid == stats.pid
    await subject.provider.stop(ID, 1)
    await subject.facts.exited()


@pytest.mark.anyio
async def test_gunicorn(subject: World) -> None:
    """Gunicorn's arbiter says READY=1 once it listens."""
    pytest.importorskip("gunicorn", reason="gunicorn is not installed")
    (subject.folder / "app.py").write_text(
        "def app(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n", encoding="utf-8"
    )
    bind = f"unix:{subject.folder}/gunicorn.sock"
    command = (sys.executable, "-m", "gunicorn", "--bind", bind, "--no-control-socket", "app:app")
    await subject.provider.start(subject.run(command, readiness=NOTIFYING))
    await subject.provider.wait_for_notify(ID, 1)
    assert "booted" in _status(subject)
    await subject.provider.stop(ID, 1)
    await subject.facts.exited()


def _status(world: World) -> str:
    """The last words of the app on itself."""
    return [fact.text for fact in world.facts.all if isinstance(fact, StatusChanged)][-1]
