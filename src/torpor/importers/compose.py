"""Compose files: what a manager of processes can carry of their services."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from torpor.config.env_file import NAME, parse_env_file
from torpor.config.settings import GatewaySpec
from torpor.errors import CannotImport
from torpor.importers import amounts
from torpor.importers.claims import Claims
from torpor.importers.commands import command_value
from torpor.importers.compose_life import carry_life
from torpor.importers.compose_limits import carry_limits
from torpor.importers.compose_log import carry_log
from torpor.importers.compose_merge import extended, forgotten, merged_maps, overridden
from torpor.importers.compose_ports import carry_port
from torpor.importers.compose_variables import Variables
from torpor.importers.compose_words import SERVICE_WORDS, TOP_WORDS
from torpor.importers.draft import STAY_AWAKE, AppDraft, FileDraft, Need, Verbatim
from torpor.importers.place import Place, read_text
from torpor.importers.values import Map, Value, from_yaml, shown, text, texts

INTRO = (
    (
        "Compose runs containers, Torpor so far processes of this machine. Programs have to be installed, paths inside of "
        "containers become real ones, and where services found each other by name (`db:5432`), processes use 127.0.0.1."
    ),
    STAY_AWAKE,
)
_MAPS = frozenset(
    {
        "deploy",
        "deploy.resources",
        "deploy.resources.limits",
        "deploy.restart_policy",
        "healthcheck",
        "logging",
    }
)
"""Maps whose keys are settings of their own."""
_CONDITIONS = {
    "service_started": "started", "service_healthy": "healthy", "service_completed_successfully": "completed_successfully",
}  # fmt: skip


def read_compose(files: list[str], place: Place, draft: FileDraft) -> list[list[AppDraft]]:
    """Add the services of each file; the scopes of their names.  Raises `CannotImport`."""
    draft.say(*INTRO)
    taken = {listen.port for listen in GatewaySpec().listen}
    over = {file: base for file in files if (base := overridden(file, files)) is not None}
    scopes = []
    for file in files:
        if file not in over:
            source = _Source(file, place, Variables(place.environ, _dotenv(file, place, draft)), taken)
            upon = [each for each, base in over.items() if base == file]
            scopes.append(_read(source, upon, draft))
            for each in forgotten(file, files):
                draft.notes.append(f"{each}: Compose reads it too; import both together")
    return scopes


def _read(source: _Source, upon: list[str], draft: FileDraft) -> list[AppDraft]:
    """Add the services of a file, with what its override files lay upon it."""
    file = source.file
    services = _services(file, draft)
    origin = dict.fromkeys(services, file)
    for each in upon:
        more = _services(each, draft)
        origin = dict.fromkeys(more, each) | origin
        services = merged_maps(services, more)
        draft.say(f"{each} is laid upon {file}.")
    services, complaints = extended(services, file)
    apps: list[AppDraft] = []
    for name, service in services.items():
        line = services.lines.get(name, 0) if isinstance(services, Map) else 0
        if not isinstance(service, dict):
            raise CannotImport(f"{file}:{line}: the service {name!r} is no map")
        apps.append(_Service(name, service, f"{origin[name]}:{line}", source).app)
        if name in complaints:
            apps[-1].notes.append(complaints[name])
    draft.apps += apps
    return apps


def _services(file: str, draft: FileDraft) -> dict[str, Value]:
    """The services of a file.  Raises `CannotImport`."""
    value = from_yaml(read_text(file), file)
    if not isinstance(value, dict):
        raise CannotImport(f"{file}: is no map", hint="A Compose file has `services:` at its top.")
    # Before version 2 the services stood at the top.
    services: Value = (
        value["services"]
        if "services" in value
        else {name: each for name, each in value.items() if isinstance(each, dict)}
    )
    if not isinstance(services, dict) or not services:
        raise CannotImport(f"{file}: has no services")
    if "services" in value:
        for name, rest in value.items():
            if name != "services":
                why = (
                    "a key for notes and anchors"
                    if name.startswith("x-")
                    else TOP_WORDS.get(name, "Torpor has nothing of the kind")
                )
                draft.notes.append(f"{file}: {name}: {shown(rest)}: {why}")
    return services


def _dotenv(file: str, place: Place, draft: FileDraft) -> dict[str, str]:
    path = os.path.join(os.path.dirname(os.path.abspath(file)), ".env")
    if not os.path.isfile(path):
        return {}
    draft.notes.append(
        f"{path}: Compose takes variables from there; those that the file uses stand in it as ${{NAME:-value}}"
    )
    return parse_env_file(read_text(path), place.environ, lambda _line, _what: None)


def _flat(settings: dict[str, Value], prefix: str = "") -> dict[str, Value]:
    """The settings, those inside of maps that hold settings by their dotted names."""
    found: dict[str, Value] = {}
    for name, value in settings.items():
        path = f"{prefix}{name}"
        if path in _MAPS and isinstance(value, dict):
            found |= _flat(value, f"{path}.")
        else:
            found[path] = value
    return found


@dataclass(frozen=True)
class _Source:
    """What all services of a file have in common."""

    file: str
    place: Place
    variables: Variables
    taken: set[int]
    """Ports that are somebody's already, in all files."""


