"""Which apps are found in a directory, and how they are to be run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from projects.layout import lay_out, virtual_environment
from torpor.errors import ProjectUnusable
from torpor.projects.recognise import KINDS, recognise

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
FLASK = "import flask\nsite = flask.Flask(__name__)\n"
MANAGE = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings.dev')\n"
SERVES = '{"scripts": {"start": "node ."}}'
MAIN = "if __name__ == '__main__':\n    pass\n"

PROJECTS: dict[str, tuple[dict[str, str | bytes], str, str]] = {
    "streamlit": (
        {"app.py": "import streamlit as st\n", "requirements.txt": "streamlit\n"},
        "Streamlit",
        ".venv/bin/python -m streamlit run app.py --server.address 127.0.0.1 --server.port $PORT",
    ),
    "gradio": ({"demo.py": "from gradio import Blocks\n"}, "Gradio", ".venv/bin/python demo.py"),
    "fastapi": (
        {"main.py": FASTAPI},
        "FastAPI",
        ".venv/bin/python -m uvicorn main:app --host 127.0.0.1 --port $PORT",
    ),
    "fastapi in a package": (
        {"app/__init__.py": "", "app/main.py": FASTAPI, "app/other.py": "import fastapi\n"},
        "FastAPI",
        ".venv/bin/python -m uvicorn app.main:app --host 127.0.0.1 --port $PORT",
    ),
    "fastapi in src, made by a function": (
        {"src/shop/__init__.py": "import fastapi\ndef create_app():\n    return fastapi.FastAPI()\n"},
        "FastAPI",
        ".venv/bin/python -m uvicorn shop:create_app --factory --app-dir src --host 127.0.0.1 --port $PORT",
    ),
    "flask": (
        {"web.py": FLASK},
        "Flask",
        ".venv/bin/python -m flask --app web:site run --host 127.0.0.1 --port $PORT",
    ),
    "flask with gunicorn": (
        {"web.py": FLASK, "requirements.txt": "Flask==3.0 # so far\nGunicorn [gevent] >= 20\n"},
        "Flask",
        ".venv/bin/python -m gunicorn --bind 127.0.0.1:$PORT web:site",
    ),
    "flask made by a function": (
        {
            "shop/__init__.py": "from flask import Flask\ndef create_app():\n    app = Flask(__name__)\n    return app\n",
            "pyproject.toml": '[project]\ndependencies = ["flask", "gunicorn"]\n',
        },
        "Flask",
        ".venv/bin/python -m gunicorn --bind 127.0.0.1:$PORT shop:create_app()",
    ),
    "django": (
        {"manage.py": MANAGE},
        "Django",
        ".venv/bin/python manage.py runserver --noreload 127.0.0.1:$PORT",
    ),
    "django with gunicorn": (
        {"manage.py": MANAGE, "shop/wsgi.py": "", "Pipfile": '[packages]\ngunicorn = "*"\n'},
        "Django",
        ".venv/bin/python -m gunicorn --bind 127.0.0.1:$PORT shop.wsgi",
    ),
    "jupyter": (
        {"b.ipynb": "{}", "a b.ipynb": "{}"},
        "Jupyter",
        ".venv/bin/python -m jupyterlab --no-browser --ServerApp.ip=127.0.0.1 --ServerApp.port=$PORT",
    ),
    "node": ({"package.json": SERVES}, "Node", "npm run start"),
    "node by pnpm": ({"package.json": SERVES, "pnpm-lock.yaml": ""}, "Node", "pnpm run start"),
    "node by yarn": ({"package.json": SERVES, "yarn.lock": ""}, "Node", "yarn run start"),
    "node by what it names": (
        {"package.json": '{"packageManager": "yarn@4.1", "scripts": {"serve": "x"}}', "pnpm-lock.yaml": ""},
        "Node",
        "yarn run serve",
    ),
    "vite": (
        {"package.json": '{"scripts": {"build": "vite build", "dev": "vite"}}'},
        "Node",
        "npm run dev -- --port $PORT --strictPort --host 127.0.0.1",
    ),
    "node without scripts": ({"package.json": "{}", "server.js": ""}, "Node", "node server.js"),
    "static": (
        {"public/index.html": ""},
        "static site",
        "python3 -m http.server $PORT --bind 127.0.0.1 --directory public",
    ),
    "worker": ({"worker.py": MAIN}, "worker", "python3 worker.py"),
    "procfile": (
        {"Procfile": "web: gunicorn shop:app\n# ours\n\nrelease: ./migrate\n", "manage.py": MANAGE},
        "Procfile",
        "gunicorn shop:app",
    ),
    "uv": ({"app.py": "import streamlit", "uv.lock": ""}, "Streamlit", ".venv/bin/python -m streamlit run app.py"),
    "poetry": ({"app.py": "import gradio", "poetry.lock": ""}, "Gradio", "poetry run python app.py"),
    "pipenv": ({"app.py": "import gradio", "Pipfile.lock": ""}, "Gradio", "pipenv run python app.py"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the search path but Python: what is installed here must not decide a test."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python3").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def setting(app: Any, key: str) -> Any:
    """What the app's settings say; None without."""
    return {each.key: each.value for each in app.settings}.get(key)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_is_recognised(tmp_path: Path, name: str) -> None:
    """Its kind, and the command that runs it."""
    files, kind, command = PROJECTS[name]

    (app,) = recognise(str(lay_out(tmp_path / "Shop", files))).apps

    assert ("shop", kind) == (app.name, app.kind)
    assert str(setting(app, "command")).startswith(command)


