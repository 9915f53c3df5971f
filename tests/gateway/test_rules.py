"""Rules at the door: who wakes an app, who keeps it awake, and what everybody else is told."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from dataclasses import replace

import pytest

from gateway.fakes import DEFAULT, OK, Served, answer_ok, serving
from gateway.test_wake import GET, PAGE, until
from torpor.core.model import (
    AppSpec,
    Cause,
    Endpoint,
    Knock,
    Reason,
    Refusal,
    Route,
    SocketActivity,
    SocketPolicy,
)
from torpor.core.rules import Answer, Glob, Header, Rule
from torpor.core.volume import Volume
from torpor.gateway.headers import Forwarding, parse_networks

ROBOT = Rule(
    "robot",
    agents=(Glob("*robot*"),),
    wakes=False,
    counts=False,
    answer=Answer(200, "resting", headers=(("X-Mine", "1"),)),
)
QUIET = Rule("quiet", paths=(Glob("/quiet"),), counts=False)
SILENT = Rule("silent", paths=(Glob("/silent"),), wakes=False)
FROM_ROBOT = b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: A Robot/1\r\n\r\n"


def ruled(*rules: Rule, **settings: object) -> AppSpec:
    return replace(DEFAULT, rules=rules, **settings)  # type: ignore[arg-type]


def to(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


@pytest.mark.anyio
async def test_a_rules_own_answer() -> None:
    """It is given as it is written, says that it is ours, and wakes nothing."""
    async with serving(awake=False, spec=ruled(ROBOT)) as setup:
        head, body = await setup.ask(FROM_ROBOT)
        assert head.startswith(
            b"HTTP/1.1 200 OK\r\nX-Torpor: asleep\r\nX-Mine: 1\r\nCache-Control: no-store\r\n"
        )
        assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in head
        assert b"resting" == body
        assert ([], [], 0) == (setup.gate.knocks, setup.gate.waits, setup.gate.leases)


@pytest.mark.anyio
async def test_no_body_for_head_and_a_retry_for_503() -> None:
    """To HEAD the same answer without its body; a 503 says when to come again unless the rule does."""
    busy = Rule("busy", wakes=False, answer=Answer())
    later = Rule(
        "later", paths=(Glob("/later"),), wakes=False, answer=Answer(headers=(("Retry-After", "7"),))
    )
    async with serving(awake=False, spec=ruled(ROBOT, later, busy)) as setup:
        client = await setup.client()
        await client.send(FROM_ROBOT.replace(b"GET", b"HEAD"))
        assert b"\r\nContent-Length: 7\r\n" in await client.head()
        head, body = await client.ask(GET)
        assert b"\r\nRetry-After: 30\r\n" in head
        assert b"" == body
        head, _ = await client.ask(to("/later"))
        assert (1, True) == (head.count(b"Retry-After"), b"\r\nRetry-After: 7\r\n" in head)


@pytest.mark.anyio
async def test_what_does_not_wake_is_told_that_the_app_sleeps() -> None:
    """Without an answer of its own: 503, as a page for browsers and as a document for programs."""
    async with serving(awake=False, spec=ruled(SILENT)) as setup:
        head, body = await setup.ask(to("/silent"))
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\nX-Torpor: asleep\r\n")
        assert b"\r\nRetry-After: 30\r\n" in head
        assert ("asleep", "app") == (json.loads(body)["cause"], json.loads(body)["app"])
        head, body = await setup.ask(PAGE.replace(b" / ", b" /silent "))
        assert b"\r\nContent-Type: text/html" in head
        assert b"asleep, and this request does not wake it" in body
        assert ([], []) == (setup.gate.knocks, setup.gate.waits)


@pytest.mark.anyio
async def test_awake_it_is_forwarded_like_any_other() -> None:
    """`wake: false` says nothing of an app that is awake; only `activity: false` does."""
    async with serving(spec=ruled(SILENT, ROBOT, QUIET)) as setup:
        client = await setup.client()
        for request in (
            to("/silent"),
            GET,
            to("/loud?x"),
            FROM_ROBOT,
            to("/quiet"),
            to("/quiet?x"),
            to("/silent"),
        ):
            assert b"ok" == (await client.ask(request))[1]
        assert (7, 3) == (setup.gate.leases, setup.gate.discounted)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "request_head",
    [
        b"POST /quiet HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /quiet HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET /quiet HTTP/1.0\r\n\r\n",
        b"GET http://a/quiet HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_what_does_not_count_repays_its_lease_as_such(request_head: bytes) -> None:
    """Whatever form the request has."""
    async with serving(spec=ruled(QUIET)) as setup:
        assert setup.gate.upstream is not None
        before = setup.gate.upstream.last_active
        assert b"ok" == (await setup.ask(request_head))[1]
        assert 1 == setup.gate.discounted
        assert before == setup.gate.upstream.last_active


@pytest.mark.anyio
async def test_whether_one_counts_says_nothing_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after one that was refused a connection, and met another replica."""
    async with serving(spec=ruled(QUIET)) as setup:
        good = setup.backend.endpoint
        monkeypatch.setattr(setup.gate, "connect_refused", lambda _: setup.gate.awake(good))
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        setup.gate.awake(Endpoint("127.0.0.1", port))
        client = await setup.client()
        assert b"ok" == (await client.ask(to("/loud")))[1]
        assert (2, 0) == (setup.gate.leases, setup.gate.discounted)

        post = b"POST /quiet HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        assert b"ok" == (await client.ask(post))[1]
        assert 1 == setup.gate.discounted


