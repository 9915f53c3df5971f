"""Torpor under systemd, by the unit of the documentation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from e2e.apps import app, web
from vm.cgroups import cgroup_of
from vm.unit import NAME, UNITS, Unit, systemd_version

SLEEPER = ["/bin/sh", "-c", "echo up; exec sleep 1000"]
LIMITS: dict[str, Any] = {"memory_max": "64MiB", "cpus": 0.5, "pids_max": 20}
LIMITS_HELD = {"memory.max": str(64 << 20), "cpu.max": "50000 100000", "pids.max": "20"}
GREEDY = [sys.executable, "-S", "-c", "import time; x = bytearray(1) * (200 << 20); time.sleep(1000)"]

before_subgroups = pytest.mark.skipif(systemd_version() >= 254, reason="this systemd has DelegateSubgroup")
with_subgroups = pytest.mark.skipif(systemd_version() < 254, reason="DelegateSubgroup came with systemd 254")


def worker(name: str, command: list[str] = SLEEPER, **settings: object) -> str:
    """An app that always runs and serves nothing."""
    known = {"routes": [], "always_on": True, "backoff": {"initial": "10ms"}}
    return app(name, command, **{**known, **settings})


def test_systemd_understands_the_unit(unit: Unit) -> None:
    """Every line of it, but for the one that older releases do not know."""
    unit.write(worker("a"))
    done = subprocess.run(
        ("systemd-analyze", "verify", str(UNITS / NAME)), capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if NAME in line]
    if systemd_version() < 254:
        complaints = [line for line in complaints if "'DelegateSubgroup'" not in line]
    assert [] == complaints


def test_it_is_started_when_the_gateway_serves(unit: Unit) -> None:
    """`systemctl start` returns once requests are answered, and systemd is told how it stands."""
    unit.start(web())
    status, _ = unit.ask("nobody.localhost")
    assert 404 == status
    status, body = unit.ask("web.localhost")
    assert (200, "pid ") == (status, body[:4])
    assert "runs 1 app" == unit.show("StatusText")


def test_an_app_lies_below_the_unit(unit: Unit) -> None:
    """Its processes are together in a cgroup of their own, inside what systemd has delegated."""
    unit.start(worker("a"))
    process = unit.wait_for_state("a", "ready")
    own, of_daemon = unit.cgroup.path, cgroup_of(unit.daemon.pid).path
    unit.wait_for("it was moved", lambda: cgroup_of(process.pid).path != of_daemon)
    place = cgroup_of(process.pid).path
    assert own in place.parents
    assert (own if systemd_version() < 254 else own / "torpor-daemon") == of_daemon
    assert str(process.pid) == (place / "cgroup.procs").read_text().strip()


def test_apps_outlive_a_crash(unit: Unit) -> None:
    """The next daemon is started at once, and that adopts what runs."""
    unit.start(worker("a") + worker("b"))
    apps = [unit.wait_for_state(name, "ready") for name in "ab"]
    unit.crash()
    assert "1" == unit.show("NRestarts")
    assert apps == [unit.wait_for_state(name, "ready") for name in "ab"]


def test_a_new_version_comes_without_an_end_of_the_apps(unit: Unit) -> None:
    """`torpor down --keep-apps` ends the daemon alone; systemd starts the next one."""
    unit.start(worker("a"))
    process = unit.wait_for_state("a", "ready")
    before = unit.daemon
    subprocess.run(("/opt/torpor/bin/torpor", "down", "--keep-apps"), check=True, capture_output=True)
    unit.wait_for("another daemon is up", lambda: unit.show("MainPID") not in {"0", str(before.pid)})
    assert process == unit.wait_for_state("a", "ready")


def test_a_restart_ends_the_apps_and_starts_them_again(unit: Unit) -> None:
    """`systemctl restart` is an end in order, and a beginning."""
    unit.start(worker("a"))
    before = unit.wait_for_state("a", "ready")
    unit.systemctl("restart", NAME)
    assert not before.alive
    assert before != unit.wait_for_state("a", "ready")


def test_a_stop_leaves_nothing(unit: Unit) -> None:
    """`systemctl stop` ends the apps, and systemd does not start it again."""
    unit.start(worker("a", ["/bin/sh", "-c", "(setsid sleep 1000 &); exec sleep 1000"]))
    process = unit.wait_for_state("a", "ready")
    place = unit.cgroup.path
    unit.systemctl("stop", NAME)
    assert not process.alive
    assert ("inactive", "success") == (unit.show("ActiveState"), unit.show("Result"))
    assert not place.exists()


def test_a_reload_takes_over_the_edited_file(unit: Unit) -> None:
    """`systemctl reload` is HUP: what is new comes, what is unchanged runs on."""
    unit.start(worker("a"))
    process = unit.wait_for_state("a", "ready")
    unit.write(worker("a") + worker("b"))
    unit.systemctl("reload", NAME)
    unit.wait_for_state("b", "ready")
    assert process == unit.wait_for_state("a", "ready")


def test_a_bad_configuration_is_not_tried_again(unit: Unit) -> None:
    """Exit code 78 is the end, until somebody has corrected it."""
    unit.write("  a: {comand: sleep 1}\n")
    assert subprocess.run(("systemctl", "start", NAME), capture_output=True, check=False).returncode
    assert ("failed", "78", "0") == tuple(
        unit.show(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")
    )
    assert "comand" in unit.journal()


def test_a_daemon_that_hangs_is_replaced(unit: Unit) -> None:
    """The watchdog of systemd ends it, and its apps are adopted."""
    unit.start(worker("a"), WatchdogSec="10", TimeoutAbortSec="1")
    process = unit.wait_for_state("a", "ready")
    hanging = unit.daemon
    os.kill(hanging.pid, signal.SIGSTOP)
    unit.wait_for("another daemon is up", lambda: unit.show("MainPID") not in {"0", str(hanging.pid)})
    assert process == unit.wait_for_state("a", "ready")


@before_subgroups
def test_limits_without_a_subgroup(unit: Unit) -> None:
    """`cpus` is refused with the reason, `memory_max` is watched by Torpor itself."""
    greedy = worker("greedy", GREEDY, memory_max="32MB")
    unit.start(worker("a", cpus=0.5, start_limit={"failures": 1}) + greedy)
    unit.wait_for("it is given up", lambda: unit.apps()["a"]["state"] == "failed")
    assert "cpus cannot be held" in unit.journal()
    unit.wait_for("what takes too much is ended", lambda: unit.apps()["greedy"]["restarts"])
    assert "active" == unit.show("ActiveState")


@with_subgroups
def test_limits_are_held(unit: Unit) -> None:
    """They stand in the kernel's files, below the unit and beside the daemon."""
    unit.start(worker("a", **LIMITS))
    place = cgroup_of(unit.wait_for_state("a", "ready").pid)
    assert LIMITS_HELD == {file: place[file] for file in LIMITS_HELD}
    assert unit.cgroup.path in place.path.parents
    assert unit.cgroup.path / "torpor-daemon" == cgroup_of(unit.daemon.pid).path


@with_subgroups
def test_a_death_for_memory_is_the_apps_own_affair(unit: Unit) -> None:
    """The kernel kills an app at its limit; neither the daemon nor the unit ends for it."""
    unit.start(worker("a") + worker("greedy", GREEDY, memory_max="32MB"))
    daemon = unit.daemon
    process = unit.wait_for_state("a", "ready")
    unit.wait_for("it was started again", lambda: unit.apps()["greedy"]["restarts"])
    assert "the kernel killed it at memory_max" in unit.journal()
    assert ("active", daemon) == (unit.show("ActiveState"), unit.daemon)
    assert process.alive


@with_subgroups
def test_limits_and_a_crash(unit: Unit) -> None:
    """What is limited outlives the daemon, stays limited, and the next daemon starts beside it."""
    unit.start(worker("a", **LIMITS))
    process = unit.wait_for_state("a", "ready")
    unit.crash()
    assert process == unit.wait_for_state("a", "ready")
    place = cgroup_of(process.pid)
    assert LIMITS_HELD == {file: place[file] for file in LIMITS_HELD}
