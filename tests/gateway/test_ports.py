"""Routes with a port of their own: several servers of one app, behind one door."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

from gateway.fakes import DEFAULT, OK, Answer, Backend, Served, Setup, answer_ok, serving
from gateway.test_question import GATE, header, question
from gateway.test_wake import until
from ports import free_port
from torpor.core.model import (
    AppSpec,
    Cause,
    Endpoint,
    HttpProbe,
    Lifecycle,
    ProxyVersion,
    Readiness,
    Reason,
    Refusal,
    Route,
    Scheme,
    StreamRoute,
    Ways,
)

pytestmark = pytest.mark.anyio

FURTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nfurther"
HOSTS = (b"main", b"side")


def get(host: bytes, *, plain: bool = True) -> bytes:
    """`plain`: so that the shortest way is taken."""
    return b"GET / HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (host, b"" if plain else b"TE: x\r\n")


async def further(served: Served) -> None:
    """What the app answers at its further port."""
    await served.send(FURTHER)


def two_ports(port: int, **settings: object) -> AppSpec:
    """An app whose host `side` leads to another port."""
    routes = (Route("main"), Route("side", app_port=port))
    return replace(DEFAULT, routes=routes, **settings)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def both(answer: Answer = further, **settings: object) -> AsyncIterator[tuple[Setup, Backend]]:
    """A gateway before an app that listens at both of its ports."""
    side = Backend(answer)
    endpoint = await side.start()
    try:
        async with serving(spec=two_ports(endpoint.port, **settings)) as setup:
            yield setup, side
    finally:
        await side.stop()


@pytest.mark.parametrize("plain", [True, False])
async def test_each_host_leads_to_its_port(plain: bool) -> None:
    """Also on one connection of a client in turn, and each port keeps its own idle connections."""
    async with both() as (setup, side):
        client = await setup.client()
        for _ in range(3):
            answers = [(await client.ask(get(host, plain=plain)))[1] for host in HOSTS]
            assert [b"ok", b"further"] == answers

        assert (1, 1) == (setup.backend.connections, side.connections)
        assert (6, 2) == (setup.gate.leases, len(setup.gateway.pools))
        upstream = setup.gate.upstream
        assert upstream is not None
        setup.gateway.drop_upstream(upstream)
        await until(lambda: not side.open and not setup.backend.open)


async def test_a_changed_port_holds_at_once() -> None:
    """A client's next request is led elsewhere, its connection stays."""
    async with both() as (setup, _):
        client = await setup.client()
        assert b"further" == (await client.ask(get(b"side")))[1]
        setup.gate.configure(routes=(Route("main"), Route("side")))
        setup.gateway.reroute()
        assert b"ok" == (await client.ask(get(b"side")))[1]


async def test_a_port_that_is_refused_shuts_no_door() -> None:
    """Its request is held until somebody listens there; what goes to the main port does not notice."""
    port = free_port()
    async with serving(spec=two_ports(port)) as setup:
        client = await setup.client()
        await client.send(get(b"side"))
        await until(lambda: setup.gate.leases > 2)
        assert b"ok" == (await setup.ask(get(b"main")))[1]
        assert 0 == setup.gate.refused_connections

        side = Backend(further)
        await side.start(port)
        assert b"further" == (await client.response())[1]
        await side.stop()


async def test_a_port_that_is_refused_for_too_long() -> None:
    """The request ends within its one wake_timeout."""
    async with serving(spec=two_ports(free_port(), lifecycle=Lifecycle(wake_timeout=0.3))) as setup:
        head, _ = await setup.ask(get(b"side"))
        assert head.startswith(b"HTTP/1.1 504 ")
        assert b"X-Torpor: wake-timeout" in head