@pytest.mark.anyio
async def test_a_client_that_leaves_repays_what_does_not_count() -> None:
    """Also in the middle of its answer."""

    async def answer(served: Served) -> None:
        await served.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await asyncio.sleep(30)

    async with serving(answer, spec=ruled(QUIET)) as setup:
        client = await setup.client()
        await client.send(to("/quiet"))
        await client.head()
        assert (1, 1) == (setup.gate.inflight, setup.gate.discounted)
        client.close()
        await setup.gate.settled()


@pytest.mark.anyio
async def test_it_may_wake_without_counting() -> None:
    """A request that wakes the app and does not count is held, and discounted once it has its lease."""
    async with serving(awake=False, spec=ruled(QUIET)) as setup:
        client = await setup.client()
        await client.send(to("/quiet"))
        await until(lambda: setup.gate.waiting)
        setup.gate.awake()
        assert b"ok" == (await client.response())[1]
        assert 1 == setup.gate.discounted


@pytest.mark.anyio
async def test_answered_while_it_wakes() -> None:
    """An answer with `wake: true`: the app is woken, and nobody waits for it."""
    poke = Rule("poke", paths=(Glob("/poke"),), answer=Answer(202))
    async with serving(awake=False, spec=ruled(poke)) as setup:
        assert (await setup.ask(to("/poke", "User-Agent: cron")))[0].startswith(b"HTTP/1.1 202 Accepted\r\n")
        assert [Knock("GET", "/poke", "127.0.0.1", "cron", "poke")] == setup.gate.knocks


@pytest.mark.anyio
async def test_only_some_paths_wake() -> None:
    """`wake_paths`: those wake, everything else is told so; the page does not say which they are."""
    spec = replace(DEFAULT, wake_paths=(Glob("/login"), Glob("/app/*")))
    async with serving(awake=False, spec=spec) as setup:
        for path in ("/", "/login/", "/app", "/logi%6e", "/LOGIN"):
            head, body = await setup.ask(PAGE.replace(b" / ", b" " + path.encode() + b" "))
            assert b"\r\nX-Torpor: asleep\r\n" in head
            assert b"this address does not wake it" in body
            assert b"login" not in body
        assert [] == setup.gate.knocks
        await setup.ask(PAGE.replace(b" / ", b" /login?next=/ "))
        assert ["wake_paths"] == [knock.rule for knock in setup.gate.knocks if isinstance(knock, Knock)]


