"""systemd's .service units."""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Callable

from torpor.config.env_file import parse_env_file
from torpor.importers import amounts
from torpor.importers.claims import Claims
from torpor.importers.draft import STAY_AWAKE, AppDraft, FileDraft
from torpor.importers.place import Place, read_text
from torpor.importers.unit_attributes import carry_attributes
from torpor.importers.unit_commands import Line, hook, main_command, odd_prefixes, odd_variables, parse_lines
from torpor.importers.unit_file import Unit, read_unit, specifiers, split_words
from torpor.importers.unit_life import FOREVER, carry_life
from torpor.importers.unit_log import carry_output
from torpor.importers.unit_needs import carry_needs, carry_parts
from torpor.importers.unit_words import unit_words
from torpor.importers.values import Said, Value, shown

INTRO = (
    STAY_AWAKE,
    "Torpor itself can be a systemd unit; what was started after network.target and its kin still is, if Torpor is.",
)
_HOOKS = {
    "ExecStartPre": "pre_start",
    "ExecStartPost": "post_start",
    "ExecStop": "stop_command",
    "ExecStopPost": "post_stop",
}


def read_units(files: list[str], place: Place, draft: FileDraft) -> list[list[AppDraft]]:
    """Add an app for each unit; they know each other by their names.  Raises `CannotImport`."""
    draft.say(*INTRO)
    units = {unit.name: unit for unit in map(read_unit, files)}
    apps = [_Service(unit, units, place).app for unit in units.values()]
    draft.apps += apps
    return [apps]


