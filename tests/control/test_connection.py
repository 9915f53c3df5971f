"""HTTP on the control socket: what a connection does with any client and any application."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from torpor.control import connection
from torpor.control.connection import MAX_HEAD, MAX_WAITING, Connection
from torpor.control.exchange import HIGH_WATER, Exchange

pytestmark = pytest.mark.anyio

GET = b"GET /%s HTTP/1.1\r\nHost: t\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"


class Served:
    """A socket behind which an application answers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.present: set[Connection] = set()

    async def ask(self, *pieces: bytes) -> bytes:
        """All that comes back until the connection is closed."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return answer


@asynccontextmanager
async def served(tmp_path: Path, app: ASGIApp, most: int = 8) -> AsyncIterator[Served]:
    """The application, for the duration of the test."""
    behind = Served(tmp_path / "s")
    server = await asyncio.get_running_loop().create_unix_server(
        lambda: Connection(app, behind.present, most), behind.path
    )
    try:
        yield behind
    finally:
        server.close()
        for one in [*behind.present]:
            one.abandon()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the target and the body, in two pieces."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["raw_path"], "more_body": True})
    await send({"type": "http.response.body", "body": b"|" + body})


def chunks(*pieces: bytes) -> bytes:
    """What an answer's body looks like."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


async def test_requests_of_a_connection_are_answered_in_their_order(tmp_path: Path) -> None:
    """Three at once, one with a body in chunks: each gets its answer, and the last one ends it."""
    post = b"POST /b HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"to ", b"you")
    async with served(tmp_path, echo) as there:
        answer = await there.ask(GET % b"a" + post + LAST)

    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert [chunks(b"/a", b"|"), chunks(b"/b", b"|to you"), chunks(b"/last", b"|")] == bodies
    assert 1 == answer.count(b"connection: close")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD, b"HTTP/1.1 431 "),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n", b"HTTP/1.1 431 "),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n", b"HTTP/1.1 400 "),
        (b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", b"HTTP/1.1 200 OK\r\n"),
        (b"CONNECT t:1 HTTP/1.1\r\nHost: t\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET /a HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n/a|"),
        (b"HEAD /a HTTP/1.1\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"),
        (b"GET /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
    ],
)
async def test_what_is_not_the_usual_request(tmp_path: Path, request_: bytes, expected: bytes) -> None:
    """It is refused or answered without chunks, and the connection is closed."""
    async with served(tmp_path, echo) as there:
        answer = await there.ask(request_)

    assert answer.startswith(expected)


async def test_who_waits_for_a_go_ahead_gets_one(tmp_path: Path) -> None:
    """`Expect: 100-continue`, as curl says it."""
    head = b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    async with served(tmp_path, echo) as there:
        reader, writer = await asyncio.open_unix_connection(there.path)
        writer.write(head)
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await reader.readuntil(b"\r\n\r\n")
        writer.write(b"me")

        assert (await reader.read()).endswith(chunks(b"/a", b"|me"))
        writer.close()


@pytest.mark.parametrize(("begun", "expected"), [(False, b"HTTP/1.1 500 "), (True, b"HTTP/1.1 200 ")])
async def test_an_application_that_breaks_down(tmp_path: Path, begun: bool, expected: bytes) -> None:
    """500 if it has not answered yet; what it has begun is never ended as if it were whole."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("a test")

    async with served(tmp_path, app) as there:
        answer = await there.ask(GET % b"a")

    assert answer.startswith(expected)
    assert not answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "head", [{"status": 200, "headers": [(b"x", b"1\n2")]}, {"status": 299, "headers": []}]
)
async def test_an_answer_that_cannot_be_begun(tmp_path: Path, head: dict[str, object]) -> None:
    """Nothing of it has left: the client is told that this is a fault of ours."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", **head})

    async with served(tmp_path, app) as there:
        assert (await there.ask(GET % b"a")).startswith(b"HTTP/1.1 500 ")


async def test_more_requests_at_once_than_may_wait(tmp_path: Path) -> None:
    """As many as may are answered, the last one with word that it is the last; nothing else is kept."""
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await echo(scope, receive, send)

    async with served(tmp_path, app) as there:
        asking = asyncio.create_task(there.ask(GET % b"a" * 1000))
        while not any(one.task for one in there.present):
            await asyncio.sleep(0)
        go.set()

        answers = (await asyncio.wait_for(asking, 20)).split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert [False] * MAX_WAITING + [True] == [b"connection: close" in answer for answer in answers]


async def test_what_follows_a_body_is_not_kept(tmp_path: Path) -> None:
    """Fields behind the last chunk may be without end, and nobody asks for them."""
    heads: list[list[tuple[bytes, bytes]]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)
        heads.append(scope["headers"])

    async with served(tmp_path, app) as there:
        post = b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        await there.ask(post + b"0\r\n" + b"X: y\r\n" * 1000 + b"\r\n")

    assert [[b"transfer-encoding", b"connection"]] == [[name for name, _ in head] for head in heads]


async def test_an_application_learns_that_its_client_has_left(tmp_path: Path) -> None:
    """At once, while it waits for nothing else."""
    left = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with served(tmp_path, app) as there:
        _, writer = await asyncio.open_unix_connection(there.path)
        writer.write(GET % b"a")
        await writer.drain()
        writer.close()

        await asyncio.wait_for(left.wait(), 20)
        assert not there.present


