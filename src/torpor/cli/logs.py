"""`torpor logs`: what apps write."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from torpor.cli.connection import app_argument, connect, is_glob, json_option, select
from torpor.cli.terminal import PREFIX_COLOURS, has_colour, pad, paint, printable, width


@click.command()
@app_argument()
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Past lines of each app.",
)
@click.option("--previous", is_flag=True, help="The run before the current one.")
@json_option
def logs(names: Sequence[str], follow: bool, lines: int, previous: bool, as_json: bool) -> None:
    """Show what apps write, and follow it.

    Without a name: all apps, each line behind the name of its app.
    """
    if follow and previous:
        raise click.UsageError("--follow and --previous exclude each other: a previous run is over")
    client = connect()
    known = [] if names and not any(map(is_glob, names)) else client.get("apps")
    chosen = list(names)
    if known:
        chosen = [app["name"] for app in (select(known, names) if names else known)]
    elif not names:
        return
    # All apps are asked for by naming none: a thousand names would not fit into a request line.
    params: dict[str, str | int | list[str]] = {"lines": lines, "app": chosen if names else []}
    params.update({flag: "true" for flag, on in (("follow", follow), ("previous", previous)) if on})
    prefixes = {} if len(chosen) < 2 else _prefixes(chosen, colour=has_colour(sys.stdout))
    patience, output = (None, sys.stdout.fileno()) if follow else (-1, None)
    with client.send("GET", "logs", params=params, patience=patience, output=output) as answer:
        for raw in answer.lines():
            entry = json.loads(raw)
            if "dropped" in entry:
                sys.stderr.write(f"torpor: {entry['dropped']} lines left out, this reader is too slow\n")
            elif as_json:
                sys.stdout.write(raw.decode() + "\n")
            else:
                sys.stdout.write(f"{prefixes.get(entry['app'], '')}{entry['line']}\n")
            if follow:
                sys.stdout.flush()


def _prefixes(names: Sequence[str], *, colour: bool) -> dict[str, str]:
    """What stands before the lines of each app, all equally wide."""
    room = max(width(printable(name)) for name in names)
    return {
        name: paint(pad(printable(name), room) + " | ", PREFIX_COLOURS[i % len(PREFIX_COLOURS)], on=colour)
        for i, name in enumerate(names)
    }
