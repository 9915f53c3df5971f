"""`torpor graph`: which apps need which."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from torpor.cli.connection import app_argument, connect, json_option, print_json, select
from torpor.cli.status import state_colour, state_words
from torpor.cli.terminal import has_colour, paint, printable
from torpor.control.selection import GROUP

App = dict[str, Any]


@click.command()
@app_argument()
@click.option("--dot", is_flag=True, help="Print it in the language of Graphviz.")
@json_option
def graph(names: Sequence[str], dot: bool, as_json: bool) -> None:
    """Show which apps need which, and how they are.

    Below an app stands what it needs, with the condition that must be met before it is started;
    behind it, who is woken with it.  With names: those apps, and all that they need or wake.
    """
    if dot and as_json:
        raise click.UsageError("--dot and --json exclude each other")
    from torpor.core.graph import closure, dependents  # noqa: PLC0415  # `status` does not pay for it

    apps = connect().get("apps")
    roots = [app["name"] for app in select(apps, names)]
    needs = {app["name"]: [needed["app"] for needed in app["depends_on"]] for app in apps}
    ways = {app["name"]: [*needs[app["name"]], *app["companions"]] for app in apps}
    for app in apps:
        for group in app["groups"]:
            ways.setdefault(GROUP + group, []).append(app["name"])
    meant = closure(ways, roots) if names else frozenset(needs)
    by_name = {app["name"]: app for app in apps if app["name"] in meant}
    if as_json:
        print_json([_facts(app) for app in by_name.values()])
    elif dot:
        sys.stdout.write("".join(f"{line}\n" for line in dot_lines(by_name)))
    else:
        needed_by = dependents(needs)
        tops = roots or [name for name in by_name if not needed_by[name]]
        colour = has_colour(sys.stdout)
        sys.stdout.write("".join(f"{line}\n" for line in tree_lines(by_name, tops, colour=colour)))


def tree_lines(apps: Mapping[str, App], tops: Sequence[str], *, colour: bool) -> Iterator[str]:
    """A tree for each of the tops.  What stands in it already is named again, without what is below it."""
    shown: set[str] = set()
    # What is still to be said: the app, what is drawn before it and before what it needs, and why it is needed.
    left = [(name, "", "", "") for name in reversed(tops)]
    while left:
        name, branch, trunk, why = left.pop()
        app = apps[name]
        again = name in shown and bool(app["depends_on"])
        state = paint(state_words(app), state_colour(app), on=colour)
        with_it = printable(", ".join(app["companions"]))
        companions = f"wakes {with_it} as well" if with_it and name not in shown else ""
        notes = [note for note in (why, "see above" if again else "", companions) if note]
        remark = paint(f"  ({', '.join(notes)})", "dim", on=colour) if notes else ""
        yield f"{branch}{printable(name)}  {state}{remark}"
        if name in shown:
            continue
        shown.add(name)
        last = len(app["depends_on"]) - 1
        below = [
            (
                needed["app"],
                trunk + ("└─ " if number == last else "├─ "),
                trunk + ("   " if number == last else "│  "),
                _condition(needed),
            )
            for number, needed in enumerate(app["depends_on"])
        ]
        left += reversed(below)


def dot_lines(apps: Mapping[str, App]) -> Iterator[str]:
    """The graph for `dot -Tsvg`: an arrow leads from an app to what it needs, and a dotted one to who goes with it."""
    yield "digraph torpor {"
    yield "  node [shape=box];"
    for name, app in apps.items():
        label = f"{name}\n{state_words(app)}"
        yield f"  {_quoted(name)} [label={_quoted(label)}];"
    for name, app in apps.items():
        for needed in app["depends_on"]:
            style = ", style=dashed" if needed["optional"] else ""
            yield f"  {_quoted(name)} -> {_quoted(needed['app'])} [label={_quoted(needed['condition'])}{style}];"
        for companion in app["companions"]:
            yield f"  {_quoted(name)} -> {_quoted(companion)} [style=dotted];"
    yield from _members(apps)
    yield "}"


def _members(apps: Mapping[str, App]) -> Iterator[str]:
    """Of each group that goes with an app."""
    named = {companion for app in apps.values() for companion in app["companions"]}
    for name, app in apps.items():
        for group in app["groups"]:
            if (node := f"{GROUP}{group}") in named:
                yield f"  {_quoted(node)} -> {_quoted(name)} [style=dotted];"


def _facts(app: App) -> App:
    return {
        key: app[key] for key in ("name", "state", "want", "depends_on", "held_by", "companions", "groups")
    }


def _condition(needed: dict[str, Any]) -> str:
    return f"{needed['condition']}, optional" if needed["optional"] else str(needed["condition"])


def _quoted(text: str) -> str:
    # A string of DOT is one of JSON, but for what JSON need not escape.
    return json.dumps(text, ensure_ascii=False)
