"""What a stranger can make the gateway hold, and for how long."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.fakes import DEFAULT, OK, Client, FakeSeam, Served, Setup, serving
from torpor.config.settings import GatewaySpec, Limits, Listen, Tls
from torpor.core.model import Route
from torpor.errors import ListenFailed
from torpor.gateway.fields import Malformed
from torpor.gateway.framing import BadFraming, Chunked
from torpor.gateway.gateway import Gateway
from torpor.gateway.heads import check_partial
from torpor.gateway.http import ClientConnection
from torpor.gateway.phase import AWAITING

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.anyio
async def test_slow_head() -> None:
    """A head that takes too long is ended, however steadily its bytes drip."""
    async with serving(limits=Limits(header_timeout=0.2)) as setup:
        client = await setup.client()
        answer = asyncio.create_task(client.rest())
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"x" * 1000:
            await client.send(bytes([byte]))
            await asyncio.sleep(0.005)
            if answer.done():
                break
        assert (await answer).startswith(b"HTTP/1.1 408 ")


@pytest.mark.anyio
async def test_silent_connection() -> None:
    """A connection that says nothing is closed without a word."""
    async with serving(limits=Limits(header_timeout=0.1)) as setup:
        client = await setup.client()
        with pytest.raises((ConnectionError, AssertionError)):
            assert b"something" == await client.rest()


@pytest.mark.anyio
async def test_idle_connection() -> None:
    """A kept-alive connection without a next request is closed."""
    async with serving(limits=Limits(idle_timeout=0.1)) as setup:
        client = await setup.client()
        await client.ask(GET)
        with pytest.raises((ConnectionError, AssertionError)):
            assert b"something" == await client.rest()


@pytest.mark.anyio
async def test_stuck_body() -> None:
    """A request whose body stops coming is ended, at the app too."""
    gone = asyncio.Event()

    async def answer(served: Served) -> None:
        await served.reader.read()
        gone.set()

    async with serving(answer, limits=Limits(body_timeout=0.1)) as setup:
        client = await setup.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nstuck")
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")
        await gone.wait()


@pytest.mark.anyio
async def test_slow_app_is_not_timed() -> None:
    """No limit runs while the app thinks."""

    async def answer(served: Served) -> None:
        await asyncio.sleep(0.5)
        await served.send(OK)

    limits = Limits(header_timeout=0.1, idle_timeout=0.1, body_timeout=0.1)
    async with serving(answer, limits=limits) as setup:
        assert b"ok" == (await setup.ask(GET))[1]


@pytest.mark.anyio
async def test_too_many_connections() -> None:
    """One connection above the limit is told so; one that ends makes room."""
    async with serving(limits=Limits(connections=2)) as setup:
        first, second = await setup.client(), await setup.client()
        await first.ask(GET)
        await second.ask(GET)
        third = await setup.client()
        head, _ = await third.response()
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\nX-Torpor: too-many-connections\r\n")
        assert b"\r\nRetry-After: " in head
        first.close()
        third.close()
        async with asyncio.timeout(5):
            while len(setup.gateway._connections) > 1:
                await asyncio.sleep(0.001)
        assert b"ok" == (await setup.ask(GET))[1]


@pytest.mark.anyio
async def test_close_lets_requests_end() -> None:
    """Closing ends idle connections at once and lets requests in flight end."""
    reached, go = asyncio.Event(), asyncio.Event()

    async def answer(served: Served) -> None:
        reached.set()
        await go.wait()
        await served.send(OK)

    async with serving(answer) as setup:
        idle, busy = await setup.client(), await setup.client()
        await busy.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        await reached.wait()
        closing = asyncio.create_task(setup.gateway.close(5.0))
        assert b"" == await idle.rest()
        go.set()
        head, body = await busy.response()
        assert (True, b"ok") == (b"\r\nConnection: close\r\n" in head, body)
        await closing


@pytest.mark.anyio
async def test_close_cuts_what_takes_too_long() -> None:
    """After the drain limit the rest is cut, and its lease repaid."""
    reached = asyncio.Event()

    async def answer(served: Served) -> None:
        reached.set()
        await served.reader.read()

    async with serving(answer) as setup:
        client = await setup.client()
        await client.send(GET)
        await reached.wait()
        await setup.gateway.close(0.05)
        await setup.gate.settled()


@pytest.mark.anyio
async def test_address_taken() -> None:
    """A taken address is a clear error, and nothing stays open."""
    async with serving() as setup:
        host, port = setup.gateway.addresses()[0]
        gateway = Gateway(GatewaySpec((Listen(host, 0), Listen(host, port))), FakeSeam())
        with pytest.raises(ListenFailed, match="taken by another program"):
            await gateway.open()
        assert f":{port}" in (await _hint(host, port))


async def _hint(host: str, port: int) -> str:
    try:
        await Gateway(GatewaySpec((Listen(host, port),)), FakeSeam()).open()
    except ListenFailed as failed:
        return failed.hint or ""
    return ""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate for localhost, made on the spot."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", "req", "-x509", *kind, *subject, *files], check=True, capture_output=True)
    return Tls(cert, key)


@pytest.mark.anyio
async def test_tls(tls: Tls) -> None:
    """Over TLS the app is told https; bodies of every size pass; old versions are refused."""
    got = []

    async def answer(served: Served) -> None:
        got.append(await served.reader.readexactly(1_000_000))
        await served.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + got[-1])

    async with serving(answer, listen=Listen("127.0.0.1", 0, tls)) as setup:
        host, port = setup.gateway.addresses()[0]
        context = ssl.create_default_context(cafile=str(tls.cert))
        context.set_alpn_protocols(["h2", "http/1.1"])
        reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=2**21)
        client = Client(reader, writer)
        setup.clients.append(client)
        assert "http/1.1" == writer.get_extra_info("ssl_object").selected_alpn_protocol()
        body = b"x" * 1_000_000
        for _ in range(2):
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + body)
            assert body == (await client.response())[1]
        assert b"\r\nX-Forwarded-Proto: https\r\n" in setup.backend.heads[0]
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.anyio
async def test_unusable_certificate(tmp_path: Path) -> None:
    """A certificate that cannot be used is a clear error, and nothing listens."""
    listen = Listen("127.0.0.1", 0, Tls(tmp_path / "none.pem", tmp_path / "none.key"))
    with pytest.raises(ListenFailed, match=r"none\.pem"):
        await Gateway(GatewaySpec((listen,)), FakeSeam()).open()


async def connected(setup: Setup) -> tuple[Client, ClientConnection]:
    """A first client, and the gateway's side of its connection."""
    client = await setup.client()
    async with asyncio.timeout(5):
        while not setup.gateway._connections:
            await asyncio.sleep(0.001)
    (connection,) = setup.gateway._connections
    return client, connection


