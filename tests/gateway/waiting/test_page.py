from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from gateway.waiting.fakes import FakeGate, FakeSeam, head, snapshot, with_page
from torpor.config.template import PLACEHOLDERS, check_template
from torpor.core.model import AppSpec, Awaited, Cause, Condition, Phase, Reason, Refusal, Want
from torpor.gateway.replies import Reply
from torpor.gateway.waiting.page import values
from torpor.gateway.waiting.room import WaitingRoom
from torpor.gateway.waiting.view import arriving, present


def page(gate: FakeGate, seam: FakeSeam | None = None, refusal: Refusal | None = None) -> Reply:
    return WaitingRoom(seam or FakeSeam(gate.spec)).page(gate, head(), refusal)


def gate(spec: AppSpec | None = None, **facts: Any) -> FakeGate:
    door = FakeGate(spec or with_page())
    door.now = snapshot(door.spec, **facts)
    return door


def header(reply: Reply, name: str) -> str:
    (value,) = [value for key, value in reply.headers if key == name]
    return value


class Document(HTMLParser):
    """What is on a page: its elements, its text without scripts and styles."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.code: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._inside: str | None = None
        self.feed(reply.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in self.code else None

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.code[self._inside].append(data)
        else:
            self.text += data

    def attribute(self, tag: str, name: str) -> list[str | None]:
        return [attrs[name] for element, attrs in self.elements if element == tag and name in attrs]


def test_headers_of_a_wake() -> None:
    """Nobody takes the page for the app's answer, keeps it, indexes it, or comes back at once."""
    reply = page(gate(eta=7.2, waking_for=2.0))
    assert 503 == reply.status
    assert "waking" == header(reply, "X-Torpor")
    assert "6" == header(reply, "Retry-After")
    assert "no-store" == header(reply, "Cache-Control")
    assert "text/html; charset=utf-8" == header(reply, "Content-Type")
    assert "no-referrer" == header(reply, "Referrer-Policy")
    assert "noindex" == header(reply, "X-Robots-Tag")
    assert "Accept, Sec-Fetch-Dest" == header(reply, "Vary")


@pytest.mark.parametrize(
    ("eta", "waking_for", "expected"),
    [(None, None, "2"), (0.2, 0.1, "1"), (3.0, 60.0, "1"), (10.0, 0.0, "10"), (1e9, 0.0, "600")],
)
def test_retry_after_follows_the_estimate(eta: float | None, waking_for: float | None, expected: str) -> None:
    """Retry-After is what is left of the usual wake, between one second and ten minutes."""
    assert expected == header(page(gate(eta=eta, waking_for=waking_for)), "Retry-After")


def test_policy_names_the_one_script_and_the_one_style() -> None:
    """The browser runs exactly what the page ships: the policy's hashes match its content."""
    reply = page(gate())
    document = Document(reply)
    policy = dict(part.split(" ", 1) for part in header(reply, "Content-Security-Policy").split("; "))

    def sha(text: str) -> str:
        return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"

    assert [policy["script-src"]] == [sha(text) for text in document.code["script"]]
    assert [policy["style-src"]] == [sha(text) for text in document.code["style"]]
    assert "'none'" == policy["default-src"]
    assert "'none'" == policy["base-uri"]


def test_needs_nothing_but_itself() -> None:
    """No element loads anything, and no style or handler stands in an attribute, which the policy forbids."""
    document = Document(page(gate()))
    assert [] == document.attribute("script", "src")
    assert ["data:,"] == document.attribute("link", "href")
    assert "url(" not in document.code["style"][0]
    assert set() == {
        name for _, attrs in document.elements for name in attrs if name == "style" or name.startswith("on")
    }


def test_is_small() -> None:
    """The whole page of a wake stays below 8 KB."""
    seam = FakeSeam()
    for kind in ("waking", "starting", "started", "waiting"):
        seam.happen(kind, "waiting for http /health")
    assert 8192 > len(page(seam.gates["notes"], seam).body)


def test_reloads_without_script() -> None:
    """A browser without JavaScript looks again every two seconds; one with it is not disturbed."""
    body = page(gate()).body.decode()
    assert '<noscript><meta http-equiv="refresh" content="2;url=/"></noscript>' in body
    assert 1 == body.count("http-equiv")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/a/b?c=d&e=%20", "/a/b?c=d&amp;e=%20"),
        (b"//evil.example/x", "/.//evil.example/x"),
        (b"/\\evil.example", "/%5Cevil.example"),
        (b'/"><script>', "/%22%3E%3Cscript%3E"),
        ("/zürich".encode(), "/z%C3%BCrich"),
    ],
)
def test_reloads_the_same_address(target: bytes, expected: str) -> None:
    """The reload names its address, or a fragment would stop it, and never leaves the host."""
    door = gate()
    request = replace(head(), target=target)
    body = WaitingRoom(FakeSeam(door.spec)).page(door, request).body.decode()
    assert f'content="2;url={expected}"' in body


