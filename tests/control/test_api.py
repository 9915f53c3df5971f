"""The API over a real unix socket, with a real server and an invented operator."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from control.fakes import FakeOperator
from torpor.control import follow
from torpor.control.client import Answer, Client, Problem
from torpor.control.server import ControlServer, DaemonInfo
from torpor.core.model import Cause, Dependency, Phase, Reason, Want
from torpor.errors import StateUnusable
from torpor.providers.base import Stats
from torpor.runtime.operator import Verb

pytestmark = pytest.mark.anyio

INFO = DaemonInfo("0.1.0", os.getpid(), "/etc/torpor.yaml", ("127.0.0.1:8080",), 1000.0)


@asynccontextmanager
async def serving(path: Path, *names: str) -> AsyncIterator[tuple[FakeOperator, Client, ControlServer]]:
    """An operator with apps of those names, a client for it, and the server between."""
    operator = FakeOperator()
    for name in names:
        operator.add(name)
    server = ControlServer(operator, path / "t.sock", INFO)
    await server.open()
    server.mark_ready()
    try:
        yield operator, Client(path / "t.sock"), server
    finally:
        await server.close()


async def get(client: Client, *segments: str, **params: Any) -> Any:
    """A GET off the loop that serves it."""
    return await asyncio.to_thread(lambda: client.get(*segments, **params))


async def post(client: Client, *segments: str, **params: Any) -> Any:
    """A POST off the loop that serves it."""
    return await asyncio.to_thread(lambda: client.post(*segments, **params))


async def problem(client: Client, method: str, *segments: str, **params: Any) -> dict[str, Any]:
    """The problem document of a request that must be refused."""
    call = {"GET": get, "POST": post}[method]
    with pytest.raises(Problem) as caught:
        await call(client, *segments, **params)
    return dict(caught.value.document)


def stream(client: Client, *segments: str, accept: str = "", **params: str | int) -> Answer:
    """A stream that is not read yet; its own timeout keeps a broken test short."""
    return client.send("GET", *segments, params=params, accept=accept, patience=20)


async def test_apps_are_listed_in_the_order_of_the_configuration(tmp_path: Path) -> None:
    """`GET /apps` gives every app with the promised fields, in order."""
    async with serving(tmp_path, "web", "api") as (operator, client, _):
        operator.add("worker", phase=Phase.ASLEEP, want=Want.DOWN)
        apps = await get(client, "apps")
    assert ["web", "api", "worker"] == [app["name"] for app in apps]
    promised = {"name", "state", "pid", "port", "generation", "restarts", "rss", "idle_in", "routes", "want"}
    assert promised <= set(apps[0])
    assert ("ready", 4242, 40123, 300 * 2**20, ["web.localhost"]) == tuple(
        apps[0][key] for key in ("state", "pid", "port", "rss", "routes")
    )
    assert ("asleep", None, None, None, "down") == tuple(
        apps[2][key] for key in ("state", "pid", "port", "rss", "want")
    )


async def test_looking_wakes_nothing(tmp_path: Path) -> None:
    """No GET gives the operator a command."""
    async with serving(tmp_path, "web") as (operator, client, _):
        for segments in (("apps",), ("apps", "web"), ("version",), ("livez",), ("readyz",)):
            await get(client, *segments)
        for address in (("logs",), ("apps", "web", "logs"), ("events",)):
            with stream(client, *address) as answer:
                await asyncio.to_thread(list, answer.lines())
    assert [] == operator.commands


@pytest.mark.parametrize("name", ["a/b", "a b", "ä%2F?&#", "..", "日本", "start"])
async def test_names_with_odd_characters(tmp_path: Path, name: str) -> None:
    """Whatever an app is called, its addresses lead to it."""
    async with serving(tmp_path, name) as (operator, client, _):
        operator.outputs[name].write("hello")
        assert name == (await get(client, "apps", name))["name"]
        await post(client, "apps", name, "restart")
        with stream(client, "apps", name, "logs") as answer:
            lines = await asyncio.to_thread(list, answer.lines())
    assert [(Verb.RESTART, name)] == operator.commands
    assert [(name, "hello")] == list(map(said, lines))


async def test_an_unknown_app_is_a_problem_document(tmp_path: Path) -> None:
    """404 with code, hint and fault, for facts, verbs, logs and events alike."""
    async with serving(tmp_path, "notes") as (operator, client, _):
        for method, *segments in (
            ("GET", "apps", "notez"),
            ("POST", "apps", "notez", "start"),
            ("GET", "apps", "notez", "logs"),
        ):
            refusal = await problem(client, method, *segments)
            assert (404, "unknown-app", "did you mean 'notes'?", "client") == tuple(
                refusal[key] for key in ("status", "code", "hint", "fault")
            )
        assert "unknown-app" == (await problem(client, "GET", "events", app="notez"))["code"]
    assert [] == operator.commands


@pytest.mark.parametrize(
    ("method", "segments", "params", "expected"),
    [
        ("GET", ("nothing",), {}, (404, "not-found")),
        ("GET", ("shutdown",), {}, (405, "bad-request")),
        ("POST", ("apps", "web", "explode"), {}, (400, "bad-request")),
        ("POST", ("apps", "web", "start"), {"wait": "perhaps"}, (400, "bad-request")),
        ("POST", ("apps", "web", "start"), {"timeout": "soon"}, (400, "bad-request")),
        ("POST", ("apps", "web", "start"), {"timeout": "-1"}, (400, "bad-request")),
        ("POST", ("apps", "web", "start"), {"timeout": "nan"}, (400, "bad-request")),
        ("GET", ("logs",), {"lines": "-3"}, (400, "bad-request")),
        ("GET", ("logs",), {"follow": "1", "previous": "1"}, (400, "bad-request")),
        ("GET", ("events",), {"n": "٣"}, (400, "bad-request")),
    ],
)
async def test_what_makes_no_sense_is_refused(
    tmp_path: Path, method: str, segments: tuple[str, ...], params: dict[str, str], expected: tuple[int, str]
) -> None:
    """A wrong address or parameter is a problem document, and changes nothing."""
    async with serving(tmp_path, "web") as (operator, client, _):
        refusal = await problem(client, method, *segments, **params)
    assert expected == (refusal["status"], refusal["code"])
    assert [] == operator.commands


async def test_a_verb_answers_when_it_has_come_true(tmp_path: Path) -> None:
    """The answer names the state before and after, and how long it took."""
    async with serving(tmp_path, "web") as (operator, client, _):
        outcome = await post(client, "apps", "web", "stop")
        assert ("stop", "ready", True, "asleep", "down") == (
            outcome["verb"],
            outcome["before"],
            outcome["done"],
            outcome["app"]["state"],
            outcome["app"]["want"],
        )
        assert outcome["took"] >= 0
    assert [(Verb.STOP, "web")] == operator.commands


async def test_a_verb_need_not_be_waited_for(tmp_path: Path) -> None:
    """`wait=false` answers at once, also where it never comes true."""
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.slow.add("web")
        outcome = await post(client, "apps", "web", "restart", wait="false")
        assert (False, None) == (outcome["done"], outcome["took"])
    assert [(Verb.RESTART, "web")] == operator.commands


async def test_a_wait_has_an_end(tmp_path: Path) -> None:
    """After `timeout` the answer is 504, and the wait is given up."""
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.slow.add("web")
        refusal = await problem(client, "POST", "apps", "web", "restart", timeout=0.01)
        assert (504, "wait-expired") == (refusal["status"], refusal["code"])
        assert 0 == operator.waiting


async def test_a_failed_start_tells_why(tmp_path: Path) -> None:
    """503 with the reason and the last lines that the app wrote."""
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.broken.add("web")
        operator.outputs["web"].lines += [f"line {number}" for number in range(20)]
        refusal = await problem(client, "POST", "apps", "web", "wake")
    assert (503, "start-failed", "app") == tuple(refusal[key] for key in ("status", "code", "fault"))
    assert "web did not become ready: exited with code 1 while starting" == refusal["detail"]
    assert [f"line {number}" for number in range(10, 20)] == refusal["output"]
    assert "backoff" == refusal["app"]["state"]


async def test_what_is_forbidden_is_a_conflict(tmp_path: Path) -> None:
    """409 with the hint, and no wait."""
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.forbidden.add("web")
        refusal = await problem(client, "POST", "apps", "web", "wake")
    assert (409, "not-allowed", "`torpor start web` lifts that.") == tuple(
        refusal[key] for key in ("status", "code", "hint")
    )


async def test_a_client_that_leaves_ends_its_wait_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The wait is given up when the client hangs up; the command stays given, and nothing is logged."""
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.slow.add("web")
        answer = client.send("POST", "apps", "web", "restart")
        await until(operator, lambda: operator.waiting == 1)
        answer.close()
        await until(operator, lambda: operator.waiting == 0)
    assert [(Verb.RESTART, "web")] == operator.commands
    assert [] == caplog.records


