"""Waking what needs others: told in a wake's own words, side by side, bounded, and from inside."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from e2e.apps import E2E, app, config
from e2e.client import Client
from e2e.harness import PATIENCE, Daemon, Launch, UnixConnection, wait_for
from e2e.test_supervision import diary, member, read
from ports import free_port

__all__ = ["diary"]

CALLER = str(E2E / "programs" / "caller.py")


def wake_events(daemon: Daemon, name: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Of a wake, until its verdict: the app, the word, and what is said."""
    connection = UnixConnection(daemon.socket, PATIENCE)
    try:
        connection.request("GET", f"/api/v1/apps/{name}/wake-events?follow")
        told = [json.loads(line) for line in connection.getresponse().read().splitlines()]
    finally:
        connection.close()
    return [(event["category"], event["action"], event["data"]) for event in told]


def test_a_wake_is_told_with_all_that_it_waits_for(launch: Launch, diary: Path) -> None:
    """On the page's stream and the API alike: the chain, each readiness, and ready; then the streams end."""
    daemon = launch(
        config(
            member("web", diary, depends_on=["api"]),
            member("api", diary, depends_on={"db": "started"}),
            member("db", diary, "--warm-up=0.5"),
        )
    )
    browser = {"Accept": "text/html", "Sec-Fetch-Dest": "document"}
    client = Client(daemon.port, "web.localhost")
    assert 503 == client.request(headers=browser).status

    page = client.request("/_torpor/events").text
    told = wake_events(daemon, "web")

    words = [(name, word, data.get("dependency")) for name, word, data in told]
    assert ("web", "starting", None) == words[0]
    assert ("web", "ready", None) == words[-1]
    chain = [one for one in words if one[2] is not None]
    assert [
        ("web", "waking_dep", "api"),
        ("api", "waking_dep", "db"),
        ("api", "dep_ready", "db"),
        ("web", "dep_ready", "api"),
    ] == chain
    assert words.index(chain[-1]) < words.index(("web", "container_woke", None))
    seen = [json.loads(line[6:]) for line in page.splitlines() if line.startswith('data: {"seq"')]
    assert [(name, word) for name, word, _ in told] == [(one["category"], one["action"]) for one in seen]
    assert "retry: " in page
    shown = daemon.cli("events", "--wake", "web").out.splitlines()
    assert len(told) == len(shown)
    assert "waking_dep      waking api" in "\n".join(shown)


def test_a_loss_reaches_the_visitor_with_its_own_reason(launch: Launch) -> None:
    """What is wrong with the end of the chain is told to who waits for its beginning, and ends the stream."""
    daemon = launch(
        config(
            app("web", ["sleep", "60"], depends_on=["db"]),
            app("db", ["sh", "-c", "exit 3"], start_limit={"failures": 1}),
        )
    )

    refused = Client(daemon.port, "web.localhost").request()

    assert (503, "dependency") == (refused.status, refused.headers["x-torpor"])
    assert "needs db: exited with code 3" in refused.text
    errors = [data for name, word, data in wake_events(daemon, "web") if (name, word) == ("web", "error")]
    assert ["lost"] == [data["error"] for data in errors]
    assert "needs db: exited with code 3" in errors[0]["message"]


def never_ready(start_timeout: str) -> str:
    """A dependency that runs and is never ready."""
    return app("db", ["sleep", "60"], readiness={"log": "never"}, start_timeout=start_timeout)


def test_the_wait_is_shown(launch: Launch) -> None:
    """Who is awaited, for how long already, and how long at most: in every place where people look."""
    web = app("web", ["sleep", "60"], depends_on=["db"], start_timeout="30s")
    daemon = launch(config(web, never_ready("2m")))

    with ThreadPoolExecutor(1) as visitor:
        answer = visitor.submit(Client(daemon.port, "web.localhost").request)
        facts = daemon.wait_for_state("web", "blocked")
        assert [("db", "healthy")] == [(one["app"], one["condition"]) for one in facts["awaited"]]
        assert 0 <= facts["awaited"][0]["seconds"] < facts["gives_up_in"] <= 150
        assert "waiting for db to be ready; at most 2m" in daemon.cli("status", "web").out
        assert "db (healthy) for" in daemon.cli("show", "web").out
        status = json.loads(Client(daemon.port, "web.localhost").request("/_torpor/status").text)
        assert ["db"] == [one["app"] for one in status["awaited"]]
        daemon.cli("stop", "--force", "db")
        refused = answer.result(PATIENCE)

    assert (503, "dependency") == (refused.status, refused.headers["x-torpor"])
    assert "needs db: stopped by the operator" in refused.text


def test_the_wait_is_bounded(launch: Launch) -> None:
    """Who waits gives up with what it needs, and says after how long, although each request might be held longer."""
    web = app("web", ["sleep", "60"], depends_on=["db"], start_timeout="1ms", wake_timeout="10m")
    daemon = launch(config(web, never_ready("300ms")))

    refused = Client(daemon.port, "web.localhost").request()

    assert (503, "dependency") == (refused.status, refused.headers["x-torpor"])
    assert "gave up after 300 ms of waiting for db to be ready" in refused.text


def test_a_sleeping_neighbour_is_woken_from_inside(launch: Launch, diary: Path) -> None:
    """An app that calls another one's stream before it listens itself waits for nobody but that."""
    port = free_port()
    daemon = launch(
        config(
            app("web", [sys.executable, "-S", CALLER, str(port)]),
            member("back", diary, "--warm-up=0.3", routes=[f"tcp://127.0.0.1:{port}"]),
        )
    )
    assert "asleep" == daemon.apps()["back"]["state"]

    answer = Client(daemon.port, "web.localhost").request()

    assert (200, True) == (answer.status, "200 OK" in answer.text)
    assert ["back began", "back listens"] == read(diary)
    assert [] == daemon.apps()["web"]["depends_on"]


def test_a_sleeping_neighbour_is_woken_from_inside_through_the_gateway(launch: Launch, diary: Path) -> None:
    """The same by its HTTP route: the gateway holds the one request while it serves the other."""
    daemon = launch(config(member("neighbour", diary, "--warm-up=0.3", routes=["neighbour"])))
    daemon.stop()
    caller = app("web", [sys.executable, "-S", CALLER, str(daemon.port)])
    daemon.write_config(config(member("neighbour", diary, "--warm-up=0.3", routes=["neighbour"]), caller))
    daemon.start()

    answer = Client(daemon.port, "web.localhost").request()

    assert (200, True) == (answer.status, "200 OK" in answer.text)
    assert ["neighbour began", "neighbour listens"] == read(diary)


def test_many_visitors_of_many_apps_wake_one_dependency_once(launch: Launch, diary: Path) -> None:
    """One start of what they all need; it sleeps only after the last of them."""
    names = ["a", "b", "c"]
    daemon = launch(
        config(
            *(member(name, diary, depends_on=["db"]) for name in names),
            member("db", diary, "--warm-up=0.3", idle_timeout="100ms"),
        )
    )
    with ThreadPoolExecutor(len(names) * 2) as visitors:
        hosts = [f"{name}.localhost" for name in names] * 2
        answers = list(visitors.map(lambda host: Client(daemon.port, host).request().status, hosts))

    assert [200] * 6 == answers
    assert 1 == read(diary).count("db began")
    for name in ("a", "b"):
        daemon.cli("sleep", name)
    assert ("ready", ["c"]) == ((facts := daemon.apps()["db"])["state"], facts["held_by"])
    daemon.cli("sleep", "c")
    wait_for("it sleeps last", lambda: read(diary)[-2:] == ["db asked", "db ended"])
