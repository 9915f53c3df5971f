"""Proxies that ask whether a request may pass, and then pass it on themselves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.fakes import DEFAULT, Setup, serving
from gateway.test_wake import until
from torpor.config.settings import Listen
from torpor.core.model import AppSpec, Cause, Reason, Refusal, Route, WakeOn
from torpor.core.rules import Answer, Glob, Rule

pytestmark = pytest.mark.anyio

GATE = Listen("127.0.0.1", 0, gate=True)
NOTES = AppSpec("notes", routes=(Route("notes.example"), Route("tools.example", "/notes")))
PAGE = {"Accept": "text/html", "X-Forwarded-Method": "GET"}


def question(app: str | None = "app", method: str = "GET", **fields: str) -> bytes:
    """A question as a proxy sends it; `X_Forwarded_Uri` stands for the field of that name."""
    path = "/api/v1/gate" if app is None else f"/api/v1/apps/{app}/gate"
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1:8081"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def header(head: bytes, name: bytes) -> bytes:
    """The value of a field of a response."""
    return head.split(b"\r\n" + name + b": ")[1].split(b"\r\n")[0]


async def test_an_app_that_is_awake_lets_pass() -> None:
    """204 with its address, and its idle clock begins anew."""
    async with serving(listen=GATE) as setup:
        upstream = setup.gate.upstream
        assert upstream is not None
        before = upstream.last_active
        head, _ = await _ask(setup, question())

        assert head.startswith(b"HTTP/1.1 204 ")
        assert str(setup.backend.endpoint).encode() == header(head, b"X-Torpor-Upstream")
        assert b"ready" == header(head, b"X-Torpor")
        assert (1, 0) == (setup.gate.leases, upstream.inflight)
        assert upstream.last_active > before
        assert [] == setup.backend.heads


async def _ask(setup: Setup, data: bytes) -> tuple[bytes, bytes]:
    client = await setup.client()
    await client.send(data)
    head = await client.head()
    if b"\r\nContent-Length: " not in head:
        return head, b""
    return head, await client.reader.readexactly(int(header(head, b"Content-Length")))


async def test_the_question_of_a_program_is_held() -> None:
    """Until the app is ready; what is known of the wake is the visitor's request, not the proxy's."""
    async with serving(listen=GATE, awake=False) as setup:
        client = await setup.client()
        fields = {
            "X_Forwarded_Method": "POST",
            "X_Forwarded_Uri": "/rows?n=1",
            "X_Forwarded_For": "6.6.6.6, 192.0.2.7",
            "Accept": "text/html",
        }
        await client.send(question(**fields))
        await until(lambda: setup.gate.waiting)
        assert (["POST /rows from 192.0.2.7"], []) == (list(map(str, setup.gate.waits)), setup.gate.knocks)
        setup.gate.awake()
        assert (await client.head()).startswith(b"HTTP/1.1 204 ")


async def test_a_visitor_who_opens_a_page_is_to_see_the_waiting_page() -> None:
    """At once, with the status that Torpor itself gives it, and with the visitor's own address in it."""
    async with serving(listen=GATE, awake=False) as setup:
        head, body = await _ask(setup, question(Accept="text/html", X_Forwarded_Uri="/a?b"))

        assert (b"503", b"waking") == (head[9:12], header(head, b"X-Torpor"))
        assert b"Retry-After: " in head
        assert b";url=/a?b" in body
        assert (["GET /a from 127.0.0.1"], []) == (list(map(str, setup.gate.knocks)), setup.gate.waits)


async def test_a_refusal_is_passed_on() -> None:
    """With the cause and the time to try again, as at the gateway."""
    async with serving(listen=GATE, awake=False) as setup:
        client = await setup.client()
        await client.send(question())
        await until(lambda: setup.gate.waiting)
        setup.gate.refuse(Refusal(Reason(Cause.FAILED, "exited with code 3"), 41.0))
        head, body = await client.response()

        assert (b"503", b"41", b"failed") == (
            head[9:12],
            header(head, b"Retry-After"),
            header(head, b"X-Torpor"),
        )
        assert "app" == json.loads(body)["app"]


@pytest.mark.parametrize(
    ("wake_on", "target"), [(WakeOn.ANY, "/favicon.ico"), (WakeOn.NAVIGATION, "/socket")]
)
async def test_what_wakes_nothing_does_not_pass(wake_on: WakeOn, target: str) -> None:
    """There is nobody it could be passed to."""
    async with serving(spec=replace(DEFAULT, wake_on=wake_on), listen=GATE, awake=False) as setup:
        head, _ = await _ask(setup, question(X_Forwarded_Uri=target))

        assert (b"503", b"asleep") == (head[9:12], header(head, b"X-Torpor"))
        assert ([], []) == (setup.gate.knocks, setup.gate.waits)


