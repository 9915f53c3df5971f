"""Apps that speak for themselves (sd_notify), end to end."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import torpor
from e2e.apps import app, config
from e2e.harness import Launch, Process, wait_for

SPEAKING = Path(__file__).parent / "programs" / "speaking.py"
QUIET = {"routes": [], "always_on": True, "backoff": {"initial": "10ms"}}


def speaking(*words: str, **settings: object) -> str:
    """An app that says these words, one after the other, each once its file exists."""
    known = {
        **QUIET,
        "readiness": {"notify": True},
        "environment": {"PYTHONPATH": str(Path(torpor.__file__).parents[1])},
    }
    return app("speaker", [sys.executable, str(SPEAKING), *words], **{**known, **settings})


def test_an_app_says_when_it_is_ready_and_what_it_does(launch: Launch, home: Path) -> None:
    """READY=1 makes it ready and not before; STATUS is shown; both outlive the daemon."""
    daemon = launch(config(speaking(f"{home}/1:status:warming up", f"{home}/2:ready:")))
    (home / "1").touch()
    wait_for("its status is shown", lambda: daemon.apps()["speaker"]["status"] == "warming up")
    assert "starting" == daemon.apps()["speaker"]["state"]
    (home / "2").touch()
    pid = daemon.wait_for_state("speaker", "ready")["pid"]
    daemon.kill()
    daemon.start()
    assert pid == daemon.wait_for_state("speaker", "ready")["pid"]


def test_more_time_is_granted_to_who_asks(launch: Launch, home: Path) -> None:
    """EXTEND_TIMEOUT_USEC holds up the start timeout."""
    daemon = launch(
        config(
            speaking(":extend_timeout:60", f"{home}/1:status:asked", f"{home}/2:ready:", start_timeout="5s")
        )
    )
    pid = wait_for("it runs", lambda: daemon.apps()["speaker"]["pid"])
    age = Process.of(pid)
    (home / "1").touch()
    wait_for("it has asked", lambda: daemon.apps()["speaker"]["status"] == "asked")
    wait_for("its start timeout has passed", lambda: daemon.apps()["speaker"]["uptime"] > 5.5)
    assert age.alive
    (home / "2").touch()
    assert pid == daemon.wait_for_state("speaker", "ready")["pid"]


def test_a_silent_app_is_restarted_under_the_next_daemon_too(launch: Launch, home: Path) -> None:
    """The watchdog goes on after an adoption: without a sign of life the app is replaced."""
    daemon = launch(config(speaking(":ready:", f"{home}/1:status:silent", watchdog="2s")))
    first = Process.of(daemon.wait_for_state("speaker", "ready")["pid"])
    daemon.kill()
    daemon.start()
    assert first.pid == daemon.wait_for_state("speaker", "ready")["pid"]
    wait_for("it is replaced", lambda: not first.alive)
    second = wait_for("another one runs", lambda: daemon.wait_for_state("speaker", "ready"))
    assert second["pid"] != first.pid


def test_an_app_may_trigger_its_watchdog(launch: Launch, home: Path) -> None:
    """WATCHDOG=trigger ends it as unhealthy, and it is started again."""
    words = (":ready:", f"{home}/1:send:WATCHDOG=trigger")
    daemon = launch(config(speaking(*words)))
    first = Process.of(daemon.wait_for_state("speaker", "ready")["pid"])
    (home / "1").touch()
    wait_for("it is ended", lambda: not first.alive)
    (home / "1").unlink()
    wait_for("another one is ready", lambda: daemon.apps()["speaker"]["restarts"] >= 1)
    daemon.wait_for_state("speaker", "ready")
    assert "WATCHDOG=trigger" in daemon.cli("events", "speaker").out


def test_a_triggered_watchdog_that_is_to_be_ignored_is_only_told(launch: Launch, home: Path) -> None:
    """`on_watchdog: ignore` leaves the app alone: it goes on to say what it has to say."""
    words = (":ready:", ":send:WATCHDOG=trigger", f"{home}/1:status:still here")
    daemon = launch(config(speaking(*words, watchdog="60s", on_watchdog="ignore")))
    pid = daemon.wait_for_state("speaker", "ready")["pid"]
    (home / "1").touch()
    wait_for("it is heard", lambda: daemon.apps()["speaker"]["status"] == "still here")
    assert pid == daemon.apps()["speaker"]["pid"]
    assert "WATCHDOG=trigger" in daemon.cli("events", "speaker").out


@pytest.mark.parametrize("code", [0, 3])
def test_a_reboot_is_asked_for_once(launch: Launch, home: Path, code: int) -> None:
    """However many apps ask, and however often: one command, which is reaped; the apps are started again."""
    script = home / "reboot.sh"
    script.write_text(f"#!/bin/sh\necho $$ >> {home}/reboots\nexit {code}\n", encoding="utf-8")
    script.chmod(0o755)
    start = dict(QUIET, readiness={"notify": True}, on_start_timeout="reboot", start_timeout="100ms")
    silent = speaking(":ready:", watchdog="100ms", on_watchdog="reboot", restart="always")
    settings = f"allow_reboot: true\nreboot_command: {script}\n"
    daemon = launch(settings + config(silent, app("never", "sleep 1000", **start)))
    daemon.wait_for_output(f"the reboot command ended with code {code}")
    wait_for("both are started again", lambda: min(a["restarts"] for a in daemon.apps().values()) >= 2)
    (pid,) = (home / "reboots").read_text(encoding="ascii").split()
    assert not Path("/proc", pid).exists()


def test_a_reboot_command_that_cannot_be_run_is_told(launch: Launch) -> None:
    """The daemon goes on, and the app is started again."""
    silent = speaking(":ready:", watchdog="100ms", on_watchdog="reboot")
    daemon = launch("allow_reboot: true\nreboot_command: /nowhere/at/all\n" + config(silent))
    daemon.wait_for_output("cannot run the reboot command: .*/nowhere/at/all")
    wait_for("it is started again", lambda: daemon.apps()["speaker"]["restarts"] >= 1)


def test_a_reload_is_awaited(launch: Launch, home: Path) -> None:
    """`torpor reload` answers when the app has read its configuration again, and says if it ended instead."""
    program = f"""
import os, signal, sys
from torpor import notify

signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGHUP}})
notify.ready()
while True:
    signal.sigwait({{signal.SIGHUP}})
    notify.reloading()
    if os.path.exists("{home}/broken"):
        sys.exit(1)
    notify.ready("reloaded")
"""
    daemon = launch(
        config(
            app(
                "speaker",
                [sys.executable, "-c", program],
                **QUIET,
                readiness={"notify": True},
                reload_signal="HUP",
                environment={"PYTHONPATH": str(Path(torpor.__file__).parents[1])},
            )
        )
    )
    daemon.wait_for_state("speaker", "ready")
    assert 0 == daemon.cli("reload", "speaker").code
    assert "reloaded" == daemon.apps()["speaker"]["status"]
    (home / "broken").touch()
    failed = daemon.cli("reload", "speaker")
    assert 1 == failed.code
    assert "speaker ended before it was reloaded" in failed.err


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_redis(launch: Launch, home: Path) -> None:
    """A real program with nothing but its own option for systemd."""
    command = ["redis-server", "--port", "0", "--unixsocket", f"{home}/redis", "--supervised", "systemd"]
    daemon = launch(config(app("cache", command, **{**QUIET, "readiness": {"notify": True}})))
    facts = daemon.wait_for_state("cache", "ready")
    assert "Ready to accept connections" in facts["status"]
    assert (home / "redis").exists()