async def test_an_app_that_is_lost_refuses_who_is_held() -> None:
    """Whoever waits for a port hears of the app's end."""
    async with serving(spec=two_ports(free_port())) as setup:
        client = await setup.client()
        await client.send(get(b"side"))
        await until(lambda: setup.gate.leases > 1)
        setup.gate.asleep()
        await until(lambda: setup.gate.waiting)
        setup.gate.refuse(Refusal(Reason(Cause.DOWN, "stopped"), None))
        assert (await client.response())[0].startswith(b"HTTP/1.1 503 ")


async def test_no_way_leads_there() -> None:
    """Where a port is not published, that is said at once, and no other program's port is tried."""
    async with both() as (setup, side):
        endpoint = setup.backend.endpoint
        setup.gate.awake(replace(endpoint, ways=Ways(None)))
        head, body = await setup.ask(get(b"side"))
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"X-Torpor: failed" in head
        assert b"is not published" in body
        assert b"ok" == (await setup.ask(get(b"main")))[1]

        setup.gate.awake(replace(endpoint, ways=Ways(None, ((f"{side.endpoint.port}/tcp", endpoint),))))
        assert b"ok" == (await setup.ask(get(b"side")))[1]


async def test_a_probe_of_the_main_port_proves_nothing_of_another() -> None:
    """A 503 of a further port just after readiness is asked again, whatever an http probe has found."""
    tries = 0

    async def answer(served: Served) -> None:
        nonlocal tries
        tries += 1
        await served.send(b"HTTP/1.1 503 Not yet\r\nContent-Length: 0\r\n\r\n" if tries < 3 else OK)

    async with both(answer, readiness=Readiness((HttpProbe("/"),))) as (setup, _):
        setup.gate.awake()
        assert b"ok" == (await setup.ask(get(b"side")))[1]
        assert 3 == tries


async def test_who_names_no_host_is_for_the_port() -> None:
    """HTTP/1.0 may do without; the app is told where it is."""
    side = Backend(further)
    endpoint = await side.start()
    async with serving(spec=replace(DEFAULT, routes=(Route(None, app_port=endpoint.port),))) as setup:
        client = await setup.client()
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.rest()).endswith(b"further")
        assert f"Host: {endpoint}".encode() in side.heads[0]
    await side.stop()


async def test_a_proxy_is_told_the_port() -> None:
    """Of the route that the visitor's request fits; by the app's name it is the main one."""
    port = free_port()
    async with serving(spec=two_ports(port), listen=GATE) as setup:
        for asked, expected in (
            (question(None, X_Forwarded_Host="side", X_Forwarded_Uri="/"), Endpoint("127.0.0.1", port)),
            (question(None, X_Forwarded_Host="main", X_Forwarded_Uri="/"), setup.backend.endpoint),
            (question("app"), setup.backend.endpoint),
        ):
            client = await setup.client()
            await client.send(asked)
            assert str(expected).encode() == header(await client.head(), b"X-Torpor-Upstream")
        setup.gate.awake(replace(setup.backend.endpoint, ways=Ways(None)))
        client = await setup.client()
        await client.send(question(None, X_Forwarded_Host="side", X_Forwarded_Uri="/"))
        assert (await client.head()).startswith(b"HTTP/1.1 503 ")


async def test_a_stream_leads_to_its_port() -> None:
    """It is held until somebody listens there, and no door is shut."""
    port = free_port()
    spec = AppSpec("app", routes=(Route(None),), streams=(StreamRoute("127.0.0.1", 0, app_port=port),))
    async with serving(spec=spec) as setup:
        reader, writer = await asyncio.open_connection(*setup.gateway.streams.addresses()[0])
        await until(lambda: setup.gate.leases > 2)

        async def greet(_: asyncio.StreamReader, app: asyncio.StreamWriter) -> None:
            app.write(b"SSH-2.0\r\n")
            app.close()

        server = await asyncio.start_server(greet, "127.0.0.1", port)
        assert b"SSH-2.0\r\n" == await reader.read()
        assert 0 == setup.gate.refused_connections
        writer.close()
        server.close()


