"""A page, its API and a PostgreSQL behind that, in containers: they wake, sleep, break and survive as one.

All on one Docker Engine of the tests' own; see `trio.py` for what the containers are.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import engines
from e2e import trio as three
from e2e.apps import E2E, app
from e2e.client import Client
from e2e.harness import Daemon, Launch, wait_for
from e2e.test_browser import SLOW, browser, page, shoot
from e2e.trio import NAMES, Trio, query
from ports import free_port

__all__ = ["browser", "page"]


@pytest.fixture(scope="module")
def docker() -> Iterator[engines.Engine]:
    """With the image of the three."""
    yield from three.running(engines.Docker)


@pytest.fixture(scope="module")
def podman() -> Iterator[engines.Engine]:
    """With the image of the three."""
    yield from three.running(engines.Podman)


@pytest.fixture
def trio(docker: engines.Engine) -> Iterator[Trio]:
    """Three containers that were made, and do not run.  Asked for before `launch`, so that its daemon ends first."""
    trio = Trio(docker)
    trio.make()
    yield trio
    trio.clear()


def visit(daemon: Daemon) -> int:
    """Open the page; the number of this visit, by the database."""
    answer = Client(daemon.port, "web.localhost").request()
    assert 200 == answer.status, answer.text
    found = re.search(r"Visit number (\d+)<", answer.text)
    assert found is not None, answer.text
    return int(found[1])


def generations(daemon: Daemon) -> dict[str, int]:
    """How often each was started."""
    return {name: facts["generation"] for name, facts in daemon.apps().items()}


def test_one_request_wakes_all_and_they_sleep_in_reverse(trio: Trio, launch: Launch) -> None:
    """Each begins when what it needs is healthy, and is asked to end when nobody needs it any more."""
    daemon = launch(trio.config())

    first = visit(daemon)

    assert first + 1 == visit(daemon)
    assert trio.began("db") < trio.began("api") < trio.began("web")
    daemon.wait_for_state("db", "asleep")
    assert trio.ended("web") < trio.ended("api") < trio.ended("db")
    assert [0, 0, 0] == [trio.engine.state(name)["ExitCode"] for name in NAMES]
    assert dict.fromkeys(NAMES, 1) == generations(daemon)
    answers = Client(daemon.port, "web.localhost").together(10)
    assert [200] * 10 == [answer.status for answer in answers]
    assert dict.fromkeys(NAMES, 2) == generations(daemon)
    assert first + 12 == visit(daemon)


def test_psql_wakes_the_database_alone(trio: Trio, launch: Launch) -> None:
    """It is held until PostgreSQL's own health check has passed; what needs it sleeps on."""
    daemon = launch(trio.config())

    assert "42" == query(trio.stream, "select 6 * 7")

    assert ["asleep", "asleep"] == [daemon.apps()[name]["state"] for name in ("web", "api")]
    daemon.wait_for_state("db", "asleep")
    assert not trio.runs("db")


def test_each_is_woken_from_inside_by_the_one_before(trio: Trio, launch: Launch) -> None:
    """Nothing says who needs whom: the page asks Torpor's gateway for the API, and that asks a stream for the database."""
    daemon = launch(trio.config(needs=False))

    visit(daemon)

    assert trio.began("web") < trio.began("api") < trio.began("db")
    for name in NAMES:
        daemon.wait_for_state(name, "asleep")


def test_what_two_need_sleeps_after_the_second(trio: Trio, launch: Launch) -> None:
    """A process and a container need the database; it sleeps with neither of them alone."""
    other = app("other", [sys.executable, "-m", "http.server", "$PORT"], depends_on=["db"], idle_timeout="1m")
    daemon = launch(trio.config(other))
    assert 200 == Client(daemon.port, "other.localhost").request().status
    visit(daemon)

    daemon.wait_for_state("api", "asleep")
    assert ("ready", ["other"]) == ((facts := daemon.apps()["db"])["state"], facts["held_by"])
    assert 0 == daemon.cli("sleep", "other").code
    daemon.wait_for_state("db", "asleep")


