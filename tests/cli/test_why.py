"""The page of `torpor why`, and the words of `torpor pin`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli.harness import Daemon, torpor
from torpor.cli.why import page

NOW = 1_790_000_000.0
WHY: dict[str, Any] = {
    "name": "web",
    "state": "ready",
    "want": "auto",
    "state_age": 185.0,
    "summary": "web is awake: it is needed by api, worker; it is ready for 20 s of at least 2m",
    "clauses": [
        {"name": "sockets", "text": "1 open socket, which count only by their data", "keeps_awake": False},
        {"name": "needed", "text": "by api, worker", "keeps_awake": True},
    ],
    "woken_by": "GET /notes?page=2 from 127.0.0.1 (Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0)",
    "woken_at": NOW - 185.0,
    "last_event": {"at": NOW - 90_000.0, "kind": "ready", "text": "ready after 1.2 s\x1b[2J"},
    "last_exit": None,
    "next": ["it falls asleep in 27m unless someone comes"],
    "sleeps_in": 1620.0,
    "advice": ["`torpor sleep web` puts it to sleep now", "`torpor why api` tells why that needs it"],
    "output": ["cannot find the database"],
}


def shown(why: dict[str, Any]) -> str:
    """The page as plain text."""
    return page(why, colour=False, room=None, now=NOW)


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("room", [80, 60, 20])
def test_the_page_fits_the_terminal(room: int, colour: bool) -> None:
    """Words are not cut, but a line is no longer than the terminal wide, if that has room for words at all."""
    text = re.sub(r"\x1b\[[0-9]*m", "", page(WHY, colour=colour, room=room, now=NOW))

    assert " ".join(text.split()) == " ".join(shown(WHY).split())
    if room >= 60:
        assert max(map(len, text.splitlines())) <= room


def test_what_keeps_it_awake_comes_first_and_nothing_steers_the_terminal() -> None:
    """One title for several lines of a kind; the day where it is not today's."""
    lines = shown(WHY).splitlines()

    assert "  keeps awake  needed   by api, worker" == lines[2]
    assert lines[3].startswith("  lets sleep   sockets  ")
    assert 1 == sum("you can" in line for line in lines)
    assert not any("\x1b" in line for line in lines)
    (last,) = [line for line in lines if "last event" in line]
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ready after", last)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Daemon(tmp_path_factory.mktemp("why")) as running:
        yield running.socket


def test_pin_and_why_from_the_command_line(daemon: Path) -> None:
    """What was done, in a sentence; one object for one name; codes as ever."""
    pinned = torpor(daemon, "pin", "notes", "--for", "2h")
    endless = torpor(daemon, "pin", "api")
    why = torpor(daemon, "why", "crashy", "--json")
    unpinned = torpor(daemon, "unpin", "notes", "old")

    assert "notes is ready, and stays awake for 2h00m\n" == pinned.stdout
    assert "api is ready, and stays awake until `torpor unpin api`\n" == endless.stdout
    assert ["Traceback (most recent call last):", "ValueError: no such table"] == json.loads(why.stdout)[
        "output"
    ]
    assert "notes was pinned, and may sleep again\nold was not pinned\n" == unpinned.stdout
    assert [4, 2, 2, 2] == [
        torpor(daemon, *line.split()).returncode
        for line in ("why nobody", "why", "pin", "pin notes --for 60")
    ]
