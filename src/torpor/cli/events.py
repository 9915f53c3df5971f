"""`torpor events`: what happened."""

from __future__ import annotations

import json
import sys
import time

import click

from torpor.cli.connection import check_names, complete_app, connect, json_option
from torpor.cli.terminal import has_colour, paint, printable

COLOURS = {
    "ready": "green",
    "failed": "red",
    "exited": "red",
    "asleep": "blue",
    "paused": "blue",
    "hibernated": "blue",
}


@click.command()
@click.argument("name", metavar="[APP]", required=False, callback=check_names, shell_complete=complete_app)
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "-n", "--number", type=click.IntRange(min=0), default=50, show_default=True, help="Past events."
)
@json_option
def events(name: str | None, follow: bool, number: int, as_json: bool) -> None:
    """Show what happened to apps, and follow it."""
    params: dict[str, str | int] = {"n": number}
    if name is not None:
        params["app"] = name
    if follow:
        params["follow"] = "true"
    colour = has_colour(sys.stdout)
    patience, output = (None, sys.stdout.fileno()) if follow else (-1, None)
    with connect().send("GET", "events", params=params, patience=patience, output=output) as answer:
        for raw in answer.lines():
            if b'"dropped"' in raw and "dropped" in (gap := json.loads(raw)):
                sys.stderr.write(f"torpor: {gap['dropped']} events left out, this reader is too slow\n")
                continue
            sys.stdout.write((raw.decode() if as_json else line(raw, colour=colour)) + "\n")
            if follow:
                sys.stdout.flush()


def line(raw: bytes, *, colour: bool) -> str:
    """An event's NDJSON as a line for people, in local time."""
    event = json.loads(raw)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["at"]))
    name = printable(event["instance"] or event["app"])
    text = paint(printable(event["text"]), COLOURS.get(event["kind"]), on=colour)
    return f"{paint(at, 'dim', on=colour)}  {name}  {text}"
