"""Procfiles with their .env, by the rules of foreman, honcho and overmind."""

from __future__ import annotations

import os
import re

from torpor.config.env_file import parse_env_file
from torpor.importers.commands import shlex_command
from torpor.importers.draft import AppDraft, FileDraft, Verbatim
from torpor.importers.place import Place, read_text
from torpor.importers.values import shown

INTRO = (
    (
        "Processes are always_on, and started again when they fail; in a Procfile's world the end of one is the end of all. "
        "`torpor logs -f` shows the output."
    ),
    (
        "To let the web process sleep until somebody asks for it, give it routes, e.g. `routes: [web.localhost]`, and take "
        "always_on away."
    ),
)
FIRST_PORT = 5000
PORT_STEP = 100
"""The ports that foreman, honcho and overmind give out: 5000 for the first process, 5100 for the second …"""
HIGHEST_PORT = 65535
_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")
_PORT = re.compile(r"\$(?:PORT\b|\{PORT\b)")
_NEEDS_A_SHELL = re.compile(r"[\\$`*?\[\](){}<>|&;#~!]|^\S*=")
"""What a shell would not leave as it is, apart from quotes, which mean the same to Torpor."""


def read_procfiles(files: list[str], place: Place, draft: FileDraft) -> list[list[AppDraft]]:
    """Add the processes of each file; the scopes of their names.  Raises `CannotImport`."""
    draft.say(*INTRO)
    return [_read(file, place, draft) for file in files]


def _read(file: str, place: Place, draft: FileDraft) -> list[AppDraft]:
    folder = os.path.dirname(os.path.abspath(file))
    variables, env_file, complaint = _dotenv(os.path.join(folder, ".env"), place)
    base = variables.get("PORT", "")
    first = int(base) if base.isdigit() and 0 < int(base) <= HIGHEST_PORT else FIRST_PORT
    apps: list[AppDraft] = []
    for line, raw in enumerate(read_text(file).splitlines(), 1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(raw.strip())
        if match is None:
            draft.notes.append(
                f"{file}:{line} {shown(raw)}: is not `name: command`; a Procfile's readers skip it"
            )
            continue
        app = AppDraft(match["name"], source=f"{file}:{line}")
        _carry_command(app, match["command"])
        if (where := place.beside(folder)) != ".":
            app.put("working_dir", where)
        if env_file is not None:
            app.put("env_file", env_file)
        if complaint is not None:
            app.notes.append(complaint)
        _carry_port(app, first + PORT_STEP * len(apps))
        _carry_kind(app)
        apps.append(app)
    for settings in (".overmind.env", ".foreman", ".honcho"):
        if os.path.isfile(os.path.join(folder, settings)):
            draft.notes.append(
                f"{os.path.join(folder, settings)}: options of the Procfile's runner, which Torpor does not read"
            )
    draft.apps += apps
    return apps


def _dotenv(path: str, place: Place) -> tuple[dict[str, str], str | None, str | None]:
    """The variables of .env, how to name it, or why that is not possible."""
    if not os.path.isfile(path):
        return {}, None, None
    complaints: list[str] = []
    variables = parse_env_file(
        read_text(path), place.environ, lambda line, text: complaints.append(f"{path}:{line} {text}")
    )
    if complaints:
        return (
            variables,
            None,
            f"{path}: {'; '.join(complaints[:3])}; mend it, and add `env_file: {place.beside(path)}`",
        )
    return variables, place.beside(path), None


def _carry_command(app: AppDraft, command: str) -> None:
    plain = re.sub(r"\$(?:PORT\b|\{PORT\})", "", command)
    if _NEEDS_A_SHELL.search(plain):
        app.put("command", command)
        app.put("shell", True)
        return
    try:
        app.put("command", Verbatim(command) if "${PORT}" in command else shlex_command(command))
    except ValueError as error:
        app.put("command", command)
        app.off = str(error)


def _carry_port(app: AppDraft, port: int) -> None:
    """Each process gets its own PORT; who uses it, or is called web, is expected to listen there."""
    command = app.settings["command"]
    if port > HIGHEST_PORT:
        app.notes.append(f"PORT={port}: there is no such port")
    elif app.name == "web" or _PORT.search(command):
        app.put(
            "port", port, "PORT as the Procfile's runner gives it; without `port` Torpor chooses a free one"
        )
    else:
        app.variable("PORT", str(port))


def _carry_kind(app: AppDraft) -> None:
    if app.name == "release":
        app.put("restart", "no")
        app.intro.append(
            "The release phase: run it with `torpor start release`, or let the others wait for it with "
            "depends_on: {release: completed_successfully}"
        )
        return
    app.put("always_on", True)
