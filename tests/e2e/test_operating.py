"""The command line and the daemon's own life, end to end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from e2e.apps import app, config, example, web
from e2e.client import Client
from e2e.harness import Daemon, Launch, Process, wait_for
from torpor.runtime.ownlog import LIMIT

FACTS = {
    "name",
    "state",
    "pid",
    "port",
    "generation",
    "restarts",
    "rss",
    "idle_in",
    "routes",
    "want",
    "reason",
}


def test_up_prints_where_to_go_and_what_happens(launch: Launch) -> None:
    """In the foreground it names the URLs and tells live who woke what, when it was ready, when it slept."""
    daemon = launch(config(example("api", idle_timeout="500ms")))
    daemon.wait_for_output(rf"http://api\.localhost:{daemon.port}")

    Client(daemon.port, "api.localhost").request("/hello/you")

    daemon.wait_for_output(r"api.*woken by.*GET /hello/you")
    daemon.wait_for_output(r"api.*ready after \d")
    daemon.wait_for_output(r"api.*asleep.*no request for")
    assert 0 == daemon.stop()


def test_a_start_that_fails_says_why(launch: Launch) -> None:
    """A mistyped program is named in the terminal; whoever knocked learns that there is no start."""
    daemon = launch(config(app("web", "frobnicate --now")))

    answer = Client(daemon.port, "web.localhost").request()

    assert (503, "start-failed") == (answer.status, answer.headers["x-torpor"])
    assert "could not be started" in answer.text
    assert "frobnicate" not in answer.text
    daemon.wait_for_output(r"web.*frobnicate")


def test_a_start_that_takes_too_long_says_so(launch: Launch, home: Path) -> None:
    """Not ready within `start_timeout` is a failure with that reason."""
    daemon = launch(config(web("web", f"--listen-after={home / 'never'}", start_timeout="300ms")))

    answer = Client(daemon.port, "web.localhost").request()

    assert (504, "start-timeout") == (answer.status, answer.headers["x-torpor"])
    daemon.wait_for_output(r"web.*not ready within 300")


def test_status_tells_the_promised_facts(launch: Launch) -> None:
    """`status --json` is a list of objects that programs can rely on; names and `ls` work too."""
    daemon = launch(config(example("api"), example("clock")))
    Client(daemon.port, "api.localhost").request()

    facts = daemon.cli("status", "--json").json

    assert ["api", "clock"] == [one["name"] for one in facts]
    assert set() == FACTS - facts[0].keys()
    assert ("ready", 1, ["api.localhost"]) == (facts[0]["state"], facts[0]["generation"], facts[0]["routes"])
    assert ("asleep", None) == (facts[1]["state"], facts[1]["pid"])
    assert facts[0]["rss"] > 1_000_000
    table = daemon.cli("ls").out
    assert "api" in table
    assert "clock.localhost" in table


def test_status_wakes_nothing(launch: Launch) -> None:
    """Looking is not knocking."""
    daemon = launch(config(example("api")))

    daemon.cli("status")
    daemon.cli("status", "api")
    daemon.cli("show", "api")

    assert 0 == daemon.apps()["api"]["generation"]


def test_the_verbs_do_what_they_say(launch: Launch) -> None:
    """wake, restart, sleep, stop and start return when it is done, and say so by their exit code."""
    daemon = launch(config(example("api")))

    def after(*command: str) -> tuple[int, str, str, int]:
        code = daemon.cli(*command, "api").code
        facts = daemon.apps()["api"]
        return code, facts["state"], facts["want"], facts["generation"]

    assert (0, "ready", "auto", 1) == after("wake")
    assert (0, "ready", "auto", 2) == after("restart")
    assert (0, "asleep", "auto", 2) == after("sleep")
    assert (0, "asleep", "down", 2) == after("stop")
    assert 0 == daemon.cli("start", "api").code
    started = daemon.apps()["api"]
    assert ("ready", 3) == (started["state"], started["generation"])
    assert started["want"] != "down"


def test_exit_codes_tell_programs_what_happened(launch: Launch, home: Path) -> None:
    """3: `status` of an app that should run and does not.  4: no such app.  2: usage.  124: too late."""
    daemon = launch(config(example("api"), web("web", f"--listen-after={home / 'never'}")))

    assert 0 == daemon.cli("status").code
    assert 0 == daemon.cli("status", "api").code, "asleep on purpose is well"
    daemon.cli("stop", "api")
    assert 3 == daemon.cli("status", "api").code
    assert 4 == daemon.cli("status", "apy").code
    assert 4 == daemon.cli("start", "apy").code
    assert 2 == daemon.cli("frobnicate").code
    assert 124 == daemon.cli("wake", "--timeout", "300ms", "web").code


def test_a_near_miss_is_suggested(launch: Launch) -> None:
    """Who mistypes an app's name is told which one was probably meant, on stderr."""
    daemon = launch(config(example("api")))

    ran = daemon.cli("wake", "apy")

    assert "" == ran.out
    assert "api" in ran.err


