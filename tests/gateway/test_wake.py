"""Requests to an app that sleeps, starts, refuses or is not settled yet."""

from __future__ import annotations

import asyncio
import errno
import json
import math
import random
import socket
from dataclasses import replace

import pytest

from gateway.fakes import DEFAULT, OK, Answer, Client, Served, answer_ok, serving, silence
from torpor.config.settings import Limits
from torpor.core.model import (
    Cause,
    Endpoint,
    HttpProbe,
    Lifecycle,
    LoadingPage,
    Readiness,
    Reason,
    Refusal,
    WakeOn,
)
from torpor.core.upstream import Upstream
from torpor.gateway import dials, held
from torpor.gateway.backend import BackendConnection
from torpor.gateway.patience import Patience

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PAGE = b"GET / HTTP/1.1\r\nHost: a\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nAccept: text/html\r\n\r\n"


async def until(fact: object) -> None:
    """Let the loop run until `fact()` holds."""
    assert callable(fact)
    async with asyncio.timeout(5):
        while not fact():
            await asyncio.sleep(0.001)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "request_head",
    [
        GET,
        b"GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nSec-Fetch-Dest: empty\r\nAccept: text/html\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nX-Requested-With: XMLHttpRequest\r\n\r\n",
        b"OPTIONS / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
async def test_held(request_head: bytes) -> None:
    """Everything but a page load waits and is then served, body and all."""
    async with serving(awake=False) as setup:
        client = await setup.client()
        await client.send(request_head)
        await until(lambda: setup.gate.waiting)
        assert [] == setup.gate.knocks
        setup.gate.awake()
        assert b"ok" == (await client.response())[1]
        assert b"ok" == (await client.ask(GET))[1]


@pytest.mark.anyio
async def test_body_is_unread_while_held() -> None:
    """A held upload stays with its client, but for a bounded piece."""
    body = b"x" * 20_000_000
    got = 0

    async def answer(served: Served) -> None:
        nonlocal got
        got = len(await served.reader.readexactly(len(body)))
        await served.send(OK)

    async with serving(answer, awake=False) as setup:
        client = await setup.client()
        client.writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await until(lambda: setup.gate.waiting)
        (connection,) = setup.gateway._connections
        await until(lambda: connection.obstacles)
        assert len(connection.buffer) <= 1_000_000
        setup.gate.awake()
        assert b"ok" == (await client.response())[1]
        assert len(body) == got


@pytest.mark.anyio
@pytest.mark.parametrize("head", [PAGE, b"GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html,*/*;q=0.8\r\n\r\n"])
async def test_page_load(head: bytes) -> None:
    """A page load gets the waiting page at once, and the app is woken."""
    async with serving(awake=False) as setup:
        answer, body = await setup.ask(head)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nX-Torpor: waking\r\n" in answer
        assert b"\r\nRetry-After: " in answer
        assert b"<html" in body
        assert ["GET / from 127.0.0.1"] == [str(knock) for knock in setup.gate.knocks]


@pytest.mark.anyio
async def test_page_load_of_an_app_that_dozes() -> None:
    """It answers in a moment: the page load is held for it, and the page never shows."""
    async with serving(awake=False) as setup:
        setup.gate.dozing = True
        client = await setup.client()
        await client.send(PAGE)
        await until(lambda: setup.gate.waiting)
        assert [] == setup.gate.knocks
        setup.gate.awake()
        assert b"ok" == (await client.response())[1]


@pytest.mark.anyio
async def test_page_load_of_an_app_that_is_hard_to_rouse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it takes longer after all, the page shows; the wake goes on, and nobody waits any more."""
    monkeypatch.setattr(held, "PAGE_AFTER", 0.01)
    async with serving(awake=False) as setup:
        setup.gate.dozing = True
        answer, body = await setup.ask(PAGE)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"<html" in body
        assert (0, 1) == (setup.gate.waiting, len(setup.gate.knocks))


@pytest.mark.anyio
async def test_page_load_without_page() -> None:
    """Where the page is switched off, a page load is held like everything else."""
    spec = replace(DEFAULT, loading_page=LoadingPage(enabled=False))
    async with serving(awake=False, spec=spec) as setup:
        client = await setup.client()
        await client.send(PAGE)
        await until(lambda: setup.gate.waiting)
        setup.gate.awake()
        assert b"ok" == (await client.response())[1]


@pytest.mark.anyio
async def test_only_navigation_wakes() -> None:
    """With wake_on: navigation a forgotten tab's reconnect is refused and wakes nothing."""
    async with serving(awake=False, spec=replace(DEFAULT, wake_on=WakeOn.NAVIGATION)) as setup:
        head, body = await setup.ask(GET)
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\nX-Torpor: asleep\r\n")
        assert "asleep" == json.loads(body)["cause"]
        assert ([], []) == (setup.gate.knocks, setup.gate.waits)
        await setup.ask(PAGE)
        assert 1 == len(setup.gate.knocks)


@pytest.mark.anyio
async def test_what_never_wakes() -> None:
    """The icon that browsers ask for by themselves, and our own paths, wake nothing."""
    async with serving(awake=False) as setup:
        client = await setup.client()
        await client.send(b"GET /favicon.ico HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 204 ")
        head, _ = await client.ask(b"GET /_torpor/nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ")
        assert ([], [], 0) == (setup.gate.knocks, setup.gate.waits, setup.gate.leases)


@pytest.mark.anyio
async def test_own_paths_are_no_activity() -> None:
    """Below /_torpor/ no request takes a lease, however awake the app is."""
    async with serving() as setup:
        await setup.ask(b"GET /_torpor/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (0, 0) == (setup.gate.leases, setup.backend.connections)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("cause", "status"),
    [(Cause.ROOM_FULL, 503), (Cause.DOWN, 503), (Cause.EXITED, 503), (Cause.WAKE_TIMEOUT, 504)],
)
async def test_refused(cause: Cause, status: int) -> None:
    """A verdict reaches the held client with its cause and when to try again."""
    async with serving(awake=False) as setup:
        client = await setup.client()
        await client.send(GET)
        await until(lambda: setup.gate.waiting)
        setup.gate.refuse(Refusal(Reason(cause, "because"), 2.2))
        head, body = await client.response()
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"\r\nX-Torpor: %b\r\n" % cause.encode() in head
        assert b"\r\nRetry-After: 3\r\n" in head
        assert b"\r\nCache-Control: no-store\r\n" in head
        assert ("because", status, "app") == tuple(
            json.loads(body)[key] for key in ("detail", "status", "app")
        )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("show", "cause", "output"),
    [
        (True, Cause.START_FAILED, ["the last words of app <b>"]),
        (True, Cause.ROOM_FULL, None),
        (False, Cause.START_FAILED, None),
    ],
)
async def test_last_lines_of_a_failure(*, show: bool, cause: Cause, output: list[str] | None) -> None:
    """What the app wrote last is shown where it explains a failure and visitors may see it."""
    spec = replace(DEFAULT, loading_page=LoadingPage(show_logs=show))
    async with serving(awake=False, spec=spec) as setup:
        client = await setup.client()
        await client.send(GET)
        await until(lambda: setup.gate.waiting)
        setup.gate.refuse(Refusal(Reason(cause, "exited with code 3\nsecret words of a hook"), 1.0))
        _, body = await client.response()
        document = json.loads(body)
        assert (output, "exited with code 3") == (document.get("output"), document["detail"])


