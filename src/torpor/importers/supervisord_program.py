"""One `[program:x]` of a supervisord.conf."""

from __future__ import annotations

import os
import platform
import re
import shlex
from dataclasses import dataclass, replace

from torpor.core.model import Backoff
from torpor.errors import CannotImport
from torpor.importers import amounts
from torpor.importers.claims import Claims
from torpor.importers.commands import shlex_command
from torpor.importers.draft import AppDraft, Verbatim
from torpor.importers.expansion import REPLICA, Expansion
from torpor.importers.ini import Section
from torpor.importers.names import fit_name
from torpor.importers.place import Place
from torpor.importers.supervisord_log import LOG_WORDS, carry_log
from torpor.importers.values import number, whether

MOST_COPIES = 100
"""As many instances as Torpor runs of an app; of more processes only these are carried over."""

WORDS = {
    **LOG_WORDS,
    "serverurl": "apps that ask supervisord over XML-RPC have to use `torpor` with --json instead",
}
"""Settings of a program that are never carried over."""


@dataclass
class Surroundings:
    """What holds for all programs of a file."""

    file: str
    place: Place
    directory: str | None = None
    """Where supervisord itself works, from where relative paths begin."""

    def path(self, path: str) -> str:
        """A directory that a program names, for the written file."""
        if self.directory is not None and not path.startswith(("/", "~")):
            return self.place.beside(os.path.join(self.directory, path))
        return self.place.path(self.file, path)

    def expansion(self, section: Section, **names: str | int) -> Expansion:
        """What `%(…)s` means in a section; `here` is where the file lies that has it."""
        here = os.path.dirname(os.path.abspath(section.file))
        return Expansion({"here": here, "host_node_name": platform.node(), **names}, self.place)


class Program:
    """One `[program:x]`, which becomes one app, replicas of one, or several apps."""

    def __init__(self, section: Section, name: str, groups: list[str], around: Surroundings) -> None:
        self._section = section
        self._name = name
        self._groups = groups
        self._around = around

    def apps(self) -> list[AppDraft]:
        """What it becomes.  Raises `CannotImport` where nobody can tell how many."""
        settings = self._section.settings
        first = self._around.expansion(self._section, program_name=self._name)
        count, start = self._count(first, "numprocs", 1), self._count(first, "numprocs_start", 0)
        used = [settings.get(key, "") for key in ("command", "environment", "directory")]
        if count == 1:
            return [self._app(self._name, start, count)]
        if not any("process_num" in text for text in used):
            return [self._app(self._name, start, count, replicas=True)]
        in_directory = "process_num" in settings.get("directory", "")
        plain = all(
            form in {"d", "s"}
            for text in used
            for form in re.findall(r"%\(process_num\)([^%\s]*?[sdi])", text)
        )
        if plain and start == 0 and not in_directory and count <= MOST_COPIES:
            return [self._app(self._name, REPLICA, count, replicas=True)]
        return self._several(start, count)

    def _several(self, start: int, count: int) -> list[AppDraft]:
        pattern = self._section.settings.get("process_name", "%(program_name)s_%(process_num)s")
        apps: list[AppDraft] = []
        for num in range(start, start + min(count, MOST_COPIES)):
            names: dict[str, str | int] = {"program_name": self._name, "process_num": num, "numprocs": count}
            names["group_name"] = self._group_name
            try:
                name = self._around.expansion(self._section, **names).now(pattern)
            except ValueError:
                name = f"{self._name}_{num}"
            app = self._app(name, num, count)
            if not self._groups:
                # Processes of one program are a group of its name.
                app.put("member_of", fit_name(self._name))
            if apps:
                # Said once, above the first of them.
                app.notes, app.same = [f"what is said above {apps[0].name}"], []
            apps.append(app)
        if count > MOST_COPIES:
            apps[0].notes.append(f"numprocs={count}: only the first {MOST_COPIES} are here")
        return apps

    @property
    def _group_name(self) -> str:
        return self._groups[0] if self._groups else self._name

    def _count(self, expansion: Expansion, key: str, otherwise: int) -> int:
        text = self._section.settings.get(key)
        if text is None:
            return otherwise
        try:
            return number(0 if key == "numprocs_start" else 1, 100_000)(expansion.now(text))
        except ValueError as error:
            place = f"{self._section.file}:{self._section.line}"
            raise CannotImport(f"{place}: [{self._section.name}] {key}={text}: {error}") from error

    def _app(self, name: str, num: int | str, count: int, *, replicas: bool = False) -> AppDraft:
        section = self._section
        app = AppDraft(name, source=f"[{section.name}], {section.file}:{section.line}")
        claims = Claims(app, section.settings, joint="=", words=WORDS)
        expansion = self._around.expansion(
            section, program_name=self._name, process_num=num, numprocs=count, group_name=self._group_name
        )
        app.put("always_on", True)
        expansion = replace(expansion, own=carry_environment(claims, expansion))
        if not claims.carry("command", "command", lambda text: shlex_command(expansion.text(text))):
            app.off = "it has no command that could be carried over"
        claims.carry("directory", "working_dir", lambda text: self._working_dir(expansion, text))
        claims.carry("user", "user", lambda text: expansion.now(text).strip())
        self._copies(claims, count, replicas=replicas)
        _carry_life(claims, expansion)
        carry_log(claims, expansion)
        self._carry_groups(app)
        claims.close()
        return app

    def _carry_groups(self, app: AppDraft) -> None:
        names = list(dict.fromkeys(map(fit_name, self._groups)))
        if names:
            odd = [group for group in self._groups if fit_name(group) != group]
            remark = (
                f"[group:{'], [group:'.join(odd)}]: names of groups are like those of apps" if odd else None
            )
            app.put("member_of", names if len(names) > 1 else names[0], remark)

    def _working_dir(self, expansion: Expansion, text: str) -> str:
        directory = expansion.text(text)
        return directory if isinstance(directory, Verbatim) else self._around.path(directory)

    def _copies(self, claims: Claims, count: int, *, replicas: bool) -> None:
        if replicas:
            remark = None
            if count > MOST_COPIES:
                remark = f"numprocs was {count}; Torpor runs {MOST_COPIES} of an app at most"
            claims.app.put("replicas", min(count, MOST_COPIES), remark)
            claims.settle("numprocs")
            claims.leave("process_name", "replicas are called NAME, NAME/1 …; $TORPOR_REPLICA is the number")
        if count == 1:
            claims.same("numprocs")
            if claims.text("process_name") == "%(program_name)s":
                claims.same("process_name")
        claims.settle("numprocs")
        if count > 1 and not replicas:
            claims.settle("process_name")
            if "numprocs_start" in claims:
                claims.settle("numprocs_start")
            return
        if claims.text("numprocs_start") == "0":
            claims.same("numprocs_start")
        claims.leave("process_name", "the app is named after the program")
        claims.leave("numprocs_start", "the number counts from there only in what it stood in")


