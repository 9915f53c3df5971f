"""What holds for an app, setting by setting, and where each comes from."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from torpor.cli.table import Column, Row, render
from torpor.cli.terminal import columns, fit, paint, printable
from torpor.control.client import Client, Problem

COLUMNS = (
    Column("SETTING", keep=3, least=8),
    Column("VALUE", keep=2, least=8),
    Column("FROM", keep=1, least=12),
)
_FROM = 2


def settings_of(client: Client, name: str) -> dict[str, Any] | None:
    """The settings of an app; None while it is being removed."""
    try:
        found: dict[str, Any] = client.get("apps", name, "settings")
    except Problem:
        return None
    return found


def settings_lines(found: dict[str, Any], *, defaults: bool, colour: bool) -> list[str]:
    """The table of them, and a word on those that are not shown."""
    where = {"added": found["added"], "container": found["container"]}
    rows = [(one["setting"], one["value"], _origin(one, **where)) for one in found["written"]]
    if defaults:
        rows += [(one["setting"], one["value"], "default") for one in found["defaults"]]
    room = columns(sys.stdout)
    # A long value must not push aside where it comes from.
    half = None if room is None else max(room // 2, COLUMNS[1].least or 0)
    table = render(
        COLUMNS,
        [Row((printable(name), _text(value, half), origin), {_FROM: "dim"}) for name, value, origin in rows],
        room=room,
        headers=True,
        colour=colour,
    )
    lines = table.splitlines()
    if not defaults:
        more = f"{len(found['defaults'])} more hold by default; --defaults shows them"
        lines.append(paint(more, "dim", on=colour))
    return lines


def _origin(one: dict[str, Any], *, added: bool, container: str | None) -> str:
    file = one["file"]
    near = os.path.relpath(file)
    place = f"{near if len(near) < len(file) else file}:{one['line']}"
    if one["shared"]:
        place += " (defaults)"
    elif container is not None:
        place = f"label {one['label']}" if one["label"] else f"container {printable(container)}"
    elif added:
        place = "torpor run"
    return place + (" and the daemon's environment" if one["borrowed"] else "")


def _text(value: object, room: int | None) -> str:
    text = printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if room is None else fit(text, room)
