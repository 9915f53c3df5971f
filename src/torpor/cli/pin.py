"""`torpor pin` and `torpor unpin`: an operator's word that apps stay awake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from torpor.cli.connection import app_argument, connect, json_option
from torpor.cli.figures import duration
from torpor.cli.terminal import printable
from torpor.cli.verbs import (
    after_change,
    all_option,
    check_selection,
    chosen_names,
    outcomes,
    parse_duration,
    report,
    timeout_option,
    under_way,
    wait_option,
)


@click.command()
@app_argument()
@all_option
@click.option(
    "--for",
    "seconds",
    metavar="DURATION",
    callback=parse_duration,
    help="How long, e.g. 2h; without it, until `unpin`.",
)
@wait_option
@timeout_option
@json_option
def pin(
    names: Sequence[str],
    all_apps: bool,
    *,
    seconds: float | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Keep apps awake, whether anybody uses them or not.

    One that sleeps is woken. A pinned app is never put to sleep: not for idleness, nor by its
    schedule, nor because memory is short. The pin outlives restarts of the daemon; without --for, reboots too.
    """
    check_selection("pin", names, all_apps=all_apps)
    client = connect()
    more = {} if seconds is None else {"for": seconds}
    found = outcomes(client, "pin", chosen_names(client, names), wait=wait, timeout=timeout, **more)
    return report("pin", found, as_json, _sentence)


@click.command()
@app_argument()
@all_option
@json_option
def unpin(names: Sequence[str], all_apps: bool, as_json: bool) -> int:
    """Let pinned apps sleep again."""
    check_selection("unpin", names, all_apps=all_apps)
    client = connect()
    return report("unpin", outcomes(client, "unpin", chosen_names(client, names)), as_json, _sentence)


def _sentence(verb: str, outcome: dict[str, Any]) -> str:
    name, app = printable(outcome["name"]), outcome["app"]
    if verb == "unpin":
        return (
            f"{name} was pinned, and may sleep again"
            if outcome["pinned_before"]
            else f"{name} was not pinned"
        )
    if not outcome["done"]:
        return under_way(verb, outcome)
    left = app["pinned_for"]
    span = f"until `torpor unpin {name}`" if left is None else f"for {duration(left)}"
    return f"{name} is {app['state']}{after_change(outcome)}, and stays awake {span}"
