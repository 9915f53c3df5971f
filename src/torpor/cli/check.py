"""`torpor check`: who would be put to sleep, and a pass now."""

from __future__ import annotations

import sys
from typing import Any

import click

from torpor.cli.connection import connect, json_option, print_json
from torpor.cli.figures import duration, size
from torpor.cli.terminal import printable

_WORDS = {None: "awake", "pause": "paused", "hibernate": "hibernated"}


@click.command()
@click.argument("what", type=click.Choice(["idle", "memory"]), required=False)
@click.option("--dry-run", is_flag=True, help="Only show who would be put to sleep.")
@json_option
def check(what: str | None, dry_run: bool, as_json: bool) -> None:
    """Put to sleep now whoever has to be, and show who stays awake and why.

    `memory`: apps that have to sleep so that `keep_free` stays available, in their order. `idle`: apps that nobody has
    used for their `idle_timeout`; those need no pass, they sleep when their time has come. Without a word it is both.
    """
    client = connect()
    flag = "true" if dry_run else "false"
    found = [client.post("check", each, dry_run=flag) for each in ([what] if what else ["idle", "memory"])]
    if as_json:
        print_json(found[0] if what else found)
        return
    for document in found:
        lines = idle_lines(document) if document["check"] == "idle" else memory_lines(document)
        sys.stdout.write("\n".join(lines) + "\n")


def memory_lines(document: dict[str, Any]) -> list[str]:
    """What there is to say about memory."""
    numbers = f"{size(document['available'])} of {size(document['total'])} available"
    if not document["keep_free"]:
        head = f"memory: {numbers}; no `memory.keep_free` is set, so no app sleeps for memory"
    elif document["short"]:
        head = f"memory: {numbers}, {size(document['keep_free'])} are to stay free: {size(document['short'])} short"
    else:
        head = f"memory: {numbers}, {size(document['keep_free'])} are to stay free: enough"
    verb = "would be put to sleep" if document["dry_run"] else "is put to sleep until enough is free"
    lines = [head]
    for number, it in enumerate(document["victims"], 1):
        lines.append(f"  {number}. {_candidate(it)}: {verb} ({it['deeper']})")
    for it in document["others"]:
        why = it["spared"] or "its turn comes later"
        lines.append(f"  -  {_candidate(it)}: {printable(why)}")
    return lines


def idle_lines(document: dict[str, Any]) -> list[str]:
    """What there is to say about idleness."""
    if not document["victims"] and not document["others"]:
        return ["idle: no app is awake"]
    lines = ["idle:"]
    lines += [f"  {printable(it['app'])}: goes to sleep now" for it in document["victims"]]
    for it in document["others"]:
        when = f", sleeps in {duration(it['idle_in'])}" if it["idle_in"] is not None else ""
        lines.append(f"  {printable(it['app'])}: {printable(it['spared'])}{when}")
    return lines


def _candidate(it: dict[str, Any]) -> str:
    state = _WORDS.get(it["sleeps"], it["sleeps"])
    idle = f", idle {duration(it['idle'])}" if it["idle"] else ""
    return f"{printable(it['app'])} ({state}, priority {it['priority']}, {size(it['size'])}{idle})"
