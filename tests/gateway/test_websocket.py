"""WebSockets and other upgrades through the gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from gateway.fakes import DEFAULT, Served, Setup, serving
from torpor.core.model import Endpoint, SocketActivity, SocketPolicy
from torpor.gateway.websocket import FrameCursor


@contextlib.asynccontextmanager
async def echoing(policy: SocketPolicy | None = None) -> AsyncIterator[tuple[Setup, ClientConnection]]:
    """A gateway before a WebSocket echo, and a client that is connected."""

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        spec = replace(DEFAULT, websocket=policy or SocketPolicy())
        async with serving(spec=spec) as setup:
            setup.gate.awake(Endpoint("127.0.0.1", port))
            host, own = setup.gateway.addresses()[0]
            async with connect(f"ws://{host}:{own}/chat", ping_interval=None, proxy=None) as client:
                yield setup, client


@pytest.mark.anyio
async def test_echo() -> None:
    """Messages of every frame-length class pass both ways."""
    async with echoing() as (_, client):
        for size in (0, 1, 125, 126, 65_535, 65_536, 300_000):
            await client.send(b"x" * size)
            assert b"x" * size == await client.recv()


@pytest.mark.anyio
async def test_data_is_activity_and_ping_is_not() -> None:
    """By default the socket is parked; data frames from the client are activity, pings are not."""
    async with echoing() as (setup, client):
        assert (0, 1) == (setup.gate.inflight, setup.gate.parked)
        await (await client.ping())
        assert 0 == setup.gate.touches
        await client.send("hello")
        await client.recv()
        assert 1 == setup.gate.touches


@pytest.mark.anyio
async def test_ignored() -> None:
    """With `ignore` no frame is activity."""
    async with echoing(SocketPolicy(SocketActivity.IGNORE)) as (setup, client):
        await client.send("hello")
        await client.recv()
        assert (0, 1, 0) == (setup.gate.inflight, setup.gate.parked, setup.gate.touches)


@pytest.mark.anyio
async def test_open_keeps_the_lease() -> None:
    """With `open` the socket stays a lease until it ends."""
    async with echoing(SocketPolicy(SocketActivity.OPEN)) as (setup, client):
        assert (1, 0) == (setup.gate.inflight, setup.gate.parked)
        await client.close()
        await setup.gate.settled()
        assert 0 == setup.gate.inflight


@pytest.mark.anyio
async def test_close_upgraded_says_1001() -> None:
    """When its app goes to sleep, a socket is closed with 1001 and repaid."""
    async with echoing() as (setup, client):
        assert setup.gate.upstream is not None
        setup.gateway.close_upgraded(setup.gate.upstream)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert 1001 == client.close_code
        await setup.gate.settled()
        assert 0 == setup.gate.parked


@pytest.mark.anyio
async def test_max_age() -> None:
    """A socket older than `max_age` is closed with 1001."""
    async with echoing(SocketPolicy(max_age=0.05)) as (_, client):
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert 1001 == client.close_code


UPGRADE = b"GET /s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n"


@pytest.mark.anyio
async def test_other_protocol() -> None:
    """Any protocol may be upgraded to; half-closing works in both directions."""
    got = asyncio.Queue[bytes]()

    async def answer(served: Served) -> None:
        assert b"Connection: Upgrade\r\nUpgrade: raw\r\n" in served.head
        await served.send(b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nhello")
        got.put_nowait(await served.reader.read())
        await served.send(b"bye")
        served.writer.close()

    async with serving(answer) as setup:
        client = await setup.client()
        await client.send(UPGRADE + b"early ")
        assert b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n" == await client.head()
        assert b"hello" == await client.reader.readexactly(5)
        await client.send(b"late")
        client.writer.write_eof()
        assert b"early late" == await got.get()
        assert b"bye" == await client.rest()
        assert 2 == setup.gate.touches


@pytest.mark.anyio
async def test_upgrade_declined() -> None:
    """Without a 101 there is no tunnel: what follows is a request like any other."""
    async with serving() as setup:
        client = await setup.client()
        await client.send(UPGRADE + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"ok" == (await client.response())[1]
        assert b"ok" == (await client.response())[1]
        assert setup.backend.heads[1].startswith(b"GET /2 HTTP/1.1\r\n")
        assert b"X-Forwarded-For" in setup.backend.heads[1]


@pytest.mark.anyio
async def test_unasked_101() -> None:
    """A 101 that nobody asked for is a broken answer."""

    async def answer(served: Served) -> None:
        await served.send(b"HTTP/1.1 101 Surprise\r\nUpgrade: x\r\n\r\n")

    async with serving(answer) as setup:
        head, _ = await setup.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 502 ")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "fields",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        b"Upgrade: websocket\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
    ],
)
async def test_upgrade_that_is_dropped(fields: bytes) -> None:
    """h2c, an unnamed Upgrade, one with a body or several protocols: forwarded without Upgrade."""
    async with serving() as setup:
        tail = b"0\r\n\r\n" if b"chunked" in fields else b""
        head, _ = await setup.ask(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n" + tail)
        assert head.startswith(b"HTTP/1.1 200 ")
        lower = setup.backend.heads[0].lower()
        assert b"\r\nupgrade:" not in lower
        assert b"\r\nhttp2-settings:" not in lower


def frame(opcode: int, size: int, *, masked: bool) -> bytes:
    """A WebSocket frame."""
    mask = 0x80 if masked else 0
    if size < 126:
        head = bytes([0x80 | opcode, mask | size])
    elif size < 65_536:
        head = bytes([0x80 | opcode, mask | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, mask | 127]) + size.to_bytes(8, "big")
    return head + (b"mask" if masked else b"") + b"\x89" * size


@pytest.mark.parametrize("step", [1, 2, 3, 5, 13, 14, 100, 10**6])
def test_cursor_finds_every_boundary(step: int) -> None:
    """However the bytes are cut, boundaries and data frames are seen where they are."""
    frames = [
        frame(opcode, size, masked=masked)
        for masked in (False, True)
        for opcode, size in ((9, 0), (1, 5), (10, 125), (2, 126), (0, 700), (9, 3), (2, 66_000))
    ]
    cursor = FrameCursor()
    for each in frames:
        active = False
        for start in range(0, len(each), step):
            active = cursor.follow(each[start : start + step]) or active
            whole = start + step >= len(each)
            assert whole == cursor.at_boundary
        assert (each[0] & 0x0F in {0, 1, 2}) == active


def test_cursor_stops_at_the_boundary() -> None:
    """To finish a frame, no byte of the next one is taken."""
    data = frame(1, 300, masked=False) + frame(2, 10, masked=False)
    cursor = FrameCursor()
    cursor.follow(data[:3])
    assert 301 == cursor.to_boundary(data[3:])
    assert cursor.at_boundary
