"""The daemon as PID 1, as in a container: a process namespace stands for one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.harness import PATIENCE, Daemon

NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

CONFIG = """
gateway: {listen: GATEWAY}
apps:
  litter:
    command: "while true; do (sleep 0.01 &); sleep 0.05; done"
    shell: true
    always_on: true
  job:
    command: "sleep 1; ps -e -o stat= ; exit 42"
    shell: true
    always_on: true
    restart: "no"
"""


def _can_have_a_namespace() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _can_have_a_namespace(), reason="a process namespace needs root and util-linux")
def test_as_pid_1_it_reaps_and_exits_with_its_app(home: Path) -> None:
    """Orphans leave no zombies, and the exit code of the named app is the daemon's."""
    daemon = Daemon(home / "0", CONFIG)

    ended = subprocess.run(
        [*NAMESPACE, sys.executable, "-m", "torpor", "up", "-c", daemon.config, "--exit-with", "job"],
        env=daemon.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert 42 == ended.returncode, ended.stdout + ended.stderr
    states = (home / "0" / "state" / "logs" / "job.log").read_text().split()
    # The one that ended while `ps` was looking may still be seen.
    assert sum(state.startswith("Z") for state in states) <= 1


def test_an_unknown_app_to_exit_with_is_refused(home: Path) -> None:
    """A misspelled name must not become a container that never ends."""
    daemon = Daemon(home / "0", CONFIG)

    ended = subprocess.run(
        [sys.executable, "-m", "torpor", "up", "-c", daemon.config, "--exit-with", "jop"],
        env=daemon.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert 0 != ended.returncode
    assert "no app is named 'jop'" in ended.stderr
