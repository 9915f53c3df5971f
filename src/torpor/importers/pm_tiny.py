"""pm_tiny's prog.yaml, of 1.x (`command`) and of 4.x (`executable` and `args`), and its old prog.cfg."""

from __future__ import annotations

import os
import re

from torpor.config.env_file import NAME
from torpor.errors import CannotImport
from torpor.importers import amounts
from torpor.importers.claims import Claims
from torpor.importers.commands import command_value
from torpor.importers.draft import STAY_AWAKE, AppDraft, FileDraft, Need
from torpor.importers.place import Place, read_text
from torpor.importers.values import Map, Value, from_yaml, number, shown, text, texts, whether

INTRO = (
    (
        "Programs that tell pm_tiny `ready` and `tick` by its SDK have to say READY=1 and WATCHDOG=1 by sd_notify instead: "
        "in Python torpor.notify, in a shell systemd-notify, in C sd_notify(3) or twenty lines without a library."
    ),
    (
        "pm_tiny gave up on a program that lived for less than 100 ms; Torpor starts each again "
        "after a pause, and gives up for a while by start_limit."
    ),
    STAY_AWAKE,
)
MOST_MS = 10**12
"""Thirty years: a pause that is longer is a mistake."""
DEFAULT_LONGEST_MS = 30_000
"""The longest pause of pm_tiny and of Torpor, where nobody says another one."""
_WORDS = {
    "log_mode": "pm_tiny knows split and combined",
    "log_dir": "Torpor keeps apps' logs in logs/ of its state directory; see `torpor logs`",
    "log_file_name": "Torpor keeps apps' logs in logs/ of its state directory; see `torpor logs`",
}
_CFG = re.compile(r"[^:]*:[^:]*:.*")


def read_pm_tiny(files: list[str], place: Place, draft: FileDraft) -> list[list[AppDraft]]:
    """Add the programs of each file; the scopes of their names.  Raises `CannotImport`."""
    draft.say(*INTRO)
    return [_read(file, place, draft) for file in files]


def _read(file: str, place: Place, draft: FileDraft) -> list[AppDraft]:
    content = read_text(file)
    entries = _from_cfg(content, file, draft) if _is_cfg(file, content) else _from_yaml(content, file)
    apps: list[AppDraft] = []
    names: set[str] = set()
    for entry, line in entries:
        app = _app(entry, f"{file}:{line}" if line else file, file, place)
        if app.name in names:
            app.off = "pm_tiny takes only the first program of a name"
        names.add(app.name)
        apps.append(app)
    draft.apps += apps
    return apps


def _is_cfg(file: str, content: str) -> bool:
    if file.endswith((".yaml", ".yml")):
        return False
    lines = [line for line in content.splitlines() if line.strip() and not line.startswith("#")]
    return file.endswith(".cfg") or bool(lines and all(_CFG.fullmatch(line) for line in lines))


def _from_yaml(content: str, file: str) -> list[tuple[dict[str, Value], int]]:
    value = from_yaml(content, file)
    if value is None:
        return []
    if not isinstance(value, list):
        raise CannotImport(
            f"{file}: is no list of programs", hint="pm_tiny's prog.yaml is a list: `- name: …`."
        )
    entries: list[tuple[dict[str, Value], int]] = []
    for position, entry in enumerate(value, 1):
        if not isinstance(entry, dict):
            raise CannotImport(f"{file}: program {position} is no map, but {shown(entry)!r}")
        line = min(entry.lines.values(), default=0) if isinstance(entry, Map) else 0
        entries.append((entry, line))
    return entries


