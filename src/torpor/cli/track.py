"""`torpor track`: word that apps are used past the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from torpor.cli.connection import app_argument, connect, json_option
from torpor.cli.figures import duration
from torpor.cli.terminal import printable
from torpor.cli.verbs import all_option, check_selection, chosen_names, outcomes, report


@click.command()
@app_argument()
@all_option
@json_option
def track(names: Sequence[str], all_apps: bool, as_json: bool) -> int:
    """Count apps as used now, so that they sleep one idle timeout later.

    For traffic that does not pass Torpor's gateway: call it from whatever sees that. It wakes nothing; an app that
    sleeps goes on sleeping.
    """
    check_selection("track", names, all_apps=all_apps)
    client = connect()
    return report("track", outcomes(client, "track", chosen_names(client, names)), as_json, _sentence)


def _sentence(_verb: str, outcome: dict[str, Any]) -> str:
    name, app = printable(outcome["name"]), outcome["app"]
    if app["state"] != "ready":
        return f"{name} is {app['state']}; `torpor wake {name}` wakes it, this does not"
    if app["idle_in"] is None:
        return f"{name} counts as used now; it does not fall asleep by itself anyway"
    return f"{name} counts as used now; left alone, it sleeps in {duration(app['idle_in'])}"