def test_without_a_daemon_the_command_line_says_so(home: Path) -> None:
    """Exit 7, and a hint at how to start one."""
    ran = Daemon(home, config(example("api"))).cli("status")

    assert 7 == ran.code
    assert "torpor up" in ran.err


def test_a_bad_file_is_refused_with_all_of_its_problems(home: Path) -> None:
    """`config check` names each problem with file, line and column and exits 6; `up` exits 78."""
    daemon = Daemon(
        home,
        "apps:\n"
        "  notes:\n"
        "    comand: streamlit run app.py\n"
        "    idle_timeout: 30\n"
        "    routes: [notes.localhost]\n"
        "  api:\n"
        "    command: uvicorn api:app\n"
        "    routes: [notes.localhost]\n",
    )

    check = daemon.cli("config", "check", str(daemon.config))

    assert 6 == check.code
    problems = check.out + check.err
    assert "torpor.yaml:3:5" in problems
    assert "command" in problems
    assert "torpor.yaml:4:" in problems
    assert "torpor.yaml:8:" in problems
    assert 78 == daemon.cli("up", "-c", str(daemon.config)).code


def test_a_good_file_passes_the_check(home: Path) -> None:
    """`config check` of a valid file exits 0; the schema for editors is JSON."""
    daemon = Daemon(home, config(example("api")))

    assert 0 == daemon.cli("config", "check", str(daemon.config)).code
    assert "properties" in daemon.cli("config", "schema").json


def test_logs_show_what_the_app_wrote_in_this_and_the_previous_life(launch: Launch, home: Path) -> None:
    """`logs` prints the current generation's lines, `--previous` those of the one before."""
    count = "n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) > n; echo life $((n+1)); exec sleep 1000"
    daemon = launch(
        config(app("worker", count, shell=True, working_dir=str(home), routes=[], readiness={"log": "life"}))
    )

    daemon.cli("wake", "worker")
    assert ["life 1"] == daemon.cli("logs", "worker").out.splitlines()
    daemon.cli("restart", "worker")

    assert ["life 2"] == daemon.cli("logs", "worker").out.splitlines()
    assert ["life 1"] == daemon.cli("logs", "--previous", "worker").out.splitlines()


def test_events_tell_the_story_of_a_wake(launch: Launch) -> None:
    """`events --json` is one object per line, in order, and names who knocked."""
    daemon = launch(config(example("api")))
    Client(daemon.port, "api.localhost").request("/hello/you")

    lines = daemon.cli("events", "--json").out.splitlines()

    assert any("GET /hello/you" in line for line in lines)
    assert any('"ready"' in line for line in lines)


