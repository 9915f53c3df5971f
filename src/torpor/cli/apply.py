"""`torpor apply`: the configuration holds as it is written now."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from torpor.cli.app import CONFIG_INVALID
from torpor.cli.connection import connect, json_option, print_json
from torpor.cli.terminal import fail, printable
from torpor.control.client import Problem

HOLDS = {
    "at once": "holds at once",
    "next start": "holds from the next start",
    "restart": "holds from the next start",
}
"""How a change is taken over by an app that is not restarted for it."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
@json_option
def apply(dry_run: bool, as_json: bool) -> int:
    """Let the configuration hold as it is written now.

    Only what has changed is touched: a new app is there, a removed one is stopped and forgotten, and one that
    changed goes on with its new settings where it can. It is restarted where it cannot, if it is awake. If
    anything is wrong with the file nothing changes at all, and every problem is told; the exit code is 6 then.
    """
    try:
        found = connect().post("apply", **({"dry_run": "true"} if dry_run else {}))
    except Problem as problem:
        if problem.document.get("code") != "config-invalid":
            raise
        if as_json:
            print_json({"applied": False, "problems": problem.document["problems"]})
        else:
            sys.stderr.write(problem.message + "\n")
            number = len(problem.document["problems"])
            fail(f"the configuration has {number} problem{'s' if number != 1 else ''}; nothing was applied")
        return CONFIG_INVALID
    if as_json:
        print_json(found)
        return 0
    lines = list(sentences(found, would=dry_run))
    if not lines:
        sys.stdout.write("nothing has changed\n")
    elif dry_run:
        sys.stdout.write("\n".join(lines) + "\nnothing was done; `torpor apply` does it\n")
    else:
        sys.stdout.write("\n".join(lines) + "\n`torpor status` shows how they are\n")
    return 0


def sentences(found: dict[str, Any], *, would: bool) -> Iterator[str]:
    """What has changed, or would, in a line each."""
    for name in found["added"]:
        yield f"{printable(name)}: {'would be ' if would else ''}added"
    for change in found["changed"]:
        changed = f"{'would change' if would else 'changed'} {', '.join(change['settings'])}"
        if change["restarts"]:
            then = "would be restarted" if would else "is restarted"
        else:
            then = HOLDS[change["takes"]]
        yield f"{printable(change['name'])}: {changed}; {then}"
    for name in found["removed"]:
        yield f"{printable(name)}: {'would be stopped and removed' if would else 'is stopped and removed'}"
    if found["settings"]:
        yield f"torpor: {'would change' if would else 'changed'} {', '.join(found['settings'])}; holds at once"
