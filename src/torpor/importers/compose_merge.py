"""Compose services that are made of several: by `extends`, and by an override file.

What is said later wins; maps are merged key by key, lists are joined, and a command replaces the one before.
"""

from __future__ import annotations

import os
import re

from torpor.errors import CannotImport
from torpor.importers.values import Map, Value, shown

_REPLACED = frozenset({"command", "entrypoint", "test"})
"""Lists of which the later one counts alone."""
_PAIRS = frozenset({"environment", "labels", "annotations", "sysctls"})
"""Maps that may be written as lists of `NAME=value`."""
_JOINED = frozenset({"env_file", "dns", "dns_search", "tmpfs"})
"""Lists that may be written as one text."""
_OVERRIDE = re.compile(r"((?:docker-)?compose)\.override(\.ya?ml)")


def overridden(file: str, files: list[str]) -> str | None:
    """The file among `files` that this one is the override file of."""
    match = _OVERRIDE.fullmatch(os.path.basename(file))
    if match is None:
        return None
    folder = os.path.dirname(os.path.abspath(file))
    names = {f"{match[1]}.yaml", f"{match[1]}.yml"}
    return next(
        (
            other
            for other in files
            if os.path.basename(other) in names and os.path.dirname(os.path.abspath(other)) == folder
        ),
        None,
    )


def forgotten(file: str, files: list[str]) -> list[str]:
    """Override files beside it that Compose would read, and that nobody has named."""
    stem = os.path.splitext(os.path.basename(file))[0]
    if stem not in {"compose", "docker-compose"}:
        return []
    folder = os.path.dirname(file)
    beside = [os.path.join(folder, f"{stem}.override{ending}") for ending in (".yaml", ".yml")]
    named = {os.path.abspath(each) for each in files}
    return [each for each in beside if os.path.isfile(each) and os.path.abspath(each) not in named]


def merged_maps(base: dict[str, Value], over: dict[str, Value]) -> Map:
    """The same of two maps; a key has the line where it stands first."""
    result = Map()
    result.update(base)
    for key, value in over.items():
        result[key] = _merged(base[key], value, key) if key in base else value
    for each in (over, base):
        result.lines.update(each.lines if isinstance(each, Map) else {})
    return result


def _merged(base: Value, over: Value, name: str) -> Value:
    if base is None or over is None or name in _REPLACED:
        return base if over is None else over
    if name in _PAIRS:
        base, over = _pairs(base), _pairs(over)
    if name == "depends_on" and isinstance(base, list) != isinstance(over, list):
        base, over = _conditions(base), _conditions(over)
    if isinstance(base, dict) and isinstance(over, dict):
        return merged_maps(base, over)
    if name in _JOINED or (isinstance(base, list) and isinstance(over, list)):
        before = base if isinstance(base, list) else [base]
        return [*before, *(one for one in (over if isinstance(over, list) else [over]) if one not in before)]
    return over


def extended(services: dict[str, Value], file: str) -> tuple[dict[str, Value], dict[str, str]]:
    """The services with all that they inherit within the file; and by service, why something was not inherited.

    Raises `CannotImport` where services extend each other in a circle.
    """
    result = Map()
    result.lines = dict(services.lines) if isinstance(services, Map) else {}
    complaints: dict[str, str] = {}
    for name in services:
        result[name] = _whole(name, services, file, complaints, ())
    return result, complaints


def _whole(
    name: str, services: dict[str, Value], file: str, complaints: dict[str, str], path: tuple[str, ...]
) -> Value:
    service = services[name]
    if name in path:
        circle = " → ".join([*path[path.index(name) :], name])
        raise CannotImport(f"{file}: services extend each other in a circle: {circle}")
    if not isinstance(service, dict) or "extends" not in service:
        return service
    wish = service["extends"]
    other = wish.get("service") if isinstance(wish, dict) else wish
    elsewhere = wish.get("file") if isinstance(wish, dict) else None
    folder = os.path.dirname(os.path.abspath(file))
    here = not isinstance(elsewhere, str) or os.path.join(folder, elsewhere) == os.path.abspath(file)
    rest = Map()
    rest.update((key, value) for key, value in service.items() if key != "extends")
    rest.lines = dict(service.lines) if isinstance(service, Map) else {}
    if not here:
        complaints[name] = (
            f"extends: {shown(other)} of {shown(elsewhere)}: stands in another file; write into the app what it would inherit"
        )
    elif not isinstance(other, str) or not isinstance(services.get(other), dict):
        complaints[name] = f"extends: {shown(other)}: there is no such service"
    else:
        base = _whole(other, services, file, complaints, (*path, name))
        return merged_maps(base, rest) if isinstance(base, dict) else rest
    return rest


def _pairs(value: Value) -> Value:
    if not isinstance(value, list):
        return value
    found = Map()
    for item in value:
        name, equals, said = (item if isinstance(item, str) else shown(item)).partition("=")
        found[name] = said if equals else None
    return found


def _conditions(value: Value) -> Value:
    """A list of services that are needed, as a map."""
    if not isinstance(value, list):
        return value
    found = Map()
    for name in value:
        condition = Map()
        condition["condition"] = "service_started"
        found[name if isinstance(name, str) else shown(name)] = condition
    return found
