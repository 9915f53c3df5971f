"""Where the output of a unit's service goes."""

from __future__ import annotations

from torpor.importers.claims import Claims
from torpor.importers.names import fit_name
from torpor.importers.unit_attributes import Values

_PLACE = "Torpor keeps it in logs/ of its state directory; `torpor logs` shows it"
_NOWHERE = "Torpor always keeps some output; let `log` keep little"
_ELSEWHERE = "Torpor keeps output in its log, and passes it on to journald or syslog at most (`log: {forward: journald}`)"
_EVERY_LINE = "Torpor keeps every line, within the limits of `log`"
_LABEL = "lines that `log: {forward: journald}` passes on have the app's name, and TORPOR_APP, TORPOR_INSTANCE, TORPOR_STREAM"
_LEVEL = "lines that `log` passes on are of facility user, those of stdout info and those of stderr err"

LOG_WORDS = {
    **dict.fromkeys(("StandardOutput", "StandardError"), _ELSEWHERE),
    **dict.fromkeys(("SyslogIdentifier", "LogNamespace", "LogExtraFields"), _LABEL),
    **dict.fromkeys(("SyslogFacility", "SyslogLevel", "SyslogLevelPrefix"), _LEVEL),
    **dict.fromkeys(("LogLevelMax", "LogRateLimitIntervalSec", "LogRateLimitBurst"), _EVERY_LINE),
    "LogFilterPatterns": _EVERY_LINE,
}
_STREAMS = {"StandardOutput": "stdout", "StandardError": "stderr"}
_FORWARD = {"journal": "journald", "syslog": "syslog"}
_FILES = ("file:", "append:", "truncate:")


def carry_output(claims: Claims, values: Values) -> None:
    """Carry over what is passed on to the system's log, and whether stderr has a file of its own.

    A unit that says nothing of it writes to the journal; Torpor's own log stands in for that.
    """
    said = {name: (values(name) or [""])[-1] for name in _STREAMS}
    if said["StandardError"] in {"", "inherit"}:
        said["StandardError"] = said["StandardOutput"]
        claims.same("StandardError")
    passed = [name for name in _STREAMS if said[name].partition("+")[0] in _FORWARD]
    for name in passed:
        kind, plus, _ = said[name].partition("+")
        alone = len(passed) == 1
        remark = f"it was {_STREAMS[name]} alone; here both streams are passed on" if alone else None
        claims.app.put("log.forward", _FORWARD[kind], remark)
        if plus:
            claims.leave(name, f"to {_FORWARD[kind]} it goes (`log`), not to the console")
        claims.settle(name)
    for name, target in said.items():
        if target.startswith(_FILES):
            claims.leave(name, _PLACE)
        elif target == "null":
            claims.leave(name, _NOWHERE)
    if said["StandardError"].startswith(_FILES) and said["StandardError"] != said["StandardOutput"]:
        claims.app.put("log.stderr", "separate")
    if passed and (values("SyslogIdentifier") or [""])[-1] == fit_name(claims.app.name):
        claims.same("SyslogIdentifier")
