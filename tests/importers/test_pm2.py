"""PM2's ecosystem files become a torpor.yaml."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from importers.imports import imported
from torpor.errors import CannotImport
from torpor.importers import javascript

with_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")

TYPICAL = """
const port = process.env.NOT_SET_ANYWHERE || 3000;
console.log('noise');
module.exports = {
  apps: [{
    name: 'API Server', script: './dist/main.js', exec_mode: 'cluster', instances: 2,
    node_args: '--max-old-space-size=512', args: ['--port', 1, 'a b'], watch: false, max_memory_restart: '1G',
    env: { NODE_ENV: 'development', PORT: port, GONE: process.env.NOT_SET_ANYWHERE },
    env_production: { NODE_ENV: 'production', SECRET: 'hunter2' },
    error_file: 'err.log', time: true, max_restarts: 10, min_uptime: '10s', kill_timeout: 5000, wait_ready: true,
  }, { name: 'job', script: 'job.py', autorestart: false, cron_restart: '0 0 * * *', cwd: __dirname }],
  deploy: { production: { user: 'node', host: 'example.org' } },
};
"""


def app(folder: Path, **settings: Any) -> Any:
    """The one app of an ecosystem file in JSON."""
    text = json.dumps({"apps": [{"name": "x", "script": "x.js", **settings}]})
    return imported(folder, "ecosystem.json", text).app("x")


@with_node
def test_a_typical_file(tmp_path: Path) -> None:
    """JavaScript is evaluated; the app comes out whole, and what has no equal is told."""
    result = imported(tmp_path, "ecosystem.config.js", TYPICAL)
    api, job = result.app("api-server"), result.app("job")

    assert ["node", "--max-old-space-size=512", "./dist/main.js", "--port", "1", "a b"] == api["command"]
    assert ("2", "1G", "5s", "INT", "always") == (
        api["replicas"], api["memory_max"], api["stop_timeout"], api["stop_signal"], api["restart"],
    )  # fmt: skip
    assert {"NODE_ENV": "development", "NODE_APP_INSTANCE": "${TORPOR_REPLICA}"} == api["environment"]
    assert ({"tcp": "true"}, {"failures": "10"}, "10s") == (
        api["readiness"],
        api["start_limit"],
        api["stable_after"],
    )
    assert ("python3 job.py", "no") == (job["command"], job["restart"])
    for told in (
        "env: PORT: 3000",
        "env: GONE",
        "env_production",
        "error_file",
        "wait_ready",
        "cron_restart",
        "deploy",
    ):
        assert told in result.comments
    assert "hunter2" not in result.text


@with_node
@pytest.mark.parametrize(
    "text", ["export default { apps: [{ script: 'a.js' }] };", "export const apps = [{ script: 'a.js' }];"]
)
def test_modules(tmp_path: Path, text: str) -> None:
    """Both kinds of export are understood."""
    assert ["a"] == imported(tmp_path, "ecosystem.config.mjs", text).apps


@with_node
def test_a_function_is_called(tmp_path: Path) -> None:
    """Also one that promises."""
    text = "module.exports = async () => ({ apps: [{ script: 'a.js' }] });"

    assert ["a"] == imported(tmp_path, "ecosystem.config.cjs", text).apps


@with_node
def test_javascript_that_fails_is_told(tmp_path: Path) -> None:
    """With node's own words."""
    with pytest.raises(
        CannotImport, match=r"ecosystem\.config\.js: node cannot read it: .*Cannot find module"
    ):
        imported(tmp_path, "ecosystem.config.js", "require('no-such-module-here');")


