"""Who would be put to sleep, over the socket; priorities, and pins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from control.test_api import post, problem, serving
from torpor.cli.check import idle_lines, memory_lines
from torpor.core.model import Phase
from torpor.core.wakefulness import Clause

pytestmark = pytest.mark.anyio


async def test_who_would_sleep_for_memory_is_told_without_a_pass(tmp_path: Path) -> None:
    """`dry_run` changes nothing; the documents are the same."""
    async with serving(tmp_path, "notes") as (operator, client, _):
        told = await post(client, "check", "memory", dry_run="true")
        assert 0 == operator.checked
        done = await post(client, "check", "memory")

    assert 1 == operator.checked
    assert {**told, "dry_run": False} == done
    assert (50, ["notes"], [("api", "always on")]) == (
        told["short"],
        [it["app"] for it in told["victims"]],
        [(it["app"], it["spared"]) for it in told["others"]],
    )
    assert [
        "memory: 100B of 1K available, 150B are to stay free: 50B short",
        "  1. notes (awake, priority 20, 300B, idle 1m00s): would be put to sleep (stop)",
        "  -  api (paused, priority 50, 40B): always on",
    ] == memory_lines(told)


async def test_who_sleeps_for_idleness_is_told(tmp_path: Path) -> None:
    """Each app that is awake, with all that keeps it so: the clauses of `torpor why`."""
    clauses = {
        "always": (Clause("wanted", "always on", keeps_awake=True),),
        "later": (
            Clause("idle", "idle for 10 s of 100 s", keeps_awake=True, until=190.0),
            Clause("question", "asked once nothing else keeps it awake", keeps_awake=False),
        ),
        "now": (Clause("idle", "idle for 100 s of 100 s", keeps_awake=False, until=100.0),),
        "pinned": (
            Clause("pinned", "until `torpor unpin`", keeps_awake=True),
            Clause("requests", "2 requests in flight", keeps_awake=True),
        ),
    }
    async with serving(tmp_path, *clauses) as (operator, client, _):
        for name, found in clauses.items():
            app = operator.apps[name]
            one = replace(app.instances[0], phase=Phase.READY)
            operator.apps[name] = replace(app, phase=Phase.READY, instances=(one,))
            operator.found[name] = found
        told = await post(client, "check", "idle")

    assert [
        "idle:",
        "  now: goes to sleep now",
        "  always: it is always on",
        "  later: it is idle for 10 s of 100 s, sleeps in 1m30s",
        "  pinned: it is pinned until `torpor unpin`; 2 requests in flight",
    ] == idle_lines(told)


async def test_a_priority_is_changed(tmp_path: Path) -> None:
    """At once, and alone or with whether the app is always on."""
    async with serving(tmp_path, "notes") as (operator, client, _):
        done = await post(client, "apps", "notes", "priority", priority=80)
        assert (80, False, 80) == (done["priority"], done["always_on"], done["app"]["priority"])
        await post(client, "apps", "notes", "priority", priority=80, always_on="true")
        assert operator.apps["notes"].always_on
        await post(client, "apps", "notes", "priority", priority=70)
        assert operator.apps["notes"].always_on
        refused = await problem(client, "POST", "apps", "notes", "priority", priority=0)

    assert "0 is no priority" == refused["detail"]


@pytest.mark.parametrize(
    ("span", "detail", "hint"),
    [
        ("0", "a pin lasts for more than 0 s, and for ten years at most", "until the app is unpinned"),
        ("1h", "for='1h' is not a number of seconds", "For example for=60."),
    ],
)
async def test_a_pin_of_no_time_is_refused(tmp_path: Path, span: str, detail: str, hint: str) -> None:
    """With a word on what to write."""
    async with serving(tmp_path, "notes") as (operator, client, _):
        refused = await problem(client, "POST", "apps", "notes", "pin", **{"for": span})
        assert not operator.apps["notes"].pinned

    assert detail == refused["detail"]
    assert hint in refused["hint"]
