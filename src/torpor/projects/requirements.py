"""Which packages a Python project says that it needs, and where it says so."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from torpor.projects.folder import Folder

FILES = ("requirements.txt", "pyproject.toml", "Pipfile")
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def requirements(folder: Folder) -> Mapping[str, str]:
    """Normalised names of packages → the file that names them.  What cannot be read names none."""
    found: dict[str, str] = {}
    for file in FILES:
        text = folder.text(file) if file in folder.files else None
        if text is not None:
            names = _plain(text) if file == "requirements.txt" else _toml(text)
            found.update({name: file for name in names if name not in found})
    return found


def _plain(text: str) -> Iterable[str]:
    return filter(None, map(_normal, text.splitlines()))


def _toml(text: str) -> Iterable[str]:
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ()
    named = [
        *_items(_map(document, "project").get("dependencies")),
        *(item for group in _map(document, "dependency-groups").values() for item in _items(group)),
        *_map(document, "tool", "poetry", "dependencies"),
        *_map(document, "packages"),
    ]
    return filter(None, (_normal(each) for each in named if isinstance(each, str)))


def _map(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    """What lies under the keys, if all of them hold maps."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _normal(requirement: str) -> str | None:
    """The name at the beginning of a requirement, as package indexes write it."""
    match = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else None