@pytest.mark.parametrize("victim", ["api", "db"])
def test_who_is_killed_is_back_for_the_next_request(trio: Trio, launch: Launch, victim: str) -> None:
    """`docker kill` is a crash: no visitor sees it, and no visit is lost or counted twice."""
    daemon = launch(trio.config(idle="1m"))
    number = visit(daemon)

    trio.engine.act("kill", victim)

    assert number + 1 == visit(daemon)
    daemon.wait_for_state(victim, "ready")
    assert 2 == generations(daemon)[victim]
    assert number + 2 == visit(daemon)


def test_an_engine_that_is_restarted_ends_nobody(trio: Trio, launch: Launch) -> None:
    """It takes up the live containers, and Torpor the engine: nothing is told, and nothing started."""
    daemon = launch(trio.config(idle="1m"))
    number = visit(daemon)
    began = [trio.began(name) for name in NAMES]
    told = daemon.cli("events").out

    trio.engine.crash()
    assert number + 1 == visit(daemon)
    trio.engine.begin()

    assert number + 2 == visit(daemon)
    assert dict.fromkeys(NAMES, 1) == generations(daemon)
    assert began == [trio.began(name) for name in NAMES]
    # It hears again what happens there, and that is all that there was.
    trio.engine.act("stop", "web")
    daemon.wait_for_state("web", "asleep")
    news = daemon.cli("events").out.removeprefix(told).splitlines()
    assert ["stopped by others: exited with code 0", "asleep: stopped by others"] == [
        line.partition("web  ")[2] for line in news
    ]


def test_an_engine_that_is_away_keeps_nobody_waiting(trio: Trio, launch: Launch) -> None:
    """A wish is noted, and comes true once it is back; a daemon that ends meanwhile leaves all to the next one."""
    daemon = launch(trio.config(idle="1m"))
    visit(daemon)
    trio.engine.crash()
    asked = daemon.cli("sleep", "web")
    assert (1, True) == (asked.code, "web has not ended" in asked.err)
    trio.engine.begin()
    daemon.wait_for_state("web", "asleep")

    number = visit(daemon)
    before = generations(daemon)
    began = [trio.began(name) for name in NAMES]
    trio.engine.crash()
    assert 0 == daemon.stop()
    assert any("left behind, maybe alive: web" in line for line in daemon.output)
    trio.engine.begin()
    daemon.start()
    assert number + 1 == visit(daemon)
    assert (before, began) == (generations(daemon), [trio.began(name) for name in NAMES])


def test_what_failed_while_the_engine_was_away_does_not_rest_for_that(trio: Trio, launch: Launch) -> None:
    """It has met its start limit meanwhile; whoever comes once the engine is back is served."""
    limit = {"start_limit": {"failures": 1, "cool_off": "1h"}}
    daemon = launch(trio.config(idle="1m", db=limit))
    trio.engine.crash()
    assert 503 == Client(daemon.port, "web.localhost").request().status
    assert "nothing answers" in daemon.wait_for_state("db", "failed")["reason"]

    trio.engine.begin()
    assert None is daemon.wait_for_state("db", "asleep")["reason"]
    assert visit(daemon)


def test_a_container_that_is_made_anew_is_the_same_app(trio: Trio, launch: Launch) -> None:
    """As `docker compose up --force-recreate` does to one that is awake, and to one that sleeps."""
    daemon = launch(trio.config(idle="1m"))
    number = visit(daemon)

    trio.engine.remove("web")
    trio.make("web")
    trio.engine.act("start", "web")

    wait_for("the new one is taken on", lambda: generations(daemon)["web"] == 2)
    assert number + 1 == visit(daemon)
    assert 0 == daemon.cli("sleep", "web").code
    daemon.wait_for_state("web", "asleep")
    trio.engine.remove("web")
    trio.make("web")
    assert number + 2 == visit(daemon)
    assert {"web": 3, "api": 1, "db": 1} == generations(daemon)