def test_every_kind_is_tested() -> None:
    """No row of the table without a project above."""
    assert {kind.title for kind in KINDS} == {kind for _, kind, _ in PROJECTS.values()}


def test_directories_are_apps_of_their_own(tmp_path: Path) -> None:
    """One level deep, each with its own working directory and name; what nobody serves is left out."""
    project = lay_out(
        tmp_path / "all",
        {
            "api/main.py": FASTAPI,
            "Front End/package.json": SERVES,
            "front-end/index.html": "",
            "tests/app.py": FASTAPI,
            ".hidden/app.py": FASTAPI,
            "deep/er/app.py": FASTAPI,
        },
    )

    apps = {app.name: app for app in recognise(str(project)).apps}

    assert {"api": "FastAPI", "front-end": "Node", "front-end-2": "static site"} == {
        name: app.kind for name, app in apps.items()
    }
    assert "./Front End" == setting(apps["front-end"], "working_dir")
    assert ["front-end-2.localhost"] == setting(apps["front-end-2"], "routes")
    assert (
        "(cd api && python3 -m venv .venv)",
        "(cd api && .venv/bin/python -m pip install uvicorn fastapi)",
    ) == (apps["api"].steps)


def test_the_directory_itself_comes_first(tmp_path: Path) -> None:
    """Where it is an app, those below are parts of it; what else it could be is said."""
    project = lay_out(tmp_path / "shop", {"app.py": FLASK, "index.html": "", "front/package.json": SERVES})

    found = recognise(str(project))

    assert ["Flask"] == [app.kind for app in found.apps]
    assert ("not taken: static site (index.html is there)",) == found.remarks


@pytest.mark.parametrize("place", ["shop", "."])
def test_a_virtual_environment_of_the_project_runs_it(tmp_path: Path, place: str) -> None:
    """Its own, or that of the directory above; what it lacks is to be installed there."""
    project = lay_out(tmp_path / "all", {"shop/app.py": FLASK, "shop/requirements.txt": "flask"})
    virtual_environment(project / place / "venv", "flask")

    (app,) = recognise(str(project)).apps

    above = "../" if place == "." else ""
    assert str(setting(app, "command")).startswith(f"{above}venv/bin/python -m flask ")
    assert () == app.steps


def test_a_missing_package_is_to_be_installed_first(tmp_path: Path) -> None:
    """Into the environment that is there, by the tool that made it."""
    project = lay_out(tmp_path / "shop", {"app.py": FLASK, "requirements.txt": "flask"})
    virtual_environment(project / ".venv")

    (by_pip,) = recognise(str(project)).apps
    (project / "uv.lock").touch()
    (by_uv,) = recognise(str(project)).apps

    assert (".venv/bin/python -m pip install -r requirements.txt",) == by_pip.steps
    assert ("uv sync",) == by_uv.steps


