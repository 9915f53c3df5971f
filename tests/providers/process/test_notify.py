"""sd_notify: who is believed, and what is understood."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from contract.provider_contract import ID
from providers.process.world import World
from torpor.core.model import NotifyProbe, Readiness
from torpor.errors import StartFailed
from torpor.providers.process import life as life_module
from torpor.providers.process import notify as notify_module
from torpor.providers.process.fdstore import FdStore
from torpor.providers.process.notify import NotifySocket
from torpor.providers.process.procfs import Process

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket is bound."""
    return tmp_path / "notify"


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    """A socket of this process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        yield sock


async def test_assignments(path: Path, sender: socket.socket) -> None:
    """A message is heard as its assignments; nonsense between them is left out."""
    heard: list[Mapping[str, str]] = []
    news = asyncio.Event()

    def hear(said: Mapping[str, str]) -> None:
        heard.append(said)
        news.set()

    notify = NotifySocket(path)
    notify.open()
    notify.listen(lambda pid: pid == os.getpid(), hear)
    sender.sendto(b"READY=1\nSTATUS=a=b\n\xff\nnonsense\nREADY=2\n", str(path))
    await news.wait()
    assert [{"READY": "2", "STATUS": "a=b"}] == heard
    notify.close()
    assert not path.exists()
    notify.close()


async def test_what_is_cut_off_counts_for_nothing(path: Path, sender: socket.socket) -> None:
    """Of a message that is too long, neither what fits nor what came along: its last key may be half a word."""
    heard: list[Mapping[str, str]] = []
    store = FdStore()
    notify = NotifySocket(path, store)
    notify.open()
    notify.listen(lambda _: True, heard.append)
    reader, writer = os.pipe()
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [reader]))
    text = b"READY=1\nFDSTORE=1\nSTATUS="
    sender.sendmsg([text.ljust(notify_module._LARGEST + 1, b"x")], [rights], 0, str(path))
    sender.sendto(b"STATUS=".ljust(notify_module._LARGEST, b"x"), str(path))
    notify.catch_up()
    assert ["STATUS"] == [key for said in heard for key in said]
    assert () == store.listens
    os.close(reader)
    os.close(writer)
    notify.close()


async def test_catching_up_takes_all(
    path: Path, sender: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little one turn of the loop takes, catching up leaves nothing behind."""
    monkeypatch.setattr(notify_module, "_PER_TURN", 1)
    heard: list[Mapping[str, str]] = []
    notify = NotifySocket(path)
    notify.open()
    notify.listen(lambda _: True, heard.append)
    for number in range(5):
        sender.sendto(f"STATUS={number}".encode(), str(path))
    notify.catch_up()
    assert list("01234") == [said["STATUS"] for said in heard]
    notify.close()


async def test_strangers_are_not_believed(path: Path, sender: socket.socket) -> None:
    """A message from a process that is not the app's changes nothing."""
    seen: list[int] = []
    heard: list[object] = []
    news = asyncio.Event()

    def belongs(pid: int) -> bool:
        seen.append(pid)
        news.set()
        return False

    notify = NotifySocket(path)
    notify.open()
    notify.listen(belongs, heard.append)
    sender.sendto(b"READY=1", str(path))
    await news.wait()
    assert [os.getpid()] == seen
    assert [] == heard
    notify.close()


async def test_a_barrier_is_lifted(path: Path, sender: socket.socket) -> None:
    """Descriptors that come along are closed, which is what BARRIER=1 waits for."""
    notify = NotifySocket(path)
    notify.open()
    notify.listen(lambda _: True, lambda _: None)
    reader, writer = os.pipe()
    fds = array.array("i", [writer, writer])
    sender.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)], 0, str(path))
    os.close(writer)
    lifted = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(reader, lifted.set)
    await lifted.wait()
    loop.remove_reader(reader)
    assert os.read(reader, 1) == b""
    os.close(reader)
    notify.close()


