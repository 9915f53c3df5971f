"""Where the output of a Compose service goes, and how much of it is kept."""

from __future__ import annotations

from torpor.importers import amounts
from torpor.importers.claims import Claims
from torpor.importers.values import Value, number, shown, whether

_FILES = frozenset({"json-file", "local"})
_FORWARD = frozenset({"journald", "syslog"})


def carry_log(claims: Claims) -> None:
    """Carry over the limits of files, and the system's logs as drivers."""
    driver = claims.text("logging.driver")
    if driver in _FILES:
        claims.same("logging.driver")
    elif driver in _FORWARD:
        claims.carry("logging.driver", "log.forward")
    elif driver == "none":
        claims.leave("logging.driver", "Torpor always keeps some output; let `log` keep little")
    options = claims.get("logging.options")
    if isinstance(options, dict):
        _carry_options(claims, dict(options))


def _carry_options(claims: Claims, left: dict[str, Value]) -> None:
    """The options one by one, so that a mistake in one of them costs no other."""
    for name, key, convert in (
        ("max-size", "max_size", amounts.size),
        ("max-file", "keep", lambda value: number(1, 1001)(value) - 1),
        ("compress", "compress", lambda value: "gzip" if whether(value) else "none"),
    ):
        if name not in left:
            continue
        value = left.pop(name)
        if name == "max-size" and value == "-1":
            claims.app.notes.append(
                "logging.options: max-size: -1: Torpor's logs always have a limit; see `log`"
            )
            continue
        try:
            claims.app.put(f"log.{key}", convert(value))
        except ValueError as error:
            claims.app.notes.append(f"logging.options: {name}: {shown(value)}: {error}")
    if left:
        why = "Torpor's `log` limits size, number and age of files, compresses them, and forwards lines under the app's name"
        claims.app.notes.append(f"logging.options: {shown(left)}: {why}")
    claims.settle("logging.options")