@pytest.mark.anyio
async def test_last_lines_are_escaped() -> None:
    """In a plain page the app's words are text, never markup."""
    spec = replace(DEFAULT, loading_page=LoadingPage(enabled=False, show_logs=True))
    async with serving(awake=False, spec=spec) as setup:
        client = await setup.client()
        await client.send(PAGE)
        await until(lambda: setup.gate.waiting)
        setup.gate.refuse(Refusal(Reason(Cause.FAILED, "exited with code 3"), 1.0))
        _, body = await client.response()
        assert b"<pre>the last words of app &lt;b&gt;</pre>" in body


@pytest.mark.anyio
async def test_head_of_a_refusal() -> None:
    """To HEAD a refusal has no body; the connection goes on."""
    async with serving(awake=False, spec=replace(DEFAULT, wake_on=WakeOn.NAVIGATION)) as setup:
        client = await setup.client()
        for _ in range(2):
            await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"\r\nContent-Length: " in await client.head()


@pytest.mark.anyio
async def test_client_leaves_while_held() -> None:
    """A client that leaves gives up its place."""
    async with serving(awake=False) as setup:
        client = await setup.client()
        await client.send(GET)
        await until(lambda: setup.gate.waiting)
        client.close()
        await until(lambda: not setup.gate.waiting)


