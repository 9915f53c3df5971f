"""By which doors an app is reached: its routes, and the ports of its own that these lead to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config.layers import Layers, given
from torpor.config.listening import further_port, main_port
from torpor.config.routes import STREAMS, parse_path, parse_route, parse_stream
from torpor.config.rules import build_rules
from torpor.core.model import Route, Scheme, StreamRoute

MAX_ROUTES = 1000


@dataclass(frozen=True, slots=True)
class Doors:
    """What the routes of an app say."""

    routes: tuple[Route, ...]
    streams: tuple[StreamRoute, ...]
    port: int | None
    """The app's main port; None: whichever it is given."""
    connects: bool
    """Whether any of them brings connections."""


def build_doors(keys: Layers) -> Doors:
    """The doors of the app.  What is wrong goes to the problems."""
    routes, streams = _routes(keys)
    named = [route.app_port for route in routes]
    named += [stream.app_port for stream in streams if stream.scheme is not Scheme.UDP]
    port = main_port(keys, named)
    return Doors(
        tuple(replace(route, app_port=None) if route.app_port == port else route for route in routes),
        tuple(replace(stream, app_port=None) if stream.app_port == port else stream for stream in streams),
        port,
        connects=bool(named),
    )


def _routes(keys: Layers) -> tuple[tuple[Route, ...], tuple[StreamRoute, ...]]:
    value = keys.get("routes", [])
    items = value if isinstance(value, list) else [value]
    routes: list[Route] = []
    streams: list[StreamRoute] = []
    if len(items) > MAX_ROUTES:
        keys.report("routes", f"has more than {MAX_ROUTES} routes")
        return (), ()
    for position, item in enumerate(items):
        inner: tuple[str | int, ...] = (position,) if isinstance(value, list) else ()
        host = item if isinstance(item, str) else item.host
        if host.strip().startswith(STREAMS):
            stream = _stream(keys, item, inner)
            streams += [] if stream is None else [stream]
        elif (route := _route(keys, item, inner)) is not None:
            routes.append(route)
    return tuple(routes), tuple(streams)


def _route(keys: Layers, item: str | declared.Route, inner: tuple[str | int, ...]) -> Route | None:
    if isinstance(item, str):
        return keys.attempt(lambda: parse_route(item), "routes", *inner)
    route = keys.attempt(lambda: parse_route(item.host), "routes", *inner, "host")
    if route is None:
        return None
    path = route.path
    if item.path is not UNSET:
        if "/" in item.host:
            keys.report("routes", "the path stands in `host` and in `path`; write it once", *inner, "path")
        path = keys.attempt(lambda: parse_path(str(item.path)), "routes", *inner, "path") or path
    strip = item.strip_prefix is True
    if strip and path == "/":
        keys.report("routes", "there is no path to strip", *inner, "strip_prefix")
    _refuse(keys, item, ("accept_proxy", "send_proxy"), "is for tcp:// and tls:// only", inner)
    rules = () if item.rules is UNSET else build_rules(keys, item.rules, "routes", *inner, "rules")
    return Route(route.host, path, strip, rules, further_port(keys, item.port, *inner))


def _stream(keys: Layers, item: str | declared.Route, inner: tuple[str | int, ...]) -> StreamRoute | None:
    if isinstance(item, str):
        return keys.attempt(partial(parse_stream, item), "routes", *inner)
    _refuse(keys, item, ("path", "strip_prefix", "rules"), "is for requests; a stream has none", inner)
    stream = keys.attempt(partial(parse_stream, item.host), "routes", *inner, "host")
    if stream is not None and stream.scheme is Scheme.UDP:
        _refuse(keys, item, ("accept_proxy", "send_proxy"), "is for tcp:// and tls:// only", inner)
    send = given(item.send_proxy, None)
    port = further_port(keys, item.port, *inner)
    return stream and replace(stream, accept_proxy=item.accept_proxy is True, send_proxy=send, app_port=port)


def _refuse(
    keys: Layers, item: declared.Route, names: tuple[str, ...], why: str, inner: tuple[str | int, ...]
) -> None:
    for name in names:
        if getattr(item, name) is not UNSET:
            keys.report("routes", why, *inner, name)
