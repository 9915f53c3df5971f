"""From the keys of an app and its defaults to the frozen value that everybody else sees.

A key of the app wins over the same key of its file's `defaults`, and that over those
of the including file.  A value is taken as a whole; only `environment` is merged, name
by name.  Paths are relative to the file that names them.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config import template
from torpor.config.command import build_command
from torpor.config.layers import Layer, Layers, given
from torpor.config.problems import Problems
from torpor.config.readiness import build_readiness
from torpor.config.routes import parse_path, parse_route
from torpor.config.settings import LogSpec, ProcessSpec
from torpor.config.variables import build_environment
from torpor.core.model import (
    AppSpec,
    Backoff,
    Lifecycle,
    LoadingPage,
    Route,
    SocketPolicy,
    StartLimit,
    WakeOn,
)

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
MAX_ROUTES = 1000


def build_app(name: str, layers: Sequence[Layer], environ: Mapping[str, str], problems: Problems) -> AppSpec:
    """The app.  What is wrong goes to `problems`; the result then holds defaults in its place."""
    keys = Layers(name, layers, environ, problems)
    _check_name(keys)
    routes = _routes(keys)
    port = keys.get("port", None)
    return AppSpec(
        name=keys.name,
        lifecycle=_lifecycle(keys),
        routes=routes,
        readiness=build_readiness(keys, listens=bool(routes) or port is not None),
        loading_page=_loading_page(keys),
        wake_on=keys.get("wake_on", WakeOn.ANY),
        websocket=_websocket(keys),
        port=port,
        workload=ProcessSpec(
            command=build_command(keys),
            working_dir=_working_dir(keys),
            shell=keys.get("shell", False),
            environment=MappingProxyType(build_environment(keys)),
            stop_signal=int(keys.get("stop_signal", signal.SIGTERM)),
            log=_filled(LogSpec(), keys.get("log", None)),
        ),
    )


def _check_name(keys: Layers) -> None:
    if NAME.fullmatch(keys.name):
        return
    lower = keys.name.lower()
    keys.report_app(
        "is no name for an app: up to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit",
        suggestion=lower if NAME.fullmatch(lower) else None,
    )


def _lifecycle(keys: Layers) -> Lifecycle:
    default = Lifecycle()
    always_on = keys.get("always_on", default.always_on)
    own = keys.own.keys
    if always_on and own.idle_timeout is not UNSET and own.idle_timeout.limit is not None:
        keys.report(
            "idle_timeout", "has no effect: an app that is always_on never sleeps; remove one of them"
        )
    backoff = _filled(default.backoff, keys.get("backoff", None))
    if backoff.max < backoff.initial:
        keys.report("backoff", "the longest pause (max) is shorter than the first (initial)")
    idle = keys.get("idle_timeout", None)
    return Lifecycle(
        idle_timeout=default.idle_timeout if idle is None else idle.limit,
        wake_timeout=float(keys.get("wake_timeout", default.wake_timeout)),
        start_timeout=float(keys.get("start_timeout", default.start_timeout)),
        drain_timeout=float(keys.get("drain_timeout", default.drain_timeout)),
        stop_timeout=float(keys.get("stop_timeout", default.stop_timeout)),
        always_on=always_on,
        restart=keys.get("restart", default.restart),
        max_waiting=keys.get("max_waiting", default.max_waiting),
        backoff=backoff,
        start_limit=_filled(default.start_limit, keys.get("start_limit", None)),
        stable_after=float(keys.get("stable_after", default.stable_after)),
    )


def _working_dir(keys: Layers) -> Path:
    layer = keys.find("working_dir")
    path = (layer or keys.own).absolute(keys.get("working_dir", "."))
    if layer is not None and not _is_dir(path):
        keys.report("working_dir", f"there is no such directory: {path}")
    return Path(path)


def _routes(keys: Layers) -> tuple[Route, ...]:
    value = keys.get("routes", [])
    items = value if isinstance(value, list) else [value]
    routes: list[Route] = []
    if len(items) > MAX_ROUTES:
        keys.report("routes", f"has more than {MAX_ROUTES} routes")
        return ()
    for position, item in enumerate(items):
        inner: tuple[str | int, ...] = (position,) if isinstance(value, list) else ()
        route = _route(keys, item, inner)
        if route is not None:
            routes.append(route)
    return tuple(routes)


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
    return Route(route.host, path, strip)


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


Filled = TypeVar("Filled", LogSpec, Backoff, StartLimit)


def _filled(default: Filled, keys: Any) -> Filled:
    """`default` with what `keys` names.  Both have the same field names."""
    if keys is None:
        return default
    values = {name: given(getattr(keys, name), getattr(default, name)) for name in keys.__struct_fields__}
    plain = {name: type(getattr(default, name))(value) for name, value in values.items()}
    return type(default)(**plain)


def _is_dir(path: str) -> bool:
    try:
        return os.path.isdir(path)
    except ValueError:  # a NUL character
        return False
