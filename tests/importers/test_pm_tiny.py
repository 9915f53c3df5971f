"""pm_tiny's prog.yaml and prog.cfg become a torpor.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importers.imports import imported
from torpor.errors import CannotImport

# The services of a small board, each waiting for the one before, as 1.x has them.
CLASSIC = """
- name: sensors
  cwd: /tmp
  command: ./sensors
  kill_timeout_s: 3
  user: ""
  depends_on:
    []
  start_timeout: 2
  failure_action: skip
  daemon: true
  heartbeat_timeout: -1
- name: vision
  cwd: /tmp
  command: ./vision
  kill_timeout_s: 10
  depends_on:
   - sensors
  start_timeout: 0
- name: web
  cwd: /tmp
  command: ./server
  depends_on:
   - sensors
   - vision        # both
  start_timeout: -1
  heartbeat_timeout: 30
  failure_action: restart
"""


def test_the_classic_list(tmp_path: Path) -> None:
    """Needs, the wait for `ready`, the heartbeat and the limits come along."""
    result = imported(tmp_path, "prog.yaml", CLASSIC)
    sensors, vision, web = (result.app(name) for name in result.apps)

    assert {"notify": "true"} == sensors["readiness"]
    assert ("2s", "accept", "3s", "always") == (
        sensors["start_timeout"], sensors["on_start_timeout"], sensors["stop_timeout"], sensors["restart"],
    )  # fmt: skip
    assert "readiness" not in vision
    assert (["sensors"], ["sensors", "vision"]) == (vision["depends_on"], web["depends_on"])
    assert ("never", "30s", "restart") == (web["start_timeout"], web["watchdog"], web["on_watchdog"])
    assert "sd_notify" in result.comments


def test_the_later_list(tmp_path: Path) -> None:
    """What 4.x says of arguments, pauses and logs comes along."""
    text = """
- name: api
  executable: ./api
  args: [--listen, "0.0.0.0:8080", a b]
  env_vars: [PORT=8080, PM_TINY_X=1]
  pty: true
  log_mode: split
  log_max_size_kb: 4096
  log_archive_count: 3
  restart_delay_ms: 1000
  restart_max_delay_ms: 30000
  restart_window_ms: 60000
  restart_max_attempts: 0
  restart_reset_after_ms: 60000
"""
    result = imported(tmp_path, "prog.yaml", text)
    app = result.app("api")

    assert ["./api", "--listen", "0.0.0.0:8080", "a b"] == app["command"]
    assert {"PORT": "8080"} == app["environment"]
    assert ("true", {"stderr": "separate", "max_size": "4M", "keep": "3"}) == (app["tty"], app["log"])
    assert {"initial": "1s", "max": "30s"} == app["backoff"]
    assert {"failures": "1000000", "window": "1m"} == app["start_limit"]
    assert "1m" == app["stable_after"]
    assert "PM_TINY_X" in result.comments


def test_the_old_format(tmp_path: Path) -> None:
    """Lines of fields; what pm_tiny skips is told."""
    result = imported(tmp_path, "prog.cfg", "# old\na:/tmp:node t.js x:5:root\nb:/:./run\nshort:line\n")

    assert {"command": "node t.js x", "working_dir": "/tmp", "user": "root", "stop_timeout": "5s"} == {
        key: result.app("a")[key] for key in ("command", "working_dir", "user", "stop_timeout")
    }
    assert ["a", "b"] == result.apps
    assert "short:line: has fewer than three fields" in result.comments


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("daemon: false", {"restart": "no", "always_on": "true"}),
        ("kill_timeout_s: 0", {"stop_timeout": "3s"}),
        ("start_timeout: 5\n  failure_action: restart", {"on_start_timeout": "restart"}),
        ("start_timeout: 5\n  failure_action: reboot", {"on_start_timeout": "restart"}),
        ("heartbeat_timeout: 9\n  failure_action: skip", {"on_watchdog": "ignore", "watchdog": "9s"}),
        ("oom_score_adj: -100", {"oom_score_adj": "-100"}),
        ("env_vars: A=b=c", {"environment": {"A": "b=c"}}),
        ("log_mode: combined", {"log": None}),
        ("cwd: sub", {"working_dir": "./sub"}),
    ],
)
def test_what_a_setting_becomes(tmp_path: Path, lines: str, expected: dict[str, Any]) -> None:
    """Each setting has its word in Torpor."""
    (tmp_path / "sub").mkdir()
    app = imported(tmp_path, "prog.yaml", f"- name: x\n  command: ./x\n  {lines}\n").app("x")

    assert expected == {key: app.get(key) for key in expected}


def test_a_command_is_split_at_blanks_alone(tmp_path: Path) -> None:
    """1.x knows no quotes: they are part of the words."""
    result = imported(tmp_path, "prog.yaml", '- name: x\n  command: run \t "a b"\n')

    assert ["run", '"a', 'b"'] == result.app("x")["command"]


def test_rebooting_is_left_to_whoever_allows_it(tmp_path: Path) -> None:
    """A file that was imported never reboots a machine by itself."""
    result = imported(
        tmp_path, "prog.yaml", "- name: x\n  command: x\n  heartbeat_timeout: 5\n  failure_action: reboot\n"
    )

    assert "failure_action: reboot: Torpor reboots only where `allow_reboot: true` stands" in result.comments
    assert not result.settings.allow_reboot


def test_needs_that_cannot_be_met_are_told(tmp_path: Path) -> None:
    """Unknown names, circles, and entries that are comments are no needs of an app."""
    text = """
- {name: a, command: a, depends_on: [b, gone, off]}
- {name: b, command: b, depends_on: a}
- {name: off}
"""
    result = imported(tmp_path, "prog.yaml", text)

    assert [None, ["a"]] == [result.app(name).get("depends_on") for name in ("a", "b")]
    for told in ("gone: nothing of this name", "off is no app yet", "each other in a circle (a → b → a)"):
        assert told in result.comments


def test_the_environment_of_the_shell_is_told(tmp_path: Path) -> None:
    """What pm_tiny has saved beside its list is not taken over unseen."""
    (tmp_path / "environ").mkdir()
    (tmp_path / "environ/x").write_text("SECRET=1\n")
    result = imported(tmp_path, "prog.yaml", "- {name: x, command: x}\n")

    assert "environ/x: the environment that `pm start` was called in" in result.comments


def test_the_first_of_a_name_is_taken(tmp_path: Path) -> None:
    """As pm_tiny does; the second is a comment."""
    result = imported(tmp_path, "prog.yaml", "- {name: x, command: a}\n- {name: x, command: b}\n")

    assert {"x": "a"} == {name: result.app(name)["command"] for name in result.apps}
    assert "takes only the first program of a name" in result.comments


@pytest.mark.parametrize("text", ["a: 1\n", "- 1\n", "- [a\n"])
def test_what_is_no_list_of_programs_is_refused(tmp_path: Path, text: str) -> None:
    """The message names the file."""
    with pytest.raises(CannotImport, match=r"prog\.yaml:"):
        imported(tmp_path, "prog.yaml", text)
