"""The status table, as it must look."""

from __future__ import annotations

from typing import Any

from torpor.cli.status import COLUMNS, rows
from torpor.cli.table import render
from torpor.cli.terminal import width


def app(name: str, state: str, **changes: Any) -> dict[str, Any]:
    """An app's document."""
    document: dict[str, Any] = {
        "name": name, "state": state, "want": "auto", "pid": None, "port": None, "idle_in": None, "uptime": None,
        "restarts": 0, "rss": None, "routes": [f"{name}.localhost"], "cause": None, "reason": None, "retry_in": None,
        "status": None, "pinned": False, "pinned_for": None, "closed": None, "shallow": None, "instances": [],
        "gives_up_in": None,
    }  # fmt: skip
    return {**document, **changes}


APPS = [
    app("notes", "ready", pid=31415, port=8501, idle_in=1790, uptime=75, rss=305 * 2**20),
    app("日本", "asleep", restarts=2, routes=["a.example", "b.example"]),
    app("old", "asleep", want="down", routes=[]),
    app("crashy", "failed", restarts=12, reason="exited with code 3\x1b[2J", retry_in=41),
]


def table(room: int | None = None, *, headers: bool = True, colour: bool = False) -> str:
    """The table of all four."""
    return render(
        COLUMNS, [row for one in APPS for row in rows(one)], room=room, headers=headers, colour=colour
    )


def test_the_whole_table() -> None:
    """Numbers stand right, names left, a reason below its app."""
    expected = """\
NAME    STATE            PID  PORT  IDLE-IN  UPTIME  RESTARTS   MEM  ROUTE
notes   ready          31415  8501   29m50s   1m15s         0  305M  notes.localhost
日本    asleep             -     -        -       -         2     -  a.example +1
old     asleep (down)      -     -        -       -         0     -  -
crashy  failed             -     -        -       -        12     -  crashy.localhost
  └ exited with code 3�[2J; next try in 41s
"""
    assert expected == table()


def test_the_table_in_60_columns() -> None:
    """What matters least goes first; nothing is broken into two lines."""
    expected = """\
NAME    STATE          IDLE-IN   MEM  ROUTE
notes   ready           29m50s  305M  notes.localhost
日本    asleep               -     -  a.example +1
old     asleep (down)        -     -  -
crashy  failed               -     -  crashy.localhost
  └ exited with code 3�[2J; next try in 41s
"""
    assert expected == table(60)


def test_the_table_in_24_columns() -> None:
    """Name and state remain."""
    expected = """\
NAME    STATE
notes   ready
日本    asleep
old     asleep (down)
crashy  failed
  └ exited with code 3�…
"""
    assert expected == table(24)


def test_the_name_stays_to_the_last() -> None:
    """Where not even the state has room, the names remain, and are cut at last."""
    assert ["NAME", "notes", "日本", "old", "crashy", "  └ exite…"] == table(10).splitlines()
    assert ["NAME", "not…", "日本", "old", "cra…", "  └…"] == table(4).splitlines()


def test_a_long_name_is_cut_for_the_state() -> None:
    """As long as what is left of it can be told from others."""
    long = rows(app("a-name-of-some-length", "asleep"))
    text = render(COLUMNS, long, room=17, headers=False, colour=False)
    assert "a-name-o…  asleep\n" == text


def test_who_sleeps_less_deep_than_it_is_to_says_why() -> None:
    """A machine without swap is told of where people look."""
    (line,) = rows(app("notes", "paused", shallow="this machine has no swap"))
    assert "not deeper: this machine has no swap" == line.note


def test_who_ended_by_itself_says_so() -> None:
    """An app that sleeps because it exited has a note; one that was idle or put to sleep has none."""
    exited = app("web", "asleep", cause="exited", reason="exited with code 1")
    idle = app("api", "asleep", cause="idle", reason="idle for 30m")
    lost = app("shop", "asleep", cause="dependency", reason="needs db: no such program")
    ((first,), (second,), (third,)) = rows(exited), rows(idle), rows(lost)
    assert ("exited with code 1", None, "needs db: no such program") == (first.note, second.note, third.note)


def test_who_waits_says_for_what() -> None:
    """A blocked app names what it waits for, without the colour of a failure."""
    (row,) = rows(app("web", "blocked", cause="dependency", reason="waiting for db to be ready"))
    assert ("waiting for db to be ready", "dim") == (row.note, row.note_colour)
    (row,) = rows(app("web", "blocked", reason="waiting for db to be ready", gives_up_in=95))
    assert "waiting for db to be ready; at most 1m35s more" == row.note


def test_an_apps_own_words() -> None:
    """They are shown as long as it has any, and a reason after that; what steers a terminal is taken out."""
    (ready,) = rows(app("web", "ready", status="42 visitors\x1b[2J"))
    (failed,) = rows(app("web", "failed", status=None, reason="exited"))
    assert ("42 visitors\ufffd[2J", "exited") == (ready.note, failed.note)


def test_a_pin_hides_no_trouble() -> None:
    """Who is pinned and waits for others says for what; who runs says that it is pinned."""
    (ready,) = rows(app("web", "ready", pinned=True))
    (blocked,) = rows(app("web", "blocked", pinned=True, reason="web needs 1 of slots"))
    assert ("pinned", "web needs 1 of slots") == (ready.note, blocked.note)


def test_who_cannot_sleep_deeper_says_why() -> None:
    """It is paused where it was to hibernate."""
    (paused,) = rows(app("web", "paused", shallow="this machine has no swap", status="42 visitors"))
    assert "not deeper: this machine has no swap" == paused.note


def test_each_replica_has_a_line() -> None:
    """With its own state and trouble; the route stands once, and `down` is the app's."""
    both = [
        {**app("web", "ready", pid=7), "id": "web"},
        {**app("web", "backoff", reason="exited with code 3", retry_in=4), "id": "web/1"},
    ]
    text = render(COLUMNS, rows(app("web", "ready", instances=both)), room=None, headers=False, colour=False)
    assert (
        """\
web    ready    7  -  -  -  0  -  web.localhost
web/1  backoff  -  -  -  -  0  -  -
  └ exited with code 3; next try in 4s
"""
        == text
    )
    down = rows(app("web", "stopping", want="down", instances=both))
    assert ["ready (down)", "backoff (down)"] == [row.cells[1] for row in down]


def test_no_line_is_wider_than_the_terminal() -> None:
    """However narrow that is."""
    for room in range(1, 120):
        widest = max(width(line) for line in table(room).splitlines())
        assert widest <= room, room


def test_colour_changes_nothing_but_colour() -> None:
    """With the escape sequences taken out it is the same table."""
    import re

    coloured = table(colour=True)
    assert "\x1b[32mready" in coloured
    assert "\x1b[31mfailed" in coloured
    plain = re.sub(r"\x1b\[[0-9]*m", "", coloured)
    assert [line.rstrip() for line in plain.splitlines()] == table().splitlines()


def test_headers_can_be_left_out() -> None:
    """For scripts that cut columns."""
    assert table().splitlines()[1].split() == table(headers=False).splitlines()[0].split()


def test_an_empty_table_has_its_titles() -> None:
    """No app is configured: still one line that says what would stand here."""
    text = render(COLUMNS, [], room=None, headers=True, colour=False)
    assert "NAME  STATE  PID  PORT  IDLE-IN  UPTIME  RESTARTS  MEM  ROUTE\n" == text
