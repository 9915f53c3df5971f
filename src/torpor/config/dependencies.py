"""What an app needs of others, and whether all of it together makes sense."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torpor.config import declarations as declared
from torpor.config.layers import Layers, given
from torpor.config.problems import near_miss
from torpor.core.graph import cycles
from torpor.core.model import AppSpec, Condition, Dependency, Restart

_COMPLETED = frozenset({Condition.COMPLETED, Condition.COMPLETED_SUCCESSFULLY})


def build_dependencies(keys: Layers) -> tuple[Dependency, ...]:
    """The apps that this one names, each once.

    A `depends_on` in `defaults` is not meant for the very app that it names.
    """
    value = keys.get("depends_on", [])
    layer = keys.find("depends_on")
    found: dict[str, Dependency] = {}
    for name, needed in value.items() if isinstance(value, dict) else _plain(value):
        if name == keys.name and layer is not keys.own:
            continue
        if name in found:
            keys.report("depends_on", f"names '{name}' twice")
        found[name] = _dependency(name, needed)
    return tuple(found.values())


def check_dependencies(
    apps: Mapping[str, AppSpec], keys: Mapping[str, Layers], refused: Collection[str]
) -> None:
    """Report what the apps need of each other and cannot have.

    Nothing is said about a need of one that was `refused`: its own problem is enough.
    """
    for app in apps.values():
        for needed in app.depends_on:
            if needed.app in refused:
                continue
            complaint, guess = _complaint(app, needed, apps)
            if complaint is not None:
                _report(keys[app.name], needed.app, complaint, guess)
    graph = {app.name: [each.app for each in app.depends_on if each.app != app.name] for app in apps.values()}
    for path in cycles(graph):
        _report(keys[path[0]], path[1], f"the apps need each other in a circle: {' → '.join(path)}")


def _plain(value: str | list[str]) -> list[tuple[str, Condition]]:
    names = [value] if isinstance(value, str) else value
    return [(name, Dependency(name).condition) for name in names]


def _dependency(name: str, needed: Condition | declared.Needed) -> Dependency:
    if isinstance(needed, Condition):
        return Dependency(name, needed)
    default = Dependency(name)
    return Dependency(
        name, given(needed.condition, default.condition), given(needed.optional, default.optional)
    )


def _complaint(
    app: AppSpec, needed: Dependency, apps: Mapping[str, AppSpec]
) -> tuple[str | None, str | None]:
    """What is wrong with a dependency, and what was probably meant."""
    if needed.app == app.name:
        return "an app cannot depend on itself", None
    if needed.app not in apps:
        others = [name for name in apps if name != app.name]
        return f"there is no app '{needed.app}'", near_miss(needed.app, others)
    lifecycle = apps[needed.app].lifecycle
    if needed.condition in _COMPLETED and (lifecycle.always_on or lifecycle.restart is Restart.ALWAYS):
        key = "always_on" if lifecycle.always_on else "restart: always"
        return f"'{needed.app}' is never {needed.condition.value}: it is {key}, so it is kept running", None
    return None, None


def _report(keys: Layers, needed: str, message: str, suggestion: str | None = None) -> None:
    """A problem of the place where the app names the other one."""
    value = keys.get("depends_on", [])
    inner: tuple[str | int, ...] = ()
    if isinstance(value, dict):
        inner = (needed,)
    elif isinstance(value, list) and needed in value:
        inner = (value.index(needed),)
    keys.report("depends_on", message, *inner, suggestion=suggestion, at_key=True)
