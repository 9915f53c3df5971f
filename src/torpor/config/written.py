"""What is written of an app, setting by setting, with the place that decided."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from typing import Any

from msgspec import UNSET

from torpor.config.layers import Layer, Layers
from torpor.config.origin import Origin, Written
from torpor.config.problems import KeyPath


def find_origin(keys: Layers, added: Collection[str]) -> Origin:
    """Where the app of these keys comes from.  `added`: absolute paths of files that no person wrote."""
    own = keys.own
    file = _file(own)
    return Origin(file, own.document.line(own.path), file in added, tuple(_written(keys)))


def _written(keys: Layers) -> Iterator[Written]:
    # In the order of the declarations, which is the order of the reference.
    for setting in keys.own.keys.__struct_fields__:
        if setting == "environment":
            yield from _variables(keys)
            continue
        layer = keys.find(setting)
        if layer is not None:
            yield _one(keys, layer, setting, (*layer.path, setting))


def _variables(keys: Layers) -> Iterator[Written]:
    """Each variable with the layer that decides it."""
    found: dict[str, Written] = {}
    for layer in reversed(keys.layers):
        named = layer.keys.environment
        if named is UNSET:
            continue
        path = (*layer.path, "environment")
        if isinstance(named, dict):
            entries: list[tuple[str, KeyPath]] = [(name, (*path, name)) for name in named]
        else:
            entries = [(item.partition("=")[0], (*path, i)) for i, item in enumerate(named)]
        for name, where in entries:
            found[name] = _one(keys, layer, f"environment.{name}", where)
    yield from found.values()


def _one(keys: Layers, layer: Layer, setting: str, path: KeyPath) -> Written:
    document = layer.document
    value: Any = document.data
    for step in path:
        value = value[step]
    borrowed = document.borrows(path)
    if setting.startswith("environment."):
        name = setting.partition(".")[2]
        if isinstance(path[-1], int):  # an item `NAME=value` or `NAME` of a list
            value = value.partition("=")[2] if "=" in value else None
        elif value is not None:
            value = document.text(path)
        if value is None:
            value, borrowed = keys.environ.get(name, ""), True
    return Written(setting, value, _file(layer), document.line(path), layer is not keys.own, borrowed)


def _file(layer: Layer) -> str:
    return sys.intern(os.path.abspath(layer.document.file))