async def until(operator: FakeOperator, fact: Any) -> None:
    """Wait for a fact about the operator's waits."""
    while not fact():
        operator.on_change.clear()
        await operator.on_change.wait()


async def test_logs_of_several_apps_are_merged(tmp_path: Path) -> None:
    """Each line says whose it is; `app` chooses, `lines` counts per app."""
    async with serving(tmp_path, "web", "api", "db") as (operator, client, _):
        for name in ("web", "api", "db"):
            operator.outputs[name].lines += ["one", "two", "three"]
        with client.send("GET", "logs", params={"app": ["api", "web"], "lines": 2}) as answer:
            lines = [json.loads(line) for line in await asyncio.to_thread(list, answer.lines())]
    assert [("api", "two"), ("api", "three"), ("web", "two"), ("web", "three")] == [
        (line["app"], line["line"]) for line in lines
    ]


async def test_the_log_of_the_previous_run(tmp_path: Path) -> None:
    """`previous` shows the run before the current one, as plain text where that is accepted."""
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.outputs["web"].before += ["old"]
        operator.outputs["web"].lines += ["new"]
        with stream(client, "apps", "web", "logs", accept="text/plain", previous="true") as answer:
            lines = await asyncio.to_thread(list, answer.lines())
    assert [b"old"] == lines
    assert "text/plain; charset=utf-8" == answer.headers["content-type"]