def test_everything_foreign_is_escaped() -> None:
    """Neither title, nor reason, nor step, nor log line can become markup."""
    evil = "<script>alert(1)</script>\"'&"
    spec = with_page(title=evil, show_logs=True)
    seam = FakeSeam(spec)
    seam.happen("waiting", evil)
    seam.lines = [evil]
    door = seam.gates["notes"]
    door.now = snapshot(spec, Phase.FAILED, reason=Reason(Cause.START_FAILED, evil))
    reply = page(door, seam)
    document = Document(reply)
    assert 1 == len(document.code["script"])
    assert b"<script>alert" not in reply.body
    assert 5 == document.text.count(evil[1:])  # title, heading, reason, step, log


@pytest.mark.parametrize(
    ("facts", "state", "cause", "retry_after", "refresh", "text"),
    [
        ({"phase": Phase.ASLEEP}, "starting", "waking", "2", "2", "Waking up"),
        ({"phase": Phase.STARTING}, "starting", "waking", "2", "2", "Waking up"),
        ({"phase": Phase.BLOCKED}, "blocked", "waking", "2", "2", "Waiting for what it needs"),
        (
            {"phase": Phase.BLOCKED, "reason": Reason(Cause.DEPENDENCY, "waiting for db to be ready")},
            "blocked",
            "waking",
            "2",
            "2",
            "Waiting for db to be ready",
        ),
        ({"phase": Phase.STOPPING}, "stopping", "waking", "2", "2", "The previous run is still stopping"),
        ({"phase": Phase.DRAINING}, "stopping", "waking", "2", "2", "The previous run is still stopping"),
        (
            {"phase": Phase.BACKOFF, "retry_in": 3.6, "reason": Reason(Cause.EXITED, "exited with code 3")},
            "backoff",
            "waking",
            "4",
            "2",
            "Restarting in 4 s: exited with code 3",
        ),
        (
            {"phase": Phase.FAILED, "retry_in": 42.1, "reason": Reason(Cause.EXITED, "exited with code 3")},
            "failed",
            "failed",
            "43",
            "43",
            "Exited with code 3",
        ),
        (
            {"phase": Phase.FAILED, "reason": Reason(Cause.EXITED, "exited with code 3")},
            "failed",
            "failed",
            "60",
            None,
            "Exited with code 3",
        ),
        (
            {
                "phase": Phase.ASLEEP,
                "want": Want.DOWN,
                "reason": Reason(Cause.DOWN, "stopped by the operator"),
            },
            "down",
            "down",
            "60",
            None,
            "Stopped by the operator",
        ),
        ({"phase": Phase.READY}, "ready", "waking", "1", "1", "Ready"),
        (
            {"phase": Phase.ASLEEP, "reason": Reason(Cause.START_FAILED, "exited with code 3")},
            "starting",
            "waking",
            "2",
            "2",
            "Waking up",
        ),
        ({"phase": Phase.DONE}, "starting", "waking", "2", "2", "Waking up"),
    ],
)
def test_every_state(  # noqa: PLR0917
    facts: dict[str, Any], state: str, cause: str, retry_after: str, refresh: str | None, text: str
) -> None:
    """Each state says what is going on and when to come back; where only an operator can help, nothing reloads."""
    reply = page(gate(**facts))
    document = Document(reply)
    assert 503 == reply.status
    assert [state] == document.attribute("html", "data-state")
    assert cause == header(reply, "X-Torpor")
    assert retry_after == header(reply, "Retry-After")
    assert ([] if refresh is None else [f"{refresh};url=/"]) == [
        attrs["content"] for tag, attrs in document.elements if tag == "meta" and "http-equiv" in attrs
    ]
    assert text in document.text


@pytest.mark.parametrize(
    ("refusal", "state", "refresh"),
    [
        (Refusal(Reason(Cause.DOWN, "stopped by the operator"), None), "down", None),
        (Refusal(Reason(Cause.SHUTDOWN, "Torpor is shutting down"), 5.0), "down", "5"),
        (Refusal(Reason(Cause.SCHEDULE, "it runs only mon"), 3600.0), "down", "3600"),
        (Refusal(Reason(Cause.FAILED, "exited with code 3"), 12.0), "failed", "12"),
    ],
)
def test_refused_knock(refusal: Refusal, state: str, refresh: str | None) -> None:
    """A refused knock is told with its own reason, code and time to come back."""
    reply = page(gate(phase=Phase.STOPPING), refusal=refusal)
    document = Document(reply)
    assert [state] == document.attribute("html", "data-state")
    assert refusal.reason.cause == header(reply, "X-Torpor")
    assert refusal.reason.text in document.text.replace("Stopped", "stopped").replace(
        "Exited", "exited"
    ).replace("It", "it")
    body = reply.body.decode()
    assert (re.findall(r'refresh" content="(\d+);', body) or [None]) == [refresh]


def test_shows_the_steps_so_far() -> None:
    """A second tab sees what the first one saw, with the time since the wake began."""
    seam = FakeSeam()
    seam.happen("waking", "woken by GET / from 192.0.2.7")
    seam.happen("starting", "starting generation 3")
    seam.happen("waiting", "waiting for http /health")
    body = page(seam.gates["notes"], seam).body.decode()
    items = re.findall(r'<li data-seq="(\d+)">(.*?)<time>(.*?)</time>', body)
    assert [
        ("101", "Woken up", "0.0 s"),
        ("102", "Starting", "1.0 s"),
        ("103", "Waiting for http /health", "2.0 s"),
    ] == items


