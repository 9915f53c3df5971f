"""PM2's ecosystem files: JSON, YAML, and JavaScript."""

from __future__ import annotations

import os
import re
import shlex

from torpor.config.env_file import NAME
from torpor.errors import CannotImport
from torpor.importers import amounts
from torpor.importers.claims import Claims
from torpor.importers.commands import command_value
from torpor.importers.draft import STAY_AWAKE, AppDraft, FileDraft, Verbatim
from torpor.importers.javascript import from_javascript
from torpor.importers.names import fit_name
from torpor.importers.place import Place, read_text
from torpor.importers.pm2_log import LOG_WORDS, carry_log
from torpor.importers.values import Map, Value, from_json, from_yaml, number, shown, text, texts, whether

INTRO = (
    "PM2 hands its own whole environment to apps. Torpor gives them a search path, a language and what the settings say.",
    STAY_AWAKE,
)
_INTERPRETERS = {
    ".js": "node", ".cjs": "node", ".mjs": "node", ".ts": "bun", ".tsx": "bun", ".py": "python3", ".rb": "ruby",
    ".php": "php", ".pl": "perl", ".sh": "bash", ".coffee": "coffee", ".ls": "lsc",
}  # fmt: skip
_ALIASES = {
    "exec_interpreter": "interpreter", "interpreter_args": "node_args", "interpreterArgs": "node_args",
    "nodeArgs": "node_args", "error": "error_file", "err_file": "error_file", "out": "out_file", "output": "out_file",
    "log": "log_file", "combine_logs": "merge_logs", "max_memory": "max_memory_restart", "cron": "cron_restart",
    "exp_backoff": "exp_backoff_restart_delay", "uid": "user",
}  # fmt: skip
"""Other names that PM2 takes for a setting."""

_NO_WATCH = "Torpor does not watch files; let a tool like watchexec call `torpor restart`"
WORDS = {
    **LOG_WORDS,
    **dict.fromkeys(("watch", "watch_delay", "ignore_watch", "watch_options"), _NO_WATCH),
    "cron_restart": "Torpor has no schedule; let cron call `torpor restart`",
    "wait_ready": "process.send('ready') is PM2's; say READY=1 by sd_notify and write readiness: {notify: true}",
    "listen_timeout": "with `readiness`, start_timeout is the limit of a start",
    "shutdown_with_message": "Torpor asks by stop_signal; listen for it instead of process.on('message')",
    "source_map_support": "let node do it: node --enable-source-maps",
    "filter_env": "Torpor hands no environment on but search path and language; list in `environment` what is needed",
    "instance_var": "the number of a replica is in $TORPOR_REPLICA",
    "increment_var": "name the replica's number in a value: ${TORPOR_REPLICA}",
    "post_update": "Torpor does not update code",
    "vizion": "Torpor keeps no git metadata",
    "append_env_to_name": "the app has one name",
    "automation": "Torpor has no such agent", "pmx": "Torpor has no such agent", "trace": "Torpor has no such agent",
    "disable_trace": "Torpor has no such agent", "disable_source_map_support": "let node do it",
    "force": "names are unique",
}  # fmt: skip
"""Settings that are never carried over."""


def read_pm2(files: list[str], place: Place, draft: FileDraft) -> list[list[AppDraft]]:
    """Add the apps of each file; the scopes of their names.  Raises `CannotImport`."""
    draft.say(*INTRO)
    return [_read(file, place, draft) for file in files]


def _read(file: str, place: Place, draft: FileDraft) -> list[AppDraft]:
    value = _value(file, draft)
    top = value if isinstance(value, dict) and "script" not in value else {}
    entries = top.get("apps", []) if isinstance(value, dict) and "script" not in value else value
    entries = entries if isinstance(entries, list) else [entries]
    apps: list[AppDraft] = []
    for position, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise CannotImport(f"{file}: app {position} is no map, but {shown(entry)!r}")
        apps.append(_App(entry, file, position, place).app)
    if place.chosen is not None and not any(
        isinstance(entry, dict) and f"env_{place.chosen}" in entry for entry in entries
    ):
        draft.warnings.append(f"{file}: no app has env_{place.chosen}")
    for name, rest in top.items():
        if name != "apps":
            why = "Torpor does not deploy" if name == "deploy" else "Torpor has nothing of the kind"
            draft.notes.append(f"{file}: {name}: {shown(rest)}: {why}")
    if not apps:
        raise CannotImport(f"{file}: has no apps", hint="An ecosystem file is { apps: [ … ] }.")
    draft.apps += apps
    return apps


def _value(file: str, draft: FileDraft) -> Value:
    if file.endswith((".js", ".cjs", ".mjs")):
        draft.warnings.append(f"{file} was run with node to read it")
        return from_javascript(file)
    content = read_text(file)
    # YAML takes almost any JSON, and comments in it, which PM2 allows; only tabs are not its taste.
    if file.endswith((".json", ".json5")):
        try:
            return from_json(content, file)
        except CannotImport:
            return from_yaml(
                re.sub(r"^(\s*)//", r"\1#", content.replace("\t", "  "), flags=re.MULTILINE), file
            )
    return from_yaml(content, file)