async def test_an_app_is_told_at_its_further_port_for_whom_we_connect() -> None:
    """Each attempt begins with it anew, and what the client has said meanwhile follows."""
    port = free_port()
    route = StreamRoute("127.0.0.1", 0, send_proxy=ProxyVersion.V1, app_port=port)
    async with serving(spec=AppSpec("app", streams=(route,))) as setup:
        there = setup.gateway.streams.addresses()[0]
        _, writer = await asyncio.open_connection(*there)
        writer.write(b"hello\n")
        await until(lambda: setup.gate.leases > 2)
        heard = asyncio.get_running_loop().create_future()

        async def hear(reader: asyncio.StreamReader, app: asyncio.StreamWriter) -> None:
            heard.set_result((await reader.readline(), await reader.readline()))
            app.close()

        server = await asyncio.start_server(hear, "127.0.0.1", port)
        own = writer.get_extra_info("sockname")[1]
        told = f"PROXY TCP4 127.0.0.1 127.0.0.1 {own} {there[1]}\r\n".encode()
        assert (told, b"hello\n") == await heard
        writer.close()
        server.close()


async def test_a_websocket_leads_to_its_port() -> None:
    """It is parked as one at the main port, and what goes there does not notice."""

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with serving(spec=two_ports(port)) as setup:
            host, own = setup.gateway.addresses()[0]
            async with connect("ws://side/chat", host=host, port=own, proxy=None) as client:
                await client.send("knock")
                assert "knock" == await client.recv()
                await until(lambda: setup.gate.parked == 1)
                assert 0 == setup.backend.connections
            await until(lambda: setup.gate.parked == 0)
            main = await setup.client()
            assert b"ok" == (await main.ask(get(b"main")))[1]


async def test_a_websocket_where_nobody_listens() -> None:
    """Its handshake is held, and ends within the one wake_timeout."""
    spec = two_ports(free_port(), lifecycle=Lifecycle(wake_timeout=0.3))
    async with serving(spec=spec) as setup:
        host, own = setup.gateway.addresses()[0]
        with pytest.raises(InvalidStatus) as refused:
            await connect("ws://side/chat", host=host, port=own, proxy=None)
        assert 504 == refused.value.response.status_code
        assert 0 == setup.gate.refused_connections


async def test_a_stream_where_no_way_leads() -> None:
    """It is reset at once."""
    spec = AppSpec("app", streams=(StreamRoute("127.0.0.1", 0, app_port=22),))
    async with serving(answer_ok, spec=spec) as setup:
        setup.gate.awake(replace(setup.backend.endpoint, ways=Ways(None)))
        reader, writer = await asyncio.open_connection(*setup.gateway.streams.addresses()[0])
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_datagrams_lead_to_their_port() -> None:
    """A port that is published for connections is not published for them."""
    with socket.socket(type=socket.SOCK_DGRAM) as app, socket.socket(type=socket.SOCK_DGRAM) as client:
        app.bind(("127.0.0.1", 0))
        app.setblocking(False)
        client.setblocking(False)
        port = app.getsockname()[1]
        spec = AppSpec("app", streams=(StreamRoute("127.0.0.1", 0, Scheme.UDP, app_port=53),))
        async with serving(spec=spec) as setup:
            loop = asyncio.get_running_loop()
            there = (("53/tcp", Endpoint("127.0.0.1", 9)), ("53/udp", Endpoint("127.0.0.1", port)))
            for ways, arrives in ((Ways(None, there[:1]), False), (Ways(None, there), True)):
                setup.gate.awake(replace(setup.backend.endpoint, ways=ways))
                client.connect(setup.gateway.streams.addresses()[0])
                leases = setup.gate.leases
                await loop.sock_sendall(client, b"who?")
                await until(lambda leases=leases: setup.gate.leases > leases)
                if arrives:
                    assert b"who?" == await loop.sock_recv(app, 100)
                else:
                    await until(lambda: not len(setup.gateway.streams))
            setup.gateway.streams.abort()
