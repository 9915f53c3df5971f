"""What keeps a real app awake beside requests, and that `torpor why` tells it."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import Any

from e2e.apps import app, config, example, web
from e2e.client import Client
from e2e.harness import Daemon, Launch, wait_for

SPINS = (
    "import os, threading, time, http.server as h\n"
    "def spin():\n"
    "    while True:\n"
    "        if not os.path.exists('spin'): time.sleep(0.1)\n"
    "threading.Thread(target=spin, daemon=True).start()\n"
    "h.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), h.SimpleHTTPRequestHandler).serve_forever()\n"
)


def why(daemon: Daemon, app: str) -> dict[str, Any]:
    """What `torpor why` knows of an app."""
    facts: dict[str, Any] = daemon.cli("why", app, "--json").json
    return facts


def why_in(daemon: Daemon, app: str, words: str) -> dict[str, Any]:
    """What it knows once these words stand in its summary."""

    def look() -> dict[str, Any] | None:
        facts = why(daemon, app)
        return facts if words in facts["summary"] else None

    return wait_for(f"torpor why {app} says {words!r}", look)


def keeping(daemon: Daemon, app: str) -> list[str]:
    """The clauses that keep it awake."""
    return [clause["name"] for clause in why(daemon, app)["clauses"] if clause["keeps_awake"]]


def test_a_pin_keeps_an_app_awake_over_a_restart_of_the_daemon(launch: Launch) -> None:
    """It is woken for it, does not fall asleep, and sleeps once it is unpinned."""
    daemon = launch(config(example("api", idle_timeout="300ms")))

    pinned = daemon.cli("pin", "api", "--for", "2h")
    refused = daemon.cli("sleep", "api")

    assert (0, 1) == (pinned.code, refused.code)
    assert "api is ready" in pinned.out
    assert "api is pinned" in refused.err
    wait_for("the pin alone keeps it awake", lambda: keeping(daemon, "api") == ["pinned"])
    daemon.kill()
    daemon.start()
    facts = daemon.wait_for_state("api", "ready")
    assert facts["pinned"]
    assert 7000 < facts["pinned_for"] <= 7200
    assert 0 == daemon.cli("unpin", "api").code
    daemon.wait_for_state("api", "asleep")


def test_a_pin_ends_by_itself(launch: Launch) -> None:
    """After its time the app sleeps, though nobody says anything."""
    daemon = launch(config(example("api", idle_timeout="300ms")))

    assert 0 == daemon.cli("pin", "api", "--for", "1s").code

    asleep = daemon.wait_for_state("api", "asleep")
    assert not asleep["pinned"]


def test_a_command_keeps_an_app_awake_as_long_as_it_says_so(launch: Launch) -> None:
    """It is run in the app's directory, again and again; what it found is among the clauses."""
    daemon = launch(config(web(idle_timeout="300ms", keep_awake_if="test -e busy")))
    (daemon.home / "busy").touch()
    Client(daemon.port, "web.localhost").request()

    wait_for("the question keeps it awake", lambda: keeping(daemon, "web") == ["question"])
    facts = why_in(daemon, "web", "exited")

    assert "web is awake: `test -e busy` exited with code 0" == facts["summary"]
    (daemon.home / "busy").unlink()
    asleep = daemon.wait_for_state("web", "asleep")
    assert "no request for 300 ms: `test -e busy` exited with code 1" == asleep["reason"]


def test_a_program_that_uses_cpu_time_is_not_put_to_sleep(launch: Launch) -> None:
    """A busy loop keeps it awake; when that is over, it sleeps."""
    spins = app(
        "spinner",
        [sys.executable, "-c", SPINS],
        idle_timeout="300ms",
        cpu_below="2%",  # of which it gets more, however many others compute
        cpu_window="500ms",
    )
    daemon = launch(config(spins))
    (daemon.home / "spin").touch()
    Client(daemon.port, "spinner.localhost").request()

    facts = why_in(daemon, "spinner", "not below 2 %")

    assert ["question"] == [clause["name"] for clause in facts["clauses"] if clause["keeps_awake"]]
    (daemon.home / "spin").unlink()
    asleep = daemon.wait_for_state("spinner", "asleep")
    assert "below 2 %" in asleep["reason"]


def test_out_of_its_hours_an_app_refuses_and_a_pin_lifts_that(launch: Launch) -> None:
    """503 with the reason and the time of opening; an operator's pin is stronger, an apply of other hours too."""
    begins = datetime.now() + timedelta(hours=2)  # noqa: DTZ005  # the machine's own clock is meant
    hours = f"{begins:%H:%M}-{begins + timedelta(hours=1):%H:%M}"
    daemon = launch(config(example("api", idle_timeout="300ms", schedule={"allowed": hours})))
    client = Client(daemon.port, "api.localhost")

    refused = client.request()

    assert (503, "schedule") == (refused.status, refused.headers["x-torpor"])
    assert 3600 < int(refused.headers["retry-after"]) <= 7200
    told = daemon.cli("why", "api").out
    assert f"api is asleep, and may not run now: it runs only {hours}" in " ".join(told.split())
    assert daemon.cli("sleep", "api").out == f"api is asleep; it runs only {hours}\n"
    assert 0 == daemon.cli("pin", "api").code
    assert 200 == client.request().status
    assert 0 == daemon.cli("unpin", "api").code
    daemon.wait_for_state("api", "asleep")
    daemon.write_config(config(example("api", idle_timeout="300ms", schedule={"keep_warm": "mon-sun"})))
    assert 0 == daemon.cli("apply").code
    daemon.wait_for_state("api", "ready")
    wait_for("only the schedule keeps it awake", lambda: keeping(daemon, "api") == ["schedule"])


def test_why_tells_what_failed_and_what_it_wrote_last(launch: Launch) -> None:
    """The reason, the last exit, its last words, and what can be done."""
    command = ["sh", "-c", "echo cannot find the database; exit 3"]
    daemon = launch(config(app("broken", command, always_on=True, start_limit={"failures": 1})))
    daemon.wait_for_state("broken", "failed")

    text = " ".join(daemon.cli("why", "broken").out.split())

    assert "broken is failed: exited with code 3" in text
    assert "cannot find the database" in text
    assert "`torpor start broken` tries at once" in text


def test_the_hours_hold_before_anything_is_started(launch: Launch) -> None:
    """What must run does not wake, at the daemon's start, what it needs out of its hours."""
    now = datetime.now()  # noqa: DTZ005  # the machine's own clock is meant
    begins, ends = now - timedelta(hours=1), now + timedelta(hours=2)
    daemon = launch(
        config(
            web("front", always_on=True, depends_on=["back"]),
            web("back", schedule={"blackout": f"{begins:%H:%M}-{ends:%H:%M}"}),
        )
    )

    daemon.wait_for_state("front", "blocked")
    assert (0, "asleep") == (daemon.apps()["back"]["generation"], daemon.apps()["back"]["state"])
