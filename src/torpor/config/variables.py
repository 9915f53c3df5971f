"""The environment of an app, from its env files and from what the config names."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from torpor.config.env_file import MAX_BYTES, NAME, parse_env_file
from torpor.config.layers import Layer, Layers
from torpor.config.problems import KeyPath, Problem


def build_environment(keys: Layers) -> dict[str, str]:
    """What the config adds to the app's environment: its env files, and over them what is named."""
    variables: dict[str, str] = {}
    layer = keys.find("env_file")
    files = keys.get("env_file", [])
    for position, file in enumerate([files] if isinstance(files, str) else files):
        assert layer is not None
        inner = () if isinstance(files, str) else (position,)
        variables |= _env_file(keys, layer.absolute(file), inner)
    for each in reversed(keys.layers):
        variables |= _named_variables(keys, each)
    return variables


def _env_file(keys: Layers, path: str, inner: tuple[int, ...]) -> dict[str, str]:
    text = keys.read_text("env_file", path, MAX_BYTES, *inner)
    if text is None:
        return {}

    def complain(line: int, message: str) -> None:
        setting = f"apps.{keys.name}.env_file"
        keys.problems.add(Problem(path, line, 1, setting, message))

    return parse_env_file(text, keys.environ, complain)


def _named_variables(keys: Layers, layer: Layer) -> dict[str, str]:
    named = layer.keys.environment
    variables: dict[str, str] = {}
    if named is UNSET:
        return variables
    path = (*layer.path, "environment")
    entries: list[tuple[KeyPath, str, Any]] = []
    if isinstance(named, dict):
        entries = [((*path, name), name, value) for name, value in named.items()]
    else:
        for position, item in enumerate(named):
            name, equals, value = item.partition("=")
            entries.append(((*path, position), name, value if equals else None))
    for where, name, value in entries:
        complaint = None
        if not NAME.fullmatch(name):
            complaint = f"'{name}' is no name of a variable"
        elif value is None and name not in keys.environ:
            complaint = f"{name} has no value and Torpor's own environment has none to pass on"
        elif isinstance(value, str) and "\0" in value:
            complaint = "holds a NUL character, which no environment can carry"
        if complaint is not None:
            keys.problems.add(layer.document.problem(where, complaint, at_key=True))
        elif value is None:
            variables[name] = keys.environ[name]
        else:
            # 1.10 and 0755 are numbers to YAML; the app gets what is written.
            variables[name] = value if isinstance(value, str) else layer.document.text(where)
    return variables
