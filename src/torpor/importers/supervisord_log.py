"""Where the output of a supervisord program goes, and how much of it is kept."""

from __future__ import annotations

from torpor.importers import amounts
from torpor.importers.claims import Claims
from torpor.importers.expansion import Expansion
from torpor.importers.values import number

_PLACE = "Torpor keeps it in logs/ of its state directory; `torpor logs` shows it"
_EVENTS = "there are no event listeners; `torpor events -f --json` tells what happens"
_CAPTURE = "Torpor has no capture mode; an app that has something to say uses sd_notify"
_RULES = "stderr goes by the same rules as stdout, those of `log`"

LOG_WORDS = {
    "stdout_logfile": _PLACE,
    "stderr_logfile": _PLACE,
    "stderr_logfile_maxbytes": _RULES,
    "stderr_logfile_backups": _RULES,
    "stdout_capture_maxbytes": _CAPTURE,
    "stderr_capture_maxbytes": _CAPTURE,
    "stdout_events_enabled": _EVENTS,
    "stderr_events_enabled": _EVENTS,
}
"""Settings of a program's output that are never carried over."""
_YES = frozenset({"true", "yes", "1", "on"})
_NO = frozenset({"false", "no", "0", "off"})
_NOWHERE = frozenset({"NONE", "OFF"})


def carry_log(claims: Claims, expansion: Expansion) -> None:
    """Carry over which streams are kept, together or apart, and passed on to syslog."""
    _carry_syslog(claims)
    _carry_streams(claims)
    for stream in ("stdout", "stderr"):
        target = _word(claims, f"{stream}_logfile")
        if target.upper() == "AUTO":
            claims.same(f"{stream}_logfile")
        elif target.startswith(("/dev/std", "/dev/fd/", "/proc/self/fd/")):
            claims.leave(f"{stream}_logfile", "Torpor keeps it in the app's log; `torpor logs -f` shows it")
        elif target.upper() in _NOWHERE:
            claims.leave(f"{stream}_logfile", "Torpor always keeps some output; let `log` keep little")
        if _word(claims, f"{stream}_events_enabled") in _NO:
            claims.same(f"{stream}_events_enabled")
        if _word(claims, f"{stream}_capture_maxbytes") in {"0", "0mb", "0kb"}:
            claims.same(f"{stream}_capture_maxbytes")
    for what in ("maxbytes", "backups"):
        said = _word(claims, f"stderr_logfile_{what}")
        if said and said == _word(claims, f"stdout_logfile_{what}"):
            claims.settle(f"stderr_logfile_{what}")
    largest = _word(claims, "stdout_logfile_maxbytes")
    if largest and set(largest.rstrip("kmgb")) <= {"0"}:
        claims.leave("stdout_logfile_maxbytes", "Torpor's logs always have a limit; see `log`")
    claims.carry("stdout_logfile_maxbytes", "log.max_size", lambda one: amounts.size(expansion.now(one)))
    claims.carry("stdout_logfile_backups", "log.keep", lambda one: number(0, 1000)(expansion.now(one)))


def _word(claims: Claims, name: str) -> str:
    text = claims.text(name).strip()
    return text if name.endswith("_logfile") else text.lower()


def _carry_syslog(claims: Claims) -> None:
    """Either way to say it: `stdout_syslog=true`, and `syslog` in place of a file."""
    passed = []
    for stream in ("stdout", "stderr"):
        if _word(claims, f"{stream}_syslog") in _NO:
            claims.same(f"{stream}_syslog")
        file_too = _word(claims, f"{stream}_logfile") == "syslog"
        if file_too or _word(claims, f"{stream}_syslog") in _YES:
            passed.append(stream)
            claims.settle(f"{stream}_syslog")
        if file_too:
            claims.settle(f"{stream}_logfile")
    if passed:
        alone = len(passed) == 1 and _word(claims, "redirect_stderr") not in _YES
        remark = f"it was {passed[0]} alone; here both streams are passed on" if alone else None
        claims.app.put("log.forward", "syslog", remark)
    for stream in ("stdout", "stderr"):
        claims.leave(f"{stream}_syslog", "is neither true nor false")


def _carry_streams(claims: Claims) -> None:
    """Apart where the program says so, by `redirect_stderr` or by a file for stderr; else Torpor's own way."""
    merged = _word(claims, "redirect_stderr")
    if merged in _YES:
        claims.same("redirect_stderr")
        claims.leave("stderr_logfile", "with redirect_stderr=true there is nothing to write into it")
        return
    target = _word(claims, "stderr_logfile")
    own_file = target not in {"", "syslog", _word(claims, "stdout_logfile")} and not target.startswith(
        "/dev/"
    )
    own_file = own_file and target.upper() not in _NOWHERE | {"AUTO"}
    if merged in _NO or own_file:
        claims.app.put("log.stderr", "separate")
    if merged in _NO:
        claims.settle("redirect_stderr")
    claims.leave("redirect_stderr", "is neither true nor false")
