"""Where the output of a PM2 app goes."""

from __future__ import annotations

from torpor.importers import amounts
from torpor.importers.claims import Claims

_PLACE = "Torpor keeps it in logs/ of its state directory; `torpor logs` shows it"

LOG_WORDS = {
    **dict.fromkeys(("error_file", "out_file"), _PLACE),
    "log_file": "`torpor logs` shows both streams, also where stderr has a file of its own",
    "pid_file": "`torpor show` tells the pid",
    "merge_logs": "each replica has a file of its own; `torpor logs` shows them together",
    "disable_logs": "Torpor always keeps some output; let `log` keep little",
    "log_type": "files hold what the app wrote; `torpor logs --json` has each line with its time",
}
"""Settings of an app's output that are never carried over."""


def carry_log(claims: Claims) -> None:
    """Carry over whether stderr has a file of its own, whether lines have their time, and the largest size."""
    out, error = claims.text("out_file"), claims.text("error_file")
    if error and error not in {out, "/dev/null", "NULL"}:
        claims.app.put("log.stderr", "separate")
    for name in ("time", "merge_logs", "disable_logs"):
        if claims.text(name) == "false":
            claims.same(name)
    claims.carry("log_max_size", "log.max_size", amounts.size)
    if claims.text("time") == "true":
        claims.app.put("log.timestamps", True)
        claims.settle("time")
    if form := claims.text("log_date_format").strip():
        claims.app.put(
            "log.timestamps", True, f"log_date_format: {form}: here the times are UTC, as in RFC 3339"
        )
        claims.settle("log_date_format")
    claims.leave("time", "is neither true nor false")
    claims.leave("log_date_format", "names no format")
