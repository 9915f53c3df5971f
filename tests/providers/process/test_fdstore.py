"""FDSTORE: an app gives descriptors away, and its next generation finds them."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from dataclasses import replace

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.world import World
from torpor.core.model import NotifyProbe, Readiness
from torpor.providers.process.fdstore import FdStore

NOTIFYING = Readiness((NotifyProbe(),))
GIVING = """
import array, os, socket, time
if os.environ.get("LISTEN_PID") == str(os.getpid()):
    names = os.environ["LISTEN_FDNAMES"].split(":")
    for number, name in enumerate(names, 3):
        print(name, os.read(number, 100).decode(), os.get_inheritable(number), flush=True)
    print("extra", [fd for fd in range(3 + len(names), 300) if os.path.exists(f"/proc/self/fd/{fd}")])
else:
    print("no descriptors", os.environ.get("LISTEN_FDS"))

def send(text, *fds):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sock.sendmsg([text], rights, 0, os.environ["NOTIFY_SOCKET"])

one, two, three = os.pipe(), os.pipe(), os.pipe()
for pipe, text in ((one, b"first"), (two, b"second"), (three, b"third")):
    os.write(pipe[1], text)
send(b"FDSTORE=1\\nFDNAME=door\\nFDPOLL=0", one[0])
send(b"FDSTORE=1\\nFDNAME=door\\nFDPOLL=0", one[0])
send(b"FDSTORE=1\\nFDPOLL=0", two[0])
send(b"FDSTORE=1\\nFDNAME=ended", three[0])
send(b"FDSTORE=1\\nFDNAME=gone", three[0])
send(b"FDSTOREREMOVE=1\\nFDNAME=gone")
send(b"READY=1")
print("up", flush=True)
time.sleep(1000)
"""


@pytest.mark.anyio
async def test_descriptors_outlive_a_restart(subject: World) -> None:
    """The next generation finds them from 3 on, by their names, with its own pid in LISTEN_PID."""
    argv = (sys.executable, "-S", "-c", GIVING)
    await subject.provider.start(subject.run(argv, readiness=NOTIFYING))
    await subject.provider.wait_for_notify(ID, 1)
    await wait_for_line(subject, "up")
    assert ["no descriptors None", "up"] == subject.provider.output(ID).tail(5)
    await subject.provider.kill(ID, 1)
    await subject.facts.exited(1)
    await subject.provider.start(subject.run(argv, 2, readiness=NOTIFYING))
    await wait_for_line(subject, "up")
    assert ["door first True", "stored second True", "extra []", "up"] == subject.provider.output(ID).tail(5)
    await subject.provider.kill(ID, 2)
    await subject.facts.exited(2)


@pytest.mark.anyio
async def test_what_stays_down_keeps_nothing(subject: World) -> None:
    """A port that it listened on is free, and its next generation finds nothing."""
    text = """
import array, os, socket, time
print(os.environ.get("LISTEN_FDS"))
with socket.socket() as door, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    door.bind(("127.0.0.1", 0))
    door.listen()
    print(door.getsockname()[1], flush=True)
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [door.fileno()]))
    sock.sendmsg([b"FDSTORE=1\\nREADY=1"], [rights], 0, os.environ["NOTIFY_SOCKET"])
time.sleep(1000)
"""
    launch = subject.run((sys.executable, "-S", "-c", text), readiness=NOTIFYING)
    await subject.provider.start(launch)
    await subject.provider.wait_for_notify(ID, 1)
    port = int(subject.provider.output(ID).tail(1)[0])
    await subject.provider.kill(ID, 1)
    await subject.facts.exited()
    socket.create_connection(("127.0.0.1", port)).close()
    subject.provider.drop_stored(ID)
    while _is_open(port):
        await asyncio.sleep(0.01)
    await subject.provider.start(replace(launch, generation=2))
    await subject.provider.wait_for_notify(ID, 2)
    assert "None" == subject.provider.output(ID).tail(2)[0]


def _is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.anyio
async def test_an_app_does_not_fill_the_log(subject: World, caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong with its words is told once in a generation, with its name."""
    text = """
import array, os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    for number in range(50):
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", os.pipe()))
        sock.sendmsg([b"FDSTORE=1"], [rights])
        sock.send(b"MAINPID=1")
    sock.send(b"READY=1")
time.sleep(1000)
"""
    for generation in (1, 2):
        argv = (sys.executable, "-S", "-c", text)
        await subject.provider.start(subject.run(argv, generation, readiness=NOTIFYING))
        await subject.provider.wait_for_notify(ID, generation)
        await subject.provider.kill(ID, generation)
        await subject.facts.exited(generation)
    told = sorted(record.getMessage() for record in caplog.records)
    assert ["app: FDSTORE: not kept: there are 64 already (told once in a generation)"] * 2 == told[:2]
    assert ["app: MAINPID: process 1 is none of its own (told once in a generation)"] * 2 == told[2:]


def test_a_store_is_bounded() -> None:
    """It keeps so many at most, each pipe once, and nothing under a name that would break the list."""
    store = FdStore()
    pipes = [os.pipe() for _ in range(70)]
    readers = [reader for reader, _ in pipes]
    assert "'a:b' is no name for them" == store.keep("a:b", readers[:1])
    assert store.keep("x" * 256, readers[:1]) is not None
    assert [] == names(store)
    assert store.keep("one", readers[:1]) is None
    assert "there are 64 already" == store.keep("two", readers)
    assert ["one"] + ["two"] * 63 == names(store)
    removed = store.remove("two")
    assert ["one"] == names(store)
    removed += store.clear()
    assert [] == names(store)
    for fd in [*removed, *(fd for pipe in pipes for fd in pipe)]:
        os.close(fd)


def test_what_hung_up_is_not_kept() -> None:
    """Unless FDPOLL=0 asked for it; of a file nobody asks, because it may not answer."""
    store = FdStore()
    first, second, third = os.pipe(), os.pipe(), os.pipe()
    file = os.open("/dev/null", os.O_RDONLY)
    for name, fd, poll in (("a", first[0], True), ("b", second[0], False), ("c", third[0], True)):
        store.keep(name, [fd], poll=poll)
    store.keep("d", [file])
    os.close(first[1])
    os.close(second[1])
    removed = store.remove_hung_up()
    assert ["b", "c", "d"] == names(store)
    for fd in [*removed, *store.clear(), first[0], second[0], *third, file]:
        os.close(fd)


def test_both_ends_of_a_pipe_are_kept() -> None:
    """They are two, each of which is kept once."""
    store = FdStore()
    pipe = os.pipe()
    store.keep("pipe", [*pipe, *pipe])
    assert 2 == len(names(store))
    for fd in [*store.clear(), *pipe]:
        os.close(fd)


def names(store: FdStore) -> list[str]:
    """The names of what is kept."""
    return [name for name, _ in store.listens]
