"""Which importer understands a file, and all of them together."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from torpor.config.load import load
from torpor.errors import CannotImport, ConfigInvalid
from torpor.importers.draft import AppDraft, FileDraft
from torpor.importers.emit import emit
from torpor.importers.place import Place, read_text
from torpor.importers.values import Value, from_yaml

Reader = Callable[[list[str], Place, FileDraft], list[list[AppDraft]]]
"""Adds the apps of files to a draft; returns which of them know each other by their names."""

FORMATS = {
    "supervisord": "torpor.importers.supervisord:read_supervisord",
    "pm2": "torpor.importers.pm2:read_pm2",
    "pm_tiny": "torpor.importers.pm_tiny:read_pm_tiny",
    "procfile": "torpor.importers.procfile:read_procfiles",
    "systemd": "torpor.importers.systemd:read_units",
    "compose": "torpor.importers.compose:read_compose",
    "streamlit-launcher": "torpor.importers.streamlit_launcher:read_streamlit_launcher",
}
"""Where each importer lives.  They are loaded when they are used."""

_BY_NAME = (
    (r"(.*[-.])?procfile([-.].*)?", "procfile"),
    (r".*\.service", "systemd"),
    (r"(docker-)?compose([-._].*)?\.ya?ml", "compose"),
    (r"(.*\.)?(ecosystem|pm2|processes?)(\.config)?\.(js|cjs|mjs|json5?|ya?ml)", "pm2"),
    (r".*\.(js|cjs|mjs)", "pm2"),
    (r"prog\.(ya?ml|cfg)", "pm_tiny"),
    (r"supervisord?\.(conf|ini)", "supervisord"),
    (r"streamlit-launcher(\..*)?", "streamlit-launcher"),
)
_SUPERVISOR = re.compile(
    r"^\[(?:supervisord|supervisorctl|include|(?:program|group|fcgi-program|eventlistener):[^\]]+)\]",
    re.MULTILINE,
)
_LAUNCHER = re.compile(r"^\s*config\s+['\"]?(?:global|priority)\b[^{}:=]*$", re.MULTILINE)
_UNIT = re.compile(r"^\[Service\]\s*$", re.MULTILINE)
_PROCFILE = re.compile(r"(?:[ \t]*(?:#.*)?\n|[A-Za-z0-9_-]+:[ \t]*\S.*(?:\n|$))+")


@dataclass(frozen=True)
class Imported:
    """What came of an import."""

    text: str
    """The torpor.yaml."""
    warnings: list[str]
    left: int
    """Settings that were not carried over; each has a comment."""
    apps: int
    problems: list[str]
    """Why the text cannot be loaded here and now: a user or a directory that is missing, as a rule."""


def import_files(
    files: Sequence[str],
    target: str,
    *,
    format: str | None = None,
    chosen: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Imported:
    """The torpor.yaml that says what the files say, to be written to `target`; `chosen` is PM2's `--env`.

    Raises `CannotImport` where a file cannot be read or understood.
    """
    draft = FileDraft(single=len(files) == 1)
    place = Place(os.path.dirname(os.path.abspath(target)), environ, chosen)
    by_format: dict[str, list[str]] = {}
    for file in files:
        by_format.setdefault(format or recognise(file), []).append(file)
    if chosen is not None and "pm2" not in by_format:
        draft.warnings.append(f"--env {chosen}: only PM2's files have several environments")
    scopes: list[list[AppDraft]] = []
    for name, named in by_format.items():
        module, _, reader = FORMATS[name].partition(":")
        read: Reader = getattr(import_module(module), reader)
        scopes += read(named, place, draft)
    draft.finish(scopes)
    text = emit(draft)
    live = [app for app in draft.apps if app.off is None]
    left = sum(len(app.notes) for app in (draft.defaults, *draft.apps)) + len(draft.notes)
    return Imported(text, draft.warnings, left, len(live), _problems(text, target, environ))


def recognise(file: str) -> str:
    """The format of a file, by its name or else by what is in it.  Raises `CannotImport`."""
    name = os.path.basename(file).lower()
    for pattern, format in _BY_NAME:
        if re.fullmatch(pattern, name):
            return format
    text = read_text(file)
    if _SUPERVISOR.search(text):
        return "supervisord"
    if _UNIT.search(text):
        return "systemd"
    if _LAUNCHER.search(text) and "memory_threshold" in text:
        return "streamlit-launcher"
    if name.endswith((".yaml", ".yml", ".json")):
        found = _by_shape(from_yaml(text, file))
        if found is not None:
            return found
    elif text.strip() and _PROCFILE.fullmatch(text):
        return "procfile"
    raise CannotImport(
        f"{file}: cannot tell whose file this is", hint=f"Say it with --format: {', '.join(FORMATS)}."
    )


def _by_shape(value: Value) -> str | None:
    items = value if isinstance(value, list) else []
    first = items[0] if items else None
    if isinstance(first, dict):
        return "pm2" if "script" in first else "pm_tiny" if {"command", "executable"} & set(first) else None
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("services"), dict):
        return "compose"
    return "pm2" if isinstance(value.get("apps"), list) or "script" in value else None


def _problems(text: str, target: str, environ: Mapping[str, str]) -> list[str]:
    try:
        load(target, environ, texts={target: text.encode()})
    except ConfigInvalid as error:
        return [str(problem) for problem in error.problems]
    return []