def test_the_next_daemon_goes_on_where_one_was_killed(trio: Trio, launch: Launch) -> None:
    """With the same containers and generations, and without a line of their logs lost or told twice."""
    daemon = launch(trio.config(idle="1m"))
    number = visit(daemon)
    began = [trio.began(name) for name in NAMES]
    address = trio.engine.call("GET", "/containers/db/json")["NetworkSettings"]["Networks"]["torpor"][
        "IPAddress"
    ]
    for mark in range(10):
        query(5432, f"select 'mark {mark}'", address)

    daemon.kill()
    for mark in range(10, 20):
        query(5432, f"select 'mark {mark}'", address)
    daemon.start()

    for name in NAMES:
        daemon.wait_for_state(name, "ready")
    assert number + 1 == visit(daemon)
    assert began == [trio.began(name) for name in NAMES]
    assert dict.fromkeys(NAMES, 1) == generations(daemon)

    def marks() -> list[int]:
        return [
            int(found)
            for found in re.findall(r"select 'mark (\d+)'", daemon.cli("logs", "-n", "1000", "db").out)
        ]

    wait_for("all lines are there", lambda: 19 in marks())
    assert list(range(20)) == marks()


@pytest.mark.parametrize(
    ("say", "state", "runs"),
    [("adopt", "ready", True), ("stop", "asleep", False), ("ignore", "asleep", True)],
)
def test_others_start_it(trio: Trio, launch: Launch, say: str, state: str, runs: bool) -> None:
    """`docker start` counts as a wake, is undone, or is let alone until somebody knocks."""
    daemon = launch(trio.config(idle="1m", db={"on_external_start": say}))

    trio.engine.act("start", "db")
    began = trio.began("db")

    daemon.wait_for_state("db", state)
    if not runs:
        wait_for("it is ended again", lambda: not trio.runs("db"))
    elif state == "asleep":
        visit(daemon)
        assert began == trio.began("db")
    assert runs == trio.runs("db")


def test_others_stop_it(trio: Trio, launch: Launch) -> None:
    """`docker stop` is respected, though the app is always on: until somebody knocks."""
    daemon = launch(trio.config(idle="1m", web={"always_on": True, "idle_timeout": None}))
    daemon.wait_for_state("web", "ready")

    trio.engine.act("stop", "web")

    assert "others" in str(daemon.wait_for_state("web", "asleep"))
    assert not trio.runs("web")
    visit(daemon)
    assert 2 == generations(daemon)["web"]


def test_a_frozen_database_goes_on_where_it_was(trio: Trio, launch: Launch) -> None:
    """`docker pause` is a sleep from which a connection wakes; that its health is unknown meanwhile is no crash."""
    daemon = launch(trio.config(idle="1m"))
    assert "1" == query(trio.stream, "select 1")
    began = trio.began("db")

    def checked() -> str:
        return str(trio.engine.state("db")["Health"]["Log"][-1]["End"])

    # Docker may hang when it freezes a health check that is just beginning.
    last = checked()
    wait_for("a check has ended", lambda: checked() != last)
    trio.engine.act("pause", "db")

    daemon.wait_for_state("db", "paused")
    assert "the next connection wakes it" in daemon.cli("why", "db").out
    assert "2" == query(trio.stream, "select 2")
    wait_for("it is checked again", lambda: trio.engine.state("db")["Health"]["Status"] == "healthy")
    assert (began, 1) == (trio.began("db"), generations(daemon)["db"])


