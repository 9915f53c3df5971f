"""`torpor save`: what `run` added goes into the configuration file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from torpor.cli.connection import app_argument, connect, json_option, print_json
from torpor.cli.terminal import printable
from torpor.cli.verbs import chosen_names


@click.command()
@app_argument()
@json_option
def save(names: Sequence[str], as_json: bool) -> int:
    """Write the apps that `run` added into the configuration file.

    Without names: all of them. Lines are added below `apps:`, and nothing else in the file changes; a file that is
    written in another way is left alone. No app notices.
    """
    client = connect()
    chosen = chosen_names(client, names) if names else []
    saved = client.post("save", app=chosen)
    if as_json:
        print_json(saved)
    elif not saved["apps"]:
        sys.stdout.write("there is nothing to save: `torpor run` added no app\n")
    else:
        apps = printable(", ".join(saved["apps"]))
        stands = "stands" if len(saved["apps"]) == 1 else "stand"
        sys.stdout.write(f"{apps} now {stands} in {saved['file']}:{saved['line']}\n")
        sys.stdout.write("edit it there, and let it hold with `torpor apply`\n")
    return 0
