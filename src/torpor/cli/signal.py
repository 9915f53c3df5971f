"""`torpor signal`, also `torpor kill`: a signal to the main processes of apps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from torpor.cli.connection import check_names, complete_app, connect, json_option
from torpor.cli.terminal import printable
from torpor.cli.verbs import chosen_names, outcomes, report


@click.command()
@click.argument(
    "words",
    metavar="APP... SIGNAL",
    nargs=-1,
    required=True,
    callback=check_names,
    shell_complete=complete_app,
)
@click.option("-s", "name", metavar="SIGNAL", help="The signal; then all words are apps.")
@json_option
def signal(words: Sequence[str], name: str | None, as_json: bool) -> int:
    """Send a signal to the main processes of apps.

    SIGNAL is a name (HUP, SIGUSR1) or a number. It reaches every replica, but nothing that those
    have started. What ends by it counts as a crash, and is restarted as such: to end an app use `stop`.
    """
    *apps, last = words
    if name is None:
        name = last
    else:
        apps.append(last)
    if not apps:
        raise click.UsageError(
            f"say which signal, e.g. `torpor signal {last} HUP`; `torpor stop {last}` ends it"
        )
    client = connect()
    found = outcomes(client, "signal", chosen_names(client, apps), signal=name)
    return report("signal", found, as_json, lambda _verb, outcome: _sentence(str(name), outcome))


def _sentence(signal: str, outcome: dict[str, Any]) -> str:
    reached = outcome["reached"]
    word = signal.upper().removeprefix("SIG")
    to = printable(outcome["name"]) + (f", to {reached} replicas" if reached > 1 else "")
    return f"signal {word} was sent to {to}"
