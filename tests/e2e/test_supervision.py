"""Keeping running what must run: restarts, dependencies, replicas and signs of life, with real programs."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from e2e.apps import E2E, app, config, example, web
from e2e.client import Client
from e2e.harness import PATIENCE, Daemon, Launch, Process, UnixConnection, wait_for
from e2e.load import Load
from e2e.test_sleeping import websocket

OK = "HTTP/1.1 200 OK"


def member(name: str, diary: Path, *options: str, **settings: object) -> str:
    """An app that keeps a diary: see `programs/member.py`."""
    program = str(E2E / "programs" / "member.py")
    return app(name, [sys.executable, "-S", program, name, str(diary), *options], **settings)


def read(diary: Path) -> list[str]:
    """What the members wrote so far."""
    return diary.read_text(encoding="utf-8").splitlines() if diary.exists() else []


def post(daemon: Daemon, path: str) -> tuple[int, Any]:
    """A wish to the control API: the status and document of its answer."""
    connection = UnixConnection(daemon.socket, 60.0)
    try:
        connection.request("POST", f"/api/v1/apps/{path}", headers={"Content-Length": "0"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def events(daemon: Daemon, name: str) -> list[Any]:
    """What happened to an app."""
    return [json.loads(line) for line in daemon.cli("events", "--json", name).out.splitlines()]


@pytest.fixture
def diary(home: Path) -> Path:
    """Where the members of a test write."""
    return home / "diary"


# --- restart ------------------------------------------------------------------


def test_a_crash_is_followed_by_a_new_process_and_counted(launch: Launch, diary: Path) -> None:
    """An app that is to run is started again when it is killed: another process, one restart more."""
    daemon = launch(config(member("api", diary, always_on=True, stable_after="1ms")))
    before = Process.of(daemon.wait_for_state("api", "ready")["pid"])

    before.kill()

    after = wait_for("a restart", lambda: (facts := daemon.apps()["api"])["restarts"] and facts)
    assert (1, 2) == (after["restarts"], after["generation"])
    after = daemon.wait_for_state("api", "ready")
    assert before.pid != after["pid"]
    wait_for("both have told all", lambda: read(diary) == ["api began", "api listens"] * 2)


def test_a_client_learns_when_to_come_back(launch: Launch) -> None:
    """While an app fails again and again its clients get the reason, and when to try again, without a start."""
    settings: dict[str, object] = {
        "backoff": {"initial": "1ms", "max": "1ms"},
        "start_limit": {"failures": 2, "window": "1m", "cool_off": "40s"},
    }
    daemon = launch(config(web("web", "--exit=3", **settings)))
    client = Client(daemon.port, "web.localhost")

    first = client.request()
    daemon.wait_for_state("web", "asleep")
    client.request()
    daemon.wait_for_state("web", "failed")
    refused = client.request()

    assert (503, "start-failed", "1") == (
        first.status,
        first.headers["x-torpor"],
        first.headers["retry-after"],
    )
    assert (503, "failed") == (refused.status, refused.headers["x-torpor"])
    assert 1 <= int(refused.headers["retry-after"]) <= 40
    assert "exited with code 3" in refused.text
    facts = daemon.apps()["web"]
    assert 2 == facts["generation"]
    assert 0 < facts["retry_in"] <= 40


def test_the_next_attempt_is_told_while_backing_off(launch: Launch) -> None:
    """`status` says of an app that waits for its next attempt why, and when that is."""
    daemon = launch(
        config(web("web", "--exit=3", always_on=True, backoff={"initial": "10m", "max": "10m"})),
    )

    facts = daemon.wait_for_state("web", "backoff")

    assert 0 < facts["retry_in"] <= 660
    assert "exited with code 3" in facts["reason"]
    assert 3 == daemon.cli("status", "web").code


def test_the_operators_stop_wins_over_every_restart(launch: Launch) -> None:
    """An app that crashes in a loop is not started again once it is stopped."""
    often: dict[str, object] = {
        "always_on": True,
        "restart": "always",
        "backoff": {"initial": "50ms", "max": "50ms"},
        "start_limit": {"failures": 1000},
    }
    daemon = launch(config(web("loop", "--exit=1", **often), web("clock", "--exit=1", **often)))
    wait_for("it crashes again and again", lambda: daemon.apps()["loop"]["restarts"] >= 2)

    assert 0 == daemon.cli("stop", "loop").code

    stopped = daemon.apps()["loop"]
    # The other one tells when a restart would have come.
    then = daemon.apps()["clock"]["restarts"]
    wait_for("time for several restarts", lambda: daemon.apps()["clock"]["restarts"] >= then + 3)
    assert ("asleep", "down") == (stopped["state"], stopped["want"])
    assert stopped["generation"] == daemon.apps()["loop"]["generation"]


def test_operators_who_contradict_each_other_all_get_true_answers(launch: Launch, diary: Path) -> None:
    """Many stops, starts and restarts at once: each is answered, and one settled state with one process is left."""
    daemon = launch(config(member("api", diary, always_on=True)))
    daemon.wait_for_state("api", "ready")
    wishes = ["stop", "restart", "start", "stop", "restart", "restart", "stop", "start"] * 3

    with ThreadPoolExecutor(len(wishes)) as operators:
        answers = list(operators.map(lambda verb: post(daemon, f"api/{verb}?timeout=30"), wishes))

    for verb, (status, document) in zip(wishes, answers, strict=True):
        if status == 200:
            assert (verb, "asleep" if verb == "stop" else "ready") == (
                document["verb"],
                document["app"]["state"],
            )
        else:  # somebody else had the last word
            expected = (409, "not-allowed") if verb == "stop" else (503, "start-failed")
            assert expected == (status, document["code"]), document
    last = daemon.wait_for_state("api", "ready", "asleep")
    assert last["state"] == ("asleep" if last["want"] == "down" else "ready")
    alive = read(diary).count("api began") - read(diary).count("api ended")
    assert (1 if last["state"] == "ready" else 0) == alive


# --- dependencies -------------------------------------------------------------


def test_at_boot_each_app_waits_for_what_it_needs(launch: Launch, diary: Path) -> None:
    """A diamond starts from the bottom, what two need starts once, and it ends from the top."""
    daemon = launch(
        config(
            member("top", diary, always_on=True, depends_on=["left", "right"]),
            member("left", diary, depends_on=["base"]),
            member("right", diary, depends_on=["base"]),
            member("base", diary, "--warm-up=0.3"),
        )
    )
    daemon.wait_for_state("top", "ready")

    started = read(diary)
    assert 0 == daemon.stop()
    ended = read(diary)[len(started) :]

    assert ["base began", "base listens"] == started[:2]
    assert {"left began", "left listens", "right began", "right listens"} == set(started[2:6])
    assert ["top began", "top listens"] == started[6:]
    assert ["top asked", "top ended"] == ended[:2]
    assert {"left asked", "left ended", "right asked", "right ended"} == set(ended[2:6])
    assert ["base asked", "base ended"] == ended[6:]


def test_a_knock_wakes_what_is_needed_first(launch: Launch, diary: Path) -> None:
    """One request to a sleeping app starts the whole closure in order; while the app runs, none of it sleeps."""
    daemon = launch(
        config(
            member("api", diary, depends_on={"db": "healthy"}, idle_timeout="never"),
            member("db", diary, "--warm-up=0.3", idle_timeout="100ms"),
        )
    )

    answer = Client(daemon.port, "api.localhost").request()

    assert 200 == answer.status
    assert ["db began", "db listens", "api began", "api listens"] == read(diary)
    assert ["api"] == daemon.apps()["db"]["held_by"]
    daemon.cli("sleep", "api")
    daemon.wait_for_state("db", "asleep")
    assert ["api asked", "api ended", "db asked", "db ended"] == read(diary)[4:]


def test_what_others_need_is_not_stopped_by_accident(launch: Launch, diary: Path) -> None:
    """Stopping a dependency that is held is refused with the names of those who hold it, unless it is forced."""
    daemon = launch(config(member("api", diary, always_on=True, depends_on=["db"]), member("db", diary)))
    daemon.wait_for_state("api", "ready")

    refused = daemon.cli("stop", "db")
    assert 1 == refused.code
    assert "needed by api" in refused.err
    assert "ready" == daemon.apps()["db"]["state"]

    assert 0 == daemon.cli("stop", "--force", "db").code
    assert ("asleep", "down") == (daemon.apps()["db"]["state"], daemon.apps()["db"]["want"])


def test_dependents_recover_by_themselves(launch: Launch, diary: Path) -> None:
    """An app whose dependency is stopped is blocked with that reason, and starts once the dependency does."""
    daemon = launch(config(member("api", diary, always_on=True, depends_on=["db"]), member("db", diary)))
    daemon.wait_for_state("api", "ready")
    daemon.cli("stop", "--force", "db")
    Process.of(daemon.apps()["api"]["pid"]).kill()

    blocked = daemon.wait_for_state("api", "blocked")
    assert ("dependency", True) == (blocked["cause"], "db" in blocked["reason"])

    daemon.cli("start", "db")

    daemon.wait_for_state("api", "ready")


def test_a_chain_recovers_with_its_root(launch: Launch, diary: Path) -> None:
    """Whoever asks for the end of a chain learns of its root at once, and all of it starts once the root does."""
    daemon = launch(
        config(
            member("worker", diary, always_on=True, depends_on=["api"]),
            member("web", diary, depends_on=["api"]),
            member("api", diary, depends_on=["db"]),
            member("db", diary),
        )
    )
    daemon.wait_for_state("worker", "ready")
    daemon.cli("stop", "--force", "db", "api", "worker")

    failed = daemon.cli("start", "worker")
    assert 1 == failed.code
    assert "needs api: stopped by the operator" in failed.err
    assert "torpor start api" in failed.err
    daemon.cli("start", "api")
    assert "needs api: needs db: stopped by the operator" == daemon.apps()["worker"]["reason"]
    refused = Client(daemon.port, "web.localhost").request()
    assert (503, "dependency") == (refused.status, refused.headers["x-torpor"])

    daemon.cli("start", "db")

    daemon.wait_for_state("worker", "ready")


def test_a_one_shot_that_failed_is_told_at_once(launch: Launch, diary: Path) -> None:
    """Nobody waits for a migration that has failed and is not repeated; running it again mends it."""
    mended = diary.with_name("mended")
    once = app("migrate", ["sh", "-c", f"test -e {mended}"], restart="no", routes=[])
    needs = {"migrate": "completed_successfully"}
    daemon = launch(config(once, member("api", diary, depends_on=needs, wake_timeout="10m")))

    refused = Client(daemon.port, "api.localhost").request()
    assert (503, "dependency") == (refused.status, refused.headers["x-torpor"])
    assert "needs migrate: exited with code 1" in refused.text

    mended.touch()
    assert 0 == daemon.cli("start", "migrate").code
    assert 200 == Client(daemon.port, "api.localhost").request().status


# --- replicas -----------------------------------------------------------------


def test_replicas_share_the_work_and_can_be_scaled(launch: Launch, diary: Path) -> None:
    """Requests are spread over all replicas, each with a number and a port of its own; `scale` changes how many."""
    daemon = launch(config(member("api", diary, always_on=True, replicas=3)))
    client = Client(daemon.port, "api.localhost")
    wait_for_ready_replicas(daemon, "api", 3)

    answers = [client.request().text for _ in range(30)]

    assert [10, 10, 10] == sorted(answers.count(answer) for answer in set(answers))
    assert {"0", "1", "2"} == {answer.split()[0] for answer in answers}
    assert 3 == len({one["port"] for one in daemon.apps()["api"]["instances"]})
    assert 0 == daemon.cli("scale", "api", "5").code
    wait_for_ready_replicas(daemon, "api", 5)
    assert 0 == daemon.cli("scale", "api", "1").code
    wait_for_ready_replicas(daemon, "api", 1)
    assert {"0"} == {client.request().text.split()[0] for _ in range(5)}


def is_closed(port: int) -> bool:
    """Whether nobody listens: a dying process may keep its port while its last threads end."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return True
    except ConnectionError:
        pass
    return False


