"""Where the daemon is, what the user means by names, and completion of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from torpor.config.paths import socket_path
from torpor.control.client import Client
from torpor.control.selection import GROUP, meant
from torpor.errors import TorporError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMPLETION_TIMEOUT = 0.1
"""Seconds that pressing Tab may wait for the daemon."""


def connect() -> Client:
    """The client of the daemon that the environment names."""
    return Client(socket_path())


def select(apps: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The apps that the names and globs mean, each once, in the order asked for.

    Raises `UnknownApp` where one of them means nothing.
    """
    by_name = {app["name"]: app for app in apps}
    return [by_name[name] for name in meant({app["name"]: app["groups"] for app in apps}, names)]


def print_json(document: object) -> None:
    """One document to stdout, indented for people who read it on a terminal."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(document, indent=indent, ensure_ascii=False) + "\n")


def complete_app(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of apps that start like that; none where the daemon does not answer at once."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415  # only Tab pays for it

    try:
        apps = Client(socket_path(), timeout=COMPLETION_TIMEOUT).get("apps")
    except (TorporError, ValueError):
        return []
    groups = sorted({GROUP + group for app in apps for group in app["groups"]})
    return [
        *(
            CompletionItem(app["name"], help=app["state"])
            for app in apps
            if app["name"].startswith(incomplete)
        ),
        *(CompletionItem(group) for group in groups if group.startswith(incomplete)),
    ]


def check_names(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
    """The value of an argument that names apps, as it is.  Raises `UsageError` for an empty name."""
    if value == "" or (isinstance(value, tuple) and "" in value):
        raise click.UsageError("a name must not be empty")
    return value


def app_argument(*, required: bool = False, many: bool = True) -> Callable[[Any], Any]:
    """The argument that names apps, with completion."""
    return click.argument(
        "names" if many else "name",
        metavar="[APP]..." if many and not required else "APP..." if many else "APP",
        nargs=-1 if many else 1,
        required=required,
        callback=check_names,
        shell_complete=complete_app,
    )


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
