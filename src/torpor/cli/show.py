"""`torpor show`: one app in full."""

from __future__ import annotations

import sys
from typing import Any

import click

from torpor.cli.connection import app_argument, connect, json_option, print_json
from torpor.cli.events import line as event_line
from torpor.cli.figures import NONE, duration, lapse, size
from torpor.cli.status import note, state_colour, state_words
from torpor.cli.terminal import has_colour, pad, paint, printable
from torpor.config.units import duration_text

EVENTS = 5


@click.command()
@app_argument(required=True, many=False)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show all that is known of one app.

    Looking never wakes it.
    """
    client = connect()
    app = client.get("apps", name)
    if as_json:
        print_json(app)
        return
    colour = has_colour(sys.stdout)
    rows = facts(app, colour=colour)
    room = max(len(title) for title, _ in rows)
    lines = [f"{paint(pad(title, room), 'dim', on=colour)}  {text}" for title, text in rows]
    with client.send("GET", "events", params={"app": name, "n": EVENTS}) as answer:
        events = [event_line(raw, colour=colour) for raw in answer.lines()]
    if events:
        lines += ["", paint("last events", "dim", on=colour), *("  " + event for event in events)]
    sys.stdout.write("\n".join(lines) + "\n")


def facts(app: dict[str, Any], *, colour: bool) -> list[tuple[str, str]]:
    """Titles and texts, in the order of reading."""
    state = paint(state_words(app), state_colour(app), on=colour)
    rows = [
        ("name", printable(app["name"])),
        ("state", f"{state} for {duration(app['state_age'])}"),
        ("want", app["want"]),
    ]
    if reason := note(app) or app["reason"]:
        rows.append(("reason", printable(reason)))
    idle = (
        "never by itself"
        if app["idle_timeout"] is None
        else f"after {duration_text(app['idle_timeout'])} without requests"
    )
    if app["idle_in"] is not None:
        idle += f", now in {duration(app['idle_in'])}"
    rows += [
        ("routes", ", ".join(app["routes"]) or NONE),
        ("sleeps", "never: always on" if app["always_on"] else idle),
        ("wakes in", "not known yet" if app["eta"] is None else f"about {lapse(app['eta'])}"),
        ("requests", f"{app['inflight']} running, {app['waiting']} waiting, {app['parked']} idle sockets"),
        ("restarts", str(app["restarts"])),
    ]
    for instance in app["instances"]:
        rows.append((f"instance {instance['id']}", instance_facts(instance)))
    return rows


def instance_facts(instance: dict[str, Any]) -> str:
    """One instance in a line."""
    parts = [f"{instance['state']}, start {instance['generation']}"]
    if instance["pid"]:
        parts.append(f"pid {instance['pid']}")
    if instance["port"]:
        parts.append(f"on {instance['host']}:{instance['port']}")
    if instance["uptime"] is not None:
        parts.append(f"up {duration(instance['uptime'])}")
    if instance["rss"] is not None:
        parts.append(f"{size(instance['rss'])} memory")
    if instance["cpu"] is not None:
        parts.append(f"{lapse(instance['cpu'])} CPU")
    return ", ".join(parts)