def test_a_dead_replica_is_left_out(launch: Launch, diary: Path) -> None:
    """While one of two replicas is dead, every request is answered by the other one."""
    daemon = launch(
        config(
            member(
                "api",
                diary,
                always_on=True,
                replicas=2,
                backoff={"initial": "10m", "max": "10m"},
                stable_after="1h",
            )
        )
    )
    wait_for_ready_replicas(daemon, "api", 2)
    instance = daemon.apps()["api"]["instances"][0]

    Process.of(instance["pid"]).kill()
    wait_for("its port is closed", lambda: is_closed(instance["port"]))

    client = Client(daemon.port, "api.localhost")
    assert {200} == {client.request().status for _ in range(20)}
    wait_for_ready_replicas(daemon, "api", 1)
    assert "backoff" == daemon.apps()["api"]["instances"][0]["state"]


def test_no_request_is_lost_that_a_killed_replica_never_read(launch: Launch, diary: Path) -> None:
    """What lies in the socket of a replica that hangs, when it is killed, is answered by the other one."""
    daemon = launch(config(member("api", diary, always_on=True, replicas=2)))
    wait_for_ready_replicas(daemon, "api", 2)
    instance = daemon.apps()["api"]["instances"][0]
    process = Process.of(instance["pid"])
    os.kill(process.pid, signal.SIGSTOP)
    wait_for("it hangs", lambda: "\nState:\tT" in Path(f"/proc/{process.pid}/status").read_text())

    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(Client(daemon.port, "api.localhost").request) for _ in range(8)]
        wait_for("some lie there", lambda: daemon.apps()["api"]["instances"][0]["inflight"] >= 2)
        process.kill()

    assert [200] * 8 == [answer.result().status for answer in answers]