def test_what_was_decided_and_learnt_survives_a_restart(launch: Launch) -> None:
    """want, the generation, and the measured time of wakes are there again in the next daemon."""
    daemon = launch(config(example("api"), example("clock")))
    daemon.cli("wake", "api")
    daemon.cli("stop", "clock")
    eta = daemon.apps()["api"]["eta"]
    assert eta > 0

    assert 0 == daemon.stop()
    daemon.start()

    facts = daemon.apps()
    assert ("asleep", 1, eta) == tuple(facts["api"][key] for key in ("state", "generation", "eta"))
    assert "down" == facts["clock"]["want"]
    assert 503 == Client(daemon.port, "clock.localhost").request().status


def test_restarts_are_counted_over_the_life_of_the_daemon(launch: Launch, home: Path) -> None:
    """An app that crashes is started again, and the count survives the daemon."""
    daemon = launch(
        config(app("worker", "sleep 1000", routes=[], always_on=True, readiness={"delay": "1ms"}))
    )
    worker = Process.of(daemon.wait_for_state("worker", "ready")["pid"])

    worker.kill()
    wait_for("it was restarted", lambda: daemon.apps()["worker"]["restarts"] == 1)
    daemon.wait_for_state("worker", "ready")
    daemon.stop()
    daemon.start()

    assert 1 == daemon.apps()["worker"]["restarts"]


def test_an_orderly_end_ends_the_apps(launch: Launch) -> None:
    """Ctrl-C stops every app before the daemon goes."""
    daemon = launch(config(example("api")))
    daemon.cli("wake", "api")
    api = Process.of(daemon.apps()["api"]["pid"])

    assert 0 == daemon.stop()

    assert not api.alive


def test_a_killed_daemon_takes_no_app_with_it(launch: Launch) -> None:
    """SIGKILL of the daemon leaves the apps alive and answering."""
    daemon = launch(config(example("api")))
    Client(daemon.port, "api.localhost").request()
    facts = daemon.apps()["api"]
    api = Process.of(facts["pid"])

    daemon.kill()

    try:
        assert api.alive
        assert 200 == Client(facts["port"], "api.localhost").request().status
    finally:
        api.kill()


def test_a_second_daemon_on_the_same_home_is_refused(launch: Launch) -> None:
    """Two owners of one state directory would fight: the second says so and leaves the first alone."""
    daemon = launch(config(example("api")))

    ran = daemon.cli("up", "-c", str(daemon.config))

    assert ran.code not in {0, 78}
    assert ran.err != ""
    assert 200 == Client(daemon.port, "api.localhost").request().status


def test_up_in_the_background_and_down(home: Path) -> None:
    """`up -d` returns once the daemon answers; `down` ends it and its apps."""
    daemon = Daemon(home, config(example("api")))

    assert 0 == daemon.cli("up", "-d", "-c", str(daemon.config)).code
    try:
        assert 200 == Client(daemon.port, "api.localhost").request().status
        api = Process.of(daemon.apps()["api"]["pid"])
    finally:
        assert 0 == daemon.cli("down").code

    assert not api.alive
    assert 7 == daemon.cli("status").code


def test_the_log_of_a_daemon_in_the_background_is_bounded(home: Path) -> None:
    """It is put aside while the daemon runs, not only by the next one."""
    daemon = Daemon(home, config(example("api")))
    log = home / "state" / "daemon.log"
    log.parent.mkdir(parents=True)
    log.touch()
    os.truncate(log, LIMIT - 1)

    assert 0 == daemon.cli("up", "-d", "-c", str(daemon.config)).code
    assert 0 == daemon.cli("down").code

    assert "stopping all apps" in log.read_text()
    assert LIMIT <= Path(f"{log}.1").stat().st_size < LIMIT + 1024


def test_term_is_an_orderly_end_too(launch: Launch) -> None:
    """An init system's SIGTERM is answered like Ctrl-C."""
    daemon = launch(config(example("api")))

    daemon.signal(signal.SIGTERM)

    assert 0 == daemon.wait()
