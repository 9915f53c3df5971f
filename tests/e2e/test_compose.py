"""Real `docker-compose` beside Torpor: it makes, changes and removes the containers, Torpor wakes them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import engines
from e2e.client import Client
from e2e.harness import Daemon, Launch, wait_for

pytestmark = pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="docker-compose is not installed here"
)

CONFIG = """
gateway: {{listen: GATEWAY}}
engines: {{docker: {{url: "{url}", discover: true}}}}
apps: {{}}
"""
SHOP = """
version: "2.4"
services:
  web:
    image: torpor-test
    command: [/app, web, "80"]
    stop_grace_period: 1s
    labels:
      torpor.enable: "true"
      torpor.name: web
      torpor.routes: web.localhost
      torpor.depends_on: db
      torpor.port: "80"
      torpor.idle_timeout: {idle}
      torpor.stop_timeout: 1s
    depends_on: [db]
  db:
    image: torpor-test
    command: [/app, steady]
"""
GODOXY = """
version: "2.4"
services:
  app:
    image: torpor-test
    container_name: app
    command: [/app, web, "80"]
    labels:
      proxy.aliases: app
      proxy.app.port: "80"
      proxy.idle_timeout: 1m
      proxy.wake_timeout: 30s
      proxy.stop_method: kill
      proxy.stop_timeout: 1s
      proxy.depends_on: db
    depends_on: [db]
  db:
    image: torpor-test
    command: [/app, steady]
"""
SABLIER = """
version: "2.4"
services:
  app:
    image: torpor-test
    command: [/app, web, "80"]
    labels:
      - sablier.enable=true
      - sablier.group=demo
      - traefik.enable=true
      - traefik.http.routers.app.rule=Host(`app.localhost`)
      - traefik.http.services.app.loadbalancer.server.port=80
"""


class Project:
    """A project called `shop`, in a folder of its own."""

    def __init__(self, engine: engines.Engine, folder: Path) -> None:
        self.config = CONFIG.format(url=engine.url)
        """Of the daemon."""
        self._folder = folder
        self._environment = {**os.environ, "DOCKER_HOST": engine.url, "HOME": str(folder)}

    def write(self, text: str) -> None:
        """Write its Compose file."""
        (self._folder / "docker-compose.yml").write_text(text)

    def compose(self, *words: str) -> None:
        """Run `docker-compose` with these words."""
        done = subprocess.run(
            ["docker-compose", "--project-name", "shop", "--no-ansi", *words],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def project(docker: engines.Engine, home: Path) -> Iterator[Project]:
    """Nothing of it is left after the test."""
    project = Project(docker, home)
    yield project
    project.compose("down", "--timeout", "0", "--remove-orphans")


def _status(daemon: Daemon, host: str) -> int:
    return Client(daemon.port, host).request().status


def _id(docker: engines.Engine, name: str) -> str | None:
    found = docker.inspect(name)
    return None if found is None or not found["State"]["Running"] else str(found["Id"])


def test_an_app_goes_through_all_that_compose_does(
    docker: engines.Engine, project: Project, launch: Launch
) -> None:
    """Made, woken, made anew with its log going on, stopped, woken, stopped, started, and gone with its container."""
    daemon = launch(project.config)
    project.write(SHOP.format(idle="5m"))
    project.compose("up", "--no-start")
    wait_for("they are apps", lambda: {"web", "shop_db_1"} == daemon.apps().keys())
    assert 200 == _status(daemon, "web.localhost")
    assert _id(docker, "shop_db_1") is not None
    first = _id(docker, "shop_web_1")

    project.write(SHOP.format(idle="6m"))
    project.compose("up", "--detach")

    assert first != _id(docker, "shop_web_1") is not None
    wait_for("it is awake, by others", lambda: 350 < (daemon.apps()["web"]["idle_in"] or 0) < 361)
    assert 200 == _status(daemon, "web.localhost")
    wait_for(
        "its log has both", lambda: daemon.cli("logs", "web", "--grep", "up").out.split() == ["up", "up"]
    )

    project.compose("stop")
    daemon.wait_for_state("web", "asleep")
    assert 200 == _status(daemon, "web.localhost")
    project.compose("stop")
    daemon.wait_for_state("web", "asleep")
    project.compose("start")
    daemon.wait_for_state("web", "ready")

    project.compose("down")
    wait_for("it is an app no more", lambda: daemon.apps() == {})


def test_what_sleeps_is_made_anew_asleep(docker: engines.Engine, project: Project, launch: Launch) -> None:
    """A change wakes nobody, and an operator's wish outlives it."""
    daemon = launch(project.config)
    project.write(SHOP.format(idle="5m"))
    project.compose("up", "--no-start")
    wait_for("it is an app", lambda: "web" in daemon.apps())
    assert 0 == daemon.cli("stop", "web").code

    project.write(SHOP.format(idle="6m"))
    project.compose("up", "--no-start")

    wait_for("it is changed", lambda: "6m" in daemon.cli("show", "web").out)
    facts = daemon.apps()["web"]
    assert ("asleep", "down") == (facts["state"], facts["want"])
    assert 503 == _status(daemon, "web.localhost")


def test_copies_of_a_service_do_not_take_its_route(
    docker: engines.Engine, project: Project, launch: Launch
) -> None:
    """The first copy is the app, and stays it; the others run beside it, and it is told why they are none."""
    daemon = launch(project.config)
    project.write(SHOP.format(idle="5m"))
    project.compose("up", "--detach")
    wait_for("it is an app", lambda: "web" in daemon.apps())
    project.compose("up", "--detach", "--scale", "web=2")

    daemon.wait_for_output("container shop_web_2: .*the app web already")
    assert 200 == _status(daemon, "web.localhost")
    assert None not in {_id(docker, "shop_web_1"), _id(docker, "shop_web_2")}

    project.compose("up", "--detach", "--scale", "web=1")
    assert "ready" == daemon.apps()["web"]["state"]


@pytest.mark.parametrize(
    ("file", "app", "host"), [(GODOXY, "app", "app.any.test"), (SABLIER, "shop_app_1", "app.localhost")]
)
def test_the_labels_of_others_in_a_compose_file(
    project: Project, launch: Launch, file: str, app: str, host: str
) -> None:
    """A file written for GoDoxy, or for Sablier with Traefik, is woken by a request as it stands."""
    project.write(file)
    project.compose("up", "--no-start")
    daemon = launch(project.config)
    assert "asleep" == daemon.apps()[app]["state"]

    assert 200 == _status(daemon, host)

    assert "ready" == daemon.apps()[app]["state"]
    assert ("proxy.depends_on" in file) == ("shop_db_1" in daemon.apps())
