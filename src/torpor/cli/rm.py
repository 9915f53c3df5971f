"""`torpor rm`: apps that `run` added go."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from torpor.cli.app import exit_code
from torpor.cli.connection import app_argument, connect, json_option, print_json
from torpor.cli.terminal import fail, printable
from torpor.cli.verbs import all_option, check_selection, waves
from torpor.control.client import Client, Problem


@click.command()
@app_argument()
@all_option
@click.option("--force", is_flag=True, help="Remove them also if other added apps need them.")
@click.option("--logs", is_flag=True, help="Delete what they wrote, too.")
@json_option
def rm(names: Sequence[str], all_apps: bool, force: bool, logs: bool, as_json: bool) -> int:
    """Remove apps that `run` added.

    They are stopped, those first that need others, and forgotten once nothing of them is alive. What they wrote is
    kept, unless --logs. An app that stands in the configuration file is not removed: delete it there, and `apply`.
    --all means all that `run` added.
    """
    check_selection("remove", names, all_apps=all_apps)
    client = connect()
    params = {flag: "true" for flag, given in (("force", force), ("logs", logs)) if given}
    code, documents = 0, []
    for name in _chosen(client, names):
        try:
            removed = client.delete("apps", name, **params)
            documents.append({**removed, "error": None})
        except Problem as problem:
            code = code or exit_code(problem)
            documents.append({"verb": "rm", "name": name, "error": problem.document})
            fail(problem.message, problem.hint)
        else:
            if removed["stays"] is not None and not as_json:
                stays = printable(f"{name} of {removed['stays']}")
                sys.stdout.write(f"what `torpor run` kept as {printable(name)} is removed; {stays} stays\n")
            elif not as_json:
                kept = "" if logs else "; its log is kept, `torpor rm --logs` would have deleted it"
                sys.stdout.write(f"{printable(name)} is removed{kept}\n")
    if as_json:
        print_json(documents)
    elif not documents:
        sys.stdout.write("there is nothing to remove: `torpor run` added no app\n")
    return code


def _chosen(client: Client, names: Sequence[str]) -> list[str]:
    """The apps that are meant, dependents first."""
    if names:
        return [name for wave in waves(client, names) for name in wave]
    added = [app["name"] for app in client.get("apps", added="true")]
    return [name for wave in waves(client, added) for name in wave] if added else []
