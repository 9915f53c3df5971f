"""`torpor config`: is the file right, and what may stand in it."""

from __future__ import annotations

import sys
from dataclasses import asdict, is_dataclass

import click

from torpor.cli.app import CONFIG_INVALID
from torpor.cli.connection import json_option, print_json
from torpor.cli.terminal import fail
from torpor.errors import ConfigInvalid, ConfigNotFound


@click.group()
def config() -> None:
    """Check the configuration, or print its schema."""


@config.command()
@click.argument("file", required=False, type=click.Path())
@json_option
def check(file: str | None, as_json: bool) -> int:
    """Report every problem of the configuration, as file:line:column; exit 6 if there is one.

    Nothing is applied.  Without FILE: the one that `torpor up` would take.
    """
    from torpor.config.find import find_config  # noqa: PLC0415  # with the parser behind it
    from torpor.config.load import load  # noqa: PLC0415

    try:
        path = find_config(file)
        settings = load(path)
    except ConfigNotFound as error:
        fail(error.message, error.hint)
        return CONFIG_INVALID
    except ConfigInvalid as error:
        if as_json:
            print_json({"valid": False, "problems": [_facts(problem) for problem in error.problems]})
        else:
            sys.stderr.write(error.message + "\n")
            number = len(error.problems)
            fail(f"the configuration has {number} problem{'s' if number != 1 else ''}")
        return CONFIG_INVALID
    apps = [app.name for app in settings.apps]
    listen = [str(address) for address in settings.gateway.listen]
    if as_json:
        print_json({"valid": True, "file": str(path), "apps": apps, "listen": listen})
    else:
        count = f"{len(apps)} app{'s' if len(apps) != 1 else ''}"
        sys.stdout.write(f"{path} is valid: {count}, listening on {', '.join(listen)}\n")
    return 0


@config.command()
def schema() -> None:
    """Print the JSON Schema of torpor.yaml, for editors."""
    from torpor.config.schema import json_schema  # noqa: PLC0415  # with all declarations behind it

    print_json(json_schema())


def _facts(problem: object) -> object:
    return asdict(problem) if is_dataclass(problem) and not isinstance(problem, type) else str(problem)