class _Service:
    """One unit."""

    def __init__(self, unit: Unit, units: dict[str, Unit], place: Place) -> None:
        self._unit = unit
        self._units = units
        self._place = place
        self._fill = specifiers(unit, unit.last("User"))
        self._kind = unit.last("Type") or "simple"
        self.app = AppDraft(unit.name.rstrip("@"), source=unit.file)
        self._claims = Claims(self.app, *self._settings(), joint="=")
        self._carry()
        for name in list(self._claims):
            why = unit_words(name)
            if why is not None:
                self._claims.leave(name, why)
        self._claims.close()

    def _settings(self) -> tuple[dict[str, Value]]:
        found: dict[str, Value] = {}
        for section, settings in self._unit.sections.items():
            for name, values in settings.items():
                if section not in {"Unit", "Service", "Install"}:
                    found[f"[{section}] {name}"] = Said(values)
                elif not values:
                    self.app.same.append(f"{name}=")
                else:
                    before = found.get(name)
                    found[name] = Said([*(before if isinstance(before, list) else ()), *values])
        return (found,)

    def _values(self, name: str) -> list[str]:
        value = self._claims.get(name)
        return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []

    def _one(
        self, name: str, key: str, convert: Callable[[str], object], *, remark: str | None = None
    ) -> bool:
        """Carry a setting of which the last value counts."""
        return self._claims.carry(name, key, lambda values: convert(self._fill(values[-1])), remark=remark)

    def _carry(self) -> None:
        claims, app = self._claims, self.app
        for name in ("Description", "Documentation"):
            if name in claims:
                app.intro.append(claims.shown(name))
                claims.settle(name)
        if self._unit.instance == "":
            app.off = f"{os.path.basename(self._unit.file)} is a template; import a link to it named {self._unit.prefix}@INSTANCE.service"
        for name in ("WantedBy", "Alias"):
            claims.same(name)
        app.put("always_on", True)
        self._carry_type()
        self._carry_commands()
        self._carry_environment()
        self._carry_directory()
        carry_needs(claims, self._unit_names, self._known)
        carry_parts(claims, self._unit_names)
        carry_output(claims, self._values)
        carry_life(claims, self._unit, self._values, self._one)
        carry_attributes(claims, self._values, self._one)

    def _carry_type(self) -> None:
        claims, app, kind = self._claims, self.app, self._kind
        if kind in {"simple", "exec", "idle"}:
            claims.same("Type")
        elif kind in {"notify", "notify-reload"}:
            app.put("readiness.notify", True)
            claims.settle("Type")
            if kind == "notify-reload":
                app.put("reload_signal", self._unit.last("ReloadSignal").removeprefix("SIG") or "HUP")
                claims.settle("ReloadSignal")
        elif kind == "oneshot":
            app.put("restart", "no", "Type=oneshot: it runs once, and is done")
            claims.settle("Type")
        elif kind == "forking":
            claims.settle("Type")
            app.off = (
                "Type=forking: the program leaves a daemon behind and ends, but Torpor follows the process that it starts. "
                "Programs that fork have an option against it, like --foreground or --nodaemon"
            )
        elif kind == "dbus":
            claims.leave(
                "Type",
                "Torpor knows nothing of D-Bus; with READY=1 by sd_notify, write readiness: {notify: true}",
            )
        if self._unit.last("RemainAfterExit").lower() in {"no", "false", "0", "off"}:
            claims.same("RemainAfterExit")

    def _carry_commands(self) -> None:
        claims, app = self._claims, self.app
        start = self._lines("ExecStart")
        if not start:
            app.off = app.off or "it has no ExecStart"
        elif len(start) > 1:
            words = hook(start, None)
            assert isinstance(words, dict)
            app.put("command", words["command"])
            app.put("shell", True)
            claims.settle("ExecStart")
        else:
            try:
                command, shell = main_command(start[0])
                app.put("command", command)
                if shell:
                    app.put("shell", True)
                if start[0].may_fail:
                    app.notes.append(
                        "ExecStart=-…: any end counted as success; list those that do in exit_codes"
                    )
                claims.settle("ExecStart")
            except ValueError as error:
                claims.leave("ExecStart", str(error))
                app.off = app.off or "its ExecStart cannot be carried over"
        for name, key in _HOOKS.items():
            lines = self._lines(name)
            if lines:
                app.put(key, hook(lines, self._hook_timeout(name)))
                claims.settle(name)
        self._carry_reload()

    def _lines(self, name: str) -> list[Line]:
        lines: list[Line] = []
        notes: list[str] = []
        for value in self._values(name):
            try:
                found = parse_lines(value, self._fill)
            except ValueError as error:
                self._claims.leave(name, str(error))
                return []
            notes += [
                f"{name}={shown(value)}: {odd}" for odd in [*odd_prefixes(found), *odd_variables(found)]
            ]
            lines += found
        self.app.notes += notes
        return lines

    def _hook_timeout(self, name: str) -> str | None:
        """How long systemd would wait for it: by its start or by its stop limit, where the unit says so."""
        own = "TimeoutStartSec" if name.startswith("ExecStart") else "TimeoutStopSec"
        text = self._unit.last(own) or self._unit.last("TimeoutSec")
        try:
            limit = amounts.seconds(text) if text else 90.0
        except ValueError:
            return None
        return FOREVER if limit in {0, math.inf} else amounts.duration_of(limit)

    def _carry_reload(self) -> None:
        lines = self._lines("ExecReload")
        if not lines:
            return
        words = lines[0].words
        if (
            len(lines) == 1
            and re.fullmatch(r"(/usr)?(/bin/)?kill", words[0])
            and words[-1] in {"$MAINPID", "${MAINPID}"}
        ):
            given = " ".join(words[1:-1])
            match = re.fullmatch(r"(?:-s |--signal[= ]|-)(?:SIG)?([A-Z0-9+]+)", given)
            if match:
                self.app.put("reload_signal", int(match[1]) if match[1].isdigit() else match[1])
                self._claims.settle("ExecReload")
                return
        if "reload_signal" in self.app.settings:
            self._claims.leave("ExecReload", "the reload signal is enough")
            return
        self.app.put("reload_command", hook(lines, self._hook_timeout("ExecStart")))
        self._claims.settle("ExecReload")

    # --- surroundings ---

    def _carry_environment(self) -> None:
        app, claims = self.app, self._claims
        for value in self._values("Environment"):
            try:
                for pair in split_words(value):
                    name, equals, content = self._fill(pair).partition("=")
                    if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                        app.variable(name, content)
                    else:
                        app.notes.append(f"Environment={shown(pair)}: is not NAME=value")
            except ValueError as error:
                app.notes.append(f"Environment={shown(value)}: {error}")
        claims.settle("Environment")
        self._carry_environment_files()
        for value in self._values("PassEnvironment"):
            for name in value.split():
                if name in self._place.environ:
                    app.variable(name, None)
                else:
                    app.notes.append(
                        f"PassEnvironment={name}: is not set here; where it is, add it to `environment` without a value"
                    )
        claims.settle("PassEnvironment")

    def _carry_environment_files(self) -> None:
        app = self.app
        files: list[str] = []
        for value in self._values("EnvironmentFile"):
            optional = value.startswith("-")
            try:
                path = self._fill(value.removeprefix("-").strip())
            except ValueError as error:
                app.notes.append(f"EnvironmentFile={shown(value)}: {error}")
                continue
            found = (
                sorted(glob.glob(path))
                if glob.has_magic(path)
                else [path] * (not optional or os.path.isfile(path))
            )
            if not found:
                app.notes.append(
                    f"EnvironmentFile={value}: does not exist here; Torpor's env_file has to, so add it where it does"
                )
            files += found
        self._claims.settle("EnvironmentFile")
        usable = [file for file in files if self._check_env_file(file)]
        if usable:
            app.put("env_file", usable if len(usable) > 1 else usable[0])

    def _check_env_file(self, path: str) -> bool:
        """Whether Torpor can read the file, if it is here; what it says wins over `Environment`, as in systemd."""
        if not os.access(path, os.R_OK) or not os.path.isfile(path):
            return True
        complaints: list[str] = []
        inside = parse_env_file(
            read_text(path), self._place.environ, lambda line, what: complaints.append(f"line {line} {what}")
        )
        if complaints:
            self.app.notes.append(
                f"EnvironmentFile={path}: {'; '.join(complaints[:3])}; mend it, and add it as env_file"
            )
            return False
        named = self.app.settings.get("environment", {})
        for name in [name for name in named if name in inside]:
            del named[name]
            self.app.notes.append(
                f"Environment={name}=…: {path} says it too, and wins there; here `environment` would"
            )
        if "environment" in self.app.settings and not named:
            del self.app.settings["environment"]
        return True

    def _carry_directory(self) -> None:
        value = self._unit.last("WorkingDirectory")
        if not value:
            # What systemd does without a word.
            self.app.put("working_dir", "/")
            return
        optional = value.startswith("-")
        path = self._fill_or(value.removeprefix("-"))
        path = os.path.expanduser(f"~{self._unit.last('User')}") if path == "~" else path
        if optional and not os.path.isdir(path):
            self._claims.leave(
                "WorkingDirectory",
                "does not exist here, and Torpor's working_dir has to; it runs in / as with systemd",
            )
            path = "/"
        self.app.put("working_dir", path)
        self._claims.settle("WorkingDirectory")

    def _fill_or(self, text: str) -> str:
        try:
            return self._fill(text)
        except ValueError:
            return text

    # --- others ---

    def _unit_names(self, kind: str) -> list[str]:
        return [self._fill_or(name) for value in self._values(kind) for name in value.split()]

    def _known(self, name: str) -> Unit | None:
        return self._units.get(name.removesuffix(".service")) if name.endswith(".service") else None
