"""The daemon as somebody else's service."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

from e2e.harness import PATIENCE, Daemon, Launch, Process, wait_for

CONFIG = """
gateway: {listen: GATEWAY}
apps:
  work:
    command: sleep 1000
    always_on: true
"""


def test_it_speaks_sd_notify_itself(home: Path) -> None:
    """It says that it is up, gives signs of life, and says that it is about to end; its apps hear nothing of it."""
    daemon = Daemon(home / "0", CONFIG)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(home / "n"))
        supervisor.settimeout(PATIENCE)
        environment = daemon.environment | {"NOTIFY_SOCKET": str(home / "n"), "WATCHDOG_USEC": "100000"}
        process = subprocess.Popen(
            [sys.executable, "-m", "torpor", "up", "-c", daemon.config],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            assert b"READY=1\nSTATUS=runs 1 app" == supervisor.recv(4096)
            assert [b"WATCHDOG=1"] * 3 == [supervisor.recv(4096) for _ in range(3)]
            pid = daemon.apps()["work"]["pid"]
            assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE)

        said = b""
        while said != b"STOPPING=1":
            said = supervisor.recv(4096)
        assert 0 == code


def test_it_takes_the_files_it_may_have_and_passes_none_on(home: Path) -> None:
    """With the usual soft limit a crowd does not starve the daemon, and apps see the limit that it was given."""
    daemon = Daemon(home / "0", CONFIG)
    process = subprocess.Popen(
        [
            "sh",
            "-c",
            'ulimit -Sn 256; exec "$@"',
            "sh",
            sys.executable,
            "-m",
            "torpor",
            "up",
            "-c",
            daemon.config,
        ],
        env=daemon.environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        work = wait_for("the app runs", lambda: _pid_of("work", daemon))

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert (hard, hard) == resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert (256, hard) == resource.prlimit(work, resource.RLIMIT_NOFILE)
    finally:
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(PATIENCE)


def _pid_of(app: str, daemon: Daemon) -> int | None:
    try:
        pid: int | None = daemon.apps()[app]["pid"]
    except OSError:
        return None
    return pid


HANGING = """
gateway: {listen: GATEWAY}
apps:
  before:
    command: touch started
    always_on: true
    pre_start: {command: "touch before; exec sleep 1000", shell: true, timeout: 1000s}
  after:
    command: sleep 1000
    always_on: true
    post_stop: {command: "echo $$$$ > after; exec sleep 1000", shell: true, timeout: 1000s}
"""


def test_a_stop_interrupts_what_comes_before_the_app(home: Path, launch: Launch) -> None:
    """An operator's stop does not wait for a hook, and nothing is started after it."""
    daemon = launch(HANGING.replace("command: sleep 1000\n    always_on: true", "command: sleep 1000"))
    wait_for("the hook runs", (home / "0" / "before").exists)

    stopped = daemon.cli("stop", "before")

    assert 0 == stopped.code, stopped.err
    daemon.wait_for_state("before", "asleep")
    assert not (home / "0" / "started").exists()


def test_the_third_term_waits_for_nobody(home: Path, launch: Launch) -> None:
    """Whoever asks three times is in a hurry: a hook is not waited for, but ended."""
    daemon = launch(HANGING)
    daemon.wait_for_state("after", "ready")
    wait_for("the hook runs", (home / "0" / "before").exists)

    daemon.signal(signal.SIGTERM)
    after = home / "0" / "after"
    hook = Process.of(
        int(wait_for("the last hook runs", lambda: after.read_text() if after.exists() else ""))
    )

    def ended() -> bool:
        if daemon.running:
            daemon.signal(signal.SIGTERM)
        return not daemon.running

    # Two that come at once are one.
    wait_for("it ends", ended)
    daemon.wait()
    assert not hook.alive
