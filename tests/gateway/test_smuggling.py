"""The smuggling corpus against a gateway before a strict app."""

from __future__ import annotations

import re

import pytest

from gateway.fakes import Served, serving
from gateway.smuggling import BAD_ANSWERS, BROKEN_BODIES, INNER, REFUSED, Case


def statuses(answer: bytes) -> list[int]:
    """The statuses of all final responses in `answer`."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 ([2-5]\d\d) ", answer)]


@pytest.mark.anyio
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
async def test_refused(case: Case) -> None:
    """An ambiguous head is refused, the connection closed, and no byte reaches the app."""
    async with serving() as setup:
        client = await setup.client()
        await client.send(case.data + INNER)
        assert [case.status] == statuses(await client.rest())
        assert 0 == setup.backend.connections


@pytest.mark.anyio
@pytest.mark.parametrize("case", REFUSED[:12], ids=lambda case: case.name)
async def test_refused_behind_a_good_one(case: Case) -> None:
    """On a used connection, in one packet behind a good request, the same holds."""
    async with serving() as setup:
        client = await setup.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + case.data + INNER)
        assert [200, case.status] == statuses(await client.rest())
        assert 1 == len(setup.backend.heads)


@pytest.mark.anyio
@pytest.mark.parametrize("case", REFUSED[:20], ids=lambda case: case.name)
async def test_refused_in_pieces(case: Case) -> None:
    """Cut into single bytes, an ambiguous head is refused all the same."""
    async with serving() as setup:
        client = await setup.client()
        for byte in case.data[: case.data.index(b"\r\n\r\n") + 4]:
            await client.send(bytes([byte]))
        assert [case.status] == statuses(await client.rest())
        assert 0 == setup.backend.connections


@pytest.mark.anyio
@pytest.mark.parametrize("case", BROKEN_BODIES, ids=lambda case: case.name)
async def test_broken_bodies(case: Case) -> None:
    """A body whose end cannot be known is never completed towards the app, and nothing follows it."""
    completed: list[bytes] = []

    async def answer(served: Served) -> None:
        completed.append(await served.read_chunked())
        await served.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with serving(answer) as setup:
        client = await setup.client()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + case.data + INNER
        )
        assert [case.status] == statuses(await client.rest())
        assert [] == completed
        assert all(head.startswith(b"POST ") for head in setup.backend.heads)


@pytest.mark.anyio
@pytest.mark.parametrize("case", BAD_ANSWERS, ids=lambda case: case.name)
async def test_bad_answers(case: Case) -> None:
    """An app's answer that could be read in two ways becomes a 502 of ours."""

    async def answer(served: Served) -> None:
        await served.send(case.data)

    async with serving(answer) as setup:
        client = await setup.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        everything = await client.rest()
        assert [case.status] == statuses(everything)
        assert b"X-Torpor: bad-gateway\r\n" in everything


@pytest.mark.anyio
async def test_answer_to_nobody() -> None:
    """Bytes behind an app's answer are not taken for the answer to the next request."""

    async def answer(served: Served) -> None:
        await served.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        )

    async with serving(answer) as setup:
        client = await setup.client()
        for _ in range(3):
            assert b"ok" == (await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))[1]
        assert 3 == setup.backend.connections


@pytest.mark.anyio
@pytest.mark.parametrize(
    "field",
    [
        b"X_Forwarded_For: 6.6.6.6",
        b"Content_Length: 5",
        b"Transfer_Encoding: chunked",
        b"X-Forwarded_Host: evil",
    ],
)
async def test_twins_with_underscores(field: bytes) -> None:
    """Names that CGI-like apps cannot tell from ours do not reach them."""
    async with serving() as setup:
        await setup.ask(b"GET / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\nX_Other: kept\r\n\r\n")
        assert field not in setup.backend.heads[0]
        assert b"X_Other: kept\r\n" in setup.backend.heads[0]
