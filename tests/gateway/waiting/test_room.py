from __future__ import annotations

import json

import pytest

from gateway.waiting.fakes import FakeSeam, FakeStream, head, snapshot, with_page
from torpor.core.model import AppSpec, Cause, Phase, Reason, Route
from torpor.gateway.replies import Reply
from torpor.gateway.waiting.room import WaitingRoom


def ask(target: str, app: str | None = "notes", *, seam: FakeSeam | None = None, **request: str) -> Reply:
    stream = FakeStream()
    reply = WaitingRoom(seam or FakeSeam()).respond(head(target, **request), app, stream)
    assert reply is not None
    assert stream.status is None
    return reply


def test_status_is_a_document() -> None:
    """A program learns how the app is without waking it."""
    seam = FakeSeam()
    seam.gates["notes"].now = snapshot(eta=3.5, waking_for=1.25)
    reply = ask("/_torpor/status", seam=seam)
    assert 200 == reply.status
    assert {
        "app": "notes",
        "title": "notes",
        "state": "starting",
        "reason": "Waking up",
        "final": False,
        "retry": None,
        "elapsed": 1.25,
        "eta": 3.5,
        "awaited": [],
        "gives_up_in": None,
        "logs": [],
    } == json.loads(reply.body)
    assert 0 == seam.gates["notes"].knocks


def test_status_of_a_failure() -> None:
    """The last words are in the status where the owner allows that, fit to be shown."""
    spec = with_page(show_logs=True, title="My notes")
    seam = FakeSeam(spec)
    seam.lines = ["\x1b[31mKeyError\x1b[0m: 'x'", ""]
    reason = Reason(Cause.EXITED, "exited with code 1")
    seam.gates["notes"].now = snapshot(spec, Phase.FAILED, reason=reason, retry_in=60.0)
    document = json.loads(ask("/_torpor/status", seam=seam).body)
    assert "My notes" == document["title"]
    assert ("failed", "Exited with code 1", 60.0) == (
        document["state"],
        document["reason"],
        document["retry"],
    )
    assert ["KeyError: 'x'"] == document["logs"]


@pytest.mark.parametrize("path", ["/_torpor/", "/_torpor/x", "/_torpor/events/", "/_torpor/../notes"])
def test_nothing_else_is_there(path: str) -> None:
    """Every other path of Torpor's is a 404 of Torpor's."""
    reply = ask(path)
    assert 404 == reply.status
    assert ("X-Torpor", "not-found") in reply.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_reading(method: str) -> None:
    """Nothing can be changed here."""
    reply = ask("/_torpor/status", method=method)
    assert 405 == reply.status
    assert ("Allow", "GET, HEAD") in reply.headers


def test_head_of_the_events() -> None:
    """HEAD learns what GET would answer, and opens no stream."""
    reply = ask("/_torpor/events", method="HEAD")
    assert 200 == reply.status
    assert ("Content-Type", "text/event-stream; charset=utf-8") in reply.headers


@pytest.mark.parametrize("target", ["/_torpor/status", "/_torpor/events"])
def test_no_app(target: str) -> None:
    """A host that leads nowhere is told so."""
    assert 404 == ask(target, None, host="nobody.localhost").status


@pytest.mark.parametrize(
    ("route", "host", "expected"),
    [
        (Route("box.localhost", "/wiki"), "box.localhost", 200),
        (Route("*.box.localhost", "/wiki"), "a.box.localhost", 200),
        (Route(None, "/wiki"), "any.localhost", 200),
        (Route("box.localhost", "/wiki"), "other.localhost", 404),
        (Route("*.box.localhost", "/wiki"), "box.localhost", 404),
        (Route("*.box.localhost", "/wiki"), "evilbox.localhost", 404),
    ],
)
def test_an_app_behind_a_path(route: Route, host: str, expected: int) -> None:
    """A page below a path prefix names its app; that works only on a host that leads to it."""
    seam = FakeSeam(AppSpec("wiki", routes=(route,)))
    assert expected == ask("/_torpor/status?app=wiki", None, seam=seam, host=host).status


def test_named_app_counts_before_the_root() -> None:
    """Where one host carries several apps, the one that the page named is meant."""
    seam = FakeSeam(
        AppSpec("root", routes=(Route("box.localhost"),)),
        AppSpec("wiki", routes=(Route("box.localhost", "/wiki"),)),
    )
    reply = ask("/_torpor/status?app=wiki", "root", seam=seam, host="box.localhost")
    assert "wiki" == json.loads(reply.body)["app"]


@pytest.mark.parametrize("query", ["app=", "app=%00", "app=nobody", "app=%ff"])
def test_nonsense_names_nobody(query: str) -> None:
    """An app that does not exist is a 404, or the question is about the host's own app."""
    reply = ask(f"/_torpor/status?{query}")
    assert reply.status in {200, 404}
    if reply.status == 200:
        assert "notes" == json.loads(reply.body)["app"]


def test_too_many_fields_are_not_read() -> None:
    """A query made to cost work is ignored."""
    assert 200 == ask("/_torpor/status?" + "&".join("a=1" for _ in range(5000))).status
