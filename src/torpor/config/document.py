"""One YAML file as plain data, which remembers where each value is written.

Laws:

1. YAML 1.2 core: `no`, `on`, `22:22` are strings, `0755` is the number 755.
   A key is its text, whatever it looks like.
2. A key that stands twice in one map is a problem that names both places.
3. What a file can make us hold is bounded: its size, its depth, and the number of
   values after aliases are expanded ("billion laughs").
4. Variables are filled in on finished strings (see `interpolate`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torpor.config.interpolate import CannotInterpolate, interpolate, looks_up
from torpor.config.nodes import CORE, MAX_DEPTH, PLAIN, CannotCompose, Node, compose
from torpor.config.problems import KeyPath, Problem, Problems, dotted

MAX_BYTES = 4 * 1024 * 1024
MAX_VALUES = 200_000

_MERGE = "<<"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER_START = frozenset("+-.0123456789")
_INT = re.compile(r"[-+]?[0-9]{1,40}")
_OCTAL = re.compile(r"0o[0-7]{1,40}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,3})?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


class Document:
    """The data of one file and the place of every value in it."""

    def __init__(
        self, file: str, root: Node | None, data: dict[str, Any], environ: Mapping[str, str]
    ) -> None:
        self.file = file
        self.data = data
        self.broken: frozenset[KeyPath] = frozenset()
        """Paths of values that were refused already; a list position is the one in the file."""
        self._root = root
        self._environ = environ
        self._members: dict[int, dict[str, tuple[Node, Node]]] = {}

    @property
    def blank(self) -> bool:
        """Whether the file says nothing: it is empty, or holds comments alone."""
        return self._root is None or self._root.kind == "scalar"

    def problem(
        self, path: KeyPath, message: str, *, suggestion: str | None = None, at_key: bool = False
    ) -> Problem:
        """A problem of the value at `path`, or of the key itself.

        Where the path is not in the file (something is missing there), the place is
        that of the nearest key above.
        """
        path = self.as_written(path)
        line, column = self._place(path, at_key=at_key)
        return Problem(self.file, line, column, dotted(path), message, suggestion)

    def line(self, path: KeyPath) -> int:
        """The line of the key at `path`, counted from 1."""
        return self._place(path, at_key=True)[0]

    def borrows(self, path: KeyPath) -> bool:
        """Whether a variable stands in the value at `path`, or anywhere in it."""
        node = self._root
        for step in self.as_written(path):
            found = self._child(node, step)
            if found is None:
                return False
            node = found[1]
        waiting, seen = [node], set()
        while waiting:
            if (node := waiting.pop()) is None or id(node) in seen:  # an alias may stand inside of itself
                continue
            seen.add(id(node))
            if "${" in node.text and looks_up(node.text, self._environ):
                return True
            waiting += node.items
        return False

    def place(self, path: KeyPath) -> str:
        """`file:line:column` of the key at `path`."""
        line, column = self._place(path, at_key=True)
        return f"{self.file}:{line}:{column}"

    def text(self, path: KeyPath) -> str:
        """The scalar at `path` as it is written (`1.10`, not 1.1), variables filled in."""
        node = self._root
        for step in self.as_written(path):
            found = self._child(node, step)
            if found is None:
                raise KeyError(dotted(path))
            node = found[1]
        if node is None or node.kind != "scalar":
            raise KeyError(dotted(path))
        return interpolate(node.text, self._environ)

    def as_written(self, path: KeyPath) -> KeyPath:
        """The path with list positions as in the file, before wrong items were taken out."""
        written: KeyPath = ()
        for step in path:
            position = step
            if isinstance(position, int):
                gone = sorted(p[-1] for p in self.broken if p[:-1] == written and isinstance(p[-1], int))
                for each in gone:
                    position += each <= position
            written = (*written, position)
        return written

    def _place(self, path: KeyPath, *, at_key: bool) -> tuple[int, int]:
        node = self._root
        if node is None:
            return 1, 1
        place = node
        for position, step in enumerate(path):
            found = self._child(node, step)
            if found is None:
                break
            key, node = found
            last = position == len(path) - 1
            place = node if last and not at_key else key
        return place.line, place.column

    def _child(self, node: Node | None, step: str | int) -> tuple[Node, Node] | None:
        """The key node and value node under `node`; for list items the item stands for both."""
        if node is None or node.kind == "scalar":
            return None
        if node.kind == "list":
            if not isinstance(step, int) or step >= len(node.items):
                return None
            return node.items[step], node.items[step]
        members = self._members.get(id(node))
        if members is None:
            members = self._members[id(node)] = {}
            for key, value in node.pairs():
                if key.kind == "scalar" and not _is_merge(key):
                    members.setdefault(key.text, (key, value))
        if step in members:
            return members[step]
        for key, value in node.pairs():
            if _is_merge(key):
                for source in value.items if value.kind == "list" else [value]:
                    if (found := self._child(source, step)) is not None:
                        return found
        return None


def read_document(file: str, raw: bytes, environ: Mapping[str, str], problems: Problems) -> Document | None:
    """The document in `raw`.  None if it is so broken that nothing can be said about its settings."""
    problems.see(file)
    if len(raw) > MAX_BYTES:
        problems.add(Problem(file, 1, 1, "", f"is larger than {MAX_BYTES // 1024 // 1024} MiB"))
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        problems.add(Problem(file, line, column, "", "is not UTF-8 text"))
        return None
    try:
        root = compose(text)
    except CannotCompose as error:
        problems.add(Problem(file, error.line, error.column, "", error.text))
        return None
    if root is None:
        return Document(file, None, {}, environ)
    builder = _Builder(file, environ, problems)
    try:
        data = builder.value(root, (), 0)
    except _TooMuch as excess:
        node = excess.node
        problems.add(Problem(file, node.line, node.column, dotted(excess.path), excess.text))
        return None
    document = Document(file, root, data if isinstance(data, dict) else {}, environ)
    document.broken = frozenset(builder.broken)
    if not isinstance(data, dict) and data is not None:
        problems.add(document.problem((), "a configuration is a map of settings (`apps:` and so on)"))
        return None
    return document


class _TooMuch(Exception):
    def __init__(self, node: Node, path: KeyPath, text: str) -> None:
        super().__init__(text)
        self.node, self.path, self.text = node, path, text


class _Builder:
    """Turns the node tree into plain data."""

    def __init__(self, file: str, environ: Mapping[str, str], problems: Problems) -> None:
        self._file = file
        self._environ = environ
        self._problems = problems
        self._left = MAX_VALUES
        self.broken: set[KeyPath] = set()

    def value(self, node: Node, path: KeyPath, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _TooMuch(node, path, f"aliases expand to more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise _TooMuch(node, path, f"nested deeper than {MAX_DEPTH} levels (an alias inside itself?)")
        if node.kind == "scalar":
            return self._scalar(node, path)
        if node.kind == "list":
            self._check_tag(node, path, "seq")
            return [self.value(item, (*path, i), depth + 1) for i, item in enumerate(node.items)]
        self._check_tag(node, path, "map")
        return self._map(node, path, depth)

    def _map(self, node: Node, path: KeyPath, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        places: dict[str, Node] = {}
        merged: list[Node] = []
        for key, value in node.pairs():
            if key.kind != "scalar":
                self._report(key, path, "a key must be a plain word, not a list or a map")
                continue
            name = key.text
            first = places.setdefault(name, key)
            if first is not key:
                where = f"{self._file}:{first.line}:{first.column}"
                self._report(key, (*path, name), f"duplicate key, first written at {where}")
            elif _is_merge(key):
                merged += self._merge_sources(value, (*path, name))
            else:
                result[name] = self.value(value, (*path, name), depth + 1)
        for source in merged:
            extra = self.value(source, path, depth + 1)
            result = {**extra, **result}
        return result

    def _merge_sources(self, node: Node, path: KeyPath) -> list[Node]:
        sources = node.items if node.kind == "list" else [node]
        for source in sources:
            if source.kind != "map":
                self._report(source, path, "merges a value that is no map; write <<: *anchor of a map")
                return []
        return list(sources)

    def _scalar(self, node: Node, path: KeyPath) -> Any:
        text = node.text
        if "$" in text:
            try:
                text = interpolate(text, self._environ)
            except CannotInterpolate as error:
                self._refuse(node, path, str(error))
        tag = node.tag
        if tag == PLAIN:
            return plain_value(text)
        if tag in {f"{CORE}str", "!"}:
            return text
        expected = {
            f"{CORE}int": int,
            f"{CORE}float": float,
            f"{CORE}bool": bool,
            f"{CORE}null": type(None),
        }
        value = plain_value(text)
        if tag not in expected:
            self._refuse(node, path, f"the tag {_tag_text(tag)} is not supported; write the plain value")
        elif type(value) is not expected[tag]:
            self._refuse(node, path, f"is tagged {_tag_text(tag)} but is none")
        return value

    def _check_tag(self, node: Node, path: KeyPath, kind: str) -> None:
        if node.tag not in {CORE + kind, "!"}:
            self._report(node, path, f"the tag {_tag_text(node.tag)} is not supported; write the plain value")

    def _refuse(self, node: Node, path: KeyPath, message: str) -> None:
        self.broken.add(path)
        self._report(node, path, message)

    def _report(self, node: Node, path: KeyPath, message: str) -> None:
        self._problems.add(Problem(self._file, node.line, node.column, dotted(path), message))


def is_text(plain: str) -> bool:
    """Whether these words without quotes are text, and no number, truth value or nothing."""
    return isinstance(plain_value(plain), str)


def plain_value(text: str) -> Any:
    """The value of a scalar without quotes, by the YAML 1.2 core schema."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text, 0)
    if _HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _is_merge(key: Node) -> bool:
    return key.text == _MERGE and key.tag in {PLAIN, f"{CORE}merge"}


def _tag_text(tag: str) -> str:
    return "!!" + tag.removeprefix(CORE) if tag.startswith(CORE) else tag