async def test_what_a_log_could_not_pass_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that the system's own log did not take are counted, summed over the replicas."""
    stats = Stats(None, 0, 0.0, log_unforwarded=3)
    monkeypatch.setattr(FakeOperator, "stats", lambda _self, _id: stats)
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.add("many", replicas=2)
        found = {app["name"]: app["log_unforwarded"] for app in await asyncio.to_thread(client.get, "apps")}
    assert {"web": 3, "many": 6} == found


async def test_globs_are_looked_up(tmp_path: Path) -> None:
    """The log of several apps, beside one replica; and when all are listened to, that is told."""
    async with serving(tmp_path, "web-a", "web-b", "job") as (_, client, _server):
        params: dict[str, str | list[str]] = {"app": ["web-*", "job/0"], "places": "true", "follow": "true"}
        with client.send("GET", "logs", params=params, patience=20) as answer:
            lines = answer.lines()
            told = [json.loads(await asyncio.to_thread(next, lines)) for _ in range(4)]
    assert ["web-a", "web-b", "job"] == [each["app"] for each in told[:3]]
    assert {"listening": True} == told[3]


async def test_a_log_is_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """First the past, then each line when it is written; it ends with the reader, whose leaving is no error."""
    async with serving(tmp_path, "web") as (operator, client, server):
        output = operator.outputs["web"]
        output.lines += ["past"]
        with stream(client, "apps", "web", "logs", follow="true") as answer:
            lines = answer.lines()
            assert ("web", "past") == said(await asyncio.to_thread(next, lines))
            output.write("present")
            assert ("web", "present") == said(await asyncio.to_thread(next, lines))
            assert 1 == len(server._api.followers)
        await gone(lambda: not output.readers)
        assert 0 == len(server._api.followers)
    assert [] == caplog.records


