"""Rules about requests, from the text to what the core decides by."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from torpor.config.load import load
from torpor.core.rules import Answer, Glob, Header, Rule
from torpor.errors import ConfigInvalid

FULL = """
defaults:
  ignore_bots: true
apps:
  web:
    command: serve
    min_bytes: 1500B
    wake_paths: [/login, /app/*]
    routes:
      - host: a.org
        rules: [{path: /metrics, wake: false, activity: false}]
      - b.org
    rules:
      - name: uptime robot
        user_agent: [UptimeRobot, "Some*Agent"]
        method: [get, HEAD]
        cidr: [10.0.0.0/8, "2001:db8::1"]
        header: ["X-Probe", "Sec-Purpose: Prefetch*"]
        wake: false
        answer: {status: 200, body: ok, content_type: text/html, headers: {X-Mine: "1"}}
      - {path: "*.png", wake: true, answer: 204}
      - {activity: false}
"""


def test_everything_that_a_rule_can_say(tmp_path: Path) -> None:
    """Patterns are alternatives; user agents are parts unless they have a star; the rest is as written."""
    (tmp_path / "torpor.yaml").write_text(FULL)
    [app] = load(tmp_path / "torpor.yaml", {}).apps

    metrics = Rule("routes.0.rules.0", paths=(Glob("/metrics"),), wakes=False, counts=False)
    assert ((metrics,), ()) == tuple(route.rules for route in app.routes)
    assert (
        Rule(
            "uptime robot",
            methods=("GET", "HEAD"),
            agents=(Glob("*uptimerobot*"), Glob("some*agent")),
            networks=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::1/128")),
            headers=(Header("x-probe"), Header("sec-purpose", Glob("prefetch*"))),
            wakes=False,
            answer=Answer(200, "ok", "text/html", (("X-Mine", "1"),)),
        ),
        Rule("rules.1", paths=(Glob("*.png"),), answer=Answer(204)),
        Rule("rules.2", counts=False),
    ) == app.rules
    assert (Glob("/login"), Glob("/app/*")) == app.wake_paths
    assert (True, 1500) == (app.ignore_bots, app.lifecycle.min_bytes)


def test_without_a_word_about_it_nothing_is_special(tmp_path: Path) -> None:
    """Bots are people until somebody says otherwise."""
    (tmp_path / "torpor.yaml").write_text("apps: {web: {command: serve, routes: a.org}}")
    [app] = load(tmp_path / "torpor.yaml", {}).apps

    assert ((), (), False, 0) == (app.rules, app.wake_paths, app.ignore_bots, app.lifecycle.min_bytes)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("rules: [{cidr: 10.0.0.300, wake: false}]", ":1:39: apps.a.rules.0.cidr: '10.0.0.300' is neither an address nor a network; write it like 10.0.0.0/8, 192.0.2.7 or fd00::/8"),
        ("rules: [{cidr: [fd00::/8, 10/40], wake: false}]", ":1:50: apps.a.rules.0.cidr.1: '10/40' is neither an address"),
        ("rules: [{path: metrics, wake: false}]", ":1:39: apps.a.rules.0.path: 'metrics' is not a path; it must begin with '/' or '*'"),
        ("rules: [{path: '/x?y=1', wake: false}]", "a path is compared without its query and fragment"),
        ("rules: [{path: /é, wake: false}]", "percent-encode what is not plain ASCII"),
        ("rules: [{path: '', wake: false}]", "apps.a.rules.0.path: is empty"),
        ("rules: [{path: [], wake: false}]", "is empty: no request would ever fit"),
        ("rules: [{method: 'GE T', wake: false}]", "'GE T' is not a method, like GET"),
        ("rules: [{header: 'X Y', wake: false}]", "'X Y' is neither a header's name nor `Name: value`"),
        ("rules: [{header: ': x', wake: false}]", "is neither a header's name nor"),
        ("rules: [{path: /x}]", ":1:32: apps.a.rules.0: says what it meets but not what follows; write `wake` or `activity`"),
        ("rules: [{path: /x, answer: 200}]", "apps.a.rules.0.answer: does not say whether the app is woken meanwhile"),
        ("rules: [{wake: false, answer: 42}]", ":1:54: apps.a.rules.0.answer: 42 is below 200"),
        ("rules: [{wake: false, answer: {status: 600}}]", "apps.a.rules.0.answer.status: 600 is above 599"),
        ("rules: [{wake: false, answer: {status: 204, body: x}}]", "has no place in an answer with status 204"),
        ("rules: [{wake: false, answer: {headers: {Content-Length: '3'}}}]", "is written by Torpor itself"),
        ("rules: [{wake: false, answer: {headers: {content-type: x/y}}}]", "write it as `content_type` of the answer"),
        ("rules: [{wake: false, answer: {headers: {'A B': x}}}]", "'A B' is not the name of a header"),
        (r'rules: [{wake: false, answer: {headers: {A: "x\r\nB: y"}}}]', "is no value of a header: it has line breaks or worse"),
        (r'rules: [{wake: false, answer: {content_type: "x\n"}}]', "answer.content_type: is no media type"),
        ("rules: [{wake: false}, {path: /x, wake: true}]", "apps.a.rules.1: is never reached: 'rules.0' before it meets every request"),
        ("rules: [{wake: false}, {path: /x, wake: true}, {cidr: x, wake: true}]", "apps.a.rules.2.cidr: 'x' is neither"),
        ("rules: [{wakes: false}]", "did you mean 'wake'?"),
        ("routes: [{host: x, rules: [{cidr: x, wake: false}]}]", "apps.a.routes.0.rules.0.cidr: 'x' is neither"),
        ("rules: [{name: '', wake: false}]", "apps.a.rules.0.name: is no name"),
        ("rules: [{path: /" + "x" * 1024 + ", wake: false}]", "is longer than 1024 characters"),
        ("rules: [{wake: false, answer: {body: " + "x" * 65537 + "}}]", "answer.body: is longer than 65536 characters"),
        ("wake_paths: login", "apps.a.wake_paths: 'login' is not a path"),
        ("wake_paths: []", "apps.a.wake_paths: is empty"),
        ("min_bytes: 1500", "apps.a.min_bytes: 1500 needs a unit"),
        ("min_bytes: 1K, idle_timeout: never", "min_bytes: has no effect: the app never sleeps because it is idle"),
        ("min_bytes: 1K, always_on: true", "min_bytes: has no effect"),
        ("rules: [" + "{path: /x, wake: false}, " * 101 + "]", "has more than 100 rules"),
        ("wake_paths: [" + "/x, " * 101 + "]", "has more than 100 patterns"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(tmp_path: Path, written: str, complaint: str) -> None:
    """Each says what to write instead."""
    file = tmp_path / "torpor.yaml"
    file.write_text(f"apps: {{a: {{command: x, {written}}}}}")

    with pytest.raises(ConfigInvalid) as wrong:
        load(file, {})
    assert complaint in str(wrong.value)


@pytest.mark.parametrize("matcher", ["path: x", "path: 5", "cidr: 10.0.0.300", "user_agent: []"])
def test_a_matcher_that_is_wrong_is_one_all_the_same(tmp_path: Path, matcher: str) -> None:
    """It is the only problem: the rules behind it are not called unreachable."""
    file = tmp_path / "torpor.yaml"
    file.write_text(
        f"apps: {{a: {{command: x, rules: [{{{matcher}, wake: false}}, {{path: /y, wake: false}}]}}}}"
    )

    with pytest.raises(ConfigInvalid) as wrong:
        load(file, {})
    assert 1 == len(wrong.value.problems)
