"""How long a unit's service may take, and how it is started again."""

from __future__ import annotations

import math

from torpor.importers import amounts
from torpor.importers.claims import Claims
from torpor.importers.draft import AppDraft
from torpor.importers.unit_attributes import One, Values
from torpor.importers.unit_file import Unit
from torpor.importers.values import number

_RESTART = {
    "no": "no", "always": "always", "on-failure": "on-failure", "on-success": "always", "on-abnormal": "on-failure",
    "on-abort": "on-failure", "on-watchdog": "on-failure",
}  # fmt: skip
_EXITS = {
    "USAGE": 64, "DATAERR": 65, "NOINPUT": 66, "NOUSER": 67, "NOHOST": 68, "UNAVAILABLE": 69, "SOFTWARE": 70, "OSERR": 71,
    "OSFILE": 72, "CANTCREAT": 73, "IOERR": 74, "TEMPFAIL": 75, "PROTOCOL": 76, "NOPERM": 77, "CONFIG": 78,
}  # fmt: skip
"""The exit codes of sysexits.h, which systemd knows by name."""
FOREVER = "3650d"
"""Torpor wants a limit for a stop, and for the commands around an app, that systemd lets go on for ever."""
_NO_LIMIT = 1_000_000


def carry_life(claims: Claims, unit: Unit, values: Values, one: One) -> None:
    """Carry over time limits, the watchdog, signals, and what happens after an end."""
    _carry_times(claims.app, claims, unit, one)
    _carry_restart(claims.app, claims, unit, values, one)


def _carry_times(app: AppDraft, claims: Claims, unit: Unit, one: One) -> None:
    both = unit.last("TimeoutSec")
    for name, key, default, endless in (
        ("TimeoutStartSec", "start_timeout", None, "never"),
        ("TimeoutStopSec", "stop_timeout", "1m30s", FOREVER),
    ):
        text = unit.last(name) or both
        if not text:
            # Shorter than systemd's own would be, without a word, would cost somebody data.
            if default is not None:
                app.put(key, default)
            continue
        try:
            limit = amounts.seconds(text)
            app.put(key, endless if limit in {0, math.inf} else amounts.duration_of(limit))
            claims.settle(name)
        except ValueError as error:
            claims.leave(name, str(error))
    claims.settle("TimeoutSec")
    if unit.last("WatchdogSec") in {"0", "infinity"}:
        claims.same("WatchdogSec")
    one("WatchdogSec", "watchdog", amounts.positive)
    if "KillSignal" in claims:
        one(
            "KillSignal",
            "stop_signal",
            lambda text: int(text) if text.isdigit() else text.removeprefix("SIG"),
        )
    if unit.last("KillMode") == "control-group":
        claims.same("KillMode")
    claims.leave("KillMode", "Torpor ends all of an app's processes, as control-group does")
    for name, plain in (("SendSIGKILL", "yes"), ("SendSIGHUP", "no")):
        if unit.last(name) == plain:
            claims.same(name)


def _carry_restart(app: AppDraft, claims: Claims, unit: Unit, values: Values, one: One) -> None:
    kind = unit.last("Type") or "simple"
    restart = unit.last("Restart") or "no"
    if restart in _RESTART:
        if kind != "oneshot" or restart != "no":
            app.put("restart", _RESTART[restart])
        if restart not in {"no", "always", "on-failure"}:
            claims.leave("Restart", f"Torpor knows always, on-failure and no; {_RESTART[restart]} is nearest")
        claims.settle("Restart")
    _carry_exits(app, claims, values)
    _carry_pause(claims, unit)
    interval = next(
        (name for name in ("StartLimitIntervalSec", "StartLimitInterval") if name in claims),
        "StartLimitIntervalSec",
    )
    if unit.last(interval) in {"0", "infinity"}:
        app.put("start_limit.failures", _NO_LIMIT, f"{interval}={unit.last(interval)}: without end")
        claims.settle(interval, "StartLimitBurst")
    else:
        one(interval, "start_limit.window", amounts.positive)
        one("StartLimitBurst", "start_limit.failures", number(1, _NO_LIMIT))


def _carry_exits(app: AppDraft, claims: Claims, values: Values) -> None:
    codes: list[int | str] = []
    for name in ("SuccessExitStatus", "RestartPreventExitStatus"):
        for word in (word for value in values(name) for word in value.split()):
            if word.isdigit() and int(word) <= 255:
                codes.append(int(word))
            elif word in _EXITS:
                codes.append(_EXITS[word])
            elif word.startswith("SIG"):
                codes.append(word.removeprefix("SIG"))
            else:
                app.notes.append(f"{name}={word}: write its number into exit_codes")
        claims.settle(name)
    if codes:
        remark = (
            "success, or at least no reason to start it again"
            if "RestartPreventExitStatus" in claims
            else None
        )
        # systemd takes these signals for success by itself.
        app.put("exit_codes", list(dict.fromkeys([0, *codes, "HUP", "INT", "TERM", "PIPE"])), remark)


def _carry_pause(claims: Claims, unit: Unit) -> None:
    """`RestartSec`, and how it rises by `RestartSteps` to `RestartMaxDelaySec`."""
    if "RestartSec" not in claims:
        return
    steps, most = unit.last("RestartSteps"), unit.last("RestartMaxDelaySec")

    def pause(values: list[str]) -> dict[str, object]:
        first = amounts.seconds(values[-1])
        last = amounts.seconds(most) if steps.isdigit() and int(steps) and most else first
        text = amounts.duration_of(first)
        if last <= first or not first:
            return {"initial": text, "factor": 1, "max": text}
        factor = round(min((last / first) ** (1 / int(steps)), 100.0), 3)
        return {"initial": text, "factor": factor, "max": amounts.duration_of(last)}

    if claims.carry("RestartSec", "backoff", pause):
        claims.settle("RestartSteps", "RestartMaxDelaySec")
