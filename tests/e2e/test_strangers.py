"""What whoever knocks learns of an app that fails: that it does, and nothing of the machine."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from e2e.client import BROWSER, Client
from e2e.harness import Daemon, Launch, wait_for

SECRETS = ("s3cret", "unix:", "/tmp", "/nowhere", "pve1")
"""What stands in the commands, paths and addresses of the apps, and in no answer."""
LIFE = {"restart": "no", "start_timeout": "2s", "backoff": {"initial": "30s"}}
APPS: dict[str, dict[str, object]] = {
    "container": {"container": {"name": "s3cret-name", "engine": "away"}, "port": 1},
    "command": {
        "commands": {
            "start": {"command": "echo cannot reach pve1 by s3cret >&2; exit 3", "shell": True},
            "stop": "true",
            "status": "false",
        },
        "port": 1,
    },
    "process": {"command": "/nowhere/s3cret"},
    "hook": {"command": "sleep 60", "pre_start": "/nowhere/s3cret --host pve1"},
    "probe": {"command": "sleep 60", "readiness": {"exec": "test -e /nowhere/s3cret"}},
    "log": {"command": "sleep 60", "readiness": {"log": "s3cret is up"}},
    "ends": {"command": "sh -c 'exit 7'"},
    "needs": {"command": "sleep 60", "depends_on": ["container"]},
}


def config() -> str:
    """One app for each way to fail."""
    for name, app in APPS.items():
        app |= {"routes": [f"{name}.localhost"], **LIFE}
    return (
        "gateway: {listen: GATEWAY}\n"
        "engines: {away: {url: 'unix:///nowhere/s3cret.sock'}}\n"
        f"apps: {json.dumps(APPS)}"
    )


SILENCE = 2.0
"""Seconds without a word after which a stream has no more to say."""


def events(client: Client) -> str:
    """What the stream of events tells until it ends, or has nothing more to say."""
    connection, reply = client.open("/_torpor/events")
    told = b""
    with suppress(TimeoutError):
        while piece := reply.read1():
            told += piece
    connection.close()
    return told.decode()


@pytest.fixture
def daemon(launch: Launch) -> Daemon:
    """A daemon whose apps all fail."""
    return launch(config())


@pytest.mark.parametrize("app", APPS)
def test_a_failure_tells_nothing_of_the_machine(daemon: Daemon, app: str) -> None:
    """Neither page, nor problem document, nor status, nor events quote what a host or a program says."""
    client = Client(daemon.port, f"{app}.localhost")
    page = client.navigate()
    wait_for(
        "the attempt is over", lambda: not daemon.apps()[app]["state"].startswith(("start", "stop", "block"))
    )
    # Before anybody knocks again: only the present attempt is told.
    live = events(Client(daemon.port, client.host, SILENCE))
    held = client.request()
    later = client.navigate()
    plain = client.request(headers={"Accept": BROWSER["Accept"]})
    status = client.request("/_torpor/status")

    told = {
        "page": page.text,
        "held": held.text,
        "later": later.text,
        "plain": plain.text,
        "status": status.text,
        "events": live,
    }
    found = [(where, word) for where, text in told.items() for word in SECRETS if word in text]
    assert [] == found, told
    assert "error" in {event["action"] for event in wake_events(told["events"])}, told["events"]
    assert held.status in {503, 504}


def wake_events(told: str) -> list[dict[str, object]]:
    """The messages without a name."""
    return [
        json.loads(line.removeprefix("data: "))
        for block in told.split("\n\n")
        if "event:" not in block
        for line in block.splitlines()
        if line.startswith("data: ")
    ]


@pytest.mark.parametrize(
    ("app", "public", "private"),
    [
        ("container", "could not be started", "/nowhere/s3cret.sock"),
        ("command", "could not be started", "cannot reach pve1 by s3cret"),
        ("process", "could not be started", "/nowhere/s3cret"),
        ("ends", "exited with code 7 before it was ready", ""),
    ],
)
def test_visitors_get_the_cause_and_operators_all_of_it(
    daemon: Daemon, app: str, public: str, private: str
) -> None:
    """Both in the same words as far as they go; `status`, `why` and `events` have the rest."""
    held = Client(daemon.port, f"{app}.localhost").request()

    assert public in held.json["detail"].lower()
    wait_for("its state tells why", lambda: daemon.apps()[app]["reason"])
    assert public in daemon.apps()[app]["reason"]
    assert private in daemon.apps()[app]["reason"]
    assert private in daemon.cli("why", app).out
    assert private in daemon.cli("events", app).out