@pytest.mark.parametrize("status", [200, 404])
async def test_a_rule_that_does_not_wake_holds_for_questions(status: int) -> None:
    """Its answer is the visitor's; but no success, which would let the request pass to nobody."""
    rule = Rule("monitor", (Glob("/ping"),), wakes=False, answer=Answer(status))
    async with serving(spec=replace(DEFAULT, rules=(rule,)), listen=GATE, awake=False) as setup:
        head, _ = await _ask(setup, question(X_Forwarded_Uri="/ping"))

        assert (503 if status == 200 else status, b"asleep") == (int(head[9:12]), header(head, b"X-Torpor"))
        assert ([], []) == (setup.gate.knocks, setup.gate.waits)


async def test_a_rule_that_does_not_count_holds_for_questions() -> None:
    """The request may pass, and the idle clock goes on."""
    rule = Rule("monitor", (Glob("/ping"),), counts=False)
    async with serving(spec=replace(DEFAULT, rules=(rule,)), listen=GATE) as setup:
        upstream = setup.gate.upstream
        assert upstream is not None
        before = upstream.last_active
        head, _ = await _ask(setup, question(X_Forwarded_Uri="/ping"))
        assert head.startswith(b"HTTP/1.1 204 ")
        assert before == upstream.last_active
        await _ask(setup, question(X_Forwarded_Uri="/"))
        assert upstream.last_active > before


async def test_a_client_that_leaves_gives_up_its_place() -> None:
    """A proxy whose visitor left closes its question; the wake goes on."""
    async with serving(listen=GATE, awake=False) as setup:
        client = await setup.client()
        await client.send(question())
        await until(lambda: setup.gate.waiting)
        client.close()
        await until(lambda: not setup.gate.waiting)
        setup.gate.awake()
        assert 0 == setup.gate.leases


@pytest.mark.parametrize(
    ("host", "uri", "app"),
    [
        ("notes.example", "/", "notes"),
        ("NOTES.example:443", "/x", "notes"),
        ("tools.example", "/notes/x", "notes"),
        ("tools.example", "/other", None),
        ("tools.example", "/x/../notes", None),
        ("elsewhere.example", "/", None),
    ],
)
async def test_the_host_tells_which_app_is_meant(host: str, uri: str, app: str | None) -> None:
    """One address serves all apps of a proxy."""
    other = AppSpec("other", routes=(Route("other.example"),))
    async with serving(spec=NOTES, more=(other,), listen=GATE) as setup:
        head, _ = await _ask(setup, question(None, X_Forwarded_Host=host, X_Forwarded_Uri=uri))

        assert (app is not None) == head.startswith(b"HTTP/1.1 204 ")
        assert int(app == "notes") == setup.gate.leases


@pytest.mark.parametrize(
    ("data", "status", "cause"),
    [
        (question("nobody"), b"404", b"not-found"),
        (question(method="POST"), b"405", b"method-not-allowed"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"404", b"not-found"),
        (b"GET /_torpor/status HTTP/1.1\r\nHost: a\r\n\r\n", b"404", b"not-found"),
        (question(X_Forwarded_Uri="a b"), b"400", b"bad-request"),
        (question(X_Forwarded_Method="G:T"), b"400", b"bad-request"),
        (question(X_Forwarded_Host="a/b"), b"400", b"bad-request"),
        (question(X_Forwarded_Host="a, b"), b"400", b"bad-request"),
    ],
)
async def test_what_is_no_question_is_refused(data: bytes, status: bytes, cause: bytes) -> None:
    """A gate carries no request to an app, whatever is sent there."""
    async with serving(listen=GATE) as setup:
        head, _ = await _ask(setup, data)

        assert (status, cause) == (head[9:12], header(head, b"X-Torpor"))
        assert (0, []) == (setup.gate.leases, setup.backend.heads)


async def test_the_next_question_comes_on_the_same_connection() -> None:
    """Proxies keep their connections."""
    async with serving(listen=GATE) as setup:
        client = await setup.client()
        for _ in range(3):
            await client.send(question())
            assert (await client.head()).startswith(b"HTTP/1.1 204 ")


async def test_strangers_are_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a gate listens on a network, only trusted proxies may ask."""
    monkeypatch.setattr("torpor.gateway.headers._THIS_MACHINE", ())
    async with serving(listen=GATE) as setup:
        head, _ = await _ask(setup, question())
        assert (b"403", b"forbidden") == (head[9:12], header(head, b"X-Torpor"))
    async with serving(listen=GATE, trusted=("127.0.0.0/8",)) as setup:
        head, _ = await _ask(setup, question())
        assert head.startswith(b"HTTP/1.1 204 ")


async def test_no_other_listener_is_a_gate() -> None:
    """What comes in by the front door goes to the app, whatever its path."""
    async with serving() as setup:
        _, body = await setup.ask(question())

        assert b"ok" == body
        assert 1 == len(setup.backend.heads)
