"""What a Python file says of itself, read from its syntax tree: nothing is imported or run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

HEALTH_PATHS = ("/healthz", "/health", "/livez", "/readyz", "/ping")
"""Where apps usually say that they are well, the best one first."""
FACTORIES = frozenset({"create_app", "make_app", "build_app", "get_app"})
"""Names of functions that make an app."""


@dataclass(frozen=True)
class Source:
    """One file."""

    file: str
    """Relative to the project's directory."""
    imports: frozenset[str]
    """The first parts of all names that are imported, wherever in the file."""
    objects: Mapping[str, str]
    """What is made at the top level: `fastapi.FastAPI` → the variable that holds it."""
    factories: Mapping[str, str]
    """The same for what a function makes whose name says that it does: → the function."""
    health: str | None
    """The path of a route that tells whether it is well."""
    port: int | None
    """A port that is written into a call (`server_port=7860`)."""
    is_main: bool
    """Whether it does something when it is run (`if __name__ == "__main__"`)."""

    @property
    def module(self) -> str:
        """Its name for those who import it from the project's directory, or from `src` there."""
        parts = self.file.removeprefix("src/").removesuffix(".py").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def read_source(file: str, text: bytes) -> Source | None:
    """What the file says; None if it is no Python that this interpreter understands."""
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(text)
        return _understood(file, tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _understood(file: str, tree: ast.Module) -> Source:
    known = dict(_imported(tree))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    said = {argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)}
    objects: dict[str, str] = {}
    factories: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in FACTORIES:
            made = {_maker(call, known) for call in ast.walk(node) if isinstance(call, ast.Call)}
            factories.update(dict.fromkeys(filter(None, made), node.name))
        for name, value in _assigned(node):
            maker = _maker(value, known) if isinstance(value, ast.Call) else None
            if maker:
                objects.setdefault(maker, name)
    ports = (_number(word) for call in calls for word in call.keywords if word.arg == "server_port")
    return Source(
        file,
        imports=frozenset(name.partition(".")[0] for name in known.values()),
        objects=objects,
        factories=factories,
        health=next((path for path in HEALTH_PATHS if path in said), None),
        port=next((port for port in ports if port), None),
        is_main=any(isinstance(node, ast.If) and _asks_for_main(node.test) for node in tree.body),
    )


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Local names, and the whole names of what they stand for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, value
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            yield name, value


def _maker(call: ast.Call, known: Mapping[str, str]) -> str | None:
    """Package and class of what is called: `starlette.Starlette` wherever in the package it lives."""
    match call.func:
        case ast.Name(id=name) if name in known:
            whole = known[name]
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in known:
            whole = f"{known[name]}.{attribute}"
        case _:
            return None
    first, _, rest = whole.partition(".")
    return f"{first}.{rest.rpartition('.')[2]}"


def _number(word: ast.keyword) -> int | None:
    value = word.value.value if isinstance(word.value, ast.Constant) else None
    return value if isinstance(value, int) and 0 < value < 65536 else None


def _asks_for_main(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=ast.Name(id="__name__"), comparators=[ast.Constant(value="__main__")]):
            return True
    return False
