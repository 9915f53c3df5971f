"""A socket that is bound for an app: handed to its process, and taken back from it."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.launches import AS_NOBODY, given, needs_root, refusal
from providers.process.world import World
from torpor.errors import ProviderFailed

pytestmark = pytest.mark.anyio

HANDED = """
import os, socket, time
assert os.environ["LISTEN_PID"] == str(os.getpid())
print(os.environ["LISTEN_FDS"], os.environ["LISTEN_FDNAMES"])
print([fd for fd in range(3, 300) if os.path.exists(f"/proc/self/fd/{fd}")])
print(socket.socket(fileno=os.dup(3)).getsockname()[1])
THEN
print("up", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def copies(listener: socket.socket) -> int:
    """How many descriptors of it this process has open."""
    ours, found = os.fstat(listener.fileno()), 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += os.path.samestat(ours, os.stat(f"/proc/self/fd/{name}"))
    return found


async def start(subject: World, listener: socket.socket | None, then: str = "") -> list[str]:
    """Start a program that is handed the socket; what it says of that."""
    program = (
        HANDED.replace("THEN", then) if listener else "import time; print('up', flush=True); time.sleep(1000)"
    )
    launch = subject.run((sys.executable, "-S", "-c", program))
    await subject.provider.start(replace(launch, listening=listener.fileno() if listener else None))
    await wait_for_line(subject, "up")
    return subject.provider.output(ID).tail(5)


async def end(subject: World) -> None:
    await subject.provider.kill(ID, 1)
    await subject.facts.exited(1)


async def test_it_is_descriptor_three_and_nothing_else_is_passed_on(
    subject: World, listener: socket.socket
) -> None:
    """By the protocol of systemd; ours stays open, and no copy of it is left behind."""
    said = await start(subject, listener)
    assert ["1 app", "[3]", str(listener.getsockname()[1]), "up"] == said
    await end(subject)
    assert 1 == copies(listener)
    socket.create_connection(listener.getsockname()).close()


@needs_root
async def test_as_another_user(subject: World, listener: socket.socket) -> None:
    """A right that only the daemon has, such as a low port, is what the app is handed."""
    program = HANDED.replace("THEN", "print(os.getuid())")
    launch = given(subject.run(("/usr/bin/python3", "-S", "-c", program)), identity=AS_NOBODY)
    await subject.provider.start(replace(launch, listening=listener.fileno()))
    await wait_for_line(subject, "up")
    assert str(AS_NOBODY.uid) == subject.provider.output(ID).tail(2)[0]
    os.close(subject.provider.take_back_socket(ID, 1))
    await end(subject)


@pytest.mark.parametrize("then", ["", "os.dup2(3, 77); os.close(3)", "os.fork() or os.close(3)"])
async def test_it_is_taken_back(subject: World, listener: socket.socket, then: str) -> None:
    """Under whichever number, from whichever process of the app has it."""
    await start(subject, listener, then)
    listener.close()
    with socket.socket(fileno=subject.provider.take_back_socket(ID, 1)) as taken:
        assert not os.get_inheritable(taken.fileno())
        with socket.create_connection(taken.getsockname()):
            taken.accept()[0].close()
    await end(subject)


async def test_it_cannot_be_taken_back_where_nobody_has_it(subject: World, listener: socket.socket) -> None:
    """An app that has closed it, or was never handed one, is not asked for another."""
    await start(subject, listener, "os.close(3); other = socket.create_server(('127.0.0.1', 0))")
    with pytest.raises(ProviderFailed, match="no process of it holds that any more"):
        subject.provider.take_back_socket(ID, 1)
    with pytest.raises(ProviderFailed, match="gone"):
        subject.provider.take_back_socket(ID, 2)
    await end(subject)


async def test_none_was_handed(subject: World) -> None:
    """As it was before its configuration said so."""
    await start(subject, None)
    with pytest.raises(ProviderFailed, match="handed none"):
        subject.provider.take_back_socket(ID, 1)
    await end(subject)


async def test_a_start_that_fails_leaves_no_copy(subject: World, listener: socket.socket) -> None:
    """Else its port would stay taken for ever."""
    await refusal(subject, replace(subject.run(("/nowhere/program",)), listening=listener.fileno()))
    assert 1 == copies(listener)
