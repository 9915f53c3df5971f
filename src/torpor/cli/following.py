"""Showing what apps write from the very beginning of a start."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from torpor.cli.terminal import PREFIX_COLOURS, has_colour, pad, paint, printable, width
from torpor.control.client import Client


def start_and_follow(client: Client, names: Sequence[str]) -> int:
    """Start apps and print what they write, until Ctrl-C."""

    def start() -> None:
        for name in names:
            client.post("apps", name, "start", wait="false")

    # Who listens before the start misses nothing of it.
    return follow(client, names, lines=0, then=start)


def follow(client: Client, names: Sequence[str], *, lines: int, then: object = None) -> int:
    """Print what apps write, until Ctrl-C; `then` is called once nothing can be missed any more."""
    before = {} if len(names) < 2 else _prefixes(names, colour=has_colour(sys.stdout))
    params: dict[str, str | int | list[str]] = {"lines": lines, "app": list(names), "follow": "true"}
    output = sys.stdout.fileno()
    with client.send("GET", "logs", params=params, patience=None, output=output) as answer:
        written = answer.lines_from_now()
        if callable(then):
            then()
        try:
            for raw in written:
                entry = json.loads(raw)
                if "dropped" in entry:
                    sys.stderr.write(f"torpor: {entry['dropped']} lines left out, this reader is too slow\n")
                else:
                    sys.stdout.write(f"{before.get(entry['app'], '')}{entry['line']}\n")
                    sys.stdout.flush()
        except KeyboardInterrupt:
            sys.stderr.write(
                f"\n{', '.join(names)} goes on; `torpor logs -f` shows more, `torpor stop` ends it\n"
            )
    return 0


def _prefixes(names: Sequence[str], *, colour: bool) -> dict[str, str]:
    """What stands before the lines of each app, all equally wide."""
    room = max(width(printable(name)) for name in names)
    return {
        name: paint(pad(printable(name), room) + " | ", PREFIX_COLOURS[i % len(PREFIX_COLOURS)], on=colour)
        for i, name in enumerate(names)
    }
