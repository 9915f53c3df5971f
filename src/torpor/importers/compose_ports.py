"""The port of a Compose service, where a process can have it."""

from __future__ import annotations

from collections.abc import Callable

from torpor.importers.claims import Claims
from torpor.importers.values import Value, shown, text

_WHY = "processes share the machine's ports; let the program listen on $PORT, and give it routes"


def carry_port(claims: Claims, now: Callable[[str], str], taken: set[int]) -> None:
    """The one port that the program listens on becomes `port`, where nobody has it yet; then it is `taken`."""
    app = claims.app
    value = claims.get("ports")
    if value is None:
        claims.settle("ports")
        return
    items = value if isinstance(value, list) else [value]
    inside = {port for item in items if (port := _container_port(item, now))}
    port = next(iter(inside), 0)
    if len(inside) != 1 or port < 1 or app.settings.get("replicas", 1) != 1 or app.off is not None:
        claims.leave("ports", _WHY)
    elif port in taken:
        claims.leave("ports", f"another app, or Torpor's gateway, has {port} already; {_WHY}")
    elif (named := app.settings.get("environment", {}).get("PORT", str(port))) != str(port):
        claims.leave(
            "ports", f"PORT={shown(named)} says otherwise, and Torpor would set it to `port`; {_WHY}"
        )
    else:
        taken.add(port)
        app.put(
            "port",
            port,
            f"ports: {shown(value)}; requests come to it there, or through the gateway by `routes`",
        )
        claims.settle("ports")


def _container_port(item: Value, now: Callable[[str], str]) -> int | None:
    """The port inside of the container; -1 where there are several, or none of TCP."""
    if isinstance(item, dict):
        target, protocol = item.get("target"), item.get("protocol") or "tcp"
        return int(target) if isinstance(target, str) and target.isdigit() and protocol == "tcp" else -1
    try:
        published, _, protocol = now(text(item)).partition("/")
    except ValueError:
        return -1
    target = published.rpartition(":")[2]
    return int(target) if target.isdigit() and 0 < int(target) < 65536 and protocol in {"", "tcp"} else -1
