"""Requests carried to an app that is awake."""

from __future__ import annotations

import asyncio

import pytest

from gateway.fakes import Served, serving

GET = b"GET /x?y HTTP/1.1\r\nHost: app.test:80\r\nAccept: */*\r\n\r\n"


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
    """Requests of one client share both connections."""
    async with serving() as setup:
        client = await setup.client()
        for _ in range(5):
            assert b"ok" == (await client.ask(GET))[1]
        assert 1 == setup.backend.connections


@pytest.mark.anyio
async def test_post() -> None:
    """A body of known length arrives whole and unchanged."""
    got = []

    async def answer(served: Served) -> None:
        got.append(await served.reader.readexactly(200_000))
        await served.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with serving(answer) as setup:
        body = bytes(range(250)) * 800
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"
        response, _ = await setup.ask(head + body)
        assert response.startswith(b"HTTP/1.1 200 ")
        assert [body] == got


@pytest.mark.anyio
async def test_held() -> None:
    """A request to a sleeping app waits and is then served, body and all."""
    async with serving(awake=False) as setup:
        client = await setup.client()
        setup.gate.on_wait = lambda: asyncio.get_running_loop().call_soon(setup.gate.awake)
        _, body = await client.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        assert b"ok" == body
        assert ["POST / from 127.0.0.1"] == setup.gate.waits
