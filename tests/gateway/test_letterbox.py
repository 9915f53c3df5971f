"""Datagrams: held, passed on, answered, and forgotten in time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from gateway.fakes import FakeGate, FakeSeam
from torpor.config.settings import GatewaySpec, Limits, Listen
from torpor.core.model import AppSpec, Cause, Endpoint, Reason, Refusal, Scheme, StreamRoute
from torpor.gateway import session
from torpor.gateway.gateway import Gateway
from torpor.gateway.reach import RETRY_PAUSE

pytestmark = pytest.mark.anyio


@dataclass
class Setup:
    """A gateway that takes datagrams for an app that the test is."""

    gateway: Gateway
    gate: FakeGate
    app: socket.socket
    clients: list[socket.socket] = field(default_factory=list)

    def client(self) -> socket.socket:
        """A client with an address of its own."""
        sock = _socket()
        sock.connect(self.gateway.streams.addresses()[0])
        self.clients.append(sock)
        return sock

    async def came(self) -> tuple[bytes, tuple[str, int]]:
        """The next datagram of the app."""
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(BlockingIOError):
                    return self.app.recvfrom(65_535)
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def receiving(*, awake: bool = True, most: int = 100) -> AsyncIterator[Setup]:
    """Checks at the end that all is repaid."""
    with _socket() as app:
        app.bind(("127.0.0.1", 0))
        spec = AppSpec("dns", streams=(StreamRoute("127.0.0.1", 0, Scheme.UDP),))
        gate = FakeGate(spec, Endpoint("127.0.0.1", app.getsockname()[1]))
        if awake:
            gate.awake()
        gateway = Gateway(GatewaySpec((Listen("127.0.0.1", 0),), Limits(connections=most)), FakeSeam(gate))
        await gateway.open()
        setup = Setup(gateway, gate, app)
        try:
            yield setup
        finally:
            await gateway.close(0.0)
            for client in setup.clients:
                client.close()
        assert not len(gateway.streams)
        assert (0, 0, []) == (gate.inflight, gate.parked, gate.violations)


async def test_each_client_has_its_own_conversation() -> None:
    """The app tells them apart by their addresses, and each gets its own answer."""
    async with receiving() as setup:
        one, two = setup.client(), setup.client()
        one.send(b"1")
        _, address_one = await setup.came()
        two.send(b"2")
        _, address_two = await setup.came()
        assert address_one != address_two
        setup.app.sendto(b"for two", address_two)
        setup.app.sendto(b"for one", address_one)
        assert b"for one" == await _answer(one)
        assert b"for two" == await _answer(two)


async def test_an_answer_that_is_owed_is_a_lease() -> None:
    """As on a connection."""
    async with receiving() as setup:
        client = setup.client()
        client.send(b"?")
        _, address = await setup.came()
        assert (1, 0) == (setup.gate.inflight, setup.gate.parked)
        setup.app.sendto(b"!", address)
        await _answer(client)
        assert (0, 1) == (setup.gate.inflight, setup.gate.parked)


async def test_what_is_held_is_bounded_and_in_order() -> None:
    """The first ones are kept; the rest is lost, as datagrams are."""
    async with receiving(awake=False) as setup:
        client = setup.client()
        for number in range(session.HELD + 10):
            client.send(bytes([number]))
        await _until(lambda: setup.gate.waiting)
        for _ in range(20):
            await asyncio.sleep(0)
        assert "UDP 127.0.0.1:0 from 127.0.0.1" == str(setup.gate.waits[0])
        setup.gate.awake()
        assert [bytes([number]) for number in range(session.HELD)] == [
            (await setup.came())[0] for _ in range(session.HELD)
        ]
        assert 1 == len(setup.gate.waits)


async def test_an_app_that_is_too_young_to_listen_gets_it_later() -> None:
    """It counts as ready when it runs: nobody can connect to a port of datagrams."""
    async with receiving() as setup:
        port = setup.app.getsockname()[1]
        setup.app.close()
        client = setup.client()
        client.send(b"early")
        await _until(lambda: setup.gate.inflight)
        await asyncio.sleep(3 * RETRY_PAUSE)
        with _socket() as late:
            late.bind(("127.0.0.1", port))
            setup.app = late
            data, address = await setup.came()
            assert b"early" == data
            late.sendto(b"heard", address)
            assert b"heard" == await _answer(client)


async def test_silence_ends_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says good-bye."""
    monkeypatch.setattr(session, "SILENCE", 0.05)
    async with receiving() as setup:
        setup.client().send(b"?")
        await setup.came()
        await _until(lambda: not len(setup.gateway.streams))
        assert 0 == setup.gate.inflight


async def test_whom_the_app_refuses_begins_anew_with_the_next_datagram() -> None:
    """And one session too many is not begun."""
    async with receiving(awake=False, most=1) as setup:
        client = setup.client()
        client.send(b"?")
        await _until(lambda: setup.gate.waiting)
        setup.client().send(b"?")
        for _ in range(20):
            await asyncio.sleep(0)
        assert 1 == len(setup.gate.waits)
        setup.gate.refuse(Refusal(Reason(Cause.DOWN, "it is down"), None))
        await _until(lambda: not len(setup.gateway.streams))
        client.send(b"?")
        await _until(lambda: setup.gate.waiting)


async def test_an_instance_that_ends_takes_its_sessions_along() -> None:
    """The next datagram is for another one."""
    async with receiving() as setup:
        setup.client().send(b"?")
        await setup.came()
        assert setup.gate.upstream is not None
        setup.gateway.close_upgraded(setup.gate.upstream)
        assert not len(setup.gateway.streams)


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


async def _answer(sock: socket.socket) -> bytes:
    async with asyncio.timeout(10):
        return await asyncio.get_running_loop().sock_recv(sock, 100)


async def _until(fact: object) -> None:
    async with asyncio.timeout(10):
        while not fact():  # type: ignore[operator]
            await asyncio.sleep(0)