def test_it_is_told_in_the_words_of_containers(trio: Trio, launch: Launch) -> None:
    """In every place where people look, while all runs and after an end."""
    daemon = launch(trio.config(idle="1m"))
    visit(daemon)

    status, shown = daemon.cli("status").out, daemon.cli("show", "web").out
    assert all(
        re.search(rf"^{name} +ready +\d+ +{trio.ports[name]} ", status, re.MULTILINE) for name in NAMES
    )
    assert 'container     {"name": "web", "engine": "docker"}' in shown
    assert "needs         api (healthy)" in shown
    assert "waiting for tcp, its own check" in daemon.cli("events").out
    assert "keeps awake  needed  by api" in daemon.cli("why", "db").out
    assert "web begins" in daemon.cli("logs", "web").out.splitlines()
    trio.engine.remove("web")
    daemon.wait_for_state("web", "asleep")
    assert (
        "stopped by others: exited with unknown status: the container is gone" in daemon.cli("why", "web").out
    )
    refused = Client(daemon.port, "web.localhost").request()
    assert (503, "could not be started" in refused.text) == (refused.status, True)
    assert "there is no container web at" in daemon.cli("why", "web").out


@pytest.mark.browser
def test_a_browser_waits_for_all_of_them(trio: Trio, launch: Launch, page: Page) -> None:
    """It sees the waiting page, on it what is waited for, and then the page: nobody presses anything."""
    daemon = launch(trio.config(idle="1m"))

    first = page.goto(f"http://web.localhost:{daemon.port}/", wait_until="domcontentloaded")

    assert first is not None
    assert (503, "waking") == (first.status, first.headers["x-torpor"])
    expect(page.get_by_text("db").first).to_be_visible()
    shoot(page, "trio-waiting")
    expect(page.get_by_role("heading", name=re.compile(r"Visit number \d+"))).to_be_visible(timeout=SLOW)
    shoot(page, "trio")


def test_podman_does_the_same(podman: engines.Engine, launch: Launch) -> None:
    """All on the host's network: they wake, one is killed, and they sleep in reverse."""
    trio = Trio(podman)
    trio.make()
    daemon = launch(trio.config(idle="2s"))
    number = visit(daemon)

    podman.act("kill", "api")

    assert number + 1 == visit(daemon)
    daemon.wait_for_state("db", "asleep")
    assert trio.ended("web") < trio.ended("api") < trio.ended("db")
    assert {"web": 1, "api": 2, "db": 1} == generations(daemon)


def test_apps_of_all_kinds_need_each_other(trio: Trio, launch: Launch, tmp_path: Path) -> None:
    """A process needs a container, that a machine, and that its host: all wake for one request, and sleep in reverse."""
    (tmp_path / "index.html").write_text("7")
    port = free_port()
    server = f"{sys.executable} -m http.server --bind 127.0.0.1 {port}"
    host = {"start": "touch on", "stop": "rm on", "status": "test -e on"}
    machine = {
        "start": ["sh", "-c", f"test -e on && {{ {server} >log 2>&1 & echo $! >pid.new; mv pid.new pid; }}"],
        "stop": ["sh", "-c", "kill $(cat pid)"],
        "status": ["sh", "-c", "kill -0 $(cat pid)"],
    }
    here: dict[str, object] = {"working_dir": str(tmp_path), "idle_timeout": "1s"}
    known: dict[str, dict[str, object]] = {
        "process": {
            "command": [sys.executable, "-S", str(E2E / "programs" / "caller.py"), str(trio.door)],
            "routes": ["process.localhost"],
            "depends_on": ["web"],
        },
        "machine": {"commands": machine, "port": port, "routes": ["api"], "depends_on": ["host"]},
        "host": {"commands": host},
    }
    more = [f"  {name}: {json.dumps(here | keys)}" for name, keys in known.items()]
    web = {"routes": ["neighbour"], "depends_on": ["machine"]}
    daemon = launch(trio.config(*more, web=web, api={"routes": ["nobody"], "depends_on": None}))

    answer = Client(daemon.port, "process.localhost").request()

    assert (200, True) == (answer.status, "Visit number 7<" in answer.text)
    daemon.wait_for_state("host", "asleep")
    told = [line.split()[2:4] for line in daemon.cli("events").out.splitlines()]
    chain = ["host", "machine", "web", "process"]
    assert chain == [name for name, word in told if word == "ready"]
    assert chain[::-1] == [name for name, word in told if word == "asleep:"]
    assert not (tmp_path / "on").exists()
    assert not trio.runs("web")
