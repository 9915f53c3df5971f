"""Where the daemon is, what the user means by names, and completion of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from torpor.config.paths import socket_path
from torpor.control.client import Client
from torpor.errors import TorporError, UnknownApp, unknown_app

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

GROUP = "group:"
"""What stands before the name of a group."""

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
    chosen: dict[str, dict[str, Any]] = {}
    for name in names:
        if name in by_name:
            chosen[name] = by_name[name]
            continue
        if name.startswith(GROUP):
            chosen.update(_members(apps, name.removeprefix(GROUP)))
            continue
        if not is_glob(name):
            raise unknown_app(name, by_name)
        from fnmatch import fnmatchcase  # noqa: PLC0415  # plain names do not pay for it

        matching = {known: app for known, app in by_name.items() if fnmatchcase(known, name)}
        if not matching:
            raise UnknownApp(f"no app matches {name!r}")
        chosen.update(matching)
    return list(chosen.values())


def is_glob(name: str) -> bool:
    """Whether a name may mean several apps: `web-*`, or `group:web`."""
    return name.startswith(GROUP) or any(char in name for char in "*?[")


def _members(apps: Sequence[dict[str, Any]], group: str) -> dict[str, dict[str, Any]]:
    """The apps of a group (or of those that a glob means).  Raises `UnknownApp` where there are none."""
    from fnmatch import fnmatchcase  # noqa: PLC0415  # plain names do not pay for it

    found = {app["name"]: app for app in apps if any(fnmatchcase(each, group) for each in app["groups"])}
    if not found:
        groups = sorted({each for app in apps for each in app["groups"]})
        hint = f"There are: {', '.join(groups)}." if groups else "`member_of: NAME` puts an app into one."
        raise UnknownApp(f"no app is in a group {group!r}", hint=hint)
    return found


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
