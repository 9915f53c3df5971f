"""Whether a change of the running set fits what holds now, whatever the files say by now."""

from __future__ import annotations

from collections.abc import Sequence

from torpor.config.guests import GuestSpec
from torpor.config.problems import Problem
from torpor.config.settings import Settings
from torpor.core.model import AppSpec
from torpor.errors import ConfigInvalid, NotAllowed


def check_meant(new: Settings, now: Settings) -> None:
    """Refuse a file without content where apps stood in it.  Raises `ConfigInvalid`."""
    if new.blank and not all(origin.added or origin.container for origin in now.origins.values()):
        # An editor's crash or a full disk leaves such a file; it would end everything.
        text = "the file is empty; `apps: {}` says that there is to be no app"
        raise ConfigInvalid((Problem(str(new.source), 1, 1, "", text),), hint="Nothing was applied.")


def check_fit(spec: AppSpec, others: Sequence[AppSpec]) -> None:
    """Refuse what fits the files, but not the `others`.  Raises `NotAllowed`."""
    hint = "The configuration was edited since it was applied: `torpor apply --dry-run` shows how."
    apps = {app.name: app for app in others}
    for needed in spec.depends_on:
        if needed.app not in apps:
            raise NotAllowed(f"there is no app named {needed.app} yet", hint=hint)
    for app in apps.values():
        for port in sorted(spec.fixed_ports & app.fixed_ports):
            raise NotAllowed(f"{port} is the port of {app.name}", hint=hint)
        if spec.socket is not None and spec.socket == app.socket:
            raise NotAllowed(f"{spec.socket} is the socket of {app.name}", hint=hint)
        if _is_same_guest(spec, app):
            raise NotAllowed(f"{app.name} is made of the same guest", hint=hint)
        for stream in spec.streams:
            if str(stream) in map(str, app.streams):
                raise NotAllowed(f"{stream} leads to {app.name}", hint=hint)
        for route in spec.routes:
            if any((route.host, route.path) == (one.host, one.path) for one in app.routes):
                raise NotAllowed(f"{route} leads to {app.name}", hint=hint)


def _is_same_guest(one: AppSpec, other: AppSpec) -> bool:
    guests = [app.workload.identity for app in (one, other) if isinstance(app.workload, GuestSpec)]
    return len(guests) == 2 and guests[0] == guests[1]


def check_users(name: str, now: Settings, *, force: bool) -> list[str]:
    """Those that name an app that is to be removed.  Raises `NotAllowed` unless they can do without."""
    needing = [app.name for app in now.apps if any(needed.app == name for needed in app.depends_on)]
    users = [app.name for app in now.apps if app.name in needing or name in app.companions]
    if users and not force:
        raise NotAllowed(
            f"{name} is {'needed' if needing else 'taken along'} by {', '.join(users)}",
            hint=f"`torpor rm {' '.join([*users, name])}` removes them together; --force only this one.",
        )
    for user in users:
        origin = now.origins[user]
        if not origin.added:
            how, setting = ("needed", "depends_on") if user in needing else ("taken along", "companions")
            raise NotAllowed(
                f"{name} is {how} by {user}, in {origin.place}",
                hint=f"Change `{setting}` there and `torpor apply` it first.",
            )
    return users
