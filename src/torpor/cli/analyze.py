"""`torpor analyze`: what made it slow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from torpor.cli.connection import check_names, complete_app, connect, json_option, print_json
from torpor.cli.figures import NONE, lapse
from torpor.cli.status import COLOURS
from torpor.cli.table import Column, Row, render
from torpor.cli.terminal import columns, has_colour, printable

SLOWEST = 5
"""Apps in the list of the slowest starts."""
CHAIN = (
    Column("APP", keep=9, least=8),
    Column("STATE", keep=5),
    Column("READY", keep=8, right=True),
    Column("WAITED", keep=6, right=True),
    Column("START", keep=7, right=True),
    Column("TRIES", keep=1, right=True),
    Column("DETAIL", keep=2, least=16),
)
_STATE = 1


@click.command()
@click.argument("name", metavar="[APP]", required=False, callback=check_names, shell_complete=complete_app)
@json_option
def analyze(name: str | None, as_json: bool) -> None:
    """Show what made the last boot, or an app's last wake, slow.

    It prints the chain of apps that waited for each other: the one that was ready last, below it the one for which
    that waited longest, and so on. WAITED is the time until what an app needs was there, START that from then until
    it was ready itself.

    The daemon remembers each app's last wake since it came up.
    """
    analysis = connect().get("analysis", **({"app": name} if name is not None else {}))
    if as_json:
        print_json(analysis)
        return
    sys.stdout.write("".join(f"{line}\n" for line in summary(analysis)) + "\n")
    room, colour = columns(sys.stdout), has_colour(sys.stdout)
    rows = [row(link, depth) for depth, link in enumerate(analysis["chain"])]
    sys.stdout.write(render(CHAIN, rows, room=room, headers=True, colour=colour))
    if len(analysis["apps"]) > len(analysis["chain"]):
        slowest = [link for link in analysis["apps"] if link["starting"] is not None][:SLOWEST]
        sys.stdout.write("\nslowest starts\n")
        sys.stdout.writelines(f"{_time(link['starting']):>8}  {printable(link['app'])}\n" for link in slowest)


def summary(analysis: dict[str, Any]) -> Iterator[str]:
    """How long it took, and because of whom."""
    first, took = analysis["chain"][0], analysis["took"]
    blamed = next(link for link in analysis["chain"] if link["app"] == analysis["slowest"])
    boot = analysis["subject"] == "boot"
    what = "the boot" if boot else f"waking {printable(first['app'])}"
    by = "" if boot else f" (woken by {printable(first['by'])})"
    who = printable(blamed["app"])
    if took is None:
        why = f", {printable(blamed['reason'])}" if blamed["reason"] else ""
        yield f"{what} is not over{by}: {who} is {blamed['state']}{why}"
        return
    last = (
        f"; the last to be ready was {printable(first['app'])}" if boot and len(analysis["apps"]) > 1 else ""
    )
    yield f"{what} took {lapse(took)}{by}{last}"
    if blamed["starting"] and took and len(analysis["chain"]) > 1:
        share = min(100, round(100 * blamed["starting"] / took))
        yield f"{share} % of that is the start of {who}"


def row(link: dict[str, Any], depth: int) -> Row:
    """A link of the chain."""
    cells = (
        "   " * (depth - 1) + "└─ " * (depth > 0) + printable(link["app"]),
        link["state"],
        _time(link["ready_at"]),
        _time(link["blocked"] or None),
        _time(link["starting"]),
        str(link["attempts"]),
        printable(link["reason"] or link["waited_for"] or NONE),
    )
    return Row(cells, {_STATE: COLOURS.get(link["state"], "yellow")})


def _time(seconds: float | None) -> str:
    return NONE if seconds is None else lapse(seconds)
