"""Connections that are carried byte by byte: held, given to the app, and ended as either end wishes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from gateway.fakes import FakeGate, FakeSeam, silence
from gateway.test_hello import hello
from torpor.config.settings import GatewaySpec, Limits, Listen
from torpor.core.model import (
    AppSpec,
    Cause,
    Endpoint,
    Knock,
    ProxyVersion,
    Reason,
    Refusal,
    Scheme,
    SocketActivity,
    StreamRoute,
)
from torpor.core.upstream import Upstream
from torpor.errors import ListenFailed
from torpor.gateway import dials
from torpor.gateway.gateway import Gateway
from torpor.gateway.hello import UNKNOWN_NAME
from torpor.gateway.proxied import End, Ends, header
from torpor.gateway.stay import Stay

pytestmark = pytest.mark.anyio

ROUTE = StreamRoute("127.0.0.1", 0)
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Setup:
    """A gateway with one stream in front of an app whose connections the test holds in its hand."""

    gateway: Gateway
    seam: FakeSeam
    gate: FakeGate
    came: asyncio.Queue[Wire] = field(default_factory=asyncio.Queue)
    wires: list[Wire] = field(default_factory=list)

    async def client(self) -> Wire:
        """A new connection to the stream's address."""
        wire = await asyncio.open_connection(*self.gateway.streams.addresses()[0])
        self.wires.append(wire)
        return wire

    async def app(self) -> Wire:
        """The next connection that the app gets."""
        wire = await self.came.get()
        self.wires.append(wire)
        return wire


@contextlib.asynccontextmanager
async def streaming(
    *,
    awake: bool = True,
    most: int = 100,
    activity: SocketActivity = SocketActivity.DATA,
    route: StreamRoute = ROUTE,
    patience: float = 10.0,
    trusted: Sequence[str] = (),
) -> AsyncIterator[Setup]:
    """Checks at the end that all is repaid."""
    came: asyncio.Queue[Wire] = asyncio.Queue()
    server = await asyncio.start_server(lambda *wire: came.put_nowait(wire), "127.0.0.1", 0)
    spec = AppSpec("db", streams=(route,), stream_activity=activity)
    gate = FakeGate(spec, Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]))
    seam = FakeSeam(gate)
    if awake:
        gate.awake(ago=60.0)
    gateway = Gateway(
        GatewaySpec(
            (Listen("127.0.0.1", 0),), Limits(connections=most, header_timeout=patience), tuple(trusted)
        ),
        seam,
    )
    await gateway.open()
    setup = Setup(gateway, seam, gate, came)
    try:
        yield setup
    finally:
        for _, writer in setup.wires:
            writer.close()
        async with asyncio.timeout(10):
            await gate.settled()
        await gateway.close(1.0)
        server.close()
    assert [] == gate.violations
    assert not len(gateway.streams)


async def _until(fact: object) -> None:
    async with asyncio.timeout(10):
        while not fact():  # type: ignore[operator]
            await asyncio.sleep(0)


async def test_bytes_go_both_ways() -> None:
    """Whoever speaks first."""
    async with streaming() as setup:
        reader, writer = await setup.client()
        app_reader, app_writer = await setup.app()
        app_writer.write(b"220 ready\n")
        assert b"220 ready\n" == await reader.readline()
        writer.write(b"HELO\n")
        assert b"HELO\n" == await app_reader.readline()


async def test_what_was_sent_early_arrives_whole() -> None:
    """A held client's bytes wait for the app, and who it is is told."""
    async with streaming(awake=False) as setup:
        _, writer = await setup.client()
        early = os.urandom(100_000)
        writer.write(early)
        await _until(lambda: setup.gate.waiting)
        knock = setup.gate.waits[0]
        assert isinstance(knock, Knock)
        assert ("TCP", "127.0.0.1") == (knock.method, knock.address)

        setup.gate.awake()
        app_reader, _ = await setup.app()
        assert early == await app_reader.readexactly(len(early))


async def test_a_client_that_has_said_all_before_the_app_woke_is_answered() -> None:
    """`echo ping | nc`: half an end is no end."""
    async with streaming(awake=False) as setup:
        reader, writer = await setup.client()
        writer.write(b"ping")
        writer.write_eof()
        await _until(lambda: setup.gate.waiting)
        setup.gate.awake()
        app_reader, app_writer = await setup.app()
        assert b"ping" == await app_reader.read()
        app_writer.write(b"pong")
        app_writer.close()
        assert b"pong" == await reader.read()


