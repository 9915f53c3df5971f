"""`torpor scale`: how many replicas an app has."""

from __future__ import annotations

from typing import Any

import click

from torpor.cli.connection import app_argument, connect, json_option
from torpor.cli.terminal import printable
from torpor.cli.verbs import after, outcomes, report, timeout_option, under_way, wait_option


@click.command()
@app_argument(required=True, many=False)
@click.argument("replicas", metavar="N", type=click.IntRange(min=1))
@wait_option
@timeout_option
@json_option
def scale(name: str, replicas: int, wait: bool, timeout: float | None, as_json: bool) -> int:
    """Change how many replicas an app has.

    New ones are started if the app is awake; those that are too many finish their requests first.
    The number outlives restarts of the daemon.
    """
    found = outcomes(connect(), "scale", [name], wait=wait, timeout=timeout, replicas=replicas)
    return report("scale", found, as_json, _sentence)


def _sentence(verb: str, outcome: dict[str, Any]) -> str:
    if not outcome["done"]:
        return under_way(verb, outcome)
    number = outcome["replicas"]
    has = f"{printable(outcome['name'])} has {number} replica{'s' if number != 1 else ''}"
    state = outcome["app"]["state"]
    if state == "asleep":
        return f"{has} from now on; it is asleep, the next wake starts them"
    return f"{has}, {state}{after(outcome)}"
