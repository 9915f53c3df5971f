"""Memory that is really short, in a cgroup with a limit, and apps that take turns."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from e2e.apps import app
from e2e.client import Client
from e2e.harness import Daemon, Launch, wait_for

HOG = Path(__file__).parent / "programs" / "hog.py"
CGROUPS = Path("/sys/fs/cgroup/memory")
MiB = 2**20


@pytest.fixture
def limited() -> Iterator[None]:
    """What is started meanwhile lives in a cgroup (version 1) of 1.5 GiB."""
    folder = CGROUPS / f"torpor-test-{os.getpid()}"
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    before = next((line.split(":")[2] for line in lines if line.split(":")[1] == "memory"), None)
    if before is None or not os.access(CGROUPS, os.W_OK):
        pytest.skip("no memory cgroup can be made here")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no memory cgroup can be made here")
    try:
        (folder / "memory.limit_in_bytes").write_text(str(1536 * MiB))
        (folder / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (CGROUPS / before.strip("/") / "cgroup.procs").write_text(str(os.getpid()))
        wait_for("everything of the test is gone", lambda: not (folder / "cgroup.procs").read_text())
        folder.rmdir()


def config(*apps: str, **top: object) -> str:
    sections = {"gateway": {"listen": "GATEWAY"}, "defaults": {"idle_timeout": "never"}, **top}
    return (
        "".join(f"{key}: {json.dumps(value)}\n" for key, value in sections.items())
        + "apps:\n"
        + "".join(apps)
    )


def hog(name: str, megabytes: int = 100, **settings: object) -> str:
    return app(name, [sys.executable, str(HOG), str(megabytes)], **{"readiness": {"http": "/"}, **settings})


def events(daemon: Daemon, *kinds: str) -> Sequence[dict[str, Any]]:
    lines = daemon.cli("events", "-n", "1000", "--json").out.splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] in kinds]


def states(daemon: Daemon) -> dict[str, str]:
    return {name: facts["state"] for name, facts in daemon.apps().items()}


def check(daemon: Daemon) -> Any:
    return daemon.cli("check", "memory", "--dry-run", "--json").json


@pytest.mark.usefixtures("limited")
def test_the_right_apps_sleep_in_the_right_order(launch: Launch) -> None:
    """An app takes memory: others sleep by their priority until enough is free, and nobody who must not."""
    daemon = launch(
        config(
            hog("always", always_on=True, priority=1), hog("busy", priority=1), hog("later", priority=80),
            hog("second", priority=30), hog("first", priority=20), hog("grabber", 10),
            memory={"keep_free": "400M", "check_interval": "500ms"},
        )
    )  # fmt: skip
    for name in ("later", "second", "first", "grabber"):
        Client(daemon.port, f"{name}.localhost").request()
    held = Client(daemon.port, "busy.localhost").in_background("/hold")
    wait_for("somebody is busy", lambda: daemon.apps()["busy"]["inflight"])
    daemon.wait_for_state("always", "ready")
    found = check(daemon)
    assert 0 == found["short"]
    assert found["total"] == 1536 * MiB

    grab = (found["available"] - 400 * MiB) // MiB + 150  # more than one of them takes, less than two
    Client(daemon.port, "grabber.localhost").request(f"/grab/{grab}")
    daemon.wait_for_state("second", "asleep")
    wait_for("enough is free", lambda: 0 == check(daemon)["short"])
    wait_for(
        "that is told", lambda: events(daemon, "pressure", "pressure-over")[-1]["kind"] == "pressure-over"
    )

    expected = {"first": "asleep", "second": "asleep", "later": "ready", "always": "ready", "busy": "ready"}
    assert expected.items() <= states(daemon).items()
    told = events(daemon, "evicting")
    assert ["first", "second"] == [event["app"] for event in told]
    assert told[0]["data"]["available"] < told[0]["data"]["keep_free"] == 400 * MiB
    assert told[0]["data"]["size"] > 100 * MiB
    assert "memory is short" in daemon.apps()["first"]["reason"]
    Client(daemon.port, "busy.localhost").request("/let-go")
    assert 200 == held.result(30).status


@pytest.mark.usefixtures("limited")
def test_what_would_be_done_is_told_beforehand(launch: Launch) -> None:
    """`torpor check memory --dry-run` shows the order and the reasons; without it, it is done."""
    daemon = launch(
        config(
            hog("a", priority=20), hog("b"), hog("c", always_on=True),
            memory={"keep_free": "10M", "check_interval": "never"},
        )
    )  # fmt: skip
    for name in "ab":
        Client(daemon.port, f"{name}.localhost").request()
    available = check(daemon)["available"]
    edited = daemon.config.read_text().replace("10M", f"{available // MiB + 50}M")
    daemon.write_config(edited)
    dry = daemon.cli("check", "memory", "--dry-run")
    assert "enough" in dry.out
    assert "1. " not in dry.out
    assert 0 == daemon.cli("apply").code

    daemon.wait_for_state("a", "asleep")
    assert "ready" == daemon.apps()["b"]["state"]
    told = daemon.cli("check", "memory", "--dry-run").out
    assert "c (awake, priority 50" in told
    assert ": always on" in told


@pytest.mark.usefixtures("limited")
def test_a_wake_that_does_not_fit_is_refused_with_the_numbers(launch: Launch) -> None:
    """With nobody to put to sleep the answer is a 503 that says what is missing."""
    daemon = launch(config(hog("big", memory="4G"), memory={"keep_free": "10M"}))

    answer = Client(daemon.port, "big.localhost").request()

    assert (503, "no-memory", "5") == (
        answer.status,
        answer.headers["x-torpor"],
        answer.headers["retry-after"],
    )
    assert "not enough memory: big takes 4 GiB" in answer.text
    assert "asleep" == daemon.apps()["big"]["state"]


def test_apps_take_turns(launch: Launch) -> None:
    """A B A B at the same time are two starts of real programs, and everybody gets an answer."""
    daemon = launch(
        config(hog("a", 1, uses={"slots": 1}), hog("b", 1, uses={"slots": 1}), budgets={"slots": 1})
    )
    answers = [Client(daemon.port, f"{name}.localhost").in_background() for name in "abab"]
    found = [answer.result(30) for answer in answers]

    assert [200] * 4 == [answer.status for answer in found]
    assert found[0].text == found[2].text
    assert found[1].text == found[3].text
    assert {"asleep", "ready"} == set(states(daemon).values())
    assert 2 == len(events(daemon, "starting"))


def test_an_answer_under_way_is_not_cut_off_for_the_next_in_turn(launch: Launch) -> None:
    """The one that waits starts when the answer of the other is complete."""
    daemon = launch(
        config(hog("a", 1, uses={"slots": 1}), hog("b", 1, uses={"slots": 1}), budgets={"slots": 1})
    )
    a = Client(daemon.port, "a.localhost")
    a.request()
    held = a.in_background("/hold")
    wait_for("somebody is busy", lambda: daemon.apps()["a"]["inflight"])
    pid, port = daemon.apps()["a"]["pid"], daemon.apps()["a"]["port"]
    waiting = Client(daemon.port, "b.localhost").in_background()
    daemon.wait_for_state("b", "blocked")
    assert "waiting for 1 of slots: 0 free, a using the rest" == daemon.apps()["b"]["reason"]
    assert pid == daemon.apps()["a"]["pid"]

    Client(port, "a.localhost").request("/let-go")  # past the gateway, which lets nobody in any more
    assert 200 == held.result(30).status
    assert 200 == waiting.result(30).status
    daemon.wait_for_state("a", "asleep")


def test_a_priority_outlives_the_daemon(launch: Launch) -> None:
    """It is remembered, and shown."""
    daemon = launch(config(hog("a", 1)))
    assert "a has priority 90, always on" in daemon.cli("priority", "a", "90", "--always-on").out
    daemon.wait_for_state("a", "ready")
    daemon.stop()
    daemon.start()

    assert 90 == daemon.apps()["a"]["priority"]
    daemon.wait_for_state("a", "ready")
    assert "90" in daemon.cli("show", "a").out
    assert 1 == daemon.cli("priority", "a", "0").code or 2 == daemon.cli("priority", "a", "0").code
