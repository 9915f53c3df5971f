"""What foreign files hold, in one shape: text, lists and maps of text.

Whether `yes`, `1` or `1.10` is text or something else depends on who reads it, so scalars stay as they are
written and each importer converts what it knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from torpor.config.document import MAX_VALUES
from torpor.config.nodes import PLAIN, CannotCompose, Node, compose
from torpor.errors import CannotImport

Value: TypeAlias = "str | list[Value] | dict[str, Value] | None"

LONGEST = 100
"""Characters of a value that a comment shows."""
MAX_DEPTH = 50
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "yes", "on", "1", "y", "t"})
_FALSE = frozenset({"false", "no", "off", "0", "n", "f", "none"})


class Map(dict[str, Value]):
    """A map that knows the line of each key; 0 where nobody can tell."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class Said(list[Value]):
    """The values of one setting that a file says several times."""


def from_yaml(text: str, file: str) -> Value:
    """The value of a YAML text.  Raises `CannotImport` with the place of what is wrong."""
    try:
        root = compose(text)
        return None if root is None else _Builder().value(root, 0)
    except CannotCompose as error:
        raise CannotImport(f"{file}:{error.line}:{error.column}: {error.text}") from error


def from_json(text: str, file: str) -> Value:
    """The value of a JSON text.  Raises `CannotImport`."""
    try:
        return from_plain(json.loads(text, parse_int=str, parse_float=str), 0)
    except json.JSONDecodeError as error:
        raise CannotImport(f"{file}:{error.lineno}:{error.colno}: is not valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise CannotImport(f"{file}: is nested too deeply") from error


def from_plain(data: Any, depth: int) -> Value:
    """The value of what a JSON parser gives."""
    if data is None or isinstance(data, str):
        return data
    if isinstance(data, bool):
        return "true" if data else "false"
    if isinstance(data, list):
        return [from_plain(item, depth + 1) for item in data]
    if isinstance(data, dict):
        result = Map()
        result.update((str(key), from_plain(value, depth + 1)) for key, value in data.items())
        return result
    return str(data)


def whether(value: Value) -> bool:
    """A word for yes or no.  Raises `ValueError`."""
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{shown(value)!r} is neither yes nor no")


def number(low: int, high: int) -> Callable[[Value], int]:
    """A converter to a whole number from `low` to `high`.  It raises `ValueError`."""

    def convert(value: Value) -> int:
        try:
            found = int(str(value).strip(), 10)
        except ValueError:
            raise ValueError(f"{shown(value)!r} is not a whole number") from None
        if not low <= found <= high:
            raise ValueError(f"Torpor takes {low} to {high}")
        return found

    return convert


def text(value: Value) -> str:
    """Text that is not empty.  Raises `ValueError`."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is not text" if value else "is empty")
    return value.strip()


def texts(value: Value) -> list[str]:
    """One text, or a list of them.  Raises `ValueError`."""
    items = value if isinstance(value, list) else [value]
    found = [item for item in items if isinstance(item, str)]
    if len(found) != len(items):
        raise ValueError("is not a list of text")
    return found


def shown(value: Value) -> str:
    """The value on one line; of a map only the names, for values may be secrets."""
    if value is None:
        return "(nothing)"
    if isinstance(value, dict):
        line = "{" + ", ".join(value) + "}"
    elif isinstance(value, Said):
        line = " ".join(map(shown, value))
    elif isinstance(value, list):
        line = "[" + ", ".join(shown(item) for item in value) + "]"
    else:
        line = value
    line = " ".join("".join(c if c.isprintable() else " " for c in line).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


class _Builder:
    """Turns the node tree of a YAML file into values, within a budget for aliases."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def value(self, node: Node, depth: int) -> Value:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise CannotCompose(node.line, node.column, "holds too much, or an alias of itself")
        if node.kind == "scalar":
            return None if node.tag == PLAIN and node.text in _NULL else node.text
        if node.kind == "list":
            return [self.value(item, depth + 1) for item in node.items]
        result = Map()
        merged: list[Node] = []
        for key, value in node.pairs():
            if key.text == "<<" and key.tag == PLAIN:
                merged += value.items if value.kind == "list" else [value]
                continue
            result[key.text] = self.value(value, depth + 1)
            result.lines[key.text] = key.line
        for source in merged:
            inherited = self.value(source, depth + 1)
            if isinstance(inherited, Map):
                for name, one in inherited.items():
                    if name not in result:
                        result[name] = one
                        result.lines[name] = inherited.lines[name]
        return result
