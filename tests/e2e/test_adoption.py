"""The daemon dies, its apps live on, and the next daemon takes them on."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from e2e.apps import app, config, web
from e2e.client import Client
from e2e.harness import Daemon, Launch, Process, wait_for
from torpor.logs.index import START, load
from torpor.logs.segments import index_of

COUNTER = Path(__file__).parent / "programs" / "counter.py"
SERVERS = 20
WORKERS = 30


def counter(name: str, *options: str, **settings: object) -> str:
    """A worker that writes numbered lines."""
    known = {"routes": [], "always_on": True, "backoff": {"initial": "10ms"}}
    return app(name, [sys.executable, "-S", str(COUNTER), *options], **{**known, **settings})


def lines(daemon: Daemon, name: str) -> list[int]:
    """The numbers of the lines in an app's log since its last start, the last one whole."""
    path = daemon.home / "state" / "logs" / f"{name}.log"
    *_, start = load(index_of(str(path))).marks(START)
    text = path.read_bytes()[start.offset :].decode()
    return [int(line.removeprefix("line ")) for line in text.split("\n")[:-1]]


def wait_for_lines(daemon: Daemon, name: str, count: int) -> None:
    """Wait until it has written more than so many lines."""
    wait_for(f"{name} goes on", lambda: len(lines(daemon, name)) > count)


def all_ready(daemon: Daemon) -> dict[str, dict[str, Any]]:
    """Wait until every app is ready; their facts."""

    def look() -> dict[str, dict[str, Any]] | None:
        apps = daemon.apps()
        return apps if all(one["state"] == "ready" for one in apps.values()) else None

    return wait_for("all apps are ready", look)


def processes(apps: dict[str, dict[str, Any]]) -> dict[str, Process]:
    """The main processes of the apps."""
    return {name: Process.of(one["pid"]) for name, one in apps.items()}


def wait_until_written(daemon: Daemon, name: str, **facts: object) -> None:
    """Wait until the state file tells these facts of an app."""

    def look() -> bool:
        path = daemon.home / "state" / "state.json"
        remembered = (
            json.loads(path.read_text(encoding="utf-8"))["apps"].get(name, {}) if path.exists() else {}
        )
        return facts.items() <= remembered.items()

    wait_for(f"{facts} of {name} is written down", look)


@contextmanager
def light_load(daemon: Daemon, hosts: list[str]) -> Iterator[None]:
    """Somebody asks one app after another, whether anybody answers or not."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            for host in hosts:
                try:
                    Client(daemon.port, host).request()
                except OSError:
                    over.wait(0.01)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_fifty_apps_survive_a_kill(launch: Launch, home: Path) -> None:
    """Killed under load, the daemon takes no app along; the next one goes on with all of them where it ended."""
    servers = [f"web{number}" for number in range(SERVERS)]
    workers = [f"worker{number}" for number in range(WORKERS)]
    daemon = launch(
        config(
            *(web(name, always_on=True, readiness={"http": "/"}) for name in servers),
            *(counter(name) for name in workers[1:]),
            counter(workers[0], f"--break-once={home / 'broke'}"),
        )
    )
    wait_until_written(daemon, workers[0], restarts=1, generation=2)
    before = all_ready(daemon)
    running = processes(before)
    with light_load(daemon, [f"{name}.localhost" for name in servers]):
        daemon.kill()
        assert all(process.alive for process in running.values())
        written = {name: len(lines(daemon, name)) for name in workers}
        daemon.start()
        after = all_ready(daemon)
    for name, process in running.items():
        assert process == Process.of(after[name]["pid"]), name
        assert before[name]["generation"] == after[name]["generation"], name
        assert before[name]["restarts"] == after[name]["restarts"], name
        assert before[name]["port"] == after[name]["port"], name
    assert (2, 1) == (after[workers[0]]["generation"], after[workers[0]]["restarts"])
    for name in servers:
        assert f"pid {running[name].pid}\n" == Client(daemon.port, f"{name}.localhost").request().text
    for name in workers:
        wait_for_lines(daemon, name, written[name] + 5)
        found = lines(daemon, name)
        assert found[0] == 0
        assert all(second == first + 1 for first, second in pairwise(found)), name
    assert 0 == daemon.stop()
    assert [] == [name for name, process in running.items() if process.alive]
    assert [] == list((daemon.home / "state" / "run").glob("*.json"))


def test_killed_while_an_app_starts(launch: Launch, home: Path) -> None:
    """Its start goes on under the next daemon: the same process becomes ready."""
    daemon = launch(config(web("web", f"--listen-after={home / 'go'}", always_on=True)))
    pid = daemon.wait_for_state("web", "starting")["pid"]
    process = Process.of(wait_for("it has a pid", lambda: pid or daemon.apps()["web"]["pid"]))
    daemon.kill()
    daemon.start()
    assert process.pid == daemon.wait_for_state("web", "starting")["pid"]
    (home / "go").touch()
    assert process == Process.of(daemon.wait_for_state("web", "ready")["pid"])


def test_killed_while_an_app_stops(launch: Launch, home: Path) -> None:
    """The operator's wish outlives the daemon: what was to stop is stopped by the next one."""
    daemon = launch(config(web("web", f"--stop-after={home / 'go'}", always_on=True)))
    process = Process.of(daemon.wait_for_state("web", "ready")["pid"])
    daemon.cli("stop", "web", "--no-wait")
    daemon.wait_for_state("web", "stopping")
    wait_until_written(daemon, "web", want="down")
    daemon.kill()
    assert process.alive
    daemon.start()
    (home / "go").touch()
    facts = daemon.wait_for_state("web", "asleep")
    assert "down" == facts["want"]
    assert not process.alive