def carry_environment(claims: Claims, expansion: Expansion) -> dict[str, str]:
    """Carry `environment` over; its plain values."""
    text = claims.text("environment")
    if not text.strip():
        claims.same("environment")
        return {}
    try:
        variables = {name: expansion.text(value) for name, value in _variables(text).items()}
    except ValueError as error:
        claims.leave("environment", str(error))
        return {}
    for name, value in variables.items():
        claims.app.variable(name, value)
    claims.settle("environment")
    return variables


def _variables(text: str) -> dict[str, str]:
    """The variables of `KEY="value",KEY2=value`, as supervisord reads them.  Raises `ValueError`."""
    lexer = shlex.shlex(text)
    # supervisord splits after expanding; what stands for an expansion must stay in one word.
    lexer.wordchars += "/.+-():%"
    try:
        tokens = list(lexer)
    except ValueError as error:
        raise ValueError(f'{str(error).lower()}; write KEY="value",KEY2="value"') from error
    found: dict[str, str] = {}
    for at in range(0, len(tokens), 4):
        part = tokens[at : at + 3]
        if len(part) != 3 or part[1] != "=":
            raise ValueError('is not KEY="value",KEY2="value"; put values in quotes')
        found[part[0]] = part[2].strip("'\"")
    return found


def _carry_life(claims: Claims, expansion: Expansion) -> None:
    """How it is started again, and stopped."""
    app = claims.app
    if "autostart" in claims:
        claims.carry("autostart", "always_on", lambda one: whether(expansion.now(one)))
        if app.settings["always_on"] is False:
            del app.settings["always_on"]
            app.remarks["command"] = (
                "autostart=false: it is started by `torpor start` (or by a request, with routes)"
            )
    restart = claims.text("autorestart", "unexpected").strip().lower()
    claims.carry("autorestart", "restart", _restart)
    if restart in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
        claims.leave("exitcodes", "counts only with autorestart=unexpected")
    else:
        claims.carry("exitcodes", "exit_codes", _exit_codes)
    if claims.carry("startsecs", "readiness.delay", lambda one: amounts.duration(expansion.now(one))):
        app.remarks["readiness"] = "startsecs: an exit before that is a failed start"
    if "startretries" in claims:
        claims.carry("startretries", "start_limit", lambda one: _give_up(int(expansion.now(one)), claims))
    claims.carry("stopsignal", "stop_signal", _signal)
    claims.carry("stopwaitsecs", "stop_timeout", lambda one: amounts.duration(expansion.now(one)))
    claims.same("stopasgroup", "killasgroup")
    claims.carry("umask", "umask", umask)
    if claims.text("priority") == "999":
        claims.same("priority")


def _restart(text: str) -> str:
    if text.strip().lower() == "unexpected":
        return "on-failure"
    return "always" if whether(text) else "no"


def _exit_codes(text: str) -> list[int]:
    codes = [number(0, 255)(part) for part in text.split(",") if part.strip()]
    if not codes:
        raise ValueError("names no exit code")
    return codes


def _give_up(retries: int, claims: Claims) -> dict[str, object]:
    """The limit after which supervisord would say FATAL, with time enough to reach it."""
    if retries < 0:
        raise ValueError("is less than nothing")
    failures = min(retries + 1, 1_000_000)
    pause = Backoff()
    try:
        stay = amounts.seconds(claims.text("startsecs", "1"))
    except ValueError:
        stay = 1.0
    rising = sum(min(pause.initial * pause.factor**n, pause.max) for n in range(min(failures, 20)))
    window = (rising + max(failures - 20, 0) * pause.max) * (1 + pause.jitter) + stay * failures
    return {"failures": failures, "window": amounts.duration_of(max(60.0, -(-window // 60) * 60))}


def _signal(text: str) -> str | int:
    name = text.strip().upper().removeprefix("SIG")
    return int(name) if name.isdigit() else name


def umask(text: str) -> str:
    """Octal permissions.  Raises `ValueError`."""
    if not re.fullmatch(r"0?[0-7]{1,3}", text.strip()):
        raise ValueError("is no octal number of up to three digits")
    return text.strip()