class _App:
    """One entry of `apps`."""

    def __init__(self, entry: dict[str, Value], file: str, position: int, place: Place) -> None:
        self._file = file
        self._place = place
        named, called = _canonical(entry)
        name = named.get("name")
        script = named.get("script")
        if not isinstance(name, str):
            name = os.path.splitext(os.path.basename(script))[0] if isinstance(script, str) else "app"
        line = min(entry.lines.values(), default=0) if isinstance(entry, Map) else 0
        self.app = AppDraft(name, source=f"{file}:{line}" if line else f"{file}, app {position}")
        self._claims = Claims(self.app, named, words=self._words(named), called=called)
        self._claims.settle("name")
        self._carry()
        self._claims.close()

    def _words(self, named: dict[str, Value]) -> dict[str, str]:
        chosen = {
            name: f"`torpor import --env {name[4:]}` takes them into `environment`"
            for name in named
            if name.startswith("env_")
        }
        return WORDS | chosen

    def _carry(self) -> None:
        claims, app = self._claims, self.app
        app.put("always_on", True)
        self._carry_command()
        base = os.path.dirname(os.path.abspath(self._file))
        if not claims.carry("cwd", "working_dir", lambda one: self._place.path(self._file, text(one))):
            here = self._place.beside(base)
            if here != ".":
                app.put("working_dir", here)
        self._carry_environment()
        self._carry_instances()
        self._carry_restart()
        claims.carry("kill_timeout", "stop_timeout", amounts.milliseconds)
        app.put("stop_signal", "INT")
        claims.carry("kill_signal", "stop_signal", lambda one: text(one).upper().removeprefix("SIG"))
        if claims.text("treekill") == "true":
            claims.same("treekill")
        claims.leave("treekill", "Torpor ends all of an app's processes")
        claims.carry(
            "max_memory_restart",
            "memory_max",
            amounts.size,
            remark="the kernel ends what takes more, at once; PM2 looked every 30 s, and restarted",
        )
        claims.carry("user", "user", text)
        claims.carry("gid", "group", text)
        if claims.text("namespace") == "default":
            claims.same("namespace")
        claims.carry("namespace", "member_of", lambda one: fit_name(text(one)))
        for name in (
            "watch",
            "wait_ready",
            "vizion",
            "source_map_support",
            "shutdown_with_message",
            "force",
            "automation",
            "pmx",
        ):
            if claims.text(name) == "false":
                claims.same(name)
        carry_log(claims)

    def _carry_command(self) -> None:
        claims = self._claims
        try:
            script = text(claims.get("script"))
            arguments, options = self._arguments("args"), self._arguments("node_args")
        except ValueError as error:
            claims.leave("script", str(error))
            self.app.off = "it has no script"
            return
        if " " in script and not os.path.exists(self._path(script)):
            # PM2 gives such a line to bash.
            words = ["bash", "-c", " ".join([script, *map(shlex.quote, arguments)])]
            if options:
                claims.leave("node_args", "there is no interpreter to give them to")
        else:
            words = [*self._interpreter(script, options), *arguments]
        self.app.put("command", command_value(words))
        claims.settle("script", "args", "node_args", "interpreter")

    def _path(self, script: str) -> str:
        folder = os.path.join(os.path.dirname(os.path.abspath(self._file)), self._claims.text("cwd"))
        return os.path.join(folder, script)

    def _arguments(self, name: str) -> list[str]:
        """Arguments, as a list or as one line.  Raises `ValueError`."""
        value = self._claims.get(name)
        if value is None:
            return []
        return shlex.split(value) if isinstance(value, str) else texts(value)

    def _interpreter(self, script: str, options: list[str]) -> list[str]:
        named = self._claims.text("interpreter")
        extension = os.path.splitext(script)[1]
        if named and named not in {"none", "None"}:
            return [named, *options, script]
        if not named and extension in _INTERPRETERS:
            return [_INTERPRETERS[extension], *options, script]
        path = self._path(script)
        if not named and os.path.isfile(path) and not _is_program(path):
            return ["node", *options, script]
        if options:
            self._claims.leave("node_args", "there is no interpreter to give them to")
        # Without a slash PM2 looks beside itself first, then in PATH; we only in PATH.
        return [f"./{script}" if "/" not in script and os.path.isfile(path) else script]

    def _carry_environment(self) -> None:
        """`env`, and over it `env_NAME` where that NAME was asked for."""
        claims = self._claims
        self._carry_variables("env")
        if self._place.chosen is not None:
            self._carry_variables(f"env_{self._place.chosen}")
        claims.carry("env_file", "env_file", lambda one: self._place.path(self._file, text(one)))

    def _carry_variables(self, name: str) -> None:
        claims, value = self._claims, self._claims.get(name)
        if not isinstance(value, dict):
            if value is not None:
                claims.leave(name, "is no map of variables")
            return
        for variable, content in value.items():
            if NAME.fullmatch(variable) and isinstance(content, str):
                self.app.variable(variable, content)
            else:
                why = "has no value here" if content is None else "is no variable of text"
                self.app.notes.append(f"{name}: {shown(variable)}: {why}")
        claims.settle(name)

    def _carry_instances(self) -> None:
        claims, app = self._claims, self.app
        count = 1
        if "instances" in claims:
            value = claims.text("instances")
            processors = os.cpu_count() or 1
            try:
                wish = 0 if value == "max" else int(value)
                count = wish if wish > 0 else max(1, processors + wish)
                remark = (
                    None
                    if wish > 0
                    else f"instances: {value}, on the {processors} processors of this machine"
                )
                app.put("replicas", min(count, 100), remark)
                claims.settle("instances")
                if count > 100:
                    app.notes.append(f"instances: {value}: Torpor runs 100 of an app at most")
            except ValueError:
                claims.leave("instances", "is neither a number nor max")
        if "cluster" in claims.text("exec_mode"):
            if count > 1:
                self._leave_cluster()
            claims.leave(
                "exec_mode",
                "replicas are processes of their own; the gateway spreads requests over them by `routes`",
            )
        elif claims.text("exec_mode"):
            claims.same("exec_mode")
        variable = claims.text("instance_var", "NODE_APP_INSTANCE")
        if not NAME.fullmatch(variable):
            claims.leave("instance_var", "is no name of a variable")
        elif count > 1 or "instance_var" in claims:
            app.variable(variable, Verbatim("${TORPOR_REPLICA}"))
            claims.settle("instance_var")

    def _leave_cluster(self) -> None:
        """Several processes cannot listen on one port here: each gets its own `$PORT`."""
        variables = self.app.settings.get("environment", {})
        if "PORT" in variables:
            port = variables.pop("PORT")
            self.app.notes.append(
                f"env: PORT: {port}: was shared by the cluster; here each replica gets a PORT of its own, and requests "
                f"come by the gateway: give the app routes, e.g. `routes: [{fit_name(self.app.name)}.localhost]`"
            )
            self.app.put("readiness.tcp", True, "each replica is ready when it listens on its $PORT")

    def _carry_restart(self) -> None:
        claims, app = self._claims, self.app
        if not claims.carry("autorestart", "restart", lambda one: "always" if whether(one) else "no"):
            app.put("restart", "always")
        if "stop_exit_codes" in claims and claims.carry("stop_exit_codes", "exit_codes", _exit_codes):
            app.put(
                "restart", "on-failure", "stop_exit_codes: these ends are not started again; all others are"
            )
        claims.carry("autostart", "always_on", whether)
        if app.settings["always_on"] is False:
            del app.settings["always_on"]
            app.remarks["command"] = "autostart: false; `torpor start` starts it"
        if claims.carry("restart_delay", "backoff", _constant_pause) and claims.text("restart_delay") == "0":
            app.remarks["backoff"] = "restart_delay: 0, at once"
        claims.carry("exp_backoff_restart_delay", "backoff", _rising_pause)
        claims.carry("min_uptime", "stable_after", amounts.milliseconds)
        claims.carry("max_restarts", "start_limit.failures", number(1, 1_000_000))


