"""A torpor.yaml while it is being written: its apps, and all that has to be said about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from torpor.config import declarations
from torpor.config.scalars import parse_scalar
from torpor.config.settings import GatewaySpec
from torpor.core.graph import cycles
from torpor.importers.names import Names

KEYS = tuple(each.encode_name for each in msgspec.structs.fields(declarations.App))
"""The settings of an app, in the order of the reference."""

STAY_AWAKE = (
    "Apps are always_on, as they were. To let one sleep until somebody asks for it, give it `routes` and take always_on "
    "away."
)
"""What is to be said of all apps from managers that let none sleep."""


class Verbatim(str):
    """Text in Torpor's own language: its `${VAR}` are variables.  Any other text means what it says."""

    __slots__ = ()


def refused(key: str, value: Any) -> str | None:
    """Why Torpor would not take `value` for `key`; None if it would.  `rlimits.nofile` is a key inside of a map."""
    return _complaint(key, value, declarations.App)


def _complaint(key: str, value: Any, kind: type[msgspec.Struct]) -> str | None:
    for step in reversed(key.split(".")):
        value = {step: value}
    try:
        msgspec.convert(value, kind, dec_hook=parse_scalar)
    except msgspec.ValidationError as error:
        return str(error).partition(" - at ")[0]
    return None


@dataclass(frozen=True)
class Need:
    """What an entry needs of another one of the same source."""

    name: str
    """As the source calls it."""
    condition: str = "healthy"
    optional: bool = False
    said: str = ""
    """How the source says it, for a comment."""


@dataclass
class AppDraft:
    """One app, or `defaults`."""

    name: str
    """As the source calls it."""
    given: str = ""
    """Its valid and unique name, once `FileDraft.finish` has given it."""
    source: str = ""
    """Where it comes from, for its first comment."""
    settings: dict[str, Any] = field(default_factory=dict)
    needs: list[Need] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """One for each setting that could not be carried over."""
    same: list[str] = field(default_factory=list)
    """Settings that need no words in Torpor."""
    remarks: dict[str, str] = field(default_factory=dict)
    """By key: what to know about its value."""
    intro: list[str] = field(default_factory=list)
    """Paragraphs above everything else."""
    off: str | None = None
    """Why it comes out as a comment; None: it is an app."""

    def put(self, key: str, value: Any, remark: str | None = None) -> None:
        """Set `key`; `rlimits.nofile` is a key inside of a map."""
        *outer, last = key.split(".")
        assert (outer or [last])[0] in KEYS, key
        target = self.settings
        for step in outer:
            target = target.setdefault(step, {})
        target[last] = value
        if remark is not None:
            self.remarks[(outer or [last])[0]] = remark

    def variable(self, name: str, value: str | None) -> None:
        """Add a variable of the app's environment; None passes Torpor's own on."""
        self.settings.setdefault("environment", {})[name] = value


@dataclass
class FileDraft:
    """The whole file."""

    apps: list[AppDraft] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    """What belongs to no app."""
    defaults: AppDraft = field(default_factory=lambda: AppDraft("defaults"))
    intro: list[str] = field(default_factory=list)
    """Paragraphs at the top: what holds for all apps."""
    notes: list[str] = field(default_factory=list)
    """What belonged to no app and could not be carried over."""
    warnings: list[str] = field(default_factory=list)
    """For whoever runs the import."""
    single: bool = True
    """Whether all of it comes from one file, so that `defaults` can be that file's."""

    def put(self, key: str, value: Any) -> str | None:
        """Set a key that belongs to no app, `memory.keep_free` inside of a map; why not, if Torpor would not take it."""
        if (complaint := _complaint(key, value, declarations.File)) is not None:
            return complaint
        *outer, last = key.split(".")
        target = self.settings
        for step in outer:
            target = target.setdefault(step, {})
        if target.setdefault(last, value) != value:
            return f"another file says {target[last]} already"
        return None

    def say(self, *paragraphs: str) -> None:
        """Add paragraphs to the top of the file, each once."""
        self.intro += [one for one in paragraphs if one not in self.intro]

    def finish(self, scopes: Iterable[list[AppDraft]]) -> None:
        """Give the apps names that Torpor takes, and needs that can be met.

        A scope holds the apps whose names for each other are those of one source.
        """
        names = Names()
        for app in self.apps:
            app.given = names.give(app.name)
            if app.given != app.name:
                why = "app names are unique and made of a-z 0-9 . _ -"
                app.notes.insert(0, f"name {app.name!r}: it is {app.given!r} here, for {why}")
        for scope in scopes:
            _resolve_needs(scope)
        _break_circles(self.apps)
        _part_ports(self.apps)
        for app in self.apps:
            needed = app.settings.get("depends_on")
            if needed and set(map(str, needed.values())) == {"healthy"}:
                app.settings["depends_on"] = list(needed)
            if app.off is not None:
                self.warnings.append(f"{app.given} comes out as a comment: {app.off}")


def _resolve_needs(scope: list[AppDraft]) -> None:
    known: dict[str, AppDraft] = {}
    for app in scope:
        known.setdefault(app.name, app)
    for app in scope:
        for need in app.needs:
            said = need.said or f"depends on {need.name}"
            other = known.get(need.name)
            if other is None:
                why = "nothing of this name is imported; if Torpor runs it, name it in depends_on"
                app.notes.append(f"{said}: {why}")
            elif other is app:
                app.notes.append(f"{said}: an app cannot need itself")
            elif other.off is not None and app.off is None:
                why = f"{other.given} is no app yet; when it is, add it to depends_on"
                app.notes.append(f"{said}: {why}")
            else:
                _meet(app, other, need, said)


def _meet(app: AppDraft, other: AppDraft, need: Need, said: str) -> None:
    """Let `app` depend on `other`."""
    condition = need.condition
    if condition.startswith("completed"):
        # What is waited for until it ends must not be kept running.
        if other.settings.get("restart") == "always":
            app.notes.append(
                f"{said}: {other.given} is always restarted, so it never completes; it is enough that it runs"
            )
            condition = "started"
        else:
            other.settings.pop("always_on", None)
            other.settings.setdefault("restart", "no")
    _put_need(app, other.given, condition, optional=need.optional)


def _put_need(app: AppDraft, name: str, condition: str, *, optional: bool) -> None:
    needed: Any = {"condition": condition, "optional": True} if optional else condition
    app.settings.setdefault("depends_on", {})[name] = needed


def _part_ports(apps: list[AppDraft]) -> None:
    """Let no two apps have one port, nor the gateway's."""
    taken = {listen.port: "the gateway" for listen in GatewaySpec().listen}
    for app in apps:
        port = app.settings.get("port")
        if port is None or app.off is not None:
            continue
        owner = taken.setdefault(port, app.given)
        if owner != app.given:
            del app.settings["port"]
            app.remarks.pop("port", None)
            app.settings.setdefault("readiness", {"tcp": True})
            app.notes.append(f"port {port}: {owner} has it already; Torpor chooses another one for $PORT")


def _break_circles(apps: list[AppDraft]) -> None:
    by_name = {app.given: app for app in apps}
    while True:
        graph = {name: list(app.settings.get("depends_on", ())) for name, app in by_name.items()}
        found = list(cycles(graph))
        if not found:
            return
        path = found[0]
        app = by_name[path[0]]
        app.settings["depends_on"].pop(path[1])
        if not app.settings["depends_on"]:
            del app.settings["depends_on"]
        app.notes.append(
            f"depends on {path[1]}: they need each other in a circle ({' → '.join(path)}), which cannot be started"
        )
