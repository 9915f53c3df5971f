"""`torpor init`, then `torpor up`: what was written really starts."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from e2e.client import Client
from e2e.harness import Daemon, Ran
from projects.layout import lay_out

Begin = Callable[..., tuple[Daemon, Ran]]
"""Runs `torpor init` with these arguments on a project, and starts a daemon with what it wrote."""

SERVER_JS = """
require("http").createServer((_, reply) => reply.end("hello from node")).listen(process.env.PORT, "127.0.0.1");
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def create_app():
    return Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello from a factory"))])
"""
DJANGO = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
DJANGO_SETTINGS = """
DEBUG = True
SECRET_KEY = "a test's own"
ROOT_URLCONF = "shop.urls"
"""
DJANGO_URLS = """
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda _: HttpResponse("hello from django"))]
"""
GRADIO = """
import gradio
gradio.Interface(lambda name: f"hello {name}", "text", "text", title="hello from gradio").launch()
"""
NOTEBOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


def needs(*packages: str) -> pytest.MarkDecorator:
    """Skip where a package is missing, and say which."""
    missing = [name for name in packages if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed here: {', '.join(missing)}")


@pytest.fixture
def begin(home: Path) -> Iterator[Begin]:
    """Write configurations and run them; the daemon ends with the test."""
    daemon = Daemon(home / "daemon", "")

    def begin(project: Path, *arguments: str) -> tuple[Daemon, Ran]:
        said = daemon.cli("init", *arguments, str(project))
        assert (0, "") == (said.code, said.err)
        daemon.config = project / "torpor.yaml"
        text = daemon.config.read_text(encoding="utf-8")
        daemon.write_config(re.sub(r"127\.0\.0\.1:80\d\d$", "GATEWAY", text, count=1, flags=re.MULTILINE))
        daemon.start()
        return daemon, said

    yield begin
    if daemon.running:
        daemon.stop()


@pytest.mark.parametrize(
    ("template", "path", "words"),
    [
        pytest.param("streamlit", "/", "Streamlit", marks=needs("streamlit")),
        pytest.param("fastapi", "/hello/you", '{"hello":"you"}', marks=needs("fastapi", "uvicorn")),
        pytest.param("flask", "/", "<title>Hello</title>", marks=needs("flask", "gunicorn")),
        pytest.param("static", "/", "A small site"),
    ],
)
def test_a_template_runs_as_it_is_laid_down(
    begin: Begin, home: Path, template: str, path: str, words: str
) -> None:
    """Two commands from nothing to an app that a request wakes."""
    daemon, said = begin(home / "first", "--template", template)

    assert "torpor up" in said.out
    assert ["first"] == list(daemon.apps())
    client = Client(daemon.port, "first.localhost", timeout=60)
    client.navigate()
    daemon.wait_for_state("first", "ready", patience=60)
    assert words in client.request(path).text


def test_the_worker_template_works(begin: Begin, home: Path) -> None:
    """It runs from the start, without a request."""
    daemon, _ = begin(home / "jobs", "--template", "worker")

    daemon.wait_for_state("jobs", "ready")
    assert daemon.cli("logs", "jobs").out.startswith("at work, ")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param(
            {"package.json": '{"scripts": {"start": "node server.js"}}', "server.js": SERVER_JS},
            "hello from node",
            marks=pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed here"),
            id="node",
        ),
        pytest.param(
            {"src/shop/main.py": STARLETTE, "src/shop/__init__.py": ""},
            "hello from a factory",
            id="starlette",
        ),
        pytest.param({"index.html": "hello from a file"}, "hello from a file", id="static"),
        pytest.param(
            {
                "Procfile": "web: cd site && exec python3 -m http.server $PORT --bind ${HOST:-127.0.0.1}\n"
                "worker: while :; do echo at work; sleep 1; done\nrelease: exit 1\n",
                "site/index.html": "hello from a Procfile",
            },
            "hello from a Procfile",
            id="procfile",
        ),
        pytest.param(
            {
                "manage.py": DJANGO,
                "shop/__init__.py": "",
                "shop/settings.py": DJANGO_SETTINGS,
                "shop/urls.py": DJANGO_URLS,
            },
            "hello from django",
            marks=needs("django"),
            id="django",
        ),
        pytest.param({"app.py": GRADIO}, "hello from gradio", marks=needs("gradio"), id="gradio"),
        pytest.param({"a look.ipynb": NOTEBOOK}, "Jupyter Server", marks=needs("jupyterlab"), id="jupyter"),
    ],
)
def test_a_project_that_was_recognised_serves(
    begin: Begin, home: Path, files: dict[str, str], words: str
) -> None:
    """A request for NAME.localhost wakes it and is answered by it."""
    daemon, _ = begin(lay_out(home / "shop", files))

    client = Client(daemon.port, "shop.localhost", timeout=60)
    client.navigate()  # some of them only a page load may wake
    daemon.wait_for_state("shop", "ready", patience=60)
    answer = client.request("/login" if words == "Jupyter Server" else "/")

    assert (200, True) == (answer.status, words in answer.text), daemon.output


def test_a_project_runs_in_its_own_environment(begin: Begin, home: Path) -> None:
    """A virtual environment in the project wins over what the search path leads to."""
    project = lay_out(
        home / "shop", {"worker.py": "import sys\nif __name__ == '__main__':\n    print(sys.prefix)\n"}
    )
    venv = project / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n", encoding="utf-8")
    (venv / "bin/python").symlink_to(Path(sys.executable).resolve())

    daemon, said = begin(project)

    assert ".venv is its environment" in said.out
    daemon.wait_for_output("shop .*backoff|shop .*ended|shop .*exited|shop .*code 0")
    assert f"{venv}\n" == daemon.cli("logs", "shop", "-n", "1").out
