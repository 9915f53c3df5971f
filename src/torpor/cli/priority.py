"""`torpor priority`: how soon an app is put to sleep for others."""

from __future__ import annotations

from typing import Any

import click

from torpor.cli.connection import app_argument, connect, json_option
from torpor.cli.terminal import printable
from torpor.cli.verbs import outcomes, report


@click.command()
@app_argument(required=True, many=False)
@click.argument("priority", metavar="N", type=click.IntRange(min=1, max=100))
@click.option(
    "--always-on/--on-demand",
    "always_on",
    default=None,
    help="Keep it running, or let it sleep when nobody uses it.",
)
@json_option
def priority(name: str, priority: int, always_on: bool | None, as_json: bool) -> int:
    """Change how soon an app is put to sleep for others.

    1 is first, 100 is last. It outlives restarts of the daemon, until the configuration says something else than it does now.
    """
    more: dict[str, Any] = {} if always_on is None else {"always_on": "true" if always_on else "false"}
    found = outcomes(connect(), "priority", [name], priority=priority, **more)
    return report("priority", found, as_json, _sentence)


def _sentence(_verb: str, outcome: dict[str, Any]) -> str:
    always = ", always on" if outcome["always_on"] else ""
    return f"{printable(outcome['name'])} has priority {outcome['priority']}{always}"
