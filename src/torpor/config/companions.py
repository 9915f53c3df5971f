"""Who is woken with an app, and whether there is anybody of that name."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torpor.config.layers import Layers
from torpor.config.problems import near_miss
from torpor.core.companions import GROUP, MOST, Company
from torpor.core.model import AppSpec


def build_companions(keys: Layers) -> tuple[str, ...]:
    """The names that the app gives, each once.

    A name in `defaults` is not meant for the very app that it names.
    """
    shared = keys.find("companions") is not keys.own
    names = dict.fromkeys(name for _, name in _written(keys))
    return tuple(name for name in names if not (shared and name == keys.name))


def check_companions(
    apps: Mapping[str, AppSpec],
    keys: Mapping[str, Layers],
    refused: Collection[str],
    found: Collection[str],
    *,
    discovers: bool,
) -> None:
    """Report companions that there are not, and too many of them.

    Nothing is said about an app that was `refused`: its own problem is enough.  Where an engine
    `discovers` apps, a group may yet get its members from there.  Those that were `found` there come
    and go: one that names another wakes without it, as nobody waits for companions.
    """
    groups = dict.fromkeys(GROUP + group for app in apps.values() for group in sorted(app.groups))
    for app in apps.values():
        for inner, name in _written(keys[app.name]):
            if name not in app.companions or name in groups or name in refused:
                continue
            if name != app.name and (name in apps or app.name in found):
                continue
            if name == app.name:
                message, guess = "an app is no companion of itself", None
            elif name.startswith(GROUP):
                message = f"no app is `member_of: {name.removeprefix(GROUP)}`"
                guess = near_miss(name, list(groups))
                if discovers and guess is None:
                    continue
            else:
                others = [other for other in apps if other != app.name]
                message, guess = f"there is no app '{name}'", near_miss(name, [*others, *groups])
            keys[app.name].report("companions", message, *inner, suggestion=guess)
    _check_number(apps, keys)


def _check_number(apps: Mapping[str, AppSpec], keys: Mapping[str, Layers]) -> None:
    """Report those that are too many.  What comes last is, which a container's labels may have brought."""
    company = Company(apps.values())
    too_many: dict[str, str] = {}
    for app in apps:
        for name in company.of(app)[MOST:]:
            too_many.setdefault(name, app)
    for name, leader in too_many.items():
        keys[name].report_app(f"goes with '{leader}', as {MOST} others do already; no more may")


def _written(keys: Layers) -> list[tuple[tuple[int, ...], str]]:
    """Each name as it is written, after its place in the list."""
    value = keys.get("companions", [])
    return [((), value)] if isinstance(value, str) else [((place,), name) for place, name in enumerate(value)]
