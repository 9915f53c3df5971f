"""Containers with labels become apps: on a Docker Engine of the test's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import engines
from e2e.client import Client
from e2e.harness import Daemon, Launch, wait_for
from ports import free_port

CONFIG = """
gateway: {{listen: GATEWAY}}
engines: {{docker: {{url: "{url}", discover: {discover}}}}}
apps: {{}}
"""
OWN = {
    "torpor.enable": "true",
    "torpor.routes": "web.localhost",
    "torpor.port": "80",
    "torpor.idle_timeout": "1m",
    "torpor.stop_timeout": "1s",
}
GODOXY = {
    "proxy.idle_timeout": "1m",
    "proxy.aliases": "web",
    "proxy.web.port": "80",
    "proxy.depends_on": "db",
    "proxy.stop_method": "kill",
}


def _config(docker: engines.Engine, discover: bool = True) -> str:
    return CONFIG.format(url=docker.url, discover=str(discover).lower())


def _make(docker: engines.Engine, name: str, labels: dict[str, str]) -> str:
    return docker.create(name, "web", "80", Labels=labels)


def _runs(docker: engines.Engine, name: str) -> bool:
    found = docker.inspect(name)
    return found is not None and bool(found["State"]["Running"])


def _status(daemon: Daemon, host: str) -> int:
    return Client(daemon.port, host).request().status


@pytest.mark.parametrize(("labels", "host"), [(OWN, "web.localhost"), (GODOXY, "web.anything.test")])
def test_a_request_wakes_a_container_by_its_labels(
    docker: engines.Engine, launch: Launch, labels: dict[str, str], host: str
) -> None:
    """Nothing in the configuration names it; what it needs is woken before it."""
    _make(docker, "web", labels)
    docker.create("db", "steady")
    daemon = launch(_config(docker))
    assert "asleep" == daemon.apps()["web"]["state"]

    assert 200 == _status(daemon, host)

    assert _runs(docker, "web")
    assert ("proxy.depends_on" in labels) == _runs(docker, "db")
    assert 0 == daemon.cli("sleep", "web").code
    wait_for("it is stopped", lambda: not _runs(docker, "web"))


def test_an_app_comes_with_its_container_and_stays_when_that_is_made_anew(
    docker: engines.Engine, launch: Launch
) -> None:
    """As `docker compose up` does: an operator's wish for the app outlives it, and other labels hold."""
    daemon = launch(_config(docker))
    assert {} == daemon.apps()
    _make(docker, "web", OWN)
    wait_for("it is an app", lambda: "web" in daemon.apps())
    assert 0 == daemon.cli("stop", "web").code

    docker.remove("web")
    _make(docker, "web", {**OWN, "torpor.priority": "7"})

    wait_for("its new label holds", lambda: daemon.apps()["web"]["priority"] == 7)
    assert "down" == daemon.apps()["web"]["want"]


def test_the_next_daemon_takes_on_a_container_that_runs(docker: engines.Engine, launch: Launch) -> None:
    """It looks at the engine before it says that something is not configured any more."""
    _make(docker, "web", OWN)
    daemon = launch(_config(docker))
    assert 200 == _status(daemon, "web.localhost")
    before = docker.inspect("web")
    assert before is not None

    daemon.kill()
    daemon.start()

    daemon.wait_for_state("web", "ready")
    after = docker.inspect("web")
    assert after is not None
    assert before["State"]["StartedAt"] == after["State"]["StartedAt"]


def test_apps_outlive_their_engine(docker: engines.Engine, launch: Launch) -> None:
    """An engine that crashes takes no app away, and what comes once it is back is found."""
    _make(docker, "web", OWN)
    daemon = launch(_config(docker))
    assert 200 == _status(daemon, "web.localhost")

    docker.crash()
    assert "web" in daemon.apps()
    docker.begin()
    _make(docker, "more", {"torpor.enable": "true"})

    wait_for("it is found", lambda: "more" in daemon.apps())
    assert 200 == _status(daemon, "web.localhost")