def _from_cfg(content: str, file: str, draft: FileDraft) -> list[tuple[dict[str, Value], int]]:
    entries: list[tuple[dict[str, Value], int]] = []
    for line, raw in enumerate(content.splitlines(), 1):
        if not raw.strip() or raw.startswith("#"):
            continue
        fields = raw.strip().split(":")
        if len(fields) < 3:
            draft.notes.append(f"{file}:{line} {shown(raw)}: has fewer than three fields; pm_tiny skips it")
            continue
        names = ("name", "cwd", "command", "kill_timeout_s", "user")
        entry: dict[str, Value] = {name: value for name, value in zip(names, fields, strict=False) if value}
        if len(fields) > len(names):
            entry["further fields"] = ":".join(fields[len(names) :])
        entries.append((entry, line))
    return entries


def _app(entry: dict[str, Value], source: str, file: str, place: Place) -> AppDraft:
    name = entry.get("name")
    app = AppDraft(name if isinstance(name, str) and name else "app", source=source)
    claims = Claims(app, entry, words=_WORDS)
    claims.settle("name")
    app.put("always_on", True)
    _carry_command(claims)
    claims.carry("cwd", "working_dir", lambda one: place.path(file, text(one)))
    if claims.text("user"):
        claims.carry("user", "user")
    claims.same("user")
    _carry_environment(claims)
    app.needs += [Need(one, "healthy", said=f"depends_on: {one}") for one in _names(claims)]
    _carry_start(claims)
    _carry_heartbeat(claims)
    _carry_restart(claims)
    claims.carry("kill_timeout_s", "stop_timeout", _kill_timeout)
    if claims.text("oom_score_adj") == "0":
        claims.same("oom_score_adj")
    claims.carry("oom_score_adj", "oom_score_adj", number(-1000, 1000))
    if claims.text("pty") in {"false", "False"}:
        claims.same("pty")
    claims.carry("pty", "tty", whether)
    if claims.text("log_mode") == "combined":
        claims.same("log_mode")
    elif claims.text("log_mode") == "split":
        claims.app.put("log.stderr", "separate")
        claims.settle("log_mode")
    claims.carry("log_max_size_kb", "log.max_size", lambda one: amounts.size_of(number(1, 2**40)(one) * 1024))
    claims.carry("log_archive_count", "log.keep", number(0, 1000))
    snapshot = os.path.join(os.path.dirname(os.path.abspath(file)), "environ", app.name)
    if os.path.isfile(snapshot):
        app.notes.append(
            f"{snapshot}: the environment that `pm start` was called in; name in `environment` what the app needs"
        )
    claims.close()
    return app


def _carry_command(claims: Claims) -> None:
    if "executable" in claims:
        try:
            words = [text(claims.get("executable")), *texts(claims.get("args") or [])]
            claims.app.put("command", command_value(words))
            claims.settle("executable", "args")
        except ValueError as error:
            claims.leave("executable", str(error))
    elif "command" in claims:
        # 1.x knows neither quotes nor a shell: each blank or tab ends a word.
        claims.carry("command", "command", lambda line: command_value(re.split(r"[ \t]+", text(line))))
    if "command" not in claims.app.settings:
        claims.app.off = "it has no command"


def _carry_environment(claims: Claims) -> None:
    if "env_vars" not in claims:
        return
    try:
        pairs = [pair.partition("=") for pair in texts(claims.get("env_vars") or [])]
    except ValueError as error:
        claims.leave("env_vars", str(error))
        return
    for name, equals, value in pairs:
        if equals and NAME.fullmatch(name) and not name.startswith("PM_TINY_"):
            claims.app.variable(name, value)
        else:
            claims.app.notes.append(f"env_vars: {shown(name)}: is no variable that pm_tiny would pass on")
    if not pairs:
        claims.same("env_vars")
    claims.settle("env_vars")


def _names(claims: Claims) -> list[str]:
    try:
        names = texts(claims.get("depends_on") or [])
    except ValueError as error:
        claims.leave("depends_on", str(error))
        return []
    if not names:
        claims.same("depends_on")
    claims.settle("depends_on")
    return names


