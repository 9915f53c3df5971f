"""Where a request leads when its host alone does not decide: to a door by its path, or to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torpor.core.model import Route
from torpor.core.routing import ConfusingPath, HostRoutes, strip_prefix
from torpor.gateway.fields import Malformed
from torpor.gateway.heads import Request, host_name

if TYPE_CHECKING:
    from torpor.gateway.gateway import Door


def door_for(routes: HostRoutes[Door] | None, request: Request) -> Door:
    """The door for `request`, whose head is changed where its route strips a prefix.

    `routes` are those of its host; None: it has none.  Raises `Malformed` where no route fits, or
    where the app might read another path than the routes did.
    """
    if routes is None:
        name = host_name(request.host) if request.host else "(none)"
        raise Malformed("unknown-host", f"No app is routed for the host {name}.")
    path = request.target.partition(b"?")[0]
    try:
        found = routes.match(path)
    except ConfusingPath:
        text = "The path has dot segments, which this host's routes cannot follow safely."
        raise Malformed("bad-request", text) from None
    if found is None:
        name = host_name(request.host) if request.host else "(none)"
        raise Malformed("unknown-host", f"No app is routed at {path.decode('latin-1')} of the host {name}.")
    route, door = found
    if route.strip_prefix and route.path != "/":
        _strip(request, route)
    return door


def app_of(routes: HostRoutes[Door] | None) -> str | None:
    """The app that a request under `/_torpor/` is about: the host's, at its root path."""
    if routes is None:
        return None
    found = routes.match(b"/")
    return found[1].app if found is not None else None


def _strip(request: Request, route: Route) -> None:
    if request.forwarded is not None:
        outer = b"x-forwarded-prefix"  # would name another prefix than this route's
        request.forwarded = [pair for pair in request.forwarded if pair[0] != outer]
    line = len(request.method) + 1
    request.head = b"%b %b%bX-Forwarded-Prefix: %b\r\n" % (
        request.method,
        strip_prefix(request.target, route),
        request.head[line + len(request.target) :],
        route.path.rstrip("/").encode(),
    )
