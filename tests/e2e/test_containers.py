"""The daemon as PID 1, as in a container: a process namespace stands for one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from e2e.harness import PATIENCE, Daemon, Process, wait_for

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


INIT = """
import os, subprocess, sys, time
subprocess.Popen(["true"])
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.2)
    os._exit(0)
os.execv(sys.executable, [sys.executable, "-m", "torpor", *sys.argv[1:]])
"""

SIGNALS = """
gateway: {listen: GATEWAY}
apps:
  app:
    command: >-
      for s in HUP USR1 USR2 QUIT WINCH; do trap "echo got $s" $s; done; trap 'exit 7' TERM;
      touch up; while :; do sleep 0.01; done
    shell: true
    routes: [app.localhost]
"""


@contextmanager
def in_a_container(daemon: Daemon, *, init: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A daemon as PID 1, by its handle and by its pid out here; `init`: executed by somebody with children."""
    start = ["-c", INIT] if init else ["-m", "torpor"]
    command = [*NAMESPACE, sys.executable, *start, "up", "-c", str(daemon.config), "--exit-with", "app"]
    with subprocess.Popen(
        command, env=daemon.environment, cwd=daemon.home, stdout=subprocess.DEVNULL
    ) as outer:
        try:
            wait_for("the app runs", (daemon.home / "up").exists)
            (inner,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
            yield outer, int(inner)
        finally:
            outer.kill()


@pytest.mark.skipif(not _can_have_a_namespace(), reason="a process namespace needs root and util-linux")
def test_signals_to_pid_1_mean_the_app(home: Path) -> None:
    """An app that sleeps by itself is started; signals reach it, and its end at TERM is the container's."""
    daemon = Daemon(home / "0", SIGNALS)
    log = home / "0" / "state" / "logs" / "app.log"

    def arrived(name: str) -> bool:
        return f"got {name}" in log.read_text(encoding="utf-8")

    with in_a_container(daemon) as (outer, inner):
        for name in ("HUP", "USR1", "USR2", "QUIT", "WINCH"):
            os.kill(inner, signal.Signals[f"SIG{name}"])
            wait_for(f"{name} arrives", partial(arrived, name))
        os.kill(inner, signal.SIGTERM)

        assert 7 == outer.wait(PATIENCE)


@pytest.mark.skipif(not _can_have_a_namespace(), reason="a process namespace needs root and util-linux")
def test_pid_1_reaps_whatever_was_left_to_it(home: Path) -> None:
    """Children of whoever was process 1 before, and orphans in its own session, leave no zombies."""
    daemon = Daemon(home / "0", SIGNALS)

    with in_a_container(daemon, init=True) as (_, inner):

        def no_zombie() -> bool:
            tasks = Path(f"/proc/{inner}/task").glob("*/children")
            return all(Process.of(int(pid)).alive for task in tasks for pid in task.read_text().split())

        def look() -> bool:
            with suppress(FileNotFoundError, ProcessLookupError):
                return no_zombie()
            return False

        wait_for("no zombie is left", look)


def test_the_replica_that_ends_last_gives_the_code(home: Path) -> None:
    """With several instances of the app the daemon ends when all have ended."""
    text = "until [ -e go$TORPOR_REPLICA ]; do sleep 0.01; done; exit $TORPOR_REPLICA"
    daemon = Daemon(
        home / "0",
        f"""
gateway: {{listen: GATEWAY}}
apps:
  job: {{command: "{text}", shell: true, always_on: true, restart: "no", replicas: 3, exit_codes: [0, 1, 2]}}
""",
    )
    with subprocess.Popen(
        [sys.executable, "-m", "torpor", "up", "-c", daemon.config, "--exit-with", "job"],
        env=daemon.environment,
        cwd=daemon.home,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        lines = process.stdout
        assert lines is not None
        for number in (0, 2, 1):
            (daemon.home / f"go{number}").touch()
            wait_for(f"{number} has ended", lambda: "exited" in lines.readline())
        assert 1 == process.wait(PATIENCE)


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