async def test_a_body_is_read_no_faster_than_it_is_taken(tmp_path: Path) -> None:
    """A client that sends more than anybody takes waits, and nothing piles up."""
    taken = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await taken.wait()
        await echo(scope, receive, send)

    size = 64 * HIGH_WATER
    async with served(tmp_path, app) as there:
        reader, writer = await asyncio.open_unix_connection(there.path)
        writer.write(b"POST /a HTTP/1.1\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size)
        writer.write(b"x" * size)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.1)
        taken.set()

        assert size < len(await reader.read())
        writer.close()


async def test_a_client_that_reads_slowly_holds_up_the_application(tmp_path: Path) -> None:
    """What nobody reads is not written into memory."""
    written = 0

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal written
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * HIGH_WATER, "more_body": True})
            written += 1
        await send({"type": "http.response.body"})

    async with served(tmp_path, app) as there:
        reader, writer = await asyncio.open_unix_connection(there.path, limit=1024)
        writer.write(LAST)
        before = -1
        while written > before or not written:  # until it makes no headway
            before = written
            await asyncio.sleep(0.05)
        assert written < 200

        assert 200 * HIGH_WATER < len(await reader.read())
        writer.close()


async def test_one_connection_too_many(tmp_path: Path) -> None:
    """It is told so; those that were there go on."""
    async with served(tmp_path, echo, most=1) as there:
        reader, writer = await asyncio.open_unix_connection(there.path)
        writer.write(GET % b"a")
        await reader.readuntil(b"\r\n\r\n")

        refusal = await there.ask(GET % b"b" + GET % b"c")
        assert refusal.startswith(b"HTTP/1.1 503 ")
        assert 1 == refusal.count(b"HTTP/1.1")

        writer.write(LAST)
        assert (await reader.read()).endswith(chunks(b"/last", b"|"))
        writer.close()


async def test_an_idle_connection_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one on which there was something once."""
    monkeypatch.setattr(connection, "PATIENCE", 0.2)
    async with served(tmp_path, echo) as there:
        assert b"" == await there.ask()
        assert (await there.ask(GET % b"a")).endswith(chunks(b"/a", b"|"))
        assert not there.present


@pytest.mark.parametrize("answers", [False, True])
async def test_a_body_that_does_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    """A client that has fallen silent is left, whether anybody waits for the rest of it or not."""
    monkeypatch.setattr(connection, "PATIENCE", 0.2)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if answers:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})
            return
        while (await receive())["type"] != "http.disconnect":
            pass

    async with served(tmp_path, app) as there:
        answer = await there.ask(b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nm")
        assert answers is bool(answer)


async def test_a_client_is_not_left_while_it_is_not_its_turn(tmp_path: Path) -> None:
    """Neither while the application takes its time, nor while that reads nothing of a body."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        (one,) = there.present
        if scope["method"] == "GET":
            assert one._idle is None
        else:
            while one._transport.is_reading():
                await asyncio.sleep(0.001)
            one._lose_patience()
        await echo(scope, receive, send)

    size = 64 * HIGH_WATER
    head = b"POST /last HTTP/1.1\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size
    async with served(tmp_path, app) as there:
        assert b"HTTP/1.1 200 OK" in await there.ask(LAST)
        assert size < len(await there.ask(head + b"x" * size))


async def test_who_takes_nothing_of_an_answer_is_left_all_the_same(tmp_path: Path) -> None:
    """A daemon that ends waits for no reader."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * HIGH_WATER, "more_body": True})

    async with served(tmp_path, app) as there:
        _, writer = await asyncio.open_unix_connection(there.path, limit=1024)
        writer.write(GET % b"a")
        left, before = 0, -1
        while not left or left != before:  # until nothing more is taken
            await asyncio.sleep(0.05)
            left, before = sum(one._transport.get_write_buffer_size() for one in there.present), left
        (one,) = there.present
        one.abandon()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not there.present
        writer.close()


async def test_a_connection_that_is_to_end_finishes_its_answer(tmp_path: Path) -> None:
    """And begins no other one."""
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await go.wait()
        await send({"type": "http.response.body", "body": scope["raw_path"]})
        await receive()

    async with served(tmp_path, app) as there:
        asking = asyncio.create_task(there.ask(GET % b"a" + GET % b"b"))
        while not any(one.task for one in there.present):
            await asyncio.sleep(0)
        for one in there.present:
            one.shut_down()
        go.set()

        assert chunks(b"/a") == (await asking).partition(b"\r\n\r\n")[2]


async def test_nothing_of_a_connection_waits_for_the_collector(tmp_path: Path) -> None:
    """A daemon that is asked every second would gather thousands of them."""
    gc.collect()
    gc.disable()
    try:
        async with served(tmp_path, echo) as there:
            await there.ask(GET % b"a" + LAST)
            async with asyncio.timeout(20):
                while any(isinstance(one, Connection | Exchange) for one in gc.get_objects()):
                    await asyncio.sleep(0)
    finally:
        gc.enable()


async def test_a_client_that_leaves_before_the_application_is_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It has its answer; what the application does after that troubles nobody."""
    done = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)
        while there.present:
            await asyncio.sleep(0)
        done.set()

    async with served(tmp_path, app) as there:
        reader, writer = await asyncio.open_unix_connection(there.path)
        writer.write(GET % b"a")
        await reader.readuntil(b"0\r\n\r\n")
        (one,) = there.present
        writer.close()

        await asyncio.wait_for(done.wait(), 20)
        while one.task is not None:
            await asyncio.sleep(0)
    assert not caplog.records