def said(raw: bytes) -> tuple[str, str]:
    """Whose line it is, and the line."""
    document = json.loads(raw)
    assert {"app", "instance", "stream", "at", "line"} == set(document)
    return document["app"], document["line"]


async def gone(fact: Any) -> None:
    """Let the loop turn until the fact holds; the test's own time limit ends a wait in vain."""
    while not fact():  # the fact has no event of its own
        await asyncio.sleep(0)


async def test_no_line_falls_between_past_and_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is written while a follower connects comes exactly once."""
    async with serving(tmp_path, "web") as (operator, client, _):
        output = operator.outputs["web"]
        looked = output.tail

        def look_and_be_written_to(lines: int, *, previous: bool = False) -> list[str]:
            asyncio.get_running_loop().call_soon(output.write, "between")
            return looked(lines, previous=previous)

        monkeypatch.setattr(output, "tail", look_and_be_written_to)
        with stream(client, "apps", "web", "logs", follow="true") as answer:
            lines = answer.lines()
            assert ("web", "between") == said(await asyncio.to_thread(next, lines))
            output.write("after")
            assert ("web", "after") == said(await asyncio.to_thread(next, lines))


async def test_events_are_followed_as_ndjson(tmp_path: Path) -> None:
    """Past events, then live ones; `app` chooses."""
    async with serving(tmp_path, "web", "api") as (operator, client, _):
        operator.announce("api", "ready", "ready")
        operator.announce("web", "ready", "ready", took=1.5)
        with stream(client, "events", follow="true", app="web") as answer:
            lines = answer.lines()
            first = json.loads(await asyncio.to_thread(next, lines))
            assert (2, "web", {"took": 1.5}) == (first["seq"], first["app"], first["data"])
            operator.announce("api", "asleep", "asleep")
            operator.announce("web", "asleep", "asleep after 30m")
            assert "asleep after 30m" == json.loads(await asyncio.to_thread(next, lines))["text"]


async def test_a_wake_is_followed_until_its_verdict(tmp_path: Path) -> None:
    """The present attempt from its beginning, with what it waits for, and the end of the stream with the verdict."""
    async with serving(tmp_path, "db") as (operator, client, _):
        operator.add("web", phase=Phase.BLOCKED, needs=[Dependency("db")])
        for kind in ("waking", "start-failed", "waking"):
            operator.announce("web", kind, kind)
        with stream(client, "apps", "web", "wake-events", follow="true") as answer:
            lines = await asyncio.to_thread(answer.lines_from_now)
            first = await asyncio.to_thread(next, lines)
            operator.announce("web", "signal", "got SIGUSR1")
            operator.announce("db", "dep-ready", "found vm ready", dependency="vm")
            operator.add("web", needs=[Dependency("db")])
            operator.announce("web", "ready", "ready after 2s")
            rest = await asyncio.to_thread(list, lines)
        with stream(client, "apps", "web", "wake-events") as answer:
            again = await asyncio.to_thread(list, answer.lines())
    assert [first, *rest] == again
    assert [("web", "starting"), ("db", "dep_ready"), ("web", "ready")] == [
        (told["category"], told["action"]) for told in map(json.loads, again)
    ]
    assert {"message": "ready after 2s"} == json.loads(again[-1])["data"]


async def test_events_are_server_sent_where_that_is_accepted(tmp_path: Path) -> None:
    """SSE frames carry the number as id, and `Last-Event-ID` continues behind it."""
    async with serving(tmp_path, "web") as (operator, _client, _server):
        operator.announce("web", "woken", "first")
        operator.announce("web", "ready", "second")
        raw = socket.socket(socket.AF_UNIX)
        with closing(raw):
            raw.settimeout(20)
            raw.connect(str(tmp_path / "t.sock"))
            raw.sendall(
                b"GET /api/v1/events HTTP/1.1\r\nHost: t\r\nAccept: text/event-stream\r\nLast-Event-ID: 1\r\n\r\n"
            )
            text = b""
            while b"second" not in text:
                text += await asyncio.to_thread(raw.recv, 65536)
    assert b"content-type: text/event-stream" in text
    assert b"id: 2\nevent: ready\ndata: {" in text
    assert b"first" not in text


async def test_a_slow_reader_is_told_what_it_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that stands still costs a bounded queue; the gap is marked, the newest lines are kept."""
    monkeypatch.setattr(follow.Follower.__init__, "__defaults__", (4096,))
    async with serving(tmp_path, "web") as (operator, client, _server):
        with stream(client, "apps", "web", "logs", follow="true") as answer:
            await gone(lambda: operator.outputs["web"].readers)
            for number in range(20_000):
                operator.outputs["web"].write(f"line {number} " + "x" * 100)
            operator.outputs["web"].write("last")
            entries = [json.loads(raw) for raw in await asyncio.to_thread(_until_last, answer)]
        dropped = sum(entry.get("dropped", 0) for entry in entries)
        lines = [entry["line"] for entry in entries if "line" in entry]
    assert "last" == lines[-1]
    assert dropped > 0
    assert 20_001 == dropped + len(lines)