@pytest.mark.anyio
@pytest.mark.parametrize("pieces", [[b"\r\n" * 100_000], [b"\r\n"] * 3, [b"\r", b"\n\r", b"\n\r\n"]])
async def test_empty_lines(pieces: list[bytes]) -> None:
    """Two empty lines before a request are ignored, a third one is refused, however they come."""
    async with serving() as setup:
        client, connection = await connected(setup)
        for _ in range(2):
            assert b"ok" == (await client.ask(b"\r\n\r\n" + GET))[1]
        for piece in pieces:
            assert AWAITING == connection.phase
            connection.data_received(piece)
        assert AWAITING != connection.phase
        assert (await client.rest()).startswith(b"HTTP/1.1 400 Bad Request\r\nX-Torpor: bad-request\r\n")
        assert 2 == connection._empty_lines


@pytest.mark.anyio
async def test_dripped_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small its pieces are, each byte of a head is checked once."""
    checked = []

    def check(data: bytearray, limits: Limits, before: int) -> None:
        checked.append(len(data) - before)
        check_partial(data, limits, before)

    monkeypatch.setattr("torpor.gateway.http.check_partial", check)
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-A: 1\r\n" * 90
    async with serving() as setup:
        client, connection = await connected(setup)
        for byte in head:
            connection.data_received(bytes([byte]))
        assert [1] * len(head) == checked
        connection.data_received(b"\r\n")
        assert b"ok" == (await client.response())[1]


@pytest.mark.parametrize("bad", [b"\n", b"GET /\r\n", b"GET / HTTP/1.1\r\nHost: a\n", b"x"])
def test_dripped_nonsense(bad: bytes) -> None:
    """What cannot become a head is refused with the byte that shows it."""
    for size in range(1, len(bad)):
        check_partial(bad[:size], Limits(), size - 1)
    with pytest.raises(Malformed):
        check_partial(bad, Limits(), len(bad) - 1)


@pytest.mark.anyio
async def test_endless_pipeline() -> None:
    """Who sends requests faster than they are served waits; nothing piles up in the gateway."""
    reached = asyncio.Event()
    served = 0

    async def answer(served_now: Served) -> None:
        nonlocal served
        served += 1
        if served == 500:
            reached.set()
        await served_now.send(OK)

    async with serving(answer) as setup:
        client, connection = await connected(setup)
        client.writer.write(GET * 500_000)
        await reached.wait()
        assert 0 < len(connection.buffer) <= 1_000_000
        client.writer.transport.abort()


@pytest.mark.anyio
async def test_pipeline_to_nobody() -> None:
    """Requests that are answered at once are answered one per turn of the loop."""
    async with serving(spec=replace(DEFAULT, routes=(Route("b"),))) as setup:
        client, connection = await connected(setup)
        connection.data_received(GET * 3)
        assert (1, 2 * len(GET)) == (connection.served, len(connection.buffer))
        for _ in range(3):
            assert (await client.response())[0].startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_long_trailer_section(end: bytes) -> None:
    """A trailer section has its own, low limit, whether its end has come or not."""
    line = b"X-A: " + b"1" * 93 + b"\r\n"
    assert (b"0\r\n" + line * 40 + b"\r\n", b"") == Chunked(Limits()).feed(b"0\r\n" + line * 40 + b"\r\n")
    with pytest.raises(BadFraming):
        Chunked(Limits()).feed(b"0\r\n" + line * 41 + end)