@pytest.mark.anyio
async def test_client_leaves_with_an_unread_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that leaves while its upload is not read is missed all the same, but not looked for often."""
    looks = []
    look = Patience._has_left

    def noted(patience: Patience) -> bool:
        looks.append(patience)
        return look(patience)

    monkeypatch.setattr(Patience, "_has_left", noted)
    async with serving(awake=False, limits=Limits(idle_timeout=0.2)) as setup:
        client = await setup.client()
        client.writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 300_000)
        await until(lambda: setup.gate.waiting)
        (connection,) = setup.gateway._connections
        await until(lambda: connection.obstacles)
        looks.clear()
        later = asyncio.get_running_loop().time() + 100.0
        for tenth in range(45):
            connection.sweep(later + tenth / 10)
        assert 3 == len(looks)
        client.close()
        connection._patience._looked_at = -math.inf
        await until(lambda: not setup.gate.waiting)


@pytest.mark.anyio
async def test_connect_refused() -> None:
    """A refused connection is reported, the lease repaid, and the request waits for the next instance."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with serving() as setup:
            good = setup.backend.endpoint
            setup.gate.awake(Endpoint("127.0.0.1", nobody.getsockname()[1]))
            client = await setup.client()
            await client.send(GET)
            await until(lambda: setup.gate.waiting)
            assert (1, 0) == (setup.gate.refused_connections, setup.gate.inflight)
            setup.gate.awake(good)
            assert b"ok" == (await client.response())[1]


@pytest.mark.anyio
async def test_an_app_that_ends_while_it_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address vanished with it, and nobody answers there: the request goes on as for one that sleeps."""
    monkeypatch.setattr(dials, "CONNECT_TIMEOUT", 1000.0)
    async with serving() as setup:
        good = setup.backend.endpoint
        with silence() as nowhere:
            gone = setup.gate.awake(nowhere)
            client = await setup.client()
            await client.send(GET)
            await until(lambda: setup.gate.inflight)
            setup.gate.asleep()
            setup.gateway.drop_upstream(gone)
            await until(lambda: setup.gate.waiting)
            assert 0 == setup.gate.inflight
        setup.gate.awake(good)
        assert b"ok" == (await client.response())[1]


@pytest.mark.anyio
async def test_an_app_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while that counts as a refusal, whether it has ended or not."""
    monkeypatch.setattr(dials, "CONNECT_TIMEOUT", 0.05)
    with silence() as nowhere:
        async with serving() as setup:
            setup.gate.awake(nowhere)
            client = await setup.client()
            await client.send(GET)
            await until(lambda: setup.gate.waiting)
            assert (1, 0) == (setup.gate.refused_connections, setup.gate.inflight)
            setup.gate.awake(setup.backend.endpoint)
            assert b"ok" == (await client.response())[1]