def _until_last(answer: Answer) -> list[bytes]:
    lines = []
    for line in answer.lines():
        lines.append(line)
        if b'"last"' in line:
            break
    return lines


async def test_followers_are_counted(tmp_path: Path) -> None:
    """One reader too many is refused; a place that is given back can be taken again."""
    async with serving(tmp_path, "web") as (_, client, server):
        server._api.followers._limit = 1
        with stream(client, "events", follow="1") as answer:
            await gone(lambda: len(server._api.followers))
            refusal = await asyncio.to_thread(lambda: _refusal(stream(client, "events", follow="1")))
            assert (503, "too-many-followers") == (refusal["status"], refusal["code"])
        answer.close()
        await gone(lambda: not len(server._api.followers))
        with stream(client, "events", follow="1"):
            await gone(lambda: len(server._api.followers))


def _refusal(answer: Answer) -> dict[str, Any]:
    with answer, pytest.raises(Problem) as caught:
        list(answer.lines())
    return dict(caught.value.document)


async def test_a_body_is_limited(tmp_path: Path) -> None:
    """A request that announces a large body is refused before it is sent."""
    async with serving(tmp_path, "web") as (operator, _, _server):
        with closing(socket.socket(socket.AF_UNIX)) as raw:
            raw.settimeout(20)
            raw.connect(str(tmp_path / "t.sock"))
            raw.sendall(b"POST /api/v1/apps/web/stop HTTP/1.1\r\nHost: t\r\nContent-Length: 2000000\r\n\r\n")
            text = b""
            while piece := await asyncio.to_thread(raw.recv, 65536):
                text += piece
    assert text.startswith(b"HTTP/1.1 413 ")
    assert b"body-too-large" in text
    assert [] == operator.commands


