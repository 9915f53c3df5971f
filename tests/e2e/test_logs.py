"""Logs as their reader sees them: through rotations, restarts and deaths of the daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.apps import app, config
from e2e.harness import Daemon, Launch, wait_for

TWO_VOICES = "i=0; while [ $i -lt 2000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; exec sleep 1000"


def worker(name: str, command: str, **settings: object) -> str:
    """An app that nobody visits."""
    return app(name, command, shell=True, routes=[], always_on=True, **settings)


@contextmanager
def following(daemon: Daemon, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`torpor logs -f` in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "torpor", "logs", "-f", *options],
        env={**os.environ, "TORPOR_SOCKET": str(daemon.socket), "TORPOR_HOME": str(daemon.home / "state")},
        stdout=subprocess.PIPE,
        text=True,
    ) as viewer:
        try:
            yield viewer
        finally:
            viewer.kill()


def written(daemon: Daemon, name: str) -> str:
    """All that a stream has on disk; nothing while a segment gets its number."""
    folder = daemon.home / "state" / "logs"
    try:
        return "".join(
            path.read_text() for path in [*sorted(folder.glob(f"{name}.log.*")), folder / f"{name}.log"]
        )
    except FileNotFoundError:
        return ""


def test_both_streams_survive_a_killed_daemon(launch: Launch, home: Path) -> None:
    """With `stderr: separate` both are kept apart and whole, although the daemon dies while the app writes."""
    text = "read line <go; " + TWO_VOICES
    os.mkfifo(home / "go")
    separate = {"stderr": "separate", "max_size": "2K", "keep": 100}
    daemon = launch(config(worker("job", text, working_dir=str(home), log=separate)))
    daemon.wait_for_state("job", "ready")  # before, no record may speak of it yet
    os.write(os.open(home / "go", os.O_RDWR), b"\n")
    wait_for("it writes", lambda: len(written(daemon, "job")) > 3000)
    daemon.kill()
    assert daemon.cli("logs", "job", "--grep", "out 0$").out.splitlines() == ["out 0"]  # without a daemon
    daemon.start()
    wait_for("all is there", lambda: written(daemon, "job").endswith("out 1999\n"))
    wait_for("all is there", lambda: written(daemon, "job.stderr").endswith("err 1999\n"))
    assert "".join(f"out {n}\n" for n in range(2000)) == written(daemon, "job")
    assert "".join(f"err {n}\n" for n in range(2000)) == written(daemon, "job.stderr")
    last = [
        json.loads(line)
        for line in daemon.cli("logs", "job", "--stream", "stderr", "-n", "2", "--json").out.splitlines()
    ]
    assert [("stderr", "err 1998"), ("stderr", "err 1999")] == [(one["stream"], one["line"]) for one in last]
    assert 4000 == len(daemon.cli("logs", "job", "-n", "10000").out.splitlines())


def test_following_over_rotations_and_restarts(launch: Launch, home: Path) -> None:
    """Every line comes once, the past first, through new files and a new run."""
    os.mkfifo(home / "go")
    go = os.open(home / "go", os.O_RDWR)
    text = "echo run $TORPOR_GENERATION; read line <go; seq 1000; echo end; exec sleep 1000"
    daemon = launch(config(worker("job", text, working_dir=str(home), log={"max_size": "500B", "keep": 100})))
    wait_for("it runs", lambda: daemon.cli("logs", "job").out == "run 1\n")
    with following(daemon, "job") as viewer:
        assert viewer.stdout is not None
        assert "run 1\n" == viewer.stdout.readline()
        expected = [*(f"{number}\n" for number in range(1, 1001)), "end\n"]
        os.write(go, b"\n")
        assert expected == [viewer.stdout.readline() for _ in expected]
        daemon.cli("restart", "job")
        assert "run 2\n" == viewer.stdout.readline()
        os.write(go, b"\n")
        assert expected == [viewer.stdout.readline() for _ in expected]
    os.close(go)
    assert ["run 1", "run 2"] == daemon.cli("logs", "job", "--grep", "run").out.splitlines()
    assert ["1000", "end"] == daemon.cli("logs", "job", "--previous", "-n", "2").out.splitlines()


def test_replicas_speak_each_for_itself(launch: Launch) -> None:
    """All of them by the app's name, behind their own; one by its number; none by a wrong one."""
    text = "echo I am $TORPOR_REPLICA; exec sleep 1000"
    daemon = launch(config(worker("job", text, replicas=3)))
    wait_for("all have spoken", lambda: 3 == len(daemon.cli("logs", "job").out.splitlines()))
    assert ["job   | I am 0", "job/1 | I am 1", "job/2 | I am 2"] == sorted(
        daemon.cli("logs", "job").out.splitlines()
    )
    assert "I am 1\n" == daemon.cli("logs", "job/1").out
    wrong = daemon.cli("logs", "job/7")
    assert (4, "torpor: job has no replica 7\nhint: It has job, job/1, job/2.\n") == (wrong.code, wrong.err)


def test_a_viewer_that_never_reads_holds_nobody_up(launch: Launch, home: Path) -> None:
    """The app writes megabytes while `logs -f` stands still."""
    os.mkfifo(home / "go")
    text = "echo up; read line <go; seq 1000000; echo end; exec sleep 1000"
    daemon = launch(config(worker("job", text, working_dir=str(home))))
    wait_for("it runs", lambda: daemon.cli("logs", "job").out == "up\n")
    with following(daemon, "job") as viewer:
        assert viewer.stdout is not None
        assert "up\n" == viewer.stdout.readline()
        go = os.open(home / "go", os.O_RDWR)  # held open, for what is written must outlast a late reader
        os.write(go, b"\n")
        wait_for("it has written all", lambda: daemon.cli("logs", "job", "-n", "1").out == "end\n")
        os.close(go)


def test_what_the_disk_refuses_is_shown(launch: Launch, home: Path) -> None:
    """An app whose log cannot be written runs on, and `status` and `show` say what is lost."""
    logs = home / "0" / "state" / "logs"
    logs.mkdir(parents=True)
    (logs / "job.log").symlink_to("/dev/full")
    daemon = launch(config(worker("job", "seq 1000; exec sleep 1000")))

    def degraded() -> bool:
        (one,) = daemon.cli("status", "--json").json
        return bool(one["log_degraded"] and one["log_lost"] == 3893 and one["pid"])

    wait_for("it is told", degraded)
    assert "cannot be written: No space left on device; 4K of output lost" in daemon.cli("show", "job").out