@with_node
@pytest.mark.slow
def test_javascript_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a time limit, and nothing of it is left behind."""
    monkeypatch.setattr(javascript, "PATIENCE", 1.0)
    pid = tmp_path / "pid"
    with pytest.raises(CannotImport, match="and was ended"):
        imported(
            tmp_path,
            "ecosystem.config.js",
            f"require('fs').writeFileSync({json.dumps(str(pid))}, String(process.pid)); while (true) {{}}",
        )

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_javascript_without_node_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without node can import what another one has evaluated."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotImport, match="there is none here") as raised:
        imported(tmp_path, "ecosystem.config.js", "module.exports = {}")

    assert "JSON.stringify" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"command": "node x.js", "restart": "always", "always_on": "true", "stop_signal": "INT"}),
        ({"script": "npm", "args": "run start"}, {"command": "npm run start"}),
        ({"script": "serve -s build"}, {"command": ["bash", "-c", "serve -s build"]}),
        ({"script": "w.py", "interpreter": "/usr/bin/python3"}, {"command": "/usr/bin/python3 w.py"}),
        ({"script": "./bin/x", "interpreter": "none"}, {"command": "./bin/x"}),
        ({"interpreter_args": "-r a"}, {"command": "node -r a x.js"}),
        ({"autorestart": False}, {"restart": "no"}),
        ({"autostart": False}, {"always_on": None}),
        ({"stop_exit_codes": [0, 3]}, {"restart": "on-failure", "exit_codes": ["0", "3"]}),
        ({"restart_delay": 3000}, {"backoff": {"initial": "3s", "factor": "1", "max": "3s"}}),
        (
            {"exp_backoff_restart_delay": 100},
            {"backoff": {"initial": "100ms", "factor": "1.5", "max": "15s"}},
        ),
        ({"kill_timeout": "1600"}, {"stop_timeout": "1s600ms"}),
        ({"instances": 3}, {"replicas": "3"}),
        ({"uid": "root", "gid": 0}, {"user": "root", "group": "0"}),
        ({"time": True}, {"log": {"timestamps": "true"}}),
        ({"log_date_format": "YYYY-MM-DD HH:mm Z"}, {"log": {"timestamps": "true"}}),
        ({"out_file": "a.log", "error_file": "b.log"}, {"log": {"stderr": "separate"}}),
        ({"out_file": "a.log", "error_file": "a.log", "merge_logs": True}, {"log": None}),
        ({"namespace": "Shop"}, {"member_of": "shop"}),
        ({"namespace": "default"}, {"member_of": None}),
        ({"env": {"A": 1, "B": True}}, {"environment": {"A": "1", "B": "true"}}),
    ],
)
def test_what_a_setting_becomes(tmp_path: Path, settings: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each setting has its word in Torpor."""
    found = app(tmp_path, **settings)

    assert expected == {key: found.get(key) for key in expected}


def test_the_environment_of_a_name(tmp_path: Path) -> None:
    """`--env NAME` takes env_NAME over `env`; of the others only the names are told."""
    entry = {
        "script": "x.js",
        "env": {"A": "1", "B": "1"},
        "env_production": {"B": "2"},
        "env_test": {"C": "secret"},
    }
    text = json.dumps({"apps": [{"name": "x", **entry}]})
    result = imported(tmp_path, "ecosystem.json", text, chosen="production")

    assert {"A": "1", "B": "2"} == result.app("x")["environment"]
    assert "env_test: {C}: `torpor import --env test` takes them" in result.comments
    assert "secret" not in result.text


def test_an_environment_that_nobody_has_is_told(tmp_path: Path) -> None:
    """As PM2 does; other managers' files have none at all."""
    result = imported(tmp_path, "ecosystem.json", '{"apps": [{"script": "x.js"}]}', chosen="gone")
    assert f"{tmp_path}/ecosystem.json: no app has env_gone" in result.warnings

    other = imported(tmp_path, "Procfile", "web: x\n", chosen="gone")
    assert ["--env gone: only PM2's files have several environments"] == other.warnings


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("process.json", '[{"script": "a.js"}]'),
        ("process.json", '{"script": "a.js"}'),
        ("ecosystem.json", '{\n// why\n"apps": [{"script": "a.js",}]\n}'),
        ("pm2.yaml", "apps:\n  - script: a.js\n"),
        ("whatever.yml", "apps:\n  - script: a.js\n    instances: 1\n"),
    ],
)
def test_all_forms_of_a_file(tmp_path: Path, name: str, text: str) -> None:
    """A list, one app alone, comments in JSON, YAML."""
    assert ["a"] == imported(tmp_path, name, text).apps


def test_the_names_of_the_file_are_told(tmp_path: Path) -> None:
    """A setting that PM2 knows by several names is told by the one that was used; the second of two is too."""
    text = json.dumps(
        {"apps": [{"name": "x", "script": "x.js", "error": "a", "err_file": "b", "max_memory": "?"}]}
    )
    comments = imported(tmp_path, "ecosystem.json", text).comments

    for told in ("error: a: Torpor keeps it in logs/", "err_file: b:", "max_memory: ?: '?' is not a size"):
        assert told in comments


def test_apps_that_are_none_are_refused(tmp_path: Path) -> None:
    """The message names the file and the app."""
    with pytest.raises(CannotImport, match="app 1 is no map"):
        imported(tmp_path, "ecosystem.json", '{"apps": ["x"]}')
    with pytest.raises(CannotImport, match="has no apps"):
        imported(tmp_path, "ecosystem.json", '{"apps": []}')
