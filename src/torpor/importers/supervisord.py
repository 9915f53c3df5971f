"""supervisord.conf: programs with their groups, numbers and expansions."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping

from torpor.importers.claims import Claims
from torpor.importers.draft import STAY_AWAKE, AppDraft, FileDraft
from torpor.importers.ini import Section, parse_ini
from torpor.importers.place import Place, read_text
from torpor.importers.supervisord_program import Program, Surroundings, carry_environment, umask

INTRO = (
    "supervisord gives programs its own environment. Torpor gives them a search path, a language and what the settings say.",
    STAY_AWAKE,
)

_SECTIONS = {
    "unix_http_server": "Torpor's control socket has its place ($TORPOR_SOCKET) and is its user's alone",
    "inet_http_server": "Torpor is controlled over its unix socket only; use ssh from elsewhere",
    "supervisorctl": "`torpor` finds the daemon by $TORPOR_SOCKET",
    "fcgi-program": "Torpor hands no listening socket to a program; let it listen on a port, with a web server before it",
    "eventlistener": "there are no event listeners; `torpor events -f --json` tells what happens",
    "rpcinterface": "Torpor has no plugins",
    "ctlplugin": "Torpor has no plugins",
}


def read_supervisord(files: list[str], place: Place, draft: FileDraft) -> list[list[AppDraft]]:
    """Add the programs of each file; the scopes of their names.  Raises `CannotImport`."""
    draft.say(*INTRO)
    return [_Reader(file, place, draft).read() for file in files]


class _Reader:
    """One supervisord.conf with what it includes."""

    def __init__(self, file: str, place: Place, draft: FileDraft) -> None:
        self._file = file
        self._place = place
        self._draft = draft
        self._around = Surroundings(file, place)
        self._sections: dict[str, Section] = {}

    def read(self) -> list[AppDraft]:
        self._read_files()
        groups = self._groups()
        common = self._daemon()
        apps: list[AppDraft] = []
        priorities: dict[str, int] = {}
        for section in self._sections.values():
            kind, _, name = section.name.partition(":")
            if kind == "program" and name.strip():
                made = Program(section, name.strip(), groups.get(name.strip(), []), self._around).apps()
                for app in made:
                    priorities[app.name] = _priority(section)
                apps += made
            elif kind not in {"group", "include", "supervisord"}:
                self._leave_section(section, kind)
        _hint_at_order(apps, priorities)
        self._spread(common, apps)
        self._draft.apps += apps
        return apps

    def _read_files(self) -> None:
        parse_ini(read_text(self._file), self._file, self._sections)
        include = self._sections.get("include")
        if include is None:
            return
        claims = Claims(AppDraft(""), include.settings, joint="=")
        for pattern in self._around.expansion(include).now(claims.text("files")).split():
            full = os.path.join(os.path.dirname(os.path.abspath(self._file)), pattern)
            found = sorted(glob.glob(full)) if glob.has_magic(full) else [full]
            if not found:
                self._draft.notes.append(f"[include] {full}: matches no file here")
            for file in found:
                if not os.path.isfile(file):
                    self._draft.notes.append(f"[include] {file}: there is no such file")
                    self._draft.warnings.append(f"{self._file}: includes {file}, which does not exist")
                    continue
                parse_ini(read_text(file), file, self._sections)
        claims.settle("files")
        claims.close()
        self._draft.notes += [f"[include] {note}" for note in claims.app.notes]

    def _groups(self) -> dict[str, list[str]]:
        """By program, the groups that it is in."""
        found: dict[str, list[str]] = {}
        for section in self._sections.values():
            if section.name.startswith("group:"):
                programs = [
                    one.strip() for one in section.settings.get("programs", "").split(",") if one.strip()
                ]
                for one in dict.fromkeys(programs):
                    found.setdefault(one, []).append(section.name.partition(":")[2].strip())
                others = [f"{name}={value}" for name, value in section.settings.items() if name != "programs"]
                if others:
                    why = "order of start and stop only; say what needs what with depends_on"
                    self._draft.notes.append(f"[{section.name}] {', '.join(others)}: {why}")
                for name in programs:
                    if (
                        f"program:{name}" not in self._sections
                        and f"fcgi-program:{name}" not in self._sections
                    ):
                        self._draft.notes.append(
                            f"[{section.name}] programs={name}: there is no such program"
                        )
        return found

    def _daemon(self) -> AppDraft:
        """What `[supervisord]` says for all programs."""
        common = AppDraft("defaults")
        section = self._sections.get("supervisord")
        if section is None:
            return common
        claims = Claims(common, section.settings, joint="=", words=_DAEMON)
        expansion = self._around.expansion(section)
        if (directory := claims.text("directory")) and directory not in {"", "/"}:
            self._around.directory = os.path.join(
                os.path.dirname(os.path.abspath(self._file)), expansion.now(directory)
            )
            claims.carry(
                "directory", "working_dir", lambda one: self._place.path(self._file, expansion.now(one))
            )
        claims.carry("user", "user", lambda one: expansion.now(one).strip())
        claims.carry("umask", "umask", umask)
        carry_environment(claims, expansion)
        claims.close()
        self._draft.notes += [f"[supervisord] {note}" for note in common.notes]
        common.notes.clear()
        return common

    def _spread(self, common: AppDraft, apps: list[AppDraft]) -> None:
        """Let what holds for all programs of this file hold for its apps."""
        if not self._draft.apps and self._draft.single:
            self._draft.defaults.settings.update(common.settings)
            return
        for app in apps:
            for key, value in common.settings.items():
                if key == "environment":
                    app.settings["environment"] = {**value, **app.settings.get("environment", {})}
                else:
                    app.settings.setdefault(key, value)

    def _leave_section(self, section: Section, kind: str) -> None:
        why = _SECTIONS.get(kind, "Torpor knows no such section")
        names = ", ".join(section.settings) or "empty"
        self._draft.notes.append(f"[{section.name}] with {names}: {why}")
        if kind in {"fcgi-program", "eventlistener"}:
            self._draft.warnings.append(f"{section.file}:{section.line}: [{section.name}] is left out: {why}")


def _priority(section: Section) -> int:
    try:
        return int(section.settings.get("priority", "999"))
    except ValueError:
        return 999


def _hint_at_order(apps: list[AppDraft], priorities: Mapping[str, int]) -> None:
    """Say of each priority what it meant for the start."""
    for app in apps:
        note = next((note for note in app.notes if note.startswith("priority=")), None)
        if note is None:
            continue
        earlier = [other.name for other in apps if priorities[other.name] < priorities[app.name]]
        names = ", ".join(earlier[:5]) + (" …" if len(earlier) > 5 else "")
        why = (
            f"it was started after {names}; if it needs one of them, say so: depends_on: {{{earlier[-1]}: started}}"
            if earlier
            else "it was started first; whoever needs it says so with depends_on"
        )
        app.notes[app.notes.index(note)] = f"priority={priorities[app.name]}: {why}"


_DAEMON = {
    "logfile": "Torpor's own log goes to stderr, or with `torpor up -d` to daemon.log in its state directory",
    "logfile_maxbytes": "see logfile",
    "logfile_backups": "see logfile",
    "loglevel": "Torpor's own log has one level",
    "pidfile": "`torpor status` finds the daemon by its socket",
    "nodaemon": "`torpor up` stays in the foreground, `torpor up -d` does not",
    "silent": "redirect what `torpor up` writes",
    "childlogdir": "apps' logs lie in Torpor's state directory ($TORPOR_HOME)",
    "minfds": "an app says what it needs itself: rlimits: {nofile: N}",
    "minprocs": "an app says what it needs itself: rlimits: {nproc: N}",
    "nocleanup": "logs outlive restarts of app and daemon; `log` says how much of them is kept",
    "strip_ansi": "Torpor keeps what apps write, byte for byte",
    "identifier": "Torpor needs no name for itself",
}
