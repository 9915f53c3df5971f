"""`torpor status`: the one table that says it all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from torpor.cli.app import NOT_RUNNING
from torpor.cli.connection import app_argument, connect, json_option, print_json, select
from torpor.cli.figures import NONE, duration, size
from torpor.cli.table import Column, Row, render
from torpor.cli.terminal import columns, has_colour, printable

COLUMNS = (
    Column("NAME", keep=9, least=8),
    Column("STATE", keep=10),
    Column("PID", keep=4, right=True),
    Column("PORT", keep=2, right=True),
    Column("IDLE-IN", keep=7, right=True),
    Column("UPTIME", keep=3, right=True),
    Column("RESTARTS", keep=1, right=True),
    Column("MEM", keep=6, right=True),
    Column("ROUTE", keep=5, least=12),
)
_STATE = 1
COLOURS = {
    "ready": "green",
    "asleep": "blue",
    "paused": "blue",
    "hibernated": "blue",
    "done": "dim",
    "failed": "red",
    "backoff": "red",
}
"""Everything else is on its way somewhere, and yellow."""
TROUBLED = frozenset({"failed", "backoff"})
MISHAPS = frozenset({"exited", "start-failed", "start-timeout", "failed", "dependency", "unhealthy"})
"""Causes for which nobody asked: an app that sleeps for one of them has something to tell."""


@click.command()
@app_argument()
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Print the names only.")
@click.option("--no-headers", is_flag=True, help="Leave the line of titles out.")
def status(names: Sequence[str], as_json: bool, quiet: bool, no_headers: bool) -> int:
    """List the apps and what they are doing.

    An app with several replicas has a line for each.

    With names (or quoted globs) the exit code tells whether they run: 0 if each one runs or
    sleeps until someone knocks, 3 if one is stopped or failed, 4 if there is no such app.

    Looking never wakes an app.
    """
    apps = connect().get("apps")
    if names:
        apps = select(apps, names)
    if as_json:
        print_json(apps)
    elif quiet:
        sys.stdout.write("".join(app["name"] + "\n" for app in apps))
    elif apps or not no_headers:
        sys.stdout.write(
            render(
                COLUMNS,
                [row for app in apps for row in rows(app)],
                room=columns(sys.stdout),
                headers=not no_headers,
                colour=has_colour(sys.stdout),
            )
        )
    return NOT_RUNNING if names and not all(map(serves, apps)) else 0


def rows(app: dict[str, Any]) -> list[Row]:
    """The table's rows of an app's document: one, or where it has several instances one for each."""
    instances = app["instances"]
    if len(instances) < 2:
        return [_row(app["name"], app, app["routes"])]
    common = {key: app[key] for key in ("want", "pinned", "pinned_for", "closed", "gives_up_in")}
    return [
        _row(instance["id"], {**instance, **common}, [] if number else app["routes"])
        for number, instance in enumerate(instances)
    ]


def _row(name: str, app: dict[str, Any], routes: Sequence[str]) -> Row:
    """The row of an app, or of one instance with the app's want."""
    cells = (
        printable(name),
        state_words(app),
        str(app["pid"] or NONE),
        str(app["port"] or NONE),
        duration(app["idle_in"]),
        duration(app["uptime"]),
        str(app["restarts"]),
        size(app["rss"]),
        routes[0] + (f" +{len(routes) - 1}" if len(routes) > 1 else "") if routes else NONE,
    )
    return Row(cells, {_STATE: state_colour(app)}, note(app), "red" if app["state"] in TROUBLED else "dim")


def state_words(app: dict[str, Any]) -> str:
    """The state, and whether an operator keeps the app down."""
    return f"{app['state']} (down)" if app["want"] == "down" else str(app["state"])


def state_colour(app: dict[str, Any]) -> str:
    """The colour of the app's state."""
    return "dim" if app["want"] == "down" else COLOURS.get(app["state"], "yellow")


def note(app: dict[str, Any]) -> str | None:
    """What there is to say about an app beside its state.

    Whether it is pinned, may not run now, or cannot sleep as deep as it was to; else its own words, or why it is in trouble, waits or ended
    by itself, and when it will be tried again.
    """
    state = app["state"]
    if app["pinned"] and state not in TROUBLED and state != "blocked":
        left = app["pinned_for"]
        return "pinned" if left is None else f"pinned for another {duration(left)}"
    if app["closed"] and state == "asleep":
        return printable(app["closed"])
    if app["shallow"]:
        return f"not deeper: {printable(app['shallow'])}"
    if app["status"]:
        return printable(app["status"])
    if state not in TROUBLED and state != "blocked" and (state != "asleep" or app["cause"] not in MISHAPS):
        return None
    reason = printable(app["reason"] or "no reason is known")
    if app["retry_in"] is not None:
        return f"{reason}; next try in {duration(app['retry_in'])}"
    if app["gives_up_in"] is not None:
        return f"{reason}; at most {duration(app['gives_up_in'])} more"
    return reason


def serves(app: dict[str, Any]) -> bool:
    """Whether the app runs, or sleeps on purpose and would wake."""
    return app["want"] != "down" and app["state"] not in TROUBLED
