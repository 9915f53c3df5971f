"""From the keys of an app and its defaults to the frozen value that everybody else sees.

A key of the app wins over the same key of its file's `defaults`, and that over those
of the including file.  A value is taken as a whole; only `environment` is merged, name
by name.  Paths are relative to the file that names them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config import template
from torpor.config.companions import build_companions
from torpor.config.dependencies import build_dependencies
from torpor.config.guests import GuestSpec
from torpor.config.kinds import build_guest, check_kind, guest_kind, refuse_guest_keys
from torpor.config.layers import Layers, given
from torpor.config.lifecycle import build_lifecycle
from torpor.config.listening import build_activation, build_socket, further_port, main_port
from torpor.config.process import build_process
from torpor.config.readiness import build_liveness, build_readiness
from torpor.config.routes import STREAMS, parse_path, parse_route, parse_stream
from torpor.config.rules import build_rules, build_wake_paths
from torpor.config.settings import ProcessSpec
from torpor.config.sharing import build_share
from torpor.core.model import (
    AppSpec,
    LoadingPage,
    Route,
    Scheme,
    SocketPolicy,
    StreamRoute,
    WakeOn,
)
from torpor.core.schedule import Schedule

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
MAX_ROUTES = 1000


def build_app(keys: Layers) -> AppSpec:
    """The app.  What is wrong goes to the problems; the result then holds defaults in its place."""
    _check_name(keys)
    routes, streams = _routes(keys)
    named = [route.app_port for route in routes]
    named += [stream.app_port for stream in streams if stream.scheme is not Scheme.UDP]
    port = main_port(keys, named)
    connects = None in named or port in named
    routes = tuple(replace(it, app_port=None) if it.app_port == port else it for it in routes)
    streams = tuple(replace(it, app_port=None) if it.app_port == port else it for it in streams)
    check_kind(keys)
    kind = guest_kind(keys)
    replicas = 1 if kind is not None else _replicas(keys, port)
    socket = build_socket(keys, streams, replicas)
    activation = kind is None and build_activation(keys, connects=connects or not streams)
    lifecycle = build_lifecycle(keys)
    listens = connects or port is not None or socket is not None
    # A socket that we have bound accepts at once: that tells nothing of the app.
    readiness = build_readiness(keys, listens=listens and not activation, guest=kind is not None)
    workload: ProcessSpec | GuestSpec | None
    if kind is None:
        refuse_guest_keys(keys)
        workload = build_process(keys, lifecycle, readiness)
    else:
        workload = build_guest(keys, kind, port, socket)
        port = None  # it is the guest's own, beside which others may have the same
    return AppSpec(
        name=keys.name,
        lifecycle=lifecycle,
        routes=routes,
        streams=streams,
        readiness=readiness,
        liveness=build_liveness(keys),
        loading_page=_loading_page(keys),
        wake_on=keys.get("wake_on", WakeOn.ANY),
        wake_paths=build_wake_paths(keys),
        ignore_bots=keys.get("ignore_bots", AppSpec("").ignore_bots),
        rules=build_rules(keys, keys.get("rules", []), "rules"),
        websocket=_websocket(keys),
        stream_activity=keys.get("stream_activity", AppSpec("").stream_activity),
        stream_max_age=_stream_max_age(keys),
        port=port,
        socket=socket,
        activation=activation,
        replicas=replicas,
        depends_on=build_dependencies(keys),
        companions=build_companions(keys),
        groups=_groups(keys),
        schedule=_schedule(keys),
        share=build_share(keys),
        workload=workload,
        guest=kind is not None,
    )


def _check_name(keys: Layers) -> None:
    if NAME.fullmatch(keys.name):
        return
    lower = keys.name.lower()
    keys.report_app(
        "is no name for an app: up to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
        suggestion=lower if NAME.fullmatch(lower) else None,
    )


def _groups(keys: Layers) -> frozenset[str]:
    value = keys.get("member_of", [])
    found: set[str] = set()
    for position, item in enumerate(value if isinstance(value, list) else [value]):
        if not NAME.fullmatch(item):
            inner = (position,) if isinstance(value, list) else ()
            keys.report("member_of", f"'{item}' is no name for a group; they are like those of apps", *inner)
        found.add(item)
    return frozenset(found)


def _replicas(keys: Layers, port: int | None) -> int:
    replicas: int = keys.get("replicas", AppSpec("").replicas)
    if replicas > 1 and port is not None:
        keys.report("port", f"{replicas} replicas cannot share one port; let Torpor allot the ports")
    return replicas


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


def _loading_page(keys: Layers) -> LoadingPage:
    value = keys.get("loading_page", LoadingPage().enabled)
    if isinstance(value, bool):
        return LoadingPage(enabled=value)
    layer = keys.find("loading_page")
    text = None
    if value.template is not UNSET and layer is not None:
        path = layer.absolute(value.template)
        text = keys.read_text("loading_page", path, template.MAX_BYTES, "template")
        for complaint in template.check_template(text) if text is not None else ():
            keys.report("loading_page", f"the template {value.template}: {complaint}", "template")
    default = LoadingPage()
    return LoadingPage(
        enabled=given(value.enabled, default.enabled),
        title=given(value.title, default.title),
        template=text,
        show_logs=given(value.show_logs, default.show_logs),
    )


def _schedule(keys: Layers) -> Schedule | None:
    if keys.get("schedule", None) is None:
        return None
    from torpor.config.schedule import build_schedule  # noqa: PLC0415  # with time zones and cron behind it

    return build_schedule(keys)


def _stream_max_age(keys: Layers) -> float | None:
    patience = keys.get("stream_max_age", None)
    return AppSpec("").stream_max_age if patience is None else patience.limit


def _websocket(keys: Layers) -> SocketPolicy:
    """`activity` has a short form of its own; the nearest layer that wrote either decides."""
    activity, max_age = SocketPolicy().activity, SocketPolicy().max_age
    detailed = keys.get("websocket", None)
    if detailed is not None and detailed.max_age is not UNSET:
        max_age = detailed.max_age.limit
    for layer in keys.layers:
        short, long = layer.keys.websocket_activity, layer.keys.websocket
        named = UNSET if long is UNSET else long.activity
        if short is not UNSET and named is not UNSET:
            keys.report(
                "websocket_activity", "says the same as `websocket: {activity: …}`; write one of them"
            )
        if short is not UNSET or long is not UNSET:
            activity = given(short, given(named, activity))
            break
    return SocketPolicy(activity, max_age)