async def test_the_app_may_end_its_half_first() -> None:
    """The client still speaks."""
    async with streaming() as setup:
        reader, writer = await setup.client()
        app_reader, app_writer = await setup.app()
        app_writer.write_eof()
        assert b"" == await reader.read()
        writer.write(b"more")
        writer.write_eof()
        assert b"more" == await app_reader.read()


async def test_a_reset_is_a_reset() -> None:
    """An end without order is not told as one in order, in either direction."""
    async with streaming() as setup:
        reader, _ = await setup.client()
        _, app_writer = await setup.app()
        _reset(app_writer)
        with pytest.raises(ConnectionResetError):
            await reader.read()

        _, writer = await setup.client()
        app_reader, _ = await setup.app()
        _reset(writer)
        with pytest.raises(ConnectionResetError):
            await app_reader.read()


async def test_whom_the_app_refuses_is_reset() -> None:
    """No empty conversation in its place."""
    async with streaming(awake=False) as setup:
        reader, _ = await setup.client()
        await _until(lambda: setup.gate.waiting)
        setup.gate.refuse(Refusal(Reason(Cause.DOWN, "it is down"), None))
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_one_connection_too_many_is_reset() -> None:
    """Strangers cannot make it hold any number."""
    async with streaming(most=1) as setup:
        await setup.client()
        await setup.app()
        with pytest.raises(ConnectionResetError):
            await (await setup.client())[0].read()


async def test_a_client_that_resets_while_held_gives_up_its_place() -> None:
    """Nobody is waited for who has gone."""
    async with streaming(awake=False) as setup:
        _, writer = await setup.client()
        await _until(lambda: setup.gate.waiting)
        _reset(writer)
        await _until(lambda: not setup.gate.waiting)
        assert not len(setup.gateway.streams)


async def test_a_refused_connection_is_tried_again() -> None:
    """An app that is just coming up is waited for."""
    async with streaming() as setup:
        good = setup.gate.endpoint
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            setup.gate.awake(Endpoint("127.0.0.1", nobody.getsockname()[1]))
            reader, _ = await setup.client()
            await _until(lambda: setup.gate.waiting)
        assert 1 == setup.gate.refused_connections
        setup.gate.awake(good)
        _, app_writer = await setup.app()
        app_writer.write(b"x")
        assert b"x" == await reader.readexactly(1)