def test_a_member_of_lazytainer_is_woken_by_a_connection(docker: engines.Engine, launch: Launch) -> None:
    """Its port stands on another container; Torpor listens there itself, and holds the connection."""
    port = free_port()
    group = {"lazytainer.group.g.ports": str(port), "lazytainer.group.g.inactiveTimeout": "60"}
    docker.create("lazytainer", "steady", Labels=group)
    docker.create("game", "web", str(port), Labels={"lazytainer.group": "g"})
    daemon = launch(_config(docker))
    assert ["game"] == list(daemon.apps())

    assert 200 == Client(port, "whatever").request().status

    assert _runs(docker, "game")


def test_discover_shows_what_would_be_picked_up(docker: engines.Engine, home: Path) -> None:
    """Without a daemon: the keys, the labels that decided, those that became nothing, and the mistakes."""
    _make(docker, "web", {**GODOXY, "proxy.middlewares": "x"})
    _make(docker, "db", {})
    _make(docker, "bad", {"torpor.enable": "true", "torpor.idle_timout": "1m"})
    _make(docker, "bare", {})
    daemon = Daemon(home / "0", _config(docker, discover=False))

    ran = daemon.cli("discover", "-c", str(daemon.config), "--json")
    plain = daemon.cli("discover", "-c", str(daemon.config))

    assert 1 == ran.code == plain.code
    found = {one["container"]: one for one in json.loads(ran.out)}
    assert {"bad": None, "db": "db", "web": "web"} == {name: one["app"] for name, one in found.items()}
    assert "proxy.aliases" == found["web"]["labels"]["routes"]
    assert ["proxy.middlewares"] == [one["label"] for one in found["web"]["unread"]]
    assert "torpor.idle_timeout" in found["bad"]["wrong"][0]
    assert '  routes: ["web.*"]  # proxy.aliases' in plain.out
    assert "discover: true" in plain.err


def test_a_group_of_sablier_wakes_and_sleeps_as_a_whole(docker: engines.Engine, launch: Launch) -> None:
    """Pages wake each other, what has no route comes first, another group sleeps on; all without a new label."""

    def member(name: str, group: str) -> dict[str, str]:
        return {
            "sablier.enable": "true",
            "sablier.group": group,
            f"traefik.http.routers.{name}.rule": f"Host(`{name}.localhost`)",
            f"traefik.http.services.{name}.loadbalancer.server.port": "80",
        }

    _make(docker, "page", member("page", "shop"))
    _make(docker, "api", member("api", "shop"))
    _make(docker, "blog", member("blog", "blog"))
    docker.create("db", "steady", Labels={"sablier.enable": "true", "sablier.group": "shop,blog"})
    # Their own session of five minutes is too long to wait for; so are 10 s for what ignores its stop signal.
    daemon = launch(_config(docker) + "defaults: {stop_timeout: 1s}\n")
    shop = "page", "api", "db"

    assert 200 == _status(daemon, "page.localhost")

    wait_for("the group runs", lambda: all(_runs(docker, name) for name in shop))
    assert not _runs(docker, "blog")
    apps = daemon.apps()
    assert "page, with which it goes" == apps["api"]["woken_by"]["by"]
    assert ["page", "api"] == sorted(apps["db"]["held_by"], reverse=True)
    assert 200 == _status(daemon, "blog.localhost")
    assert 0 == daemon.cli("sleep", "page", "api").code
    wait_for("the pages are stopped", lambda: not (_runs(docker, "page") or _runs(docker, "api")))
    assert ["blog"] == daemon.apps()["db"]["held_by"]
    assert 200 == _status(daemon, "api.localhost")
    wait_for("the page is woken by the other one", lambda: _runs(docker, "page"))
    docker.remove("page")
    wait_for("a member is gone", lambda: "page" not in daemon.apps())
    assert [] == daemon.apps()["api"]["companions"]
