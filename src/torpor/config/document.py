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
from typing import TYPE_CHECKING, Any

import yaml

from torpor.config.interpolate import CannotInterpolate, interpolate
from torpor.config.problems import Path, Problem, Problems, dotted

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 50
MAX_VALUES = 200_000

_MERGE = "<<"
_CORE = "tag:yaml.org,2002:"
_PLAIN = "plain"
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
        self, file: str, root: yaml.Node | None, data: dict[str, Any], environ: Mapping[str, str]
    ) -> None:
        self.file = file
        self.data = data
        self.broken: frozenset[Path] = frozenset()
        """Paths of values that were refused already; a list position is the one in the file."""
        self._root = root
        self._environ = environ
        self._members: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = {}

    def problem(
        self, path: Path, message: str, *, suggestion: str | None = None, at_key: bool = False
    ) -> Problem:
        """A problem of the value at `path`, or of the key itself.

        Where the path is not in the file (something is missing there), the place is
        that of the nearest key above.
        """
        path = self.as_written(path)
        mark = self._mark(path, at_key=at_key)
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        return Problem(self.file, line, column, dotted(path), message, suggestion)

    def place(self, path: Path) -> str:
        """`file:line:column` of the key at `path`."""
        mark = self._mark(path, at_key=True)
        return f"{self.file}:1:1" if mark is None else f"{self.file}:{mark.line + 1}:{mark.column + 1}"

    def text(self, path: Path) -> str:
        """The scalar at `path` as it is written (`1.10`, not 1.1), variables filled in."""
        node = self._root
        for step in self.as_written(path):
            found = self._child(node, step)
            if found is None:
                raise KeyError(dotted(path))
            node = found[1]
        if not isinstance(node, yaml.ScalarNode):
            raise KeyError(dotted(path))
        return interpolate(node.value, self._environ)

    def as_written(self, path: Path) -> Path:
        """The path with list positions as in the file, before wrong items were taken out."""
        written: Path = ()
        for step in path:
            position = step
            if isinstance(position, int):
                gone = sorted(p[-1] for p in self.broken if p[:-1] == written and isinstance(p[-1], int))
                for each in gone:
                    position += each <= position
            written = (*written, position)
        return written

    def _mark(self, path: Path, *, at_key: bool) -> yaml.Mark | None:
        node = self._root
        if node is None:
            return None
        mark = node.start_mark
        for position, step in enumerate(path):
            found = self._child(node, step)
            if found is None:
                return mark
            key, node = found
            last = position == len(path) - 1
            mark = node.start_mark if last and not at_key else key.start_mark
        return mark

    def _child(self, node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
        """The key node and value node under `node`; for list items the item stands for both."""
        if isinstance(node, yaml.SequenceNode):
            if isinstance(step, int) and step < len(node.value):
                return node.value[step], node.value[step]
            return None
        if not isinstance(node, yaml.MappingNode) or not isinstance(step, str):
            return None
        members = self._members.get(id(node))
        if members is None:
            members = self._members[id(node)] = {}
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and not _is_merge(key):
                    members.setdefault(key.value, (key, value))
        if step in members:
            return members[step]
        for key, value in node.value:
            if _is_merge(key):
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
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
        root = _compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        what = " ".join(filter(None, (error.context, error.problem)))
        problems.add(Problem(file, line, column, "", f"is not valid YAML: {what}"))
        return None
    except yaml.reader.ReaderError as error:
        problems.add(_unreadable_character(file, text, error))
        return None
    if root is None:
        return Document(file, None, {}, environ)
    builder = _Builder(file, environ, problems)
    try:
        data = builder.value(root, (), 0)
    except _TooMuch as excess:
        mark = excess.node.start_mark
        problems.add(Problem(file, mark.line + 1, mark.column + 1, dotted(excess.path), excess.text))
        return None
    document = Document(file, root, data if isinstance(data, dict) else {}, environ)
    document.broken = frozenset(builder.broken)
    if not isinstance(data, dict) and data is not None:
        problems.add(document.problem((), "a configuration is a map of settings (`apps:` and so on)"))
        return None
    return document


class _TooMuch(Exception):
    def __init__(self, node: yaml.Node, path: Path, text: str) -> None:
        super().__init__(text)
        self.node, self.path, self.text = node, path, text


class _Hooks:
    """What PyYAML's composers ask while they build the tree: tags, and depth for our limit."""

    _depth = 0

    def resolve(self, kind: type[yaml.Node], value: str, implicit: object) -> str:  # noqa: ARG002
        if kind is yaml.ScalarNode:
            # (plain, quoted): whether the scalar's form leaves its type open.
            return _PLAIN if isinstance(implicit, tuple) and implicit[0] else f"{_CORE}str"
        return f"{_CORE}map" if kind is yaml.MappingNode else f"{_CORE}seq"

    def descend_resolver(self, parent: yaml.Node | None, index: object) -> None:  # noqa: ARG002
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"nested deeper than {MAX_DEPTH} levels", getattr(parent, "start_mark", None)
            )

    def ascend_resolver(self) -> None:
        self._depth -= 1


