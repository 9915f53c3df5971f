"""Requests carried to an app that is awake."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.fakes import DEFAULT, OK, Answer, Served, answer_ok, serving
from torpor.core.model import Endpoint, Route
from torpor.gateway.reach import MOST_UNREAD, STALE

GET = b"GET /x?y HTTP/1.1\r\nHost: app.test:80\r\nAccept: */*\r\n\r\n"


def says(data: bytes, *, close: bool = False) -> Answer:
    """An app that always says `data`."""

    async def answer(served: Served) -> None:
        await served.send(data)
        if close:
            served.writer.close()

    return answer


@pytest.mark.anyio
async def test_get() -> None:
    """A request reaches the app with who asked, and its answer comes back."""
    async with serving() as setup:
        head, body = await setup.ask(GET)
        assert (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"ok") == (head, body)
        port = setup.gateway.addresses()[0][1]
        assert (
            b"GET /x?y HTTP/1.1\r\nHost: app.test:80\r\nAccept: */*\r\n"
            b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: %d\r\n"
            b"X-Forwarded-Host: app.test:80\r\n"
            b'Forwarded: for=127.0.0.1;host="app.test:80";proto=http\r\n\r\n' % port
        ) == setup.backend.heads[0]


@pytest.mark.anyio
async def test_keep_alive() -> None:
    """Requests of one client share both connections, plain ones and others alike."""
    async with serving() as setup:
        client = await setup.client()
        for request in (GET, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi") * 3:
            assert b"ok" == (await client.ask(request))[1]
        assert 1 == setup.backend.connections
        assert 6 == setup.gate.leases


@pytest.mark.anyio
@pytest.mark.parametrize("chunked", [False, True])
async def test_upload(chunked: bool) -> None:
    """A body of either framing arrives whole and unchanged."""
    body = bytes(range(250)) * 4000
    got = []

    async def answer(served: Served) -> None:
        got.append(await (served.read_chunked() if chunked else served.reader.readexactly(len(body))))
        await served.send(OK)

    async with serving(answer) as setup:
        client = await setup.client()
        if chunked:
            pieces = [body[start : start + 50_000] for start in range(0, len(body), 50_000)]
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in pieces:
                await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await client.send(b"0\r\nX-Sum: 1\r\n\r\n")
        else:
            head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
            await client.send(head + body)
        assert b"ok" == (await client.response())[1]
        assert [body] == got


@pytest.mark.anyio
async def test_chunked_response_with_trailers() -> None:
    """Chunks and trailers pass as they are; the connection goes on."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    async with serving(says(data)) as setup:
        client = await setup.client()
        for _ in range(2):
            await client.send(GET)
            assert data == await client.reader.readexactly(len(data))
        assert 1 == setup.backend.connections


