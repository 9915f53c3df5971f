"""`torpor show`: one app in full."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from torpor.cli.connection import app_argument, connect, json_option, print_json
from torpor.cli.events import line as event_line
from torpor.cli.figures import NONE, duration, lapse, size
from torpor.cli.origins import settings_lines, settings_of
from torpor.cli.status import state_colour, state_words
from torpor.cli.terminal import columns, fold, has_colour, pad, paint, printable
from torpor.cli.verbs import chosen_names
from torpor.config.units import duration_text
from torpor.control.client import Client

EVENTS = 5
LARGEST_COUNT = 1_000_000
"""What is more of a budget is bytes."""
LEAST = 16
"""Columns for texts, however narrow the terminal is."""


@click.command()
@app_argument(required=True)
@click.option("--defaults", is_flag=True, help="Show the settings too that nobody wrote.")
@json_option
def show(names: Sequence[str], defaults: bool, as_json: bool) -> None:
    """Show all that is known of apps.

    How they are, which settings hold for them and where each comes from, and what happened last. Looking never wakes
    an app. `--json` prints one object for one name, else a list.
    """
    client = connect()
    chosen = chosen_names(client, names)
    if as_json:
        documents = [{**client.get("apps", name), "settings": settings_of(client, name)} for name in chosen]
        print_json(documents[0] if len(names) == 1 and chosen == list(names) else documents)
        return
    for number, name in enumerate(chosen):
        sys.stdout.write(("\n\n" if number else "") + _page(client, name, defaults=defaults))


def _page(client: Client, name: str, *, defaults: bool) -> str:
    """All that there is to say about one app."""
    app = client.get("apps", name)
    colour = has_colour(sys.stdout)
    rows = facts(app, colour=colour)
    room = max(len(title) for title, _ in rows)
    lines = []
    for title, text in rows:
        first, *more = _folded(text, room + 2)
        lines += [f"{paint(pad(title, room), 'dim', on=colour)}  {first}"]
        lines += [f"{'':{room}}  {line}" for line in more]
    if (settings := settings_of(client, name)) is not None:
        lines += ["", *settings_lines(settings, defaults=defaults, colour=colour)]
    with client.send("GET", "events", params={"app": name, "n": EVENTS}) as answer:
        events = [event_line(raw, colour=colour) for raw in answer.lines()]
    if events:
        lines += ["", paint("last events", "dim", on=colour), *("  " + event for event in events)]
    return "\n".join(lines) + "\n"


def _folded(text: str, before: int) -> list[str]:
    """The text in lines that fit behind so many columns of the terminal; one line where they may have any length."""
    room = columns(sys.stdout)
    return [text] if room is None or "\x1b" in text else fold(text, max(room - before, LEAST))


RUNGS = {"pause": "paused", "hibernate": "hibernated", "stop": "stopped", "kill": "killed"}
"""What becomes of an app that sleeps so."""


def facts(app: dict[str, Any], *, colour: bool) -> list[tuple[str, str]]:
    """Titles and texts, in the order of reading."""
    state = paint(state_words(app), state_colour(app), on=colour)
    rows = [
        ("name", printable(app["name"])),
        ("state", f"{state} for {duration(app['state_age'])}"),
        ("want", app["want"]),
    ]
    if reason := app["reason"]:
        rows.append(("reason", printable(reason)))
    if app["shallow"]:
        rows.append(("not deeper", printable(app["shallow"])))
    if app["awaited"]:
        rows.append(("waits for", printable(", ".join(map(awaited, app["awaited"])))))
    if app["gives_up_in"] is not None:
        rows.append(("gives up", f"in {duration(app['gives_up_in'])} at the latest"))
    if app["retry_in"] is not None:
        rows.append(("next try", f"in {duration(app['retry_in'])}"))
    if app["status"]:
        rows.append(("says", printable(app["status"])))
    idle = "never by itself"
    if app["idle_timeout"] is not None:
        rungs = [f"{RUNGS[rung['tier']]} after {duration_text(rung['after'])}" for rung in app["ladder"]]
        idle = ", ".join(rungs).removeprefix("stopped ") + " without requests"
        if app["min_bytes"]:
            idle += f", or fewer than {app['min_bytes']} bytes"
    for soon in (app["idle_in"], app["deeper_in"]):
        if soon is not None:
            idle += f", now in {duration(soon)}"
    if app["pinned"]:
        left = app["pinned_for"]
        span = f"until `torpor unpin {printable(app['name'])}`" if left is None else f"for {duration(left)}"
        rows.append(("pinned", span))
    if app["closed"]:
        rows.append(("closed", printable(app["closed"])))
    rows += [
        ("routes", leads(app) or NONE),
        ("sleeps", "never: always on" if app["always_on"] else idle),
        ("woken by", printable(waker(app["woken_by"]))),
        ("wakes in", "not known yet" if app["eta"] is None else f"about {lapse(app['eta'])}"),
        ("requests", f"{app['inflight']} running, {app['waiting']} waiting, {app['parked']} idle sockets"),
        ("restarts", str(app["restarts"])),
        ("priority", str(app["priority"])),
    ]
    if shared := takes(app):
        rows.append(("takes", shared))
    if app.get("log_degraded") or app.get("log_lost"):
        rows.append(("log", log_trouble(app)))
    if app.get("log_unforwarded"):
        rows.append(
            ("forwarded", f"all but {app['log_unforwarded']} lines, which the system's log did not take")
        )
    if app["groups"]:
        rows.append(("groups", ", ".join(app["groups"])))
    if app["depends_on"]:
        rows.append(("needs", ", ".join(map(need, app["depends_on"]))))
    if app["held_by"]:
        rows.append(("needed by", printable(", ".join(app["held_by"]))))
    if app["companions"]:
        rows.append(("companions", printable(", ".join(app["companions"]))))
    for instance in app["instances"]:
        several = len(app["instances"]) > 1
        rows.append((f"instance {instance['id']}", printable(instance_facts(instance, alone=not several))))
    return rows


def waker(by: dict[str, Any] | None) -> str:
    """Who woke it last, with all that is known of a request."""
    if by is None:
        return NONE
    parts = [by["by"], by["user_agent"], f"by the rule {by['rule']}" if by["rule"] else None]
    return ", ".join(part for part in parts if part)


def leads(app: dict[str, Any]) -> str:
    """Its routes, with the port where one leads to another than the app's main one."""
    ports = app["route_ports"]
    return ", ".join(f"{route} (port {ports[route]})" if route in ports else route for route in app["routes"])