@pytest.mark.anyio
async def test_our_own_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where we have no descriptor left, the app is not blamed, and the client is told."""
    async with serving() as setup:

        async def dial(upstream: Upstream) -> None:
            raise OSError(errno.EMFILE, "too many open files")

        monkeypatch.setattr(setup.gateway.pools.main, "dial", dial)
        head, _ = await setup.ask(GET)
        assert head.startswith(b"HTTP/1.1 500 ")
        assert 0 == setup.gate.refused_connections


@pytest.mark.anyio
async def test_connect_refused_behind_an_open_door() -> None:
    """The request's time ends also where the app counts as ready again each time that it is asked for."""
    async with serving() as setup:
        setup.gate.configure(lifecycle=Lifecycle(wake_timeout=0.3))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # not listening: connections are refused
            setup.gate.awake(Endpoint(*taken.getsockname()))
            client = await setup.client()
            head, _ = await client.ask(GET)
            assert head.startswith(b"HTTP/1.1 504 ")
            assert b"X-Torpor: wake-timeout" in head


@pytest.mark.anyio
async def test_connect_refused_for_too_long() -> None:
    """Refused again and again, the request ends within its one wake_timeout."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with serving(spec=replace(DEFAULT, lifecycle=Lifecycle(wake_timeout=0.3))) as setup:
            endpoint = Endpoint("127.0.0.1", nobody.getsockname()[1])
            setup.gate.awake(endpoint)
            setup.gate.on_wait = lambda: asyncio.get_running_loop().call_soon(setup.gate.awake)
            head, _ = await setup.ask(GET)
            assert head.startswith(b"HTTP/1.1 504 ")
            assert setup.gate.refused_connections > 1


@pytest.mark.anyio
@pytest.mark.parametrize("unready", [b"", b"HTTP/1.1 503 Not yet\r\nContent-Length: 0\r\n\r\n"])
async def test_not_settled(unready: bytes) -> None:
    """Just after readiness a held client never sees that its app is not settled."""
    tries = 0

    async def answer(served: Served) -> None:
        nonlocal tries
        tries += 1
        if tries > 3:
            await answer_ok(served)
            return
        await served.send(unready)
        served.writer.close()

    async with serving(answer, awake=False) as setup:
        client = await setup.client()
        await client.send(GET)
        await until(lambda: setup.gate.waiting)
        setup.gate.awake()
        assert b"ok" == (await client.response())[1]
        assert (4, 1) == (tries, setup.gate.leases)


UNREADY = b"HTTP/1.1 503 Not yet\r\nContent-Length: 0\r\n\r\n"


def unsettled(unready: bytes, times: int) -> tuple[list[bytes], Answer]:
    """An app that says `unready` and closes, that many times; and the heads that it was sent."""
    heads: list[bytes] = []

    async def answer(served: Served) -> None:
        heads.append(served.head)
        if len(heads) > times:
            await answer_ok(served)
            return
        await served.send(unready)
        served.writer.close()

    return heads, answer


@pytest.mark.anyio
@pytest.mark.parametrize("unready", [b"", UNREADY, UNREADY.replace(b"Con", b"X: 1\r\nTE: 1\r\nCon")])
@pytest.mark.parametrize("request_head", [GET, PAGE, GET.replace(b"\r\n\r\n", b"\r\nTE: x\r\n\r\n")])
async def test_reload_after_readiness(unready: bytes, request_head: bytes) -> None:
    """Who comes when the app counts as ready, as the waiting page does, is spared its first seconds too."""
    heads, answer = unsettled(unready, 3)
    async with serving(answer) as setup:
        setup.gate.awake()
        assert b"ok" == (await setup.ask(request_head))[1]
        assert (4, []) == (len(heads), setup.gate.waits)


@pytest.mark.anyio
@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE"])
async def test_unsafe_request_after_readiness(method: bytes) -> None:
    """What is not safe to repeat gets the app's own word at once."""
    heads, answer = unsettled(UNREADY, 3)
    async with serving(answer) as setup:
        setup.gate.awake()
        head, _ = await setup.ask(method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert (UNREADY, 1) == (head, len(heads))


@pytest.mark.anyio
async def test_own_word_of_a_probed_app() -> None:
    """An app that an http probe found ready means its 503; a connection that it closes is tried again."""
    spec = replace(DEFAULT, readiness=Readiness((HttpProbe("/"),)))
    heads, answer = unsettled(UNREADY, 1)
    async with serving(answer, spec=spec) as setup:
        setup.gate.awake()
        assert UNREADY == (await setup.ask(GET))[0]
    heads, answer = unsettled(b"", 1)
    async with serving(answer, spec=spec) as setup:
        setup.gate.awake()
        assert b"ok" == (await setup.ask(GET))[1]
        assert 2 == len(heads)


@pytest.mark.anyio
async def test_deadly_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that its app dies of is not sent to the next generation."""
    heads, answer = unsettled(b"", 100)
    async with serving(answer) as setup:
        setup.gate.awake()

        dial = setup.gateway.pools.main.dial

        async def dead_after_one(upstream: Upstream) -> BackendConnection:
            if heads and upstream.generation == 1:
                raise ConnectionRefusedError
            return await dial(upstream)

        def start_the_next() -> None:
            setup.gate.generation += 1
            asyncio.get_running_loop().call_soon(setup.gate.awake)

        monkeypatch.setattr(setup.gateway.pools.main, "dial", dead_after_one)
        setup.gate.on_wait = start_the_next
        client = await setup.client()
        head, _ = await client.ask(GET)
        assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\nX-Torpor: bad-gateway\r\n")
        assert (1, 1) == (len(heads), len(setup.gate.waits))


@pytest.mark.anyio
async def test_long_path_in_an_event() -> None:
    """Of a stranger's path an event keeps so much as helps people."""
    async with serving(awake=False) as setup:
        await setup.ask(PAGE.replace(b" / ", b" /" + b"x" * 5000 + b" "))
        assert ["GET /" + "x" * 199 + "… from 127.0.0.1"] == [str(knock) for knock in setup.gate.knocks]


@pytest.mark.anyio
async def test_long_ready_app_says_503() -> None:
    """Later, an app's own 503 is its answer."""
    unready = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"

    async def answer(served: Served) -> None:
        await served.send(unready)

    async with serving(answer) as setup:
        client = await setup.client()
        await client.send(GET)
        assert unready == await client.head()


@pytest.mark.anyio
async def test_storm() -> None:
    """Many clients at once are all served, and every lease is repaid."""
    async with serving(awake=False) as setup:
        clients = [await setup.client() for _ in range(100)]
        for client in clients:
            await client.send(GET)
        await until(lambda: setup.gate.waiting == 100)
        setup.gate.awake()
        for client in clients:
            assert b"ok" == (await client.response())[1]


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(4))
async def test_leases_in_a_hostile_world(seed: int) -> None:
    """Whatever clients, apps and sleep do in whatever order, every lease is repaid exactly once."""
    rng = random.Random(seed)
    answers = [
        OK,
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nbroken off",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n",
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
    ]
    requests = [
        GET,
        PAGE,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nbroken off",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n",
        GET * 5,
    ]

    async def answer(served: Served) -> None:
        await asyncio.sleep(rng.choice([0, 0, 0.002]))
        await served.send(rng.choice(answers))
        if rng.random() < 0.4:
            served.writer.close()

    async def visit() -> None:
        client: Client = await setup.client()
        try:
            await client.send(rng.choice(requests))
            if rng.random() < 0.6:
                async with asyncio.timeout(rng.choice([0.005, 0.02])):
                    await client.rest()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            client.close()

    async with serving(answer, awake=False) as setup:
        for _ in range(15):
            visits = [asyncio.create_task(visit()) for _ in range(8)]
            match rng.randrange(5):
                case 0:
                    if setup.gate.upstream is not None:
                        setup.gateway.close_upgraded(setup.gate.upstream)
                        setup.gateway.drop_upstream(setup.gate.upstream)
                    setup.gate.asleep()
                case 1:
                    setup.gate.refuse(Refusal(Reason(Cause.FAILED, "no"), None))
                case _:
                    setup.gate.awake()
            await asyncio.gather(*visits)
        setup.gate.awake()
        assert setup.gate.leases > 20
