"""`torpor reload`: apps read their own configuration again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from torpor.cli.connection import app_argument, connect, json_option
from torpor.cli.terminal import printable
from torpor.cli.verbs import all_option, chosen_names, outcomes, report

WHICH = """say which apps are to read their own configuration again: names, quoted globs, group:NAME, or --all.
Torpor's own configuration is read again by `torpor apply`."""


@click.command()
@app_argument()
@all_option
@json_option
def reload(names: Sequence[str], all_apps: bool, as_json: bool) -> int:
    """Let apps read their own configuration again, without a restart.

    How is what the app's `reload_signal` or `reload_command` says.
    """
    if names and all_apps:
        raise click.UsageError("--all and names exclude each other")
    if not names and not all_apps:
        raise click.UsageError(WHICH)
    client = connect()
    found = outcomes(client, "reload", chosen_names(client, names))
    return report("reload", found, as_json, _sentence)


def _sentence(_verb: str, outcome: dict[str, Any]) -> str:
    reached = outcome["reached"]
    replicas = f", in {reached} replicas" if reached > 1 else ""
    name = printable(outcome["name"])
    return f"{name} was told to reload{replicas}; `torpor logs {name}` shows what it says to that"