def _carry_start(claims: Claims) -> None:
    """`start_timeout` with `failure_action`: how long `ready` is waited for, and what then."""
    app = claims.app
    if "start_timeout" not in claims:
        return
    try:
        limit = number(-(2**31), 2**31)(claims.get("start_timeout"))
    except ValueError as error:
        claims.leave("start_timeout", str(error))
        return
    if limit == 0:
        claims.same("start_timeout")
        return
    claims.settle("start_timeout")
    app.put(
        "readiness.notify",
        True,
        "the app has to send READY=1 to $NOTIFY_SOCKET, which pm_tiny's SDK does not",
    )
    if limit < 0:
        app.put("start_timeout", "never", f"start_timeout: {limit} waited forever")
        return
    app.put("start_timeout", amounts.duration_of(limit))
    action = _action(claims)
    app.put("on_start_timeout", {"skip": "accept", "reboot": "restart"}.get(action, action))


def _carry_heartbeat(claims: Claims) -> None:
    app = claims.app
    if "heartbeat_timeout" in claims:
        try:
            limit = number(-(2**31), 2**31)(claims.get("heartbeat_timeout"))
        except ValueError as error:
            claims.leave("heartbeat_timeout", str(error))
            limit = 0
        if limit <= 0:
            claims.same("heartbeat_timeout")
        else:
            app.put(
                "watchdog", amounts.duration_of(limit), "the app has to send WATCHDOG=1 to $NOTIFY_SOCKET"
            )
            app.put("on_watchdog", {"skip": "ignore"}.get(_action(claims), "restart"))
            claims.settle("heartbeat_timeout")
    counts = "on_start_timeout" in app.settings or "watchdog" in app.settings
    if not counts:
        claims.same("failure_action")
    elif _action(claims) == "reboot":
        claims.leave(
            "failure_action",
            "Torpor reboots only where `allow_reboot: true` stands at the top of the file; with it, write `reboot` for "
            "on_start_timeout and on_watchdog. Here the app is restarted instead",
        )
    elif claims.text("failure_action") not in {"skip", "restart"}:
        claims.leave("failure_action", "pm_tiny takes an unknown word for skip")
    claims.settle("failure_action")


def _action(claims: Claims) -> str:
    action = claims.text("failure_action", "skip")
    return action if action in {"skip", "restart", "reboot"} else "skip"


def _carry_restart(claims: Claims) -> None:
    if not claims.carry("daemon", "restart", lambda one: "always" if whether(one) else "no"):
        claims.app.put("restart", "always")
    claims.carry("restart_delay_ms", "backoff.initial", _pause)
    longest = max(
        _milliseconds(claims, "restart_delay_ms", 500), _milliseconds(claims, "restart_max_delay_ms", 0)
    )
    claims.carry("restart_max_delay_ms", "backoff.max", lambda _: amounts.duration_of(longest / 1000))
    if "restart_max_delay_ms" not in claims and longest > DEFAULT_LONGEST_MS:
        claims.app.put("backoff.max", amounts.duration_of(longest / 1000))
    claims.carry("restart_window_ms", "start_limit.window", lambda one: _pause(number(1, MOST_MS)(one)))
    if claims.text("restart_max_attempts") == "0":
        claims.app.remarks["start_limit"] = "restart_max_attempts: 0 means without end"
    claims.carry(
        "restart_max_attempts", "start_limit.failures", lambda one: number(0, 1_000_000)(one) or 1_000_000
    )
    claims.carry("restart_reset_after_ms", "stable_after", _pause)


def _pause(value: Value | int) -> str:
    return amounts.duration_of(number(0, MOST_MS)(str(value)) / 1000)


def _milliseconds(claims: Claims, name: str, otherwise: int) -> int:
    text = claims.text(name)
    return int(text) if text.isdigit() else otherwise


def _kill_timeout(value: Value) -> str:
    found = number(-(2**31), 2**31)(value)
    return amounts.duration_of(found if found >= 1 else 3)