@pytest.mark.anyio
async def test_response_until_close() -> None:
    """A response without a length ends with the connection, and the client is told."""
    async with serving(says(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nhello", close=True)) as setup:
        client = await setup.client()
        await client.send(GET)
        assert b"HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: close\r\n\r\nhello" == await client.rest()


@pytest.mark.anyio
async def test_response_in_single_bytes() -> None:
    """However the app's bytes are cut, the response is the same."""

    async def answer(served: Served) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello":
            await served.send(bytes([byte]))

    async with serving(answer) as setup:
        client = await setup.client()
        for _ in range(2):
            assert (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello") == await client.ask(GET)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 204 No\r\nX-A: 1\r\n\r\n", b"HTTP/1.1 204 No\r\nX-A: 1\r\n\r\n"),
        (b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n"),
        (b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n"),
        (b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 304 No\r\n\r\n"),
    ],
)
async def test_responses_without_body(answer: bytes, expected: bytes) -> None:
    """204 and 304 have no body, whatever they announce; the connection goes on."""
    async with serving(says(answer)) as setup:
        client = await setup.client()
        for _ in range(2):
            await client.send(GET)
            assert expected == await client.head()
        assert 1 == setup.backend.connections


@pytest.mark.anyio
async def test_head() -> None:
    """The answer to HEAD announces a body that does not come."""
    async with serving(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")) as setup:
        client = await setup.client()
        for _ in range(2):
            await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" == await client.head()
        assert 1 == setup.backend.connections


@pytest.mark.anyio
async def test_continue() -> None:
    """Expect: 100-continue goes to the app, its 100 comes back, then the body goes."""

    async def answer(served: Served) -> None:
        assert b"\r\nExpect: 100-continue\r\n" in served.head
        await served.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert b"hello" == await served.reader.readexactly(5)
        await served.send(OK)

    async with serving(answer) as setup:
        client = await setup.client()
        await client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await client.head()
        await client.send(b"hello")
        assert b"ok" == (await client.response())[1]


@pytest.mark.anyio
async def test_interim_responses() -> None:
    """Hints pass, in the same packet as the answer or before it; HTTP/1.0 gets none."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with serving(says(hint + OK)) as setup:
        client = await setup.client()
        await client.send(GET)
        assert hint == await client.head()
        assert b"ok" == (await client.response())[1]
        head, _ = await setup.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")


@pytest.mark.anyio
async def test_answer_before_the_body() -> None:
    """An app may answer before it has read; the client's connection then ends after the answer."""
    async with serving(says(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")) as setup:
        client = await setup.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin")
        assert (await client.rest()).endswith(b"no")


@pytest.mark.anyio
async def test_http_1_0() -> None:
    """An HTTP/1.0 client gets no chunks, and the connection ends as it expects."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with serving(says(data)) as setup:
        client = await setup.client()
        await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: close\r\n\r\nabcde" == await client.rest()
        assert setup.backend.heads[0].startswith(b"GET / HTTP/1.1\r\n")
        assert b"\r\nHost: 127.0.0.1:%d\r\n" % setup.backend.endpoint.port in setup.backend.heads[0]


@pytest.mark.anyio
async def test_http_1_0_keep_alive() -> None:
    """An HTTP/1.0 client that asks for it keeps its connection where the length is known."""
    async with serving() as setup:
        client = await setup.client()
        for _ in range(2):
            head, body = await client.ask(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            assert (True, b"ok") == (b"\r\nConnection: keep-alive\r\n" in head, body)
        await client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        assert b"\r\nConnection: close\r\n" in await client.rest()


@pytest.mark.anyio
async def test_connection_close() -> None:
    """Connection: close is heeded and answered."""
    async with serving() as setup:
        client = await setup.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok" == await client.rest()


@pytest.mark.anyio
async def test_pipelining() -> None:
    """Pipelined requests are served one at a time and in order; each body goes to its own request."""
    seen = []

    async def answer(served: Served) -> None:
        path = served.head.split(b" ")[1]
        if path.startswith(b"/p"):
            seen.append(await served.reader.readexactly(3))
        await served.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    async with serving(answer) as setup:
        client = await setup.client()
        many = b"".join(
            b"GET /g%d HTTP/1.1\r\nHost: a\r\n\r\nPOST /p%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n%03d"
            % (number, number, number)
            for number in range(300)
        )
        await client.send(many)
        for number in range(300):
            assert b"/g%d" % number == (await client.response())[1]
            assert b"/p%d" % number == (await client.response())[1]
        assert [b"%03d" % number for number in range(300)] == seen


@pytest.mark.anyio
async def test_blank_line_before_a_request() -> None:
    """One line break too many between requests does no harm."""
    async with serving() as setup:
        client = await setup.client()
        assert b"ok" == (await client.ask(GET + b"\r\n" + GET))[1]
        assert b"ok" == (await client.response())[1]


@pytest.mark.anyio
@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
async def test_truncated_response(framing: bytes) -> None:
    """A response that breaks off is cut for the client too, never completed."""
    async with serving(says(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n5\r\nab", close=True)) as setup:
        client = await setup.client()
        await client.send(GET)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.reader.readexactly(10)


@pytest.mark.anyio
async def test_no_answer() -> None:
    """An app that closes instead of answering becomes a 502 that says so, and the client goes on."""
    async with serving(says(b"", close=True)) as setup:
        client = await setup.client()
        for _ in range(2):
            head, body = await client.ask(GET)
            assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\nX-Torpor: bad-gateway\r\n")
            assert b"closed the connection" in body


@pytest.mark.anyio
async def test_stale_connection() -> None:
    """A pooled connection that closes just when it is used is replaced without the client's knowledge."""

    async def once(served: Served) -> None:
        if served.head.startswith(b"GET /second") and setup.backend.connections == 1:
            served.writer.close()
            return
        await served.send(OK)

    async with serving(once) as setup:
        client = await setup.client()
        await client.ask(GET)
        assert b"ok" == (await client.ask(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"))[1]
        assert 2 == setup.backend.connections


@pytest.mark.anyio
@pytest.mark.parametrize("ago", [0.1, 60.0])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_request_that_was_not_read(
    ago: float, family: socket.AddressFamily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ends with a request unread cannot have done anything with it: the next instance gets it."""
    async with serving(answer_ok) as setup:
        good, loop = setup.gate.endpoint, asyncio.get_running_loop()
        monkeypatch.chdir(tmp_path)
        where = Endpoint.at("app.sock") if family == socket.AF_UNIX else Endpoint("127.0.0.1", 0)
        with socket.create_server(where.path or (where.host, where.port), family=family) as listener:
            listener.setblocking(False)
            where = where if where.path else Endpoint(*listener.getsockname())
            setup.gate.awake(where, ago=ago)
            client = await setup.client()
            await client.send(GET)
            dying, _ = await loop.sock_accept(listener)
            with dying:
                while True:
                    with contextlib.suppress(BlockingIOError):
                        assert dying.recv(1, socket.MSG_PEEK)
                        break
                    await asyncio.sleep(0.001)
                setup.gate.asleep()
                setup.gate.generation = 2
                setup.gate.awake(good, ago=ago)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.anyio
async def test_app_that_never_reads() -> None:
    """Whoever resets every connection is broken: that ends in an answer, not in trying for ever."""
    connections = 0

    async def reset(served: Served) -> None:
        nonlocal connections
        connections += 1
        sock = served.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        served.writer.transport.abort()

    async with serving(reset) as setup:
        client = await setup.client()
        assert (await client.ask(GET))[0].startswith(b"HTTP/1.1 502 ")
        assert 1 + MOST_UNREAD == connections


@pytest.mark.anyio
async def test_app_that_dies_at_work() -> None:
    """A used connection that ends later than at once was not stale: the request is not repeated."""

    async def once(served: Served) -> None:
        if served.head.startswith(b"GET /deadly"):
            await asyncio.sleep(4 * STALE)
            served.writer.close()
            return
        await served.send(OK)

    async with serving(once) as setup:
        client = await setup.client()
        await client.ask(GET)
        head, _ = await client.ask(b"GET /deadly HTTP/1.1\r\nHost: a\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 502 ")
        assert 2 == len(setup.backend.heads)


@pytest.mark.anyio
@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE"])
async def test_only_safe_requests_are_repeated(method: bytes) -> None:
    """What may change something is never sent twice."""

    async def once(served: Served) -> None:
        if served.head.startswith(method):
            served.writer.close()
            return
        await served.send(OK)

    async with serving(once) as setup:
        client = await setup.client()
        await client.ask(GET)
        head, _ = await client.ask(method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 502 ")
        assert 2 == len(setup.backend.heads)


@pytest.mark.anyio
async def test_client_leaves() -> None:
    """A client that leaves in the middle ends its request at the app too."""
    reached = asyncio.Event()
    gone = asyncio.Event()

    async def answer(served: Served) -> None:
        reached.set()
        assert b"" == await served.reader.read()
        gone.set()

    async with serving(answer) as setup:
        client = await setup.client()
        await client.send(GET)
        await reached.wait()
        client.close()
        await setup.gate.settled()
        await gone.wait()


@pytest.mark.anyio
async def test_client_leaves_in_its_body() -> None:
    """A client that leaves in the middle of an upload ends it at the app too."""
    gone = asyncio.Event()

    async def answer(served: Served) -> None:
        assert b"begin" == await served.reader.read()
        gone.set()

    async with serving(answer) as setup:
        client = await setup.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nbegin")
        while not setup.backend.heads:
            await asyncio.sleep(0.001)
        client.close()
        await gone.wait()
        await setup.gate.settled()


@pytest.mark.anyio
async def test_slow_reader() -> None:
    """A client that does not read stops the app's sending; nothing piles up in the gateway."""
    sent = 0
    piece = b"x" * 65_536

    async def answer(served: Served) -> None:
        nonlocal sent
        await served.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * 1000))
        for _ in range(1000):
            await served.send(piece)
            sent += len(piece)

    async with serving(answer) as setup:
        client = await setup.client()
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        await client.send(GET)
        await client.head()
        before = -1
        while before != sent:  # until the app is stuck
            before = sent
            for _ in range(200):
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
        assert sent < len(piece) * 1000
        (connection,) = setup.gateway._connections
        assert connection.transport.get_write_buffer_size() <= 1_000_000
        left = len(piece) * 1000
        while left:
            left -= len(await client.reader.read(1_000_000))
        await client.send(GET)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.anyio
async def test_slow_app() -> None:
    """An app that does not read stops the client's sending; nothing piles up in the gateway."""
    go = asyncio.Event()
    size = 50_000_000

    async def answer(served: Served) -> None:
        await go.wait()
        left = size
        while left:
            left -= len(await served.reader.read(1_000_000))
        await served.send(OK)

    async with serving(answer) as setup:
        client = await setup.client()
        client.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        client.writer.write(b"x" * size)
        transport = client.writer.transport
        before = -1
        while before != transport.get_write_buffer_size():  # until the client is stuck
            before = transport.get_write_buffer_size()
            await asyncio.sleep(0.05)
        assert before > 0
        (connection,) = setup.gateway._connections
        backend = connection.exchange.backend
        assert backend is not None
        assert backend.transport.get_write_buffer_size() + len(connection.buffer) <= 1_000_000
        go.set()
        assert b"ok" == (await client.response())[1]


@pytest.mark.anyio
async def test_events_are_not_buffered() -> None:
    """Each event of a stream arrives before the next one is sent."""
    said = asyncio.Queue[bytes]()

    async def answer(served: Served) -> None:
        await served.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        while event := await said.get():
            await served.send(b"%x\r\n%b\r\n" % (len(event), event))
        await served.send(b"0\r\n\r\n")

    async with serving(answer) as setup:
        client = await setup.client()
        await client.send(GET)
        await client.head()
        for number in range(3):
            event = b"data: %d\n\n" % number
            said.put_nowait(event)
            assert b"%x\r\n%b\r\n" % (len(event), event) == await client.reader.readexactly(len(event) + 5)
        said.put_nowait(b"")
        assert b"0\r\n\r\n" == await client.reader.readexactly(5)


@pytest.mark.anyio
async def test_forwarded_by_a_stranger() -> None:
    """What an untrusted peer says about itself is dropped."""
    async with serving() as setup:
        await setup.ask(
            b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n"
        )
        assert b"6.6.6.6" not in setup.backend.heads[0]


@pytest.mark.anyio
async def test_forwarded_by_a_trusted_proxy() -> None:
    """What a trusted proxy says is kept and extended."""
    async with serving(trusted=("127.0.0.0/8",)) as setup:
        await setup.ask(
            b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n"
            b"X-Forwarded-Host: front\r\nForwarded: for=6.6.6.6\r\n\r\n"
        )
        head = setup.backend.heads[0]
        assert b"\r\nX-Forwarded-For: 6.6.6.6, 127.0.0.1\r\nX-Forwarded-Proto: https\r\n" in head
        assert b"\r\nX-Forwarded-Host: front\r\n" in head
        assert b"\r\nForwarded: for=6.6.6.6, for=127.0.0.1;host=a;proto=http\r\n" in head


@pytest.mark.anyio
async def test_strip_prefix() -> None:
    """An app below a prefix sees its own paths and is told the prefix."""
    spec = replace(DEFAULT, routes=(Route("a", "/app", strip_prefix=True),))
    async with serving(spec=spec) as setup:
        client = await setup.client()
        await client.ask(b"GET /app/x?q HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.ask(b"GET /app?q HTTP/1.1\r\nHost: a\r\n\r\n")
        assert setup.backend.heads[0].startswith(
            b"GET /x?q HTTP/1.1\r\nHost: a\r\nX-Forwarded-Prefix: /app\r\n"
        )
        assert setup.backend.heads[1].startswith(b"GET /?q HTTP/1.1\r\n")
        head, body = await client.ask(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (True, True) == (head.startswith(b"HTTP/1.1 404 "), b"/other" in body)
        head, _ = await client.ask(b"GET /app/..%2fadmin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")


@pytest.mark.anyio
async def test_unknown_host() -> None:
    """A host that leads nowhere is a 404 that names it."""
    async with serving(spec=replace(DEFAULT, routes=(Route("a"),))) as setup:
        head, body = await setup.ask(b"GET / HTTP/1.1\r\nHost: b.test\r\nAccept: text/html\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 Not Found\r\nX-Torpor: unknown-host\r\n")
        assert b"b.test" in body


@pytest.mark.anyio
async def test_drop_upstream() -> None:
    """Pooled connections to an upstream that is over are closed."""
    closed = asyncio.Event()

    async def answer(served: Served) -> None:
        await answer_ok(served)
        if not await served.reader.read():
            closed.set()

    async with serving(answer) as setup:
        client = await setup.client()
        await client.ask(GET)
        assert setup.gate.upstream is not None
        setup.gateway.drop_upstream(setup.gate.upstream)
        await closed.wait()


@pytest.mark.anyio
async def test_reset_of_a_response_until_close() -> None:
    """Where only the connection's end ends a response, a broken one is reset, not ended."""

    async def answer(served: Served) -> None:
        await served.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        sock = served.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        served.writer.transport.abort()

    async with serving(answer) as setup:
        client = await setup.client()
        await client.send(GET)
        with pytest.raises(ConnectionResetError):
            await client.rest()


@pytest.mark.anyio
async def test_slow_reader_of_a_last_response() -> None:
    """A response that ends the connection is delivered whole to a slow reader."""
    body = b"x" * 20_000_000

    async def answer(served: Served) -> None:
        await served.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with serving(answer) as setup:
        client = await setup.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await client.head()
        got = 0
        while piece := await client.reader.read(1_000_000):
            got += len(piece)
            await asyncio.sleep(0.01)
        assert len(body) == got
