"""Why an app is as it is: one sentence, what comes next, and what can be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.test_why import shown
from control.fakes import snapshot
from control.test_api import get, post, problem, serving
from torpor.control.why import Account, WhyDocument, why_document
from torpor.core.model import (
    AppSnapshot,
    AppSpec,
    Cause,
    Dependency,
    Phase,
    Reason,
    Route,
    StreamRoute,
    Tier,
    WakeOn,
    Want,
)
from torpor.core.rules import Glob, Rule
from torpor.core.schedule import Hours
from torpor.core.wakefulness import ASKING, Clause

IDLE = Clause("idle", "idle for 3m of 30m", keeps_awake=True, until=1720.0, look=1720.0)
QUIET = Clause("idle", "idle for 31m of 30m", keeps_awake=False)
PINNED = Clause("pinned", "for another 2h", keeps_awake=True, until=7300.0)
BUSY = Clause("requests", "2 requests in flight", keeps_awake=True, look=1900.0)
ASKED = Clause("question", "uses 40 % of a core", keeps_awake=True, look=130.0)


def told(app: AppSnapshot, *clauses: Clause, output: tuple[str, ...] = ()) -> WhyDocument:
    return why_document(Account(app, clauses, 100.0, events=(), wake=(), output=output))


@pytest.mark.parametrize(
    ("clauses", "summary", "sleeps_in", "following"),
    [
        (
            [Clause("question", ASKING, keeps_awake=True, look=105.0), QUIET],
            "web is awake: being asked whether it may sleep",
            None,
            "without an answer within 5 s it stays awake, and is asked again",
        ),
        (
            [IDLE],
            "web is awake: it is idle for 3m of 30m",
            1620.0,
            "it falls asleep in 27m unless someone comes",
        ),
        (
            [IDLE, BUSY],
            "web is awake: 2 requests in flight; it is idle for 3m of 30m",
            None,
            "it does not fall asleep as long as that is so",
        ),
        (
            [PINNED, QUIET],
            "web is awake: it is pinned for another 2h",
            7200.0,
            "it falls asleep in 2h unless someone comes",
        ),
        ([QUIET, ASKED], "web is awake: uses 40 % of a core", None, "it is asked again in 30 s"),
    ],
)
def test_what_keeps_it_awake_stands_in_the_first_sentence(
    clauses: list[Clause], summary: str, sleeps_in: float | None, following: str
) -> None:
    """What time alone has to settle comes last, and the end of it all is that of the longest."""
    why = told(snapshot("web"), *clauses)

    assert (summary, sleeps_in, [following]) == (why.summary, why.sleeps_in, why.next)


CRASHED = Reason(Cause.EXITED, "exited with code 3")
MISSING = Reason(Cause.DEPENDENCY, "waiting for db to be ready")


@pytest.mark.parametrize(
    ("app", "summary", "following", "advice"),
    [
        (
            snapshot(
                "web",
                phase=Phase.ASLEEP,
                routes=[Route("w.t")],
                reason=Reason(Cause.IDLE, "no request for 30m"),
            ),
            "web is asleep: no request for 30m",
            "the next request wakes it; that usually takes 2.5 s",
            None,
        ),
        (
            snapshot("web", phase=Phase.ASLEEP, want=Want.DOWN),
            "web is stopped, and requests are refused",
            None,
            "`torpor start web` lets requests wake it again",
        ),
        (
            replace(snapshot("web", phase=Phase.ASLEEP), hours=Hours(closed="it runs only mon", until=60.0)),
            "web is asleep, and may not run now: it runs only mon",
            "requests are refused for another 1m",
            "`torpor pin --for 1h web` wakes it all the same",
        ),
        (
            snapshot("web", phase=Phase.BLOCKED, reason=MISSING, needs=[Dependency("db")]),
            "web is blocked: waiting for db to be ready",
            None,
            "`torpor why db` tells what that is waiting for",
        ),
        (
            snapshot("web", phase=Phase.BACKOFF, reason=CRASHED, retry_in=4.0),
            "web is waiting for its next attempt: exited with code 3",
            "the next attempt comes in 4 s",
            "`torpor logs web` has all that it wrote",
        ),
        (
            snapshot("web", phase=Phase.FAILED, reason=CRASHED, retry_in=40.0),
            "web is failed: exited with code 3",
            "requests are refused; the next attempt comes in 40 s at the earliest",
            "`torpor start web` tries at once",
        ),
        (
            snapshot("web", phase=Phase.ASLEEP, reason=Reason(Cause.NO_MEMORY, "not enough memory")),
            "web is asleep: not enough memory",
            "the next request wakes it; that usually takes 2.5 s",
            "`torpor check memory --dry-run` tells who takes how much, and who may be put to sleep",
        ),
        (snapshot("web", phase=Phase.STARTING), "web is starting, for 12 s now", None, None),
        (snapshot("web", phase=Phase.DONE), "web is done: it has ended as it should", None, None),
    ],
)
def test_every_state_has_its_sentence(
    app: AppSnapshot, summary: str, following: str | None, advice: str | None
) -> None:
    """What it is and why, what happens next, what an operator can do about it."""
    why = told(app)

    assert summary == why.summary
    assert following is None or following in why.next
    assert advice is None or advice in why.advice


HERE = (Route("web.localhost"),)
THERE = (StreamRoute("127.0.0.1", 5432),)
DEAF = (Rule("monitors", wakes=False),)


@pytest.mark.parametrize(
    ("spec", "who"),
    [
        (AppSpec("web"), "no route leads to it; `torpor wake web` wakes it"),
        (AppSpec("web", streams=THERE), "the next connection wakes it"),
        (
            AppSpec("web", routes=HERE, streams=THERE),
            "the next request wakes it, as does a connection to its streams",
        ),
        (AppSpec("web", routes=HERE, wake_on=WakeOn.NAVIGATION), "the next page load wakes it"),
        (
            AppSpec("web", routes=HERE, wake_paths=tuple(Glob(f"/{it}") for it in "abcd")),
            "the next request to /a, /b, /c … wakes it",
        ),
        (
            AppSpec("web", routes=HERE, rules=DEAF),
            "the next request wakes it, unless it is one that its rules except",
        ),
        (
            AppSpec("web", routes=(Route("w.t", rules=DEAF),)),
            "the next request wakes it, unless it is one that its rules except",
        ),
    ],
)
def test_it_tells_which_request_wakes_it(spec: AppSpec, who: str) -> None:
    """Where not every one does."""
    app = snapshot("web", phase=Phase.ASLEEP)

    assert [f"{who}; that usually takes 2.5 s"] == told(replace(app, spec=spec)).next


def test_what_sleeps_frozen_tells_the_next_rung() -> None:
    """How deep it sleeps, and when it will sleep deeper."""
    app = snapshot("web", phase=Phase.FROZEN, reason=Reason(Cause.IDLE, "no request for 5m"))
    frozen = replace(app.instances[0], tier=Tier.PAUSE, deeper=Tier.HIBERNATE, deeper_in=600.0)
    app = replace(app, instances=(frozen,))

    why = told(app)

    assert "web is paused: no request for 5m" == why.summary
    assert "it is hibernated in 10m unless someone comes" in why.next


def test_log_lines_come_with_failures_only() -> None:
    """What an app wrote is of interest where it failed."""
    lines = ("cannot find the database",)

    assert list(lines) == told(snapshot("web", phase=Phase.FAILED, reason=CRASHED), output=lines).output
    assert [] == told(snapshot("web"), IDLE, output=lines).output


@pytest.mark.anyio
async def test_the_answer_names_who_woke_it_and_what_happened_last(tmp_path: Path) -> None:
    """With the clauses, from the one list by which it is decided."""
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.found["web"] = (IDLE,)
        operator.announce("web", "waking", "woken by GET / from 127.0.0.1", by="GET / from 127.0.0.1")
        operator.announce("web", "exited", "exited with code 3")
        operator.announce("web", "ready", "ready after 2 s")
        why: dict[str, Any] = await get(client, "apps", "web", "why")
        missing = await problem(client, "GET", "apps", "wep", "why")

    assert {"name": "idle", "text": IDLE.text, "keeps_awake": True, "left": 1620.0} == why["clauses"][0]
    assert ("GET / from 127.0.0.1", "ready after 2 s") == (why["woken_by"], why["last_event"]["text"])
    assert "exited with code 3" == why["last_exit"]["text"]
    assert 404 == missing["status"]
    assert "web is awake: it is idle for 3m of 30m" in shown(why)


@pytest.mark.anyio
async def test_a_pin_is_told_with_its_end(tmp_path: Path) -> None:
    """And refused where no sense can be made of it."""
    async with serving(tmp_path, "web") as (_operator, client, _):
        pinned = await post(client, "apps", "web", "pin", **{"for": "7200"})
        unpinned = await post(client, "apps", "web", "unpin")
        never = await problem(client, "POST", "apps", "web", "pin", **{"for": "0"})
        late = await problem(client, "POST", "apps", "web", "pin", **{"for": "1e12"})

    assert (True, 7200.0) == (pinned["app"]["pinned"], pinned["app"]["pinned_for"])
    assert (True, False) == (unpinned["pinned_before"], unpinned["app"]["pinned"])
    assert (400, 400) == (never["status"], late["status"])
