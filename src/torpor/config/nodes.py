"""The tree of a YAML text: what is written, and where.

Built from the parser's events, not with PyYAML's own composer: its nodes and marks
take eight times the memory, a file of a thousand apps would leave the daemon 15 MB
larger for ever, and it recurses as deep as a hostile file is nested.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import yaml

MAX_DEPTH = 50

CORE = "tag:yaml.org,2002:"
PLAIN = "plain"
"""The tag of a scalar without quotes or tag: its text decides what it is."""

_LOADER: Any = getattr(yaml, "CLoader", yaml.Loader)


class CannotCompose(Exception):
    """The text is not YAML, or nothing that we want to hold.  Line and column count from 1."""

    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(text)
        self.line, self.column, self.text = line, column, text


@dataclass(slots=True, eq=False)
class Node:
    """One value of the text.  Line and column count from 1."""

    kind: Literal["scalar", "list", "map"]
    tag: str
    line: int
    column: int
    text: str = ""
    """Of a scalar."""
    items: list[Node] | tuple[Node, ...] = ()
    """Of a list its items; of a map its keys and values by turns."""

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """The keys of a map with their values."""
        flat = iter(self.items)
        return zip(flat, flat, strict=True)


def compose(text: str) -> Node | None:
    """The root of the one document in `text`; None if there is none.  Raises `CannotCompose`."""
    try:
        return _compose(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        what = " ".join(filter(None, (error.context, error.problem)))
        raise CannotCompose(line, column, f"is not valid YAML: {what}{_hint(text, line)}") from error
    except yaml.reader.ReaderError as error:
        line, column = _unreadable_character(text)
        raise CannotCompose(line, column, f"is not valid YAML: {error.reason}") from error


def _compose(events: Iterator[Any]) -> Node | None:
    root: Node | None = None
    open_nodes: list[Node] = []
    anchors: dict[str, Node] = {}
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            open_nodes.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        node = _alias(event, anchors) if isinstance(event, yaml.AliasEvent) else _node(event)
        if open_nodes:
            siblings = open_nodes[-1].items
            assert isinstance(siblings, list)
            siblings.append(node)
        elif root is None:
            root = node
        else:
            raise CannotCompose(node.line, node.column, "holds a second document; a configuration is one")
        if isinstance(event, yaml.AliasEvent):
            continue
        if event.anchor is not None:
            anchors[event.anchor] = node
        if node.kind != "scalar":
            open_nodes.append(node)
            if len(open_nodes) > MAX_DEPTH:
                raise CannotCompose(node.line, node.column, f"is nested deeper than {MAX_DEPTH} levels")
    return root


def _node(event: Any) -> Node:
    mark = event.start_mark
    line, column = mark.line + 1, mark.column + 1
    if isinstance(event, yaml.ScalarEvent):
        # (plain, quoted): whether the scalar's form leaves its type open.
        tag = event.tag or (PLAIN if event.implicit[0] else f"{CORE}str")
        return Node("scalar", tag, line, column, event.value)
    if isinstance(event, yaml.SequenceStartEvent):
        return Node("list", event.tag or f"{CORE}seq", line, column, items=[])
    return Node("map", event.tag or f"{CORE}map", line, column, items=[])


def _alias(event: Any, anchors: dict[str, Node]) -> Node:
    node = anchors.get(event.anchor)
    if node is None:
        mark = event.start_mark
        raise CannotCompose(mark.line + 1, mark.column + 1, f"there is no anchor &{event.anchor} above")
    return node


def _hint(text: str, line: int) -> str:
    """A word on the one mistake that the parser's own words hide."""
    lines = text.splitlines()[max(line - 2, 0) : line]
    if any(re.search(r"[{\[].*[^'\"]\$\{", each) for each in lines):
        return "; inside of {…} and […], ${VAR} must stand in quotes"
    return ""


def _unreadable_character(text: str) -> tuple[int, int]:
    match = re.search("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    at = match.start() if match else 0
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