def test_an_app_that_only_says_that_it_is_ready_gets_no_client_stuck(launch: Launch) -> None:
    """READY=1 without a listener: the client learns in time that nothing answers."""
    script = "import time; from torpor import notify; notify.ready(); print('said it', flush=True); time.sleep(600)"
    daemon = launch(
        config(
            app(
                "deaf",
                [sys.executable, "-c", script],
                readiness={"notify": True},
                always_on=True,
                wake_timeout="1s",
            )
        )
    )
    daemon.wait_for_state("deaf", "ready")

    answer = Client(daemon.port, "deaf.localhost").request()

    assert (504, "wake-timeout") == (answer.status, answer.headers["x-torpor"])
    assert len(daemon.cli("events", "-n", "1000", "deaf").out.splitlines()) < 20


def test_a_replica_that_ended_rejoins_the_others(launch: Launch, diary: Path) -> None:
    """On demand, too, an app that is in use has all its replicas, under the numbers that the next daemon knows."""
    daemon = launch(config(member("api", diary, replicas=3, stop_timeout="10m")))
    Client(daemon.port, "api.localhost").request()
    wait_for_ready_replicas(daemon, "api", 3)

    os.kill(daemon.apps()["api"]["instances"][1]["pid"], signal.SIGTERM)  # it ends by itself, and well
    wait_for("it was started again", lambda: daemon.apps()["api"]["restarts"] == 1)
    wait_for_ready_replicas(daemon, "api", 3)
    daemon.cli("scale", "api", "2", "--no-wait")
    assert 0 == daemon.cli("scale", "api", "3").code
    wait_for_ready_replicas(daemon, "api", 3)

    assert ["api", "api/1", "api/2"] == [one["id"] for one in daemon.apps()["api"]["instances"]]
    assert 1 == daemon.apps()["api"]["restarts"]