def test_what_is_on_the_search_path_is_taken_where_it_has_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`uvicorn` of another project, without our framework beside it, is of no use."""
    project = lay_out(tmp_path / "shop", {"main.py": FASTAPI})
    virtual_environment(tmp_path / "active", "uvicorn")
    program = tmp_path / "active/bin/uvicorn"
    program.symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(program.parent))

    (without,) = recognise(str(project)).apps
    (tmp_path / "active/lib/python3.11/site-packages/fastapi").mkdir()
    (beside,) = recognise(str(project)).apps

    assert str(setting(without, "command")).startswith(".venv/bin/python -m uvicorn ")
    assert str(setting(beside, "command")).startswith("uvicorn main:app ")


def test_health_and_ports_are_read_from_the_source(tmp_path: Path) -> None:
    """A route that tells whether it is well is its readiness; a port that is written down is its port."""
    web = lay_out(tmp_path / "web", {"main.py": FASTAPI + "@app.get('/health')\ndef well(): ...\n"})
    demo = lay_out(tmp_path / "demo", {"app.py": "import gradio\ngradio.Blocks().launch(server_port=7861)\n"})

    (api,) = recognise(str(web)).apps
    (gradio,) = recognise(str(demo)).apps

    assert {"http": "/health"} == setting(api, "readiness")
    assert (7861, None) == (setting(gradio, "port"), setting(gradio, "environment").get("GRADIO_SERVER_PORT"))


def test_of_several_files_the_likely_one_is_started(tmp_path: Path) -> None:
    """By its name, and because the others import it not; tests are none."""
    text = "import streamlit\n"
    project = lay_out(
        tmp_path / "shop",
        {
            "parts.py": text,
            "test_app.py": text,
            "view.py": f"{text}import parts, app\n",
            "app.py": f"{text}import parts\n",
        },
    )

    (one,) = recognise(str(project)).apps

    assert " run view.py " in str(setting(one, "command"))


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"requirements.txt": "streamlit"},
        {"app.py": "print('streamlit')"},
        {"app.py": "import streamlit\n" + "(" * 5000},
        {"app.py": "import streamlit\nprint 'python 2'\n"},
        {"app.py": b"import streamlit\0"},
        {"app.py": b"# \xff\nimport flask\n"},
        {"app.py": "from flask import Flask\n"},
        {"package.json": "{"},
        {"package.json": "[1]"},
        {"package.json": "[" * 100_000},
        {"package.json": '{"scripts": ["start"]}'},
        {"package.json": '{"scripts": {"start": 1, "test": "x"}}'},
        {"package.json": b"\xff\xfe"},
        {"pyproject.toml": "[project\n", "Pipfile": "a = " + "[" * 10_000},
        {"pyproject.toml": "project = 1\n[tool]\npoetry = 2\n"},
        {"manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', '../../etc')\n"},
        {"manage.py": "("},
        {"Procfile": "no process at all\n: x\nweb:\n"},
        {"worker.py": "x = 1\n"},
        {"index.html/x": ""},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_project_is_none(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    """Broken and hostile files are passed over, and break nothing."""
    assert () == recognise(str(lay_out(tmp_path / "shop", files))).apps


def test_a_file_that_is_no_python_is_named(tmp_path: Path) -> None:
    """Whoever wonders why nothing was found learns it."""
    found = recognise(str(lay_out(tmp_path / "shop", {"app.py": "import streamlit\nthis is not\n"})))

    assert ((), ("app.py is no valid Python",)) == (found.apps, found.remarks)


def test_a_crowded_directory_is_looked_at_in_part(tmp_path: Path) -> None:
    """Ten thousand files are no obstacle: the likely ones first, the others up to a limit that is told."""
    files: dict[str, str | bytes] = {f"part{number:05}.py": "import flask\n" for number in range(10_000)}
    found = recognise(str(lay_out(tmp_path / "shop", {**files, "app.py": FLASK})))

    assert ["Flask"] == [app.kind for app in found.apps]
    assert ("only 60 of 10001 Python files in . were looked into",) == found.remarks


def test_links_pipes_and_odd_names_are_passed_over(tmp_path: Path) -> None:
    """Nothing is followed in circles, waited for, or put into a file that could not hold it."""
    project = lay_out(tmp_path / "shop", {"web.py": FLASK})
    (project / "app.py").symlink_to("app.py")
    (project / "round").symlink_to(".")
    os.mkfifo(project / "main.py")
    (project / "requirements.txt").symlink_to("/dev/zero")
    with open(os.fsencode(project) + b"/a\xff.ipynb", "wb"):
        pass

    found = recognise(str(project))

    assert ["Flask"] == [app.kind for app in found.apps]
    assert ("1 name was passed over: no plain UTF-8",) == found.remarks


@pytest.mark.parametrize(
    ("directory", "name"),
    [("My Shop", "my-shop"), ("Café_2", "cafe-2"), ("日本", "app"), ("-x-", "x"), ("a" * 100, "a" * 40)],
)
def test_a_name_is_one_for_a_host_too(tmp_path: Path, directory: str, name: str) -> None:
    """What a directory is called may be anything; an app's name stands in an address."""
    (app,) = recognise(str(lay_out(tmp_path / directory, {"index.html": ""}))).apps

    assert (name, [f"{name}.localhost"]) == (app.name, setting(app, "routes"))


def test_what_cannot_be_looked_into_is_said(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a file."""
    for path, why in (
        (tmp_path / "none", "No such file"),
        (tmp_path / "programs/python3", "Not a directory"),
    ):
        with pytest.raises(ProjectUnusable, match=why):
            recognise(str(path))