class _Service:
    """One service."""

    def __init__(self, name: str, service: dict[str, Value], said: str, source: _Source) -> None:
        self._file = source.file
        self._place = source.place
        self._variables = source.variables
        self._taken = source.taken
        self.app = AppDraft(name, source=said)
        self._claims = Claims(self.app, _flat(service), words=SERVICE_WORDS)
        self._carry()
        self._claims.close()

    def _now(self, name: str) -> str:
        """A setting of one word, with its variables; empty without it."""
        try:
            return self._variables.now(self._claims.text(name)).strip()
        except ValueError:
            return ""

    def _one(
        self, name: str, key: str, convert: Callable[[str], object], *, remark: str | None = None
    ) -> bool:
        return self._claims.carry(
            name, key, lambda one: convert(self._variables.now(text(one))), remark=remark
        )

    def _carry(self) -> None:
        claims, app = self._claims, self.app
        self._carry_command()
        self._carry_place()
        self._carry_environment()
        if profiles := claims.get("profiles"):
            app.notes.append(f"profiles: {shown(profiles)}: Torpor has no profiles; `torpor start` starts it")
            claims.settle("profiles")
        else:
            app.put("always_on", True)
        self._carry_needs()
        carry_life(claims, self._variables, self._now, self._one)
        carry_port(claims, self._variables.now, self._taken)
        self._one("stop_signal", "stop_signal", lambda one: one.upper().removeprefix("SIG"))
        self._one("stop_grace_period", "stop_timeout", amounts.duration)
        carry_limits(claims, self._variables.now, self._one)
        carry_log(claims)
        for name in ("init", "stdin_open", "privileged", "oom_kill_disable", "healthcheck.disable", "attach"):
            if self._now(name) == "false":
                claims.same(name)
        if self._now("init") == "true":
            claims.same("init")

    # --- the program ---

    def _carry_command(self) -> None:
        claims, app = self._claims, self.app
        try:
            words = [*self._words("entrypoint"), *self._words("command")]
        except ValueError as error:
            for name in ("entrypoint", "command"):
                claims.leave(name, str(error))
            words = []
        if not words:
            app.off = "how to start it stands in its image; write that as `command`"
            app.put("command", "TO-BE-WRITTEN")
            claims.settle("entrypoint", "command")
            return
        value = command_value(words)
        if any(isinstance(word, Verbatim) for word in words):
            value = words
        app.put("command", value)
        claims.settle("entrypoint", "command")
        if "entrypoint" not in claims and "image" in claims:
            app.intro.append("The image may have an entrypoint, which `command` is given to.")

    def _words(self, name: str) -> list[str]:
        """The words of a command: a list, or a line that is split as a shell would.  Raises `ValueError`."""
        value = self._claims.get(name)
        if value is None or value == "":
            return []
        if isinstance(value, list):
            return [self._variables.later(word) for word in texts(value)]
        line = self._variables.later(text(value))
        kind = type(line)
        return [kind(word) if "$" in word else word for word in shlex.split(line)]

    def _carry_place(self) -> None:
        """The directory of the build is the nearest thing to the container's."""
        claims, build = self._claims, self._claims.get("build")
        context = build.get("context", ".") if isinstance(build, dict) else build
        if not isinstance(context, str) or "://" in context or context.startswith("git@"):
            return
        try:
            folder = os.path.join(os.path.dirname(os.path.abspath(self._file)), self._variables.now(context))
        except ValueError:
            return
        if os.path.isdir(folder) and self.app.off is None:
            self.app.put("working_dir", self._place.beside(folder), "where the image is built from")
            claims.leave(
                "working_dir",
                f"is a path inside of the container; here it is {self.app.settings['working_dir']}",
            )

    def _carry_environment(self) -> None:
        claims = self._claims
        value = claims.get("environment")
        if isinstance(value, str):
            claims.leave("environment", "is neither a map nor a list")
        pairs: list[tuple[str, Value]] = []
        if isinstance(value, dict):
            pairs = list(value.items())
        elif isinstance(value, list):
            for item in value:
                name, equals, said = (item if isinstance(item, str) else shown(item)).partition("=")
                pairs.append((name, said if equals else None))
        for name, content in pairs:
            self._carry_variable(name, content)
        claims.settle("environment")
        self._carry_env_files()

    def _carry_variable(self, name: str, content: Value) -> None:
        app = self.app
        if not NAME.fullmatch(name) or isinstance(content, dict | list):
            app.notes.append(f"environment: {shown(name)}: is no variable that Torpor can set")
            return
        if content is None:
            if name in self._place.environ:
                app.variable(name, None)
            elif name in self._variables.dotenv:
                app.variable(name, self._variables.dotenv[name])
            else:
                app.notes.append(
                    f"environment: {name}: has no value, and is not set here; Compose leaves it out then"
                )
            return
        try:
            app.variable(name, self._variables.later(content))
        except ValueError as error:
            app.notes.append(f"environment: {name}: {error}")

    def _carry_env_files(self) -> None:
        claims, app = self._claims, self.app
        value = claims.get("env_file")
        files: list[str] = []
        for item in value if isinstance(value, list) else [] if value is None else [value]:
            path = item.get("path") if isinstance(item, dict) else item
            optional = isinstance(item, dict) and item.get("required") in {"false", "no"}
            if not isinstance(path, str):
                app.notes.append(f"env_file: {shown(item)}: names no file")
                continue
            try:
                full = os.path.join(os.path.dirname(os.path.abspath(self._file)), self._variables.now(path))
            except ValueError as error:
                app.notes.append(f"env_file: {path}: {error}")
                continue
            if optional and not os.path.isfile(full):
                app.notes.append(
                    f"env_file: {path}: does not exist here; Torpor's env_file has to, so add it where it does"
                )
            else:
                files.append(self._place.beside(full))
        if files:
            app.put("env_file", files if len(files) > 1 else files[0])
        claims.settle("env_file")

    # --- its life ---

    def _carry_needs(self) -> None:
        claims = self._claims
        value = claims.get("depends_on")
        for name in (
            texts(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else []
        ):
            self.app.needs.append(Need(name, "started", said=f"depends_on: {name}"))
        for name, how in value.items() if isinstance(value, dict) else ():
            detail = how if isinstance(how, dict) else {}
            said = f"depends_on: {name}"
            condition = detail.get("condition") or "service_started"
            if condition not in _CONDITIONS:
                self.app.notes.append(f"{said}: {shown(condition)}: is no condition")
            optional = detail.get("required") in {"false", "no"}
            self.app.needs.append(Need(name, _CONDITIONS.get(str(condition), "started"), optional, said))
            for other in detail:
                if other == "restart" and detail[other] not in {"false", "no"}:
                    self.app.notes.append(
                        f"{said}: restart: true: an app that runs is left alone when what it needs is restarted"
                    )
                elif other not in {"condition", "required", "restart"}:
                    self.app.notes.append(f"{said}: {other}: Torpor has no such setting")
        if value is None or isinstance(value, list | dict):
            claims.settle("depends_on")