def _canonical(entry: dict[str, Value]) -> tuple[dict[str, Value], dict[str, str]]:
    """The settings by PM2's first names for them, and what the file calls them.

    What is said twice, under two names, stays under the second name too, and is reported.
    """
    named: dict[str, Value] = {}
    called: dict[str, str] = {}
    for name, value in entry.items():
        first = _ALIASES.get(name, name)
        if first != name and (first in entry or first in named):
            first = name
        named[first] = value
        called[first] = name
    return named, called


def _constant_pause(value: Value) -> dict[str, object]:
    pause = amounts.milliseconds(value)
    return {"initial": pause, "factor": 1, "max": pause}


def _rising_pause(value: Value) -> dict[str, object]:
    """PM2's: half as long again with each failure, up to 15 s."""
    first = amounts.seconds(value, bare=0.001)
    return {"initial": amounts.duration_of(first), "factor": 1.5, "max": amounts.duration_of(max(first, 15))}


def _exit_codes(value: Value) -> list[int]:
    codes = [number(0, 255)(item) for item in (value if isinstance(value, list) else [value])]
    if not codes:
        raise ValueError("names no exit code")
    return codes


def _is_program(path: str) -> bool:
    """Whether the file says itself how it is run."""
    try:
        with open(path, "rb") as file:
            head = file.read(4)
    except OSError:
        return False
    return head.startswith((b"#!", b"\x7fELF"))
