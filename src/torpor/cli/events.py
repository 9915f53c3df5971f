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

WAKE_COLOURS = {"ready": "green", "error": "red", "napping": "blue"}


@click.command()
@click.argument("name", metavar="[APP]", required=False, callback=check_names, shell_complete=complete_app)
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "-n", "--number", type=click.IntRange(min=0), default=50, show_default=True, help="Past events."
)
@click.option("--wake", is_flag=True, help="The present wake of APP, with all that it waits for.")
@json_option
def events(name: str | None, follow: bool, number: int, wake: bool, as_json: bool) -> None:
    """Show what happened to apps, and follow it.

    With --wake only what belongs to one wake, in the words in which the waiting page is told of it. Followed, it ends
    when the app is ready, or cannot be.
    """
    if wake and name is None:
        raise click.UsageError("--wake is about one app: name it")
    params: dict[str, str | int] = {} if wake else {"n": number}
    address = ("apps", name, "wake-events") if wake and name is not None else ("events",)
    if name is not None and not wake:
        params["app"] = name
    if follow:
        params["follow"] = "true"
    colour = has_colour(sys.stdout)
    patience, output = (None, sys.stdout.fileno()) if follow else (-1, None)
    words = wake_line if wake else line
    with connect().send("GET", *address, params=params, patience=patience, output=output) as answer:
        for raw in answer.lines():
            if b'"dropped"' in raw and "dropped" in (gap := json.loads(raw)):
                sys.stderr.write(f"torpor: {gap['dropped']} events left out, this reader is too slow\n")
                continue
            sys.stdout.write((raw.decode() if as_json else words(raw, colour=colour)) + "\n")
            if follow:
                sys.stdout.flush()


def line(raw: bytes, *, colour: bool) -> str:
    """An event's NDJSON as a line for people, in local time."""
    event = json.loads(raw)
    name = printable(event["instance"] or event["app"])
    text = paint(printable(event["text"]), COLOURS.get(event["kind"]), on=colour)
    return f"{_moment(event['at'], colour=colour)}  {name}  {text}"


def wake_line(raw: bytes, *, colour: bool) -> str:
    """The same for an event of a wake, with its word."""
    event = json.loads(raw)
    text = paint(printable(event["data"]["message"]), WAKE_COLOURS.get(event["action"]), on=colour)
    name, word = printable(event["category"]), printable(event["action"])
    return f"{_moment(event['timestamp'], colour=colour)}  {name}  {word:<14}  {text}"


def _moment(at: float, *, colour: bool) -> str:
    return paint(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)), "dim", on=colour)
