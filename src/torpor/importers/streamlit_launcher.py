"""The Streamlit launcher of OpenWrt: /etc/config/streamlit-launcher.

The file says how apps sleep and which of them matter, but not how they are started: its companion, slforge, knows
that.  So each app comes out as a comment that lacks one path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torpor.importers.claims import Claims
from torpor.importers.draft import AppDraft, FileDraft
from torpor.importers.place import Place, read_text
from torpor.importers.uci import Section, parse_uci
from torpor.importers.values import Value, number, shown, whether

INTRO = (
    (
        "The launcher starts an app by slforge, which knows its script and its domain; each app below lacks that script. A "
        "request wakes an app that has `routes`: the proxy in front may send its traffic to Torpor's gateway."
    ),
    (
        "The launcher looks for idle apps now and then, and stops those that were never tracked and those with open "
        "connections, too. Torpor stops an app when its time is over, and sees by itself what passes its gateway."
    ),
)
EVERYBODY = "*"
"""The app that a priority section means if it means all."""

_DEFAULTS = {
    "idle_timeout": "30",
    "check_interval": "60",
    "memory_threshold": "100",
    "startup_timeout": "30",
    "tracking_dir": "/tmp/streamlit-access",  # noqa: S108 - where the launcher has it
}
"""What the launcher does where its file says nothing."""
_WORDS = {
    "log_level": "Torpor tells all that happens to an app; `torpor events` shows it",
}


def read_streamlit_launcher(files: list[str], _place: Place, draft: FileDraft) -> list[list[AppDraft]]:
    """Add the apps of each file; the scopes of their names.  Raises `CannotImport`."""
    draft.say(*INTRO)
    return [_read(file, draft) for file in files]


def _read(file: str, draft: FileDraft) -> list[AppDraft]:
    said: dict[str, Value] = {}
    priorities: list[Section] = []
    for section in parse_uci(read_text(file), file):
        if section.type == "global":
            said |= section.settings
        elif section.type == "priority":
            priorities.append(section)
        else:
            draft.notes.append(f"{file}:{section.line} config {section.type}: Torpor knows no such section")
    common = draft.defaults if draft.single else AppDraft("defaults")
    _carry_global(said, common, draft)
    apps = _apps(priorities, common, draft)
    if not draft.single:
        draft.notes += [f"{file}: {note}" for note in common.notes]
        for app in apps:
            app.settings = {**common.settings, **app.settings}
    draft.apps += apps
    return apps


def _carry_global(said: Mapping[str, Value], common: AppDraft, draft: FileDraft) -> None:
    claims = Claims(common, {**_DEFAULTS, **said}, joint=" ", words=_WORDS)
    claims.carry("idle_timeout", "idle_timeout", _amount("m"))
    claims.carry(
        "startup_timeout",
        "start_timeout",
        _amount("s"),
        remark="An app that is not ready by then is ended; the launcher left it running.",
    )
    _settle_switch(claims, "enabled", "Torpor has no such switch: it works while `torpor up` runs")
    _settle_switch(
        claims, "on_demand", "a request wakes every app that has `routes`; leave them out to prevent it"
    )
    _carry_top(claims, "tracking_dir", draft, "tracking_dir", _folder)
    _carry_top(claims, "memory_threshold", draft, "memory.keep_free", _amount("M"))
    _carry_top(claims, "check_interval", draft, "memory.check_interval", _amount("s"))
    claims.close()


def _carry_top(
    claims: Claims, name: str, draft: FileDraft, key: str, convert: Callable[[Value], str]
) -> None:
    """Put an option into a key that belongs to no app."""
    try:
        complaint = draft.put(key, convert(claims.get(name)))
    except ValueError as error:
        complaint = str(error)
    if complaint is None:
        claims.settle(name)
    else:
        claims.leave(name, complaint)


def _settle_switch(claims: Claims, name: str, off: str) -> None:
    """What Torpor does anyway where the switch is on."""
    try:
        on = name not in claims or whether(claims.get(name))
    except ValueError as error:
        claims.leave(name, str(error))
        return
    if on:
        claims.same(name)
    else:
        claims.leave(name, off)


def _apps(sections: list[Section], common: AppDraft, draft: FileDraft) -> list[AppDraft]:
    """An app for each name; what the launcher would take of several sections is the last of them."""
    names: dict[str, list[Section]] = {}
    everybody: list[Section] = []
    for section in sections:
        match section.settings.get("app"):
            case str(app) if app.strip() == EVERYBODY:
                everybody.append(section)
                for others in names.values():
                    others.append(section)
            case str(app) if app.strip():
                names.setdefault(app.strip(), list(everybody)).append(section)
            case _:
                place = f"{section.file}:{section.line} config priority {section.name}".rstrip()
                draft.notes.append(f"{place}: names no app, so the launcher skips it")
    if everybody:
        _carry_priority(common, everybody, draft)
    return [_app(name, matching, draft) for name, matching in names.items()]


def _app(name: str, sections: list[Section], draft: FileDraft) -> AppDraft:
    app = AppDraft(name, source=f"{sections[0].file}:{sections[0].line}")
    app.off = "its script is not named; slforge knows it"
    app.put(
        "command",
        "streamlit run TO-BE-WRITTEN --server.address 127.0.0.1 --server.port $PORT --server.headless true",
    )
    app.put("routes", [f"{name}.localhost"], "The domain that slforge has for it.")
    app.put("readiness", {"http": "/_stcore/health"})
    _carry_priority(app, sections, draft)
    return app


def _carry_priority(app: AppDraft, sections: list[Section], draft: FileDraft) -> None:
    """Take over the last section; tell of those before it that it overrides."""
    *before, last = sections
    for other in before:
        if other.settings["app"] != EVERYBODY and _effect(other) != _effect(last):
            conflict = (
                f"config priority at line {other.line} ({_told(other)}) and line {last.line} ({_told(last)}): both "
                "are about it, and the launcher takes the last one"
            )
            app.notes.append(conflict)
            draft.warnings.append(f"{app.name}: {conflict}")
    claims = Claims(app, {"value": "50", **last.settings}, joint=" ")
    claims.settle("app")
    if claims.get("value") == "0":
        app.remarks["priority"] = "0 there; the lowest one is 1"
    claims.carry("value", "priority", _priority)
    try:
        said = "always_on" in claims
        if said or before:  # what is said of all apps may be otherwise
            app.put("always_on", whether(claims.get("always_on") if said else "0"))
        claims.settle("always_on")
    except ValueError as error:
        claims.leave("always_on", str(error))
    claims.close()


def _effect(section: Section) -> tuple[Value, Value]:
    return section.settings.get("value", "50"), section.settings.get("always_on", "0")


def _told(section: Section) -> str:
    value, always_on = _effect(section)
    return f"value {shown(value)}, always_on {shown(always_on)}"


def _amount(unit: str) -> Callable[[Value], str]:
    """A converter of a whole number to that many of a unit.  It raises `ValueError`."""
    whole = number(1, 10**9)
    return lambda value: f"{whole(value)}{unit}"


def _priority(value: Value) -> int:
    """Raises `ValueError`."""
    return max(1, number(0, 100)(value))


def _folder(value: Value) -> str:
    """An absolute path.  Raises `ValueError`."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError("is not the path of a directory")
    return value