def takes(app: dict[str, Any]) -> str:
    """What it takes of what all apps share, as far as that is known."""
    memory = [] if app["size"] is None else [f"{size(app['size'])} memory when awake"]
    uses = [
        f"{size(amount) if amount > LARGEST_COUNT else amount} of {name}"
        for name, amount in app["uses"].items()
    ]
    return ", ".join([*memory, *uses])


def log_trouble(app: dict[str, Any]) -> str:
    """What its log could not take."""
    lost = f"{size(app['log_lost'])} of output lost"
    return f"cannot be written: {app['log_problem']}; {lost}" if app["log_degraded"] else lost


def need(needed: dict[str, Any]) -> str:
    """An app that is needed, and as what."""
    optional = ", optional" if needed["optional"] else ""
    return f"{printable(needed['app'])} ({needed['condition']}{optional})"


def awaited(one: dict[str, Any]) -> str:
    """An app that is waited for, what it has to be, and for how long already."""
    return f"{one['app']} ({one['condition']}) for {duration(one['seconds'])}"


def instance_facts(instance: dict[str, Any], *, alone: bool) -> str:
    """One instance in a line; `alone`: its troubles and words are told as those of the app."""
    parts = [f"{instance['state']}, start {instance['generation']}"]
    if instance["pid"]:
        parts.append(f"pid {instance['pid']}")
    if instance["port"]:
        parts.append(f"on {instance['host']}:{instance['port']}")
    if instance["socket"]:
        parts.append(f"on {printable(instance['socket'])}")
    if instance["uptime"] is not None:
        parts.append(f"up {duration(instance['uptime'])}")
    if instance["rss"] is not None:
        parts.append(f"{size(instance['rss'])} memory")
    if instance["cpu"] is not None:
        parts.append(f"{lapse(instance['cpu'])} CPU")
    if instance["reason"] and not alone:
        parts.append(instance["reason"])
    if instance["retry_in"] is not None and not alone:
        parts.append(f"next try in {duration(instance['retry_in'])}")
    if instance["status"] and not alone:
        parts.append(f"says {instance['status']}")
    return ", ".join(parts)