def test_an_app_that_dies_while_no_daemon_runs(launch: Launch) -> None:
    """The next daemon starts it anew, after it has ended what the dead one left."""
    program = [
        sys.executable,
        "-c",
        "import subprocess, time; print(subprocess.Popen(['sleep', '1000']).pid, flush=True); time.sleep(1000)",
    ]
    daemon = launch(config(app("forks", program, routes=[], always_on=True)))
    facts = daemon.wait_for_state("forks", "ready")
    log = daemon.home / "state" / "logs" / "forks.log"
    wait_for("it tells its child", lambda: log.read_text(encoding="utf-8").count("\n") >= 1)
    child = Process.of(int(log.read_text(encoding="utf-8").splitlines()[-1]))
    main = Process.of(facts["pid"])
    wait_until_written(daemon, "forks", generation=1)
    daemon.kill()
    os.kill(main.pid, signal.SIGKILL)
    wait_for("it is dead", lambda: not main.alive)
    assert child.alive
    daemon.start()
    facts = daemon.wait_for_state("forks", "ready")
    assert (True, 2) == (facts["pid"] != main.pid, facts["generation"])
    assert not child.alive


def test_the_end_of_an_adopted_app_is_told(launch: Launch, home: Path) -> None:
    """Its exit status is known, though it was never our child, and it is restarted."""
    daemon = launch(config(counter("worker", f"--break-after={home / 'break'}")))
    process = Process.of(daemon.wait_for_state("worker", "ready")["pid"])
    daemon.kill()
    daemon.start()
    daemon.wait_for_state("worker", "ready")
    (home / "break").touch()
    daemon.wait_for_output(r"worker.*exited with code 4")
    (home / "break").unlink()
    wait_for("a new process runs", lambda: daemon.wait_for_state("worker", "ready")["pid"] != process.pid)


def _states(daemon: Daemon, name: str) -> list[str]:
    return [instance["state"] for instance in daemon.apps()[name]["instances"]]


def test_an_app_that_is_not_configured_any_more_is_ended(launch: Launch) -> None:
    """What the configuration does not know is ended, with a line in the log."""
    daemon = launch(config(counter("one"), counter("two", replicas=2)))
    wait_for("both replicas run", lambda: _states(daemon, "two") == ["ready", "ready"])
    one = Process.of(daemon.wait_for_state("one", "ready")["pid"])
    daemon.kill()
    daemon.write_config(config(counter("two")))
    daemon.start()
    daemon.wait_for_output(r"one runs, but is not configured any more")
    daemon.wait_for_output(r"two/1 runs, but is not configured any more")
    assert not one.alive
    assert "ready" == daemon.wait_for_state("two", "ready")["state"]


def test_down_may_keep_the_apps(launch: Launch) -> None:
    """`down --keep-apps` leaves them, and the next daemon goes on with them."""
    daemon = launch(config(counter("worker")))
    process = Process.of(daemon.wait_for_state("worker", "ready")["pid"])
    assert 0 == daemon.cli("down", "--keep-apps").code
    assert 0 == daemon.wait()
    assert process.alive
    daemon.start()
    assert process.pid == daemon.wait_for_state("worker", "ready")["pid"]


