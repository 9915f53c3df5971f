"""`torpor why`: why an app is awake, asleep, or in trouble."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from torpor.cli.connection import app_argument, connect, json_option, print_json
from torpor.cli.figures import duration
from torpor.cli.status import COLOURS
from torpor.cli.terminal import columns, fold, has_colour, pad, paint, printable
from torpor.cli.verbs import chosen_names

LEAST = 24
"""Columns for texts, however narrow the terminal is."""
KEEPS, LETS = "keeps awake", "lets sleep"


@click.command()
@app_argument(required=True)
@json_option
def why(names: Sequence[str], as_json: bool) -> None:
    """Tell why apps are awake, asleep, or in trouble.

    All that an app's falling asleep depends on, as it is decided by: what keeps it awake, how long
    yet, what woke it, what happened last, what will happen next, and what you can do. Looking
    never wakes an app. `--json` prints one object for one name, else a list.
    """
    client = connect()
    chosen = chosen_names(client, names)
    documents = [client.get("apps", name, "why") for name in chosen]
    if as_json:
        print_json(documents[0] if len(names) == 1 and chosen == list(names) else documents)
        return
    colour, room = has_colour(sys.stdout), columns(sys.stdout)
    pages = [page(document, colour=colour, room=room, now=time.time()) for document in documents]
    sys.stdout.write("\n".join(pages))


def page(why: dict[str, Any], *, colour: bool, room: int | None, now: float) -> str:
    """All of it as text; `room`: columns of the terminal, None where lines may have any length."""
    name, _, rest = printable(why["summary"]).partition(" is ")
    state = COLOURS.get(why["state"], "yellow")
    head, *more = _folded(rest, room, len(name) + 4)
    lines = [f"{name} is {paint(head, state, on=colour)}"]
    lines += [paint(line, state, on=colour) for line in more]
    for block in (_clauses(why, room, colour), _facts(why, room, colour, now), _output(why, colour)):
        if block:
            lines += ["", *block]
    return "\n".join(lines) + "\n"


def _clauses(why: dict[str, Any], room: int | None, colour: bool) -> list[str]:
    """What its sleep depends on: first what keeps it awake."""
    clauses = sorted(why["clauses"], key=lambda clause: not clause["keeps_awake"])
    wide = max((len(clause["name"]) for clause in clauses), default=0)
    lines = []
    for clause in clauses:
        word, tone = (KEEPS, "green") if clause["keeps_awake"] else (LETS, "dim")
        before = (
            f"  {paint(pad(word, len(KEEPS)), tone, on=colour)}  {pad(printable(clause['name']), wide)}  "
        )
        margin = 2 + len(KEEPS) + 2 + wide + 2
        first, *more = _folded(printable(clause["text"]), room, margin)
        lines += [before + first, *(" " * margin + line for line in more)]
    return lines


def _facts(why: dict[str, Any], room: int | None, colour: bool, now: float) -> list[str]:
    rows = list(_rows(why, now))
    wide = max((len(title) for title, _ in rows), default=0)
    lines, before = [], ""
    for title, text in rows:
        first, *more = _folded(printable(text), room, wide + 4)
        shown = "" if title == before else title
        lines.append(f"  {paint(pad(shown, wide), 'dim', on=colour)}  {first}")
        lines += [" " * (wide + 4) + line for line in more]
        before = title
    return lines


def _rows(why: dict[str, Any], now: float) -> Iterator[tuple[str, str]]:
    """Titles and texts, in the order of reading."""
    yield "state", f"{why['state']} for {duration(why['state_age'])}, want {why['want']}"
    if why["woken_by"]:
        yield "woken", f"{_moment(why['woken_at'], now)} by {why['woken_by']}"
    if (last := why["last_event"]) is not None:
        yield "last event", f"{_moment(last['at'], now)} {last['text']}"
    if (ended := why["last_exit"]) is not None and ended != why["last_event"]:
        yield "last exit", f"{_moment(ended['at'], now)} {ended['text']}"
    for number, text in enumerate(why["next"]):
        first = why["sleeps_in"] if number == 0 else None
        yield "next", text + (f" (at {_moment(now + first, now)})" if first else "")
    for text in why["advice"]:
        yield "you can", text


def _output(why: dict[str, Any], colour: bool) -> list[str]:
    if not why["output"]:
        return []
    title = paint("  last lines of its log", "dim", on=colour)
    return [title, *(f"    {printable(line)}" for line in why["output"])]


def _moment(at: float, now: float) -> str:
    """A point in time: the time of the day, and the day too where it is another one."""
    there, today = time.localtime(at), time.localtime(now)
    same = there[:3] == today[:3]
    return time.strftime("%H:%M:%S" if same else "%Y-%m-%d %H:%M:%S", there)


def _folded(text: str, room: int | None, before: int) -> list[str]:
    return [text] if room is None else fold(text, max(room - before, LEAST))