@pytest.mark.parametrize("kept", [False, True])
async def test_a_descriptor_that_takes_long_to_close_holds_up_nobody_else(
    path: Path, sender: socket.socket, *, kept: bool
) -> None:
    """The loop goes on, whether it was never kept or is removed; what the app says after it waits for that."""
    story: list[str] = []
    news = asyncio.Event()

    def hear(said: Mapping[str, str]) -> None:
        story.append(said["STATUS"])
        news.set()

    notify = NotifySocket(path, FdStore())
    notify.open()
    notify.listen(lambda _: True, hear)
    peer, lingering = _lingering()
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [lingering.fileno()]))
    sender.sendmsg([b"STATUS=gift\nFDNAME=gift\nFDSTORE=%d" % kept], [rights], 0, str(path))
    lingering.close()
    if kept:
        sender.sendto(b"STATUS=removed\nFDNAME=gift\nFDSTOREREMOVE=1", str(path))
    sender.sendto(b"STATUS=later", str(path))
    while not story or (kept and "removed" not in story):
        news.clear()
        await news.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    story.append("the loop goes on")
    while await asyncio.to_thread(peer.recv, 1 << 20):
        pass
    while "later" not in story:
        news.clear()
        await news.wait()
    gift = ["gift", "removed"] if kept else ["gift"]
    assert [*gift, "the loop goes on", "later"] == story
    peer.close()
    notify.close()


def _lingering() -> tuple[socket.socket, socket.socket]:
    """A connection whose second end takes ten seconds to close, unless somebody reads from the first one."""
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        door.bind(("127.0.0.1", 0))
        door.listen(1)
        lingering = socket.create_connection(door.getsockname())
        peer, _ = door.accept()
    lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 10))
    lingering.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            lingering.send(bytes(1 << 16))
    return peer, lingering


async def test_a_helper_of_the_app_is_believed(subject: World) -> None:
    """A child of the main process may say that the app is ready."""
    text = """
import os, socket, time
if os.fork():
    time.sleep(1000)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(1000)
"""
    launch = subject.run((sys.executable, "-c", text), readiness=Readiness((NotifyProbe(),)))
    await subject.provider.start(launch)
    await subject.provider.wait_for_notify(ID, 1)


async def test_a_forger_is_not_believed(subject: World) -> None:
    """A process that is none of the app's may know the socket, and is heard in vain."""
    await subject.provider.start(subject.run(("sleep", "1000"), readiness=Readiness((NotifyProbe(),))))
    (path,) = (subject.folder / "state" / "run").glob("*.notify")
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as forger:
        forger.sendto(b"READY=1\nSTATUS=forged\nWATCHDOG=trigger", str(path))
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))
        forger.sendmsg([b"BARRIER=1"], [rights], 0, str(path))
    os.close(writer)
    heard = asyncio.Event()
    asyncio.get_running_loop().add_reader(reader, heard.set)
    await heard.wait()
    asyncio.get_running_loop().remove_reader(reader)
    os.close(reader)
    assert [] == subject.facts.all
    ready = asyncio.ensure_future(subject.provider.wait_for_notify(ID, 1))
    await asyncio.sleep(0)
    assert not ready.done()
    ready.cancel()


async def test_a_stranger_costs_one_look(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much a process says that is none of the app's: the tree is not searched for it each time."""
    monkeypatch.setattr(life_module, "_REFUSED_FOR", float("inf"))
    await subject.provider.start(subject.run(("sleep", "1000"), readiness=Readiness((NotifyProbe(),))))
    life = subject.provider._lives[ID]
    assert life._notify is not None
    tree = life._tree
    looks: list[int] = []
    members = tree.members

    def look() -> list[Process]:
        looks.append(1)
        return members()

    monkeypatch.setattr(tree, "members", look)
    (path,) = (subject.folder / "state" / "run").glob("*.notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for _ in range(5):
            stranger.sendto(b"STATUS=forged", str(path))
        life._notify.catch_up()
    assert 1 == len(looks)
    assert [] == subject.facts.all


async def test_only_who_asks_gets_a_socket(subject: World) -> None:
    """Without a notify probe NOTIFY_SOCKET is not set, because programs behave differently when it is."""
    await subject.provider.start(subject.run(("echo ${NOTIFY_SOCKET-none}",), shell=True))
    await subject.facts.exited()
    assert subject.provider.output(ID).tail(1) == ["none"]


async def test_a_path_too_long_is_refused(tmp_path: Path) -> None:
    """A path that does not fit into a socket address is named before anything is bound."""
    with pytest.raises(OSError, match="too long"):
        NotifySocket(tmp_path / ("x" * 108)).open()


async def test_a_start_with_too_long_a_path_fails(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start says so."""
    deep = subject.folder / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(subject.provider._mailboxes, "_folder", deep)
    with pytest.raises(StartFailed, match="too long"):
        await subject.provider.start(subject.run(("true",), readiness=Readiness((NotifyProbe(),))))