async def test_a_body_of_which_nobody_knows_the_length_is_limited(tmp_path: Path) -> None:
    """It comes in chunks, and is refused as soon as there is too much of it."""
    keeper: Any = object()  # never asked
    server = ControlServer(FakeOperator(), tmp_path / "t.sock", INFO, keeper)
    await server.open()
    try:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "t.sock")
        writer.write(b"POST /api/v1/apps HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(33):
            writer.write(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
        assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 413 ")
        writer.close()
    finally:
        await server.close()


async def test_readiness_is_told_apart_from_life(tmp_path: Path) -> None:
    """`/livez` answers from the first moment, `/readyz` from `mark_ready` to the shutdown."""
    operator = FakeOperator()
    server = ControlServer(operator, tmp_path / "t.sock", INFO)
    client = Client(tmp_path / "t.sock")
    await server.open()
    try:
        assert {"live": True} == await get(client, "livez")
        assert "not-ready" == (await problem(client, "GET", "readyz"))["code"]
        server.mark_ready()
        assert {"ready": True} == await get(client, "readyz")
        await post(client, "shutdown")
        assert "not-ready" == (await problem(client, "GET", "readyz"))["code"]
        assert 1 == operator.shutdowns
    finally:
        await server.close()


async def test_version_tells_who_answers(tmp_path: Path) -> None:
    """Version, pid, configuration and addresses of the daemon."""
    async with serving(tmp_path) as (_, client, _server):
        version = await get(client, "version")
    assert ("torpor", "0.1.0", os.getpid(), "/etc/torpor.yaml", ["127.0.0.1:8080"]) == tuple(
        version[key] for key in ("name", "version", "pid", "config", "listen")
    )


async def test_closing_ends_every_stream_and_wait(tmp_path: Path) -> None:
    """A follower gets a proper end, a waiting verb a 503, and nothing stays subscribed."""
    async with serving(tmp_path, "web") as (operator, client, server):
        operator.slow.add("web")
        waiting = client.send("POST", "apps", "web", "restart")
        following = stream(client, "events", follow="1")
        await until(operator, lambda: operator.waiting == 1)
        await gone(lambda: operator.readers)
        await server.close()
        with following:
            assert [] == await asyncio.to_thread(list, following.lines())
        with waiting, pytest.raises(Problem) as caught:
            await asyncio.to_thread(waiting.document)
        assert "shutting-down" == caught.value.document["code"]
        assert [] == operator.readers
    assert not (tmp_path / "t.sock").exists()


async def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    """Mode 0600 in a directory 0700 that is made where it is missing."""
    async with serving(tmp_path / "run"):
        assert 0o600 == stat.S_IMODE((tmp_path / "run/t.sock").stat().st_mode)
        assert 0o700 == stat.S_IMODE((tmp_path / "run").stat().st_mode)


async def test_two_daemons_never_share_a_socket(tmp_path: Path) -> None:
    """The second one is refused with the first one's pid, and the first goes on."""
    async with serving(tmp_path, "web") as (_, client, _server):
        second = ControlServer(FakeOperator(), tmp_path / "t.sock", INFO)
        with pytest.raises(StateUnusable, match=rf"\(pid {os.getpid()}\)"):
            await second.open()
        await second.close()
        assert 1 == len(await get(client, "apps"))


async def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    """Leftovers of a killed daemon are no obstacle."""
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(tmp_path / "t.sock"))
    (tmp_path / "t.sock.lock").write_text("999999\n")
    async with serving(tmp_path, "web") as (_, client, _server):
        assert 1 == len(await get(client, "apps"))


async def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """A file in the place of the socket is refused, not removed."""
    (tmp_path / "t.sock").write_text("precious")
    server = ControlServer(FakeOperator(), tmp_path / "t.sock", INFO)
    with pytest.raises(StateUnusable, match="not a socket"):
        await server.open()
    assert "precious" == (tmp_path / "t.sock").read_text()


async def test_a_socket_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    """The path and the operating system's reason are in the error."""
    (tmp_path / "file").write_text("")
    server = ControlServer(FakeOperator(), tmp_path / "file" / "t.sock", INFO)
    with pytest.raises(StateUnusable, match=r"cannot make the control socket .*file/t\.sock"):
        await server.open()


async def test_a_bug_is_a_problem_document_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """500 with the exception's name for the client, and the traceback in the log for the owner."""
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.snapshot = None  # type: ignore[assignment,method-assign]
        refusal = await problem(client, "GET", "apps")
    assert (500, "torpor") == (refusal["status"], refusal["fault"])
    assert "TypeError" in refusal["detail"]
    assert "Traceback" in caplog.text


async def test_a_reason_is_told(tmp_path: Path) -> None:
    """A failed app carries its cause for programs and its reason for people."""
    async with serving(tmp_path) as (operator, client, _):
        reason = Reason(Cause.EXITED, "exited with code 3")
        operator.add("web", phase=Phase.FAILED, reason=reason, retry_in=12.3456)
        app = await get(client, "apps", "web")
    assert ("failed", "exited", "exited with code 3", 12.346) == tuple(
        app[key] for key in ("state", "cause", "reason", "retry_in")
    )
    assert ["web"] == [instance["id"] for instance in app["instances"]]