@pytest.mark.anyio
async def test_bots_do_not_wake_but_people_do() -> None:
    """`ignore_bots`: by their name; a page load with a person's browser wakes."""
    async with serving(awake=False, spec=replace(DEFAULT, ignore_bots=True)) as setup:
        bot = PAGE.replace(b"Host: a", b"Host: a\r\nUser-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)")
        assert b"\r\nX-Torpor: asleep\r\n" in (await setup.ask(bot))[0]
        assert [] == setup.gate.knocks
        await setup.ask(PAGE)
        assert 1 == len(setup.gate.knocks)


@pytest.mark.anyio
async def test_a_websocket_handshake_goes_through_the_same_door() -> None:
    """A forgotten tab's reconnect to a path that does not wake gets no wake either."""
    upgrade = to("/silent", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    async with serving(awake=False, spec=ruled(SILENT)) as setup:
        assert b"\r\nX-Torpor: asleep\r\n" in (await setup.ask(upgrade))[0]
        assert ([], []) == (setup.gate.knocks, setup.gate.waits)


@pytest.mark.anyio
@pytest.mark.parametrize("activity", SocketActivity)
async def test_a_socket_that_does_not_count_is_parked_and_never_activity(activity: SocketActivity) -> None:
    """Whatever the app's other sockets mean, data on this one keeps nothing awake."""

    async def answer(served: Served) -> None:
        await served.send(b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
        await served.send(await served.reader.readexactly(5))

    async with serving(answer, spec=ruled(QUIET, websocket=SocketPolicy(activity))) as setup:
        client = await setup.client()
        await client.send(to("/quiet", "Connection: Upgrade", "Upgrade: raw"))
        await client.head()
        await client.send(b"hello")
        assert b"hello" == await client.reader.readexactly(5)
        assert (0, 1, 0) == (setup.gate.inflight, setup.gate.parked, setup.gate.touches)
        client.close()
        await setup.gate.settled()


@pytest.mark.anyio
async def test_where_a_wake_is_on_its_way_nobody_is_turned_away() -> None:
    """A request that may not wake waits with those that did; a rule's own answer is still given."""
    async with serving(awake=False, spec=ruled(SILENT, ROBOT)) as setup:
        setup.gate.coming = True
        client = await setup.client()
        await client.send(to("/silent"))
        await until(lambda: setup.gate.waiting)
        assert b"resting" == (await setup.ask(FROM_ROBOT))[1]
        setup.gate.awake()
        assert b"ok" == (await client.response())[1]


@pytest.mark.anyio
async def test_the_truth_about_an_app_that_refuses_to_wake() -> None:
    """A monitor must not be told that all is well with an app that has failed."""
    async with serving(awake=False, spec=ruled(ROBOT, SILENT)) as setup:
        failed = setup.gate.refused = Refusal(Reason(Cause.FAILED, "exited with code 1"), 60.0)
        setup.gate.on_wait = lambda: setup.gate.refuse(failed)
        for request in (FROM_ROBOT, to("/silent")):
            head, _ = await setup.ask(request)
            assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\nX-Torpor: failed\r\n")


@pytest.mark.anyio
@pytest.mark.parametrize("request_head", [to("/silent"), FROM_ROBOT, to("/silent", "Connection: close")])
async def test_an_app_that_falls_asleep_meanwhile_is_not_woken(request_head: bytes) -> None:
    """Between the lease and the connection the app is gone: the request is not one that may bring it back."""
    async with serving(spec=ruled(SILENT, ROBOT)) as setup:
        await setup.backend.stop()
        head, _ = await setup.ask(request_head)
        assert b"\r\nX-Torpor: asleep\r\n" in head
        assert 1 == setup.gate.refused_connections
        assert ([], []) == (setup.gate.knocks, setup.gate.waits)


@pytest.mark.anyio
async def test_a_routes_own_rules_win() -> None:
    """They are asked before those of the app, and only there."""
    routes = (Route("a", rules=(Rule("free", paths=(Glob("/silent"),)),)), Route(None))
    async with serving(awake=False, spec=ruled(SILENT, routes=routes)) as setup:
        assert (
            b"\r\nX-Torpor: asleep\r\n" in (await setup.ask(to("/silent").replace(b"Host: a", b"Host: b")))[0]
        )
        client = await setup.client()
        await client.send(to("/silent"))
        await until(lambda: setup.gate.waiting)
        setup.gate.awake()
        assert b"ok" == (await client.response())[1]
        assert ["free"] == [knock.rule for knock in setup.gate.waits if isinstance(knock, Knock)]


@pytest.mark.anyio
async def test_a_path_below_a_stripped_prefix_is_compared_as_it_was_sent() -> None:
    """Rules speak of what the client asked for, not of what the app sees."""
    rule = Rule("inner", paths=(Glob("/app/metrics"),), wakes=False)
    routes = (Route("a", "/app", strip_prefix=True), Route("a", "/"))
    async with serving(awake=False, spec=ruled(rule, routes=routes)) as setup:
        assert b"\r\nX-Torpor: asleep\r\n" in (await setup.ask(to("/app/metrics")))[0]


@pytest.mark.anyio
async def test_the_client_behind_a_trusted_proxy_is_whom_rules_mean() -> None:
    """The forwarded address decides, and stands in what is kept of the wake."""
    office = Rule("office", networks=(ipaddress.ip_network("203.0.113.0/24"),))
    nobody = Rule("others", wakes=False)
    async with serving(awake=False, spec=ruled(office, nobody), trusted=("127.0.0.0/8",)) as setup:
        assert b"asleep" in (await setup.ask(to("/")))[0]
        assert b"asleep" in (await setup.ask(to("/", "X-Forwarded-For: 203.0.113.9, 198.51.100.1")))[0]
        await setup.ask(PAGE.replace(b"Host: a", b"Host: a\r\nX-Forwarded-For: 198.51.100.1, 203.0.113.9"))
        assert [Knock("GET", "/", "203.0.113.9", "", "office")] == setup.gate.knocks


@pytest.mark.anyio
async def test_a_stranger_cannot_choose_its_address() -> None:
    """Without a trusted proxy the peer is the client, whatever it says."""
    home = Rule("home", networks=(ipaddress.ip_network("10.0.0.0/8"),))
    async with serving(awake=False, spec=ruled(home, Rule("others", wakes=False))) as setup:
        assert b"asleep" in (await setup.ask(to("/", "X-Forwarded-For: 10.0.0.1", "X-Real-IP: 10.0.0.1")))[0]


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        ("10.0.0.1", {}),
        ("192.0.2.7", {"x-forwarded-for": "192.0.2.7"}),
        ("192.0.2.7", {"x-forwarded-for": "198.51.100.1, 192.0.2.7 , 10.1.1.1"}),
        ("10.1.1.1", {"x-forwarded-for": "192.0.2.7, unknown, 10.1.1.1"}),
        ("10.1.1.1", {"x-forwarded-for": "10.1.1.1"}),
        ("10.0.0.1", {"x-forwarded-for": ""}),
        ("10.0.0.1", {"x-forwarded-for": "no address"}),
        ("192.0.2.7", {"x-forwarded-for": "192.0.2.7:4711"}),
        ("2001:db8::1", {"x-forwarded-for": "[2001:db8::1]:4711"}),
        ("2001:db8::1", {"x-forwarded-for": "2001:db8::1"}),
        ("192.0.2.7", {"forwarded": 'for="192.0.2.7:80";proto=http, for=10.1.1.1'}),
        ("2001:db8::1", {"forwarded": 'By=x; For="[2001:db8::1]"'}),
        ("10.0.0.1", {"forwarded": "for=_hidden"}),
        ("192.0.2.7", {"x-real-ip": "192.0.2.7", "x-forwarded-host": "a"}),
        (
            "192.0.2.7",
            {"x-real-ip": "198.51.100.1", "forwarded": "for=198.51.100.2", "x-forwarded-for": "192.0.2.7"},
        ),
        ("10.0.0.9", {"x-forwarded-for": "192.0.2.7, " + "10.0.0.9, " * 5000 + "10.0.0.9"}),
    ],
)
def test_who_the_client_is(expected: str, fields: dict[str, str]) -> None:
    """The nearest address that is no trusted proxy; an element that is no address ends the search."""
    forwarding = Forwarding("10.0.0.1", "http", 80, parse_networks(["10.0.0.0/8"]))
    came = [(name.encode(), value.encode()) for name, value in fields.items()]

    assert expected == forwarding.client(came)
    assert "10.0.0.1" == forwarding.client(None)