@pytest.mark.parametrize("rounds", [3])
def test_a_rolling_restart_fails_no_request(launch: Launch, diary: Path, rounds: int) -> None:
    """At 200 requests a second every replica is replaced, one by one and several times; every request is answered."""
    daemon = launch(config(member("api", diary, always_on=True, replicas=2)))
    wait_for_ready_replicas(daemon, "api", 2)
    begun = len(read(diary))

    with Load(daemon.port, "api.localhost", rate=200) as load:
        for _ in range(rounds):
            assert 0 == daemon.cli("restart", "--rolling", "api").code

    assert {OK} == set(load.answers), load.answers
    one = ["api asked", "api ended", "api began", "api listens"]
    assert one * 2 * rounds == read(diary)[begun:], "one after the other"
    assert len(load.bodies) > 2, "requests have met processes of several generations"


def test_a_rolling_restart_of_a_single_instance_fails_no_request(launch: Launch, diary: Path) -> None:
    """Without a second replica requests wait while the one is replaced; none is refused."""
    daemon = launch(config(member("api", diary, always_on=True)))
    daemon.wait_for_state("api", "ready")

    with Load(daemon.port, "api.localhost", rate=100) as load:
        assert 0 == daemon.cli("restart", "--rolling", "api").code

    assert {OK} == set(load.answers), load.answers
    assert 2 == read(diary).count("api began")