if TYPE_CHECKING:

    class _Composer:
        def __init__(self, text: str) -> None: ...
        def get_single_node(self) -> yaml.Node | None: ...
        def dispose(self) -> None: ...

elif yaml.__with_libyaml__:
    from yaml.cyaml import CParser

    class _Composer(_Hooks, CParser):
        pass

else:

    class _Composer(
        _Hooks, yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer
    ):
        def __init__(self, text: str) -> None:
            yaml.reader.Reader.__init__(self, text)
            yaml.scanner.Scanner.__init__(self)
            yaml.parser.Parser.__init__(self)
            yaml.composer.Composer.__init__(self)


def _compose(text: str) -> yaml.Node | None:
    composer = _Composer(text)
    try:
        return composer.get_single_node()
    finally:
        composer.dispose()


class _Builder:
    """Turns the node tree into plain data."""

    def __init__(self, file: str, environ: Mapping[str, str], problems: Problems) -> None:
        self._file = file
        self._environ = environ
        self._problems = problems
        self._left = MAX_VALUES
        self.broken: set[Path] = set()

    def value(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _TooMuch(node, path, f"aliases expand to more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise _TooMuch(node, path, f"nested deeper than {MAX_DEPTH} levels (an alias inside itself?)")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, path, "seq")
            return [self.value(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        self._check_tag(node, path, "map")
        return self._map(node, path, depth)

    def _map(self, node: yaml.Node, path: Path, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        places: dict[str, yaml.Mark] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._report(key, path, "a key must be a plain word, not a list or a map")
                continue
            name = key.value
            first = places.setdefault(name, key.start_mark)
            if first is not key.start_mark:
                where = f"{self._file}:{first.line + 1}:{first.column + 1}"
                self._report(key, (*path, name), f"duplicate key, first written at {where}")
            elif _is_merge(key):
                merged += self._merge_sources(value, (*path, name))
            else:
                result[name] = self.value(value, (*path, name), depth + 1)
        for source in merged:
            extra = self.value(source, path, depth + 1)
            result = {**extra, **result}
        return result

    def _merge_sources(self, node: yaml.Node, path: Path) -> list[yaml.Node]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._report(source, path, "merges a value that is no map; write <<: *anchor of a map")
                return []
        return list(sources)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text = node.value
        if "$" in text:
            try:
                text = interpolate(text, self._environ)
            except CannotInterpolate as error:
                self._refuse(node, path, str(error))
        tag = node.tag
        if tag == _PLAIN:
            return _resolve(text)
        if tag in {f"{_CORE}str", "!"}:
            return text
        expected = {
            f"{_CORE}int": int,
            f"{_CORE}float": float,
            f"{_CORE}bool": bool,
            f"{_CORE}null": type(None),
        }
        value = _resolve(text)
        if tag not in expected:
            self._refuse(node, path, f"the tag {_tag_text(tag)} is not supported; write the plain value")
        elif type(value) is not expected[tag]:
            self._refuse(node, path, f"is tagged {_tag_text(tag)} but is none")
        return value

    def _check_tag(self, node: yaml.Node, path: Path, kind: str) -> None:
        if node.tag not in {_CORE + kind, "!"}:
            self._report(node, path, f"the tag {_tag_text(node.tag)} is not supported; write the plain value")

    def _refuse(self, node: yaml.Node, path: Path, message: str) -> None:
        self.broken.add(path)
        self._report(node, path, message)

    def _report(self, node: yaml.Node, path: Path, message: str) -> None:
        mark = node.start_mark
        self._problems.add(Problem(self._file, mark.line + 1, mark.column + 1, dotted(path), message))


def _resolve(text: str) -> Any:
    """The value of a plain scalar by the YAML 1.2 core schema."""
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


def _is_merge(key: yaml.Node) -> bool:
    return key.value == _MERGE and key.tag in {_PLAIN, f"{_CORE}merge"}


def _tag_text(tag: str) -> str:
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag


def _unreadable_character(file: str, text: str, error: yaml.reader.ReaderError) -> Problem:
    match = re.search("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    at = match.start() if match else 0
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return Problem(file, line, column, "", f"is not valid YAML: {error.reason}")