async def test_an_app_that_ends_while_it_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address vanished with it, and nobody answers there: the connection is held for the next instance."""
    monkeypatch.setattr(dials, "CONNECT_TIMEOUT", 1000.0)
    async with streaming() as setup:
        good = setup.gate.endpoint
        with silence() as nowhere:
            gone = setup.gate.awake(nowhere)
            client = await setup.client()
            await _until(lambda: setup.gate.inflight)
            setup.gate.asleep()
            setup.gateway.drop_upstream(gone)
            await _until(lambda: setup.gate.waiting)
            assert 0 == setup.gate.inflight
        setup.gate.awake(good)
        client[1].write(b"hello")
        assert b"hello" == await (await setup.app())[0].readexactly(5)


async def test_who_does_not_read_holds_up_who_sends() -> None:
    """Back-pressure: only so much is on its way, and it all arrives once there is room."""
    async with streaming() as setup:
        reader, _ = await setup.client()
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        _, app_writer = await setup.app()
        sent = 64 * 1024 * 1024
        app_writer.write(bytes(sent))
        draining = asyncio.ensure_future(app_writer.drain())
        done, _ = await asyncio.wait([draining], timeout=0.2)
        assert not done

        reader._transport.resume_reading()  # type: ignore[attr-defined]
        received = 0
        while received < sent:
            received += len(await reader.read(1 << 20))
        await draining


async def test_an_idle_connection_is_parked_and_a_question_is_a_lease() -> None:
    """While an answer is owed the app is at work; after it, the connection counts no more."""
    async with streaming() as setup:
        gate = setup.gate
        reader, writer = await setup.client()
        app_reader, app_writer = await setup.app()
        assert (0, 1) == (gate.inflight, gate.parked)
        writer.write(b"a long query")
        await app_reader.read(100)
        assert (1, 0) == (gate.inflight, gate.parked)
        app_writer.write(b"its answer")
        await reader.read(100)
        assert (0, 1) == (gate.inflight, gate.parked)


async def test_open_and_ignore() -> None:
    """An open connection is a lease all the time, or nothing ever is."""
    for activity, expected in ((SocketActivity.OPEN, (1, 0)), (SocketActivity.IGNORE, (0, 1))):
        async with streaming(activity=activity) as setup:
            reader, writer = await setup.client()
            app_reader, app_writer = await setup.app()
            assert expected == (setup.gate.inflight, setup.gate.parked)
            writer.write(b"x")
            await app_reader.read(1)
            assert expected == (setup.gate.inflight, setup.gate.parked)
            app_writer.write(b"x")
            await reader.read(1)
            assert expected == (setup.gate.inflight, setup.gate.parked)
            assert 0 == setup.gate.touches


def test_data_wakes_what_could_not_be_woken_before() -> None:
    """Whoever still waits for an answer, and says more, knocks again."""
    gate = FakeGate(AppSpec("db"), Endpoint("127.0.0.1", 1))
    upstream: Upstream = gate.awake()
    gate.enter()
    stay = Stay(gate, upstream, SocketActivity.DATA)
    stay.client_spoke(1)
    stay.client_spoke(1)
    assert 0 == gate.touches
    upstream.frozen = True
    stay.client_spoke(1)
    assert 1 == gate.touches


async def test_an_instance_that_is_to_stop_ends_its_idle_connections_at_once() -> None:
    """In order; one whose client waits gets its answer first."""
    async with streaming() as setup:
        idle, _ = await setup.client()
        await setup.app()
        busy, writer = await setup.client()
        app_reader, app_writer = await setup.app()
        writer.write(b"?")
        await app_reader.read(1)
        upstream = setup.gate.upstream
        assert upstream is not None

        setup.gateway.close_upgraded(upstream)
        assert b"" == await idle.read()
        app_writer.write(b"!")
        assert b"!" == await busy.read()


async def test_who_has_half_ended_does_not_wait_for_an_instance_that_is_gone() -> None:
    """Nobody would ever read what the client may say."""
    async with streaming() as setup:
        reader, _ = await setup.client()
        _, app_writer = await setup.app()
        upstream = setup.gate.upstream
        assert upstream is not None
        app_writer.write(b"last words")
        app_writer.write_eof()
        assert b"last words" == await reader.read()
        setup.gateway.drop_upstream(upstream)
        assert not len(setup.gateway.streams)


NAMED = StreamRoute("127.0.0.1", 0, scheme=Scheme.TLS, name="*.example.org")


async def test_a_greeting_says_whom_it_is_for_and_is_passed_on_whole() -> None:
    """Although it comes in pieces; nobody is woken before it is all there."""
    async with streaming(awake=False, route=NAMED) as setup:
        _, writer = await setup.client()
        greeting = hello("git.example.org")
        for start in range(0, len(greeting), 100):
            assert not setup.gate.waits
            writer.write(greeting[start : start + 100])
            await asyncio.sleep(0.001)
        await _until(lambda: setup.gate.waiting)
        assert "TLS git.example.org:0 from 127.0.0.1" == str(setup.gate.waits[0])
        setup.gate.awake()
        app_reader, _ = await setup.app()
        assert greeting == await app_reader.readexactly(len(greeting))


async def test_a_name_that_nobody_has_is_refused_in_tls() -> None:
    """The client says why, and no app is woken."""
    async with streaming(awake=False, route=NAMED) as setup:
        reader, writer = await setup.client()
        writer.write(hello("example.org"))
        assert UNKNOWN_NAME == await reader.read()
        assert not setup.gate.waits


async def test_what_is_no_greeting_is_reset() -> None:
    """Another protocol, half a greeting, or none within the time."""
    async with streaming(route=NAMED, patience=0.2) as setup:
        for said, ends in (
            (b"SSH-2.0-x\r\n", False),
            (hello("x")[:50], True),
            (hello("x")[:50], False),
            (b"", False),
        ):
            reader, writer = await setup.client()
            writer.write(said)
            if ends:
                writer.write_eof()
            with pytest.raises(ConnectionResetError):
                await reader.read()
        assert not len(setup.gateway.streams)


PROXIED = replace(ROUTE, accept_proxy=True)
ENDS = Ends(End("192.0.2.1", 4711), End("198.51.100.2", 5432))


async def test_a_proxy_says_for_whom_it_connects() -> None:
    """Its header is taken, byte by byte if need be, and the app gets what comes behind it."""
    for version in ProxyVersion:
        async with streaming(awake=False, route=PROXIED, trusted=["127.0.0.0/8"]) as setup:
            _, writer = await setup.client()
            for byte in header(version, ENDS):
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            writer.write(b"hello")
            await _until(lambda: setup.gate.waiting)
            assert "192.0.2.1" == setup.gate.waits[0].address  # type: ignore[union-attr]
            setup.gate.awake()
            app_reader, _ = await setup.app()
            assert b"hello" == await app_reader.readexactly(5)


async def test_an_app_is_told_for_whom_we_connect() -> None:
    """Of the client that a proxy has told us of, or that has come itself."""
    route = replace(PROXIED, send_proxy=ProxyVersion.V1)
    async with streaming(route=route, trusted=["127.0.0.1/32"]) as setup:
        _, writer = await setup.client()
        writer.write(header(ProxyVersion.V2, ENDS) + b"hello\n")
        app_reader, _ = await setup.app()
        assert b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 5432\r\n" == await app_reader.readline()
        assert b"hello\n" == await app_reader.readline()

    async with streaming(route=replace(ROUTE, send_proxy=ProxyVersion.V1)) as setup:
        _, writer = await setup.client()
        port = writer.get_extra_info("sockname")[1]
        to = setup.gateway.streams.addresses()[0][1]
        app_reader, _ = await setup.app()
        assert f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {to}\r\n".encode() == await app_reader.readline()


async def test_a_proxy_that_is_not_trusted_is_reset() -> None:
    """It could say anything; so is who says nothing of it."""
    async with streaming(route=PROXIED) as setup:
        with pytest.raises(ConnectionResetError):
            await _say_and_hear(setup, header(ProxyVersion.V2, ENDS))
        assert 0 == setup.gate.leases
    async with streaming(route=PROXIED, trusted=["127.0.0.1/32"]) as setup:
        reader, writer = await setup.client()
        writer.write(b"hello")
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_a_name_behind_a_proxy() -> None:
    """First the proxy speaks, then its client; both are heard."""
    route = replace(NAMED, accept_proxy=True)
    async with streaming(route=route, trusted=["127.0.0.1/32"]) as setup:
        _, writer = await setup.client()
        greeting = hello("git.example.org")
        writer.write(header(ProxyVersion.V2, ENDS) + greeting)
        app_reader, _ = await setup.app()
        assert greeting == await app_reader.readexactly(len(greeting))


async def test_addresses_come_and_go_while_connections_go_on() -> None:
    """What an apply takes away accepts nobody more; who is connected stays so."""
    async with streaming() as setup:
        streams = setup.gateway.streams
        (_, old), before = streams.addresses()[0], setup.gate.spec
        reader, _ = await setup.client()
        _, app_writer = await setup.app()

        after = replace(before, streams=(StreamRoute("localhost", 0),))
        prepared = streams.prepare([after])
        setup.gate.configure(streams=after.streams)
        setup.gateway.reroute()
        await streams.commit(prepared)

        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", old)
        await setup.client()
        await setup.app()
        app_writer.write(b"still here")
        assert b"still here" == await reader.readexactly(10)


async def test_an_address_that_is_taken_is_told() -> None:
    """And nothing has changed."""
    async with streaming() as setup:
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
            with pytest.raises(ListenFailed, match=f"127.0.0.1:{port} is taken"):
                setup.gateway.streams.prepare([AppSpec("x", streams=(StreamRoute("127.0.0.1", port),))])
        assert 1 == len(setup.gateway.streams.addresses())


async def _say_and_hear(setup: Setup, said: bytes) -> bytes:
    """Connect, say something, and hear what comes until the end."""
    async with asyncio.timeout(5):
        reader, writer = await setup.client()
        writer.write(said)
        return await reader.read()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