def test_a_knock_shows_nothing_of_what_failed_before() -> None:
    """The page of a new attempt begins with an empty list; that of one that is refused tells why."""
    seam = FakeSeam()
    seam.happen("waking")
    seam.happen("start-failed", "not ready within 2m")
    door = seam.gates["notes"]
    door.now = snapshot(phase=Phase.ASLEEP, reason=Reason(Cause.START_TIMEOUT, "not ready within 2m"))
    assert b"not ready" not in page(door, seam).body.lower()
    door.now = snapshot(phase=Phase.FAILED, reason=Reason(Cause.START_TIMEOUT, "gave up"))
    refusal = Refusal(Reason(Cause.FAILED, "gave up"), 60.0)
    assert b'<li class="error" data-seq="102">Not ready within 2m' in page(door, seam, refusal).body


def test_what_sleeps_frozen_and_waits_is_blocked() -> None:
    """It is not asleep: it goes on as soon as what it needs is there."""
    door = gate(phase=Phase.FROZEN)
    awaited = (Awaited("db", Condition.HEALTHY, 1.0),)
    view = present(replace(door.now, awaited=awaited, gives_up_in=9.0))
    assert ("blocked", False, awaited, 9.0) == (view.state, view.final, view.awaited, view.gives_up_in)


def test_a_replica_that_waits_keeps_nobody_from_the_ready_one() -> None:
    """An app that serves is ready, whatever another replica of it waits for."""
    view = present(replace(gate(phase=Phase.READY).now, awaited=(Awaited("db", Condition.HEALTHY, 1.0),)))
    assert ("ready", True) == (view.state, view.final)


def test_shows_only_the_last_steps() -> None:
    """A wake with a thousand steps does not make a long page."""
    seam = FakeSeam()
    for _ in range(1000):
        seam.happen("waiting", "waiting")
    items = re.findall(r'data-seq="(\d+)"', page(seam.gates["notes"], seam).body.decode())
    assert [str(seq) for seq in range(1061, 1101)] == items


def test_keeps_visitors_apart() -> None:
    """Nobody reads from the page who else knocked."""
    seam = FakeSeam()
    seam.happen("waking", "woken by GET /secret from 192.0.2.99")
    body = page(seam.gates["notes"], seam).body
    assert b"192.0.2.99" not in body
    assert b"/secret" not in body


def test_logs_only_with_permission() -> None:
    """The app's last words are on the page of a failure only where its owner allows that."""
    reason = Reason(Cause.EXITED, "exited with code 1")
    for allowed in (True, False):
        spec = with_page(show_logs=allowed)
        seam = FakeSeam(spec)
        seam.lines = ["Traceback", "  KeyError: 'password'"]
        door = seam.gates["notes"]
        door.now = snapshot(spec, Phase.FAILED, reason=reason)
        assert allowed is (b"KeyError" in page(door, seam).body)
        door.now = snapshot(spec, Phase.STARTING)
        assert b"KeyError" not in page(door, seam).body


def test_a_reason_does_not_smuggle_output() -> None:
    """Only the first line of a reason is shown: what follows may quote the app's output."""
    reason = Reason(Cause.EXITED, "exited with code 1\nlast lines:\npassword=hunter2")
    assert b"hunter2" not in page(gate(phase=Phase.FAILED, reason=reason)).body


def test_the_users_template_replaces_the_page() -> None:
    """A template of one's own gets every value, and a policy that lets it load what it likes."""
    template = "\n".join(f"{name}={{{{{name}}}}}" for name in PLACEHOLDERS)
    spec = with_page(template=template, title="My notes")
    reply = page(gate(spec, eta=4.0, waking_for=1.2))
    body = reply.body.decode()
    assert [] == check_template(template)
    assert "app=notes\n" in body
    assert "title=My notes\n" in body
    assert "state=starting\n" in body
    assert "elapsed=1\n" in body
    assert "eta=4\n" in body
    assert "events_url=/_torpor/events?app=notes\n" in body
    assert "reason=Waking up" in body
    assert "script-src" not in header(reply, "Content-Security-Policy")
    assert 503 == reply.status


def test_every_placeholder_has_a_value() -> None:
    """What the configuration accepts between braces is what the page fills in."""
    door = gate()
    assert set(PLACEHOLDERS) == set(values(door.spec, arriving(door.now, None), [], [], target=b"/"))


def test_does_not_knock() -> None:
    """Making the page wakes nobody: whoever serves it has knocked."""
    door = gate()
    page(door)
    assert 0 == door.knocks


def test_an_app_that_makes_room_is_not_called_ready() -> None:
    """It runs, but takes nobody in: a page that says ready would be loaded again and again."""
    view = arriving(replace(snapshot(with_page(), phase=Phase.READY), yielding=True), None)

    assert ("blocked", False) == (view.state, view.final)
    assert "its turn" in view.reason