def test_hooks_do_not_run_beside_themselves(launch: Launch, home: Path) -> None:
    """What a killed daemon had begun before an app or after it is ended before the next daemon begins it anew."""
    hook = "echo $$$$ >> {}; until [ -e go ]; do sleep 0.01; done"
    daemon = launch(
        config(
            counter(
                "before", pre_start={"command": hook.format("before"), "shell": True}, working_dir=str(home)
            ),
            counter(
                "after",
                "--break-once=broke",
                working_dir=str(home),
                post_stop={"command": hook.format("after"), "shell": True},
            ),
        )
    )

    def pids(name: str, count: int) -> list[int]:
        def look() -> list[int] | None:
            path = home / name
            found = path.read_text(encoding="utf-8").split() if path.exists() else []
            return [int(pid) for pid in found] if len(found) == count else None

        return wait_for(f"{name} has run {count} times", look)

    hooks = [Process.of(pids("before", 1)[0]), Process.of(pids("after", 1)[0])]
    daemon.kill()
    assert all(hook.alive for hook in hooks)

    daemon.start()

    pids("before", 2)
    daemon.wait_for_state("after", "ready")
    assert not any(hook.alive for hook in hooks)
    (home / "go").touch()
    all_ready(daemon)


def test_what_has_run_once_does_not_run_again(launch: Launch, home: Path) -> None:
    """A crash of the daemon repeats no migration; an orderly end and a new beginning do."""
    once = {"shell": True, "restart": "no", "working_dir": str(home), "routes": []}
    daemon = launch(
        config(
            app("migrate", "echo run >> migrations", **once),
            app("once", "echo run >> runs", always_on=True, **once),
            counter("api", depends_on={"migrate": "completed_successfully"}),
        )
    )

    def runs(count: int) -> None:
        daemon.wait_for_state("once", "done")
        daemon.wait_for_state("api", "ready")
        for name in ("runs", "migrations"):
            assert ["run"] * count == (home / name).read_text(encoding="utf-8").split()

    daemon.wait_for_state("once", "done")
    ended = [{"code": 0, "signal": None, "note": ""}]
    wait_until_written(daemon, "once", completed=ended)
    wait_until_written(daemon, "migrate", completed=ended)
    runs(1)

    daemon.kill()
    daemon.start()
    runs(1)

    daemon.stop()
    daemon.start()
    runs(2)


def test_a_line_that_was_seen_counts_for_the_next_daemon(launch: Launch) -> None:
    """An app that is ready by a line is, though the line has left the log long ago."""
    text = "import itertools, time\nprint('listening', flush=True)\nfor n in itertools.count():\n print('x' * 200, n, flush=True); time.sleep(0.001)"
    daemon = launch(
        config(
            app(
                "chatty",
                [sys.executable, "-S", "-c", text],
                readiness={"log": "listening"},
                always_on=True,
                log={"max_size": "64K", "keep": 1},
                start_timeout="3s",
                restart="no",
                routes=[],
            )
        )
    )
    before = daemon.wait_for_state("chatty", "ready")
    logs = daemon.home / "state" / "logs"

    def gone() -> bool:
        try:
            return not any("listening" in file.read_text(encoding="utf-8") for file in logs.glob("chatty*"))
        except FileNotFoundError:  # it was removed while we looked
            return False

    wait_for("the line is gone", gone)
    daemon.kill()
    daemon.start()

    assert before["pid"] == daemon.wait_for_state("chatty", "ready")["pid"]


def test_a_change_made_while_no_daemon_ran_is_taken_over(launch: Launch) -> None:
    """What runs with settings of another time is started anew with those of now, and the event says which."""
    daemon = launch(config(app("work", "sleep 1000", always_on=True, routes=[])))
    before = daemon.wait_for_state("work", "ready")
    daemon.kill()
    daemon.write_config(config(app("work", "sleep 2000", always_on=True, routes=[])))
    daemon.start()

    after = wait_for(
        "the new one runs",
        lambda: (now := daemon.apps()["work"])["state"] == "ready" and now["generation"] == 2 and now,
    )

    assert before["pid"] != after["pid"]
    assert b"2000" in Path(f"/proc/{after['pid']}/cmdline").read_bytes()
    daemon.wait_for_output("there was a change of command")