def test_a_websocket_is_closed_with_1001_when_the_drain_time_is_over(launch: Launch) -> None:
    """A rolling restart gives an open WebSocket the drain time; then it is told that the server goes away."""
    daemon = launch(config(example("chat", always_on=True, drain_timeout="300ms")))
    daemon.wait_for_state("chat", "ready")
    closed: list[ConnectionClosed] = []

    with websocket(daemon.port, "chat.localhost", "/room") as room:
        room.recv(30)
        restart = threading.Thread(target=daemon.cli, args=("restart", "--rolling", "chat"))
        restart.start()
        with pytest.raises(ConnectionClosed) as caught:
            room.recv(30)
        closed.append(caught.value)
        restart.join()

    assert closed[0].rcvd is not None
    assert 1001 == closed[0].rcvd.code
    assert 2 == daemon.wait_for_state("chat", "ready")["generation"]


def wait_for_ready_replicas(daemon: Daemon, name: str, number: int) -> None:
    """Wait until so many replicas are ready, and no more."""

    def ready() -> bool:
        states = [one["state"] for one in daemon.apps()[name]["instances"]]
        return states.count("ready") == number

    wait_for(f"{number} replicas of {name} are ready", ready)


# --- signs of life ------------------------------------------------------------


@pytest.mark.parametrize(
    ("ails", "probe"),
    [
        ("mute", {"http": "/"}),
        ("deaf", {"tcp": True}),
        ("mute", {"exec": ["sh", "-c", "test ! -e mute"]}),
    ],
    ids=["http", "tcp", "exec"],
)
def test_an_app_that_no_longer_answers_well_is_restarted(
    launch: Launch, diary: Path, home: Path, ails: str, probe: dict[str, object]
) -> None:
    """Its liveness probe fails several times in a row: it is stopped and started again, as after a crash."""
    mute = home / "mute"
    liveness = {**probe, "interval": "500ms", "timeout": "500ms", "failures": 2}
    daemon = launch(
        config(
            member(
                "api",
                diary,
                f"--{ails}-after={mute}",
                always_on=True,
                working_dir=str(home),
                liveness=liveness,
            )
        )
    )
    daemon.wait_for_state("api", "ready")

    mute.touch()

    wait_for("it is asked to end", lambda: "api ended" in read(diary))
    mute.unlink()
    wait_for("it is restarted", lambda: read(diary).count("api began") >= 2)
    assert 1 <= daemon.wait_for_state("api", "ready")["restarts"]
    assert "unhealthy" in {event["kind"] for event in events(daemon, "api")}


def test_an_app_that_gives_no_sign_of_life_is_restarted(launch: Launch, diary: Path, home: Path) -> None:
    """It sent WATCHDOG=1 as often as it must, and stops: it is restarted, with that reason."""
    mute = home / "mute"
    daemon = launch(
        config(
            member(
                "api",
                diary,
                f"--mute-after={mute}",
                always_on=True,
                readiness={"notify": True},
                watchdog="1500ms",
            )
        )
    )
    daemon.wait_for_state("api", "ready")

    mute.touch()

    wait_for("it is asked to end", lambda: "api asked" in read(diary))
    mute.unlink()
    wait_for("it is restarted", lambda: read(diary).count("api began") >= 2)
    assert 1 <= daemon.wait_for_state("api", "ready")["restarts"]
