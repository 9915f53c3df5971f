"""Procfiles become a torpor.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from importers.imports import imported

TYPICAL = """
# a web application
web: bundle exec puma -p $PORT -C config/puma.rb
worker: QUEUE=mail bundle exec sidekiq
clock: python3 clock.py
css: npx tailwind --watch --port=${PORT:-1}
release: ./migrate
what is this?
"""


def test_a_typical_file(tmp_path: Path) -> None:
    """Each process gets its port as foreman, honcho and overmind give it."""
    result = imported(tmp_path, "Procfile", TYPICAL)
    web, worker, clock, css, release = (result.app(name) for name in result.apps)

    assert ("bundle exec puma -p $PORT -C config/puma.rb", None, "5000") == (
        web["command"],
        web.get("shell"),
        web["port"],
    )
    assert ("QUEUE=mail bundle exec sidekiq", "true") == (worker["command"], worker["shell"])
    assert [{"PORT": "5100"}, {"PORT": "5200"}] == [worker["environment"], clock["environment"]]
    assert "npx tailwind --watch --port=${PORT:-1}" == result.settings.apps[3].workload.command[0]  # type: ignore[attr-defined]
    assert ("5300", "true") == (css["port"], css["shell"])
    assert ("no", None) == (release["restart"], release.get("always_on"))
    assert "what is this?: is not `name: command`" in result.comments


def test_the_env_file_beside_it(tmp_path: Path) -> None:
    """.env holds for each process, and its PORT is where the ports begin."""
    (tmp_path / ".env").write_text('PORT=3000\nSECRET="a b"\n')
    result = imported(tmp_path, "Procfile", "web: serve\nworker: work\n")

    assert "3000" == result.app("web")["port"]
    assert ("./.env", "3100") == (
        result.app("worker")["env_file"],
        result.app("worker")["environment"]["PORT"],
    )
    assert "a b" not in result.text


def test_an_env_file_that_torpor_cannot_read_is_told(tmp_path: Path) -> None:
    """The result stays valid."""
    (tmp_path / ".env").write_text("not a variable\n")
    result = imported(tmp_path, "Procfile", "web: serve\n")

    assert "env_file" not in result.app("web")
    assert ".env:1 is not NAME=value; mend it, and add `env_file: ./.env`" in result.comments


@pytest.mark.parametrize("folder", ["app", "deep/er"])
def test_commands_run_where_the_procfile_lies(tmp_path: Path, folder: str) -> None:
    """Also where the result lies elsewhere."""
    assert f"./{folder}" == imported(tmp_path, f"{folder}/Procfile", "web: x\n").app("web")["working_dir"]


def test_names_clash_over_files(tmp_path: Path) -> None:
    """Two files with a web process make two apps."""
    (tmp_path / "Procfile.dev").write_text("web: dev\n")
    result = imported(tmp_path, "Procfile", "web: serve $X\n", "Procfile.dev", format="procfile")

    assert ["web", "web-2"] == result.apps
    assert {"tcp": "true"} == result.app("web-2")["readiness"]
    assert "port 5000: web has it already; Torpor chooses another one for $PORT" in result.comments