@pytest.mark.anyio
async def test_of_a_stranger_so_much_is_kept_as_helps_people() -> None:
    """Path and user agent are cut, and no query is kept: there may be secrets in it."""
    async with serving(awake=False) as setup:
        long = PAGE.replace(b" / ", b" /" + b"p" * 5000 + b"?secret ").replace(
            b"Host: a", b"Host: a\r\nUser-Agent: " + b"u" * 5000
        )
        await setup.ask(long)
        [knock] = setup.gate.knocks
        assert Knock("GET", "/" + "p" * 199 + "…", "127.0.0.1", "u" * 300 + "…", "wake_on") == knock


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("bytes_passed", "response", "request_head"),
    [
        (2, OK, GET),
        (2, OK.replace(b"OK\r\n", b"OK\r\nConnection: x\r\n", 1), GET),
        (70_000, b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000, GET),
        (0, b"HTTP/1.1 204 No Content\r\n\r\n", GET),
        (17, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
         b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
        (7, OK, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
        (0, OK, to("/quiet")),
    ],
)  # fmt: skip
async def test_bodies_are_weighed_both_ways(bytes_passed: int, response: bytes, request_head: bytes) -> None:
    """Heads are not, nor what does not count; the framing of chunks is."""

    async def answer(served: Served) -> None:
        if b"Content-Length: 5" in served.head:
            await served.reader.readexactly(5)
        await served.send(response)

    async with serving(answer, spec=ruled(QUIET)) as setup:
        assert setup.gate.upstream is not None
        volume = setup.gate.upstream.volume = Volume(1500)
        client = await setup.client()
        await client.send(request_head)
        await until(lambda: setup.gate.leases and not setup.gate.inflight)
        assert bytes_passed == volume.passed


@pytest.mark.anyio
async def test_sockets_are_weighed_both_ways() -> None:
    """Where their data is activity."""

    async def answer(served: Served) -> None:
        await served.send(b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
        await served.send((await served.reader.readexactly(5)) * 2)

    async with serving(answer) as setup:
        assert setup.gate.upstream is not None
        volume = setup.gate.upstream.volume = Volume(1500)
        client = await setup.client()
        await client.send(to("/", "Connection: Upgrade", "Upgrade: raw"))
        await client.head()
        await client.send(b"hello")
        await client.reader.readexactly(10)
        assert 15 == volume.passed


@pytest.mark.anyio
async def test_rules_that_do_not_meet_a_request_change_nothing_about_it() -> None:
    """The app gets it byte by byte as it would without rules."""
    heads = []
    for rules in ((), (QUIET, ROBOT, Rule("h", headers=(Header("x-probe"),), counts=False))):
        async with serving(answer_ok, spec=ruled(*rules)) as setup:
            client = await setup.client()
            for _ in range(2):
                await client.ask(to("/x?y", "User-Agent: me", "Accept: */*", "Connection: keep-alive"))
            heads.append(
                [head.replace(b":%d" % setup.gateway.addresses()[0][1], b"") for head in setup.backend.heads]
            )
    bare, ruled_heads = ([head.partition(b"X-Forwarded-Port")[0] for head in each] for each in heads)
    assert bare == ruled_heads
