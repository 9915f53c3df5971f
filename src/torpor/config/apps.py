"""From the keys of an app and its defaults to the frozen value that everybody else sees.

A key of the app wins over the same key of its file's `defaults`, and that over those
of the including file.  A value is taken as a whole; only `environment` is merged, name
by name.  Paths are relative to the file that names them.
"""

from __future__ import annotations

import re

from msgspec import UNSET

from torpor.config import template
from torpor.config.companions import build_companions
from torpor.config.dependencies import build_dependencies
from torpor.config.doors import build_doors
from torpor.config.guests import GuestSpec
from torpor.config.kinds import build_guest, check_kind, guest_kind, refuse_guest_keys
from torpor.config.layers import Layers, given
from torpor.config.lifecycle import build_lifecycle
from torpor.config.listening import build_activation, build_socket
from torpor.config.process import build_process
from torpor.config.readiness import build_liveness, build_readiness
from torpor.config.rules import build_rules, build_wake_paths
from torpor.config.settings import ProcessSpec
from torpor.config.sharing import build_share
from torpor.core.model import (
    AppSpec,
    LoadingPage,
    SocketPolicy,
    WakeOn,
)
from torpor.core.schedule import Schedule

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def build_app(keys: Layers) -> AppSpec:
    """The app.  What is wrong goes to the problems; the result then holds defaults in its place."""
    _check_name(keys)
    doors = build_doors(keys)
    check_kind(keys)
    kind = guest_kind(keys)
    replicas = 1 if kind is not None else _replicas(keys, doors.port)
    socket = build_socket(keys, doors.streams, replicas)
    activation = kind is None and build_activation(keys, connects=doors.connects or not doors.streams)
    lifecycle = build_lifecycle(keys)
    listens = doors.connects or doors.port is not None or socket is not None
    # A socket that we have bound accepts at once: that tells nothing of the app.
    readiness = build_readiness(keys, listens=listens and not activation, guest=kind is not None)
    workload: ProcessSpec | GuestSpec | None
    if kind is None:
        refuse_guest_keys(keys)
        workload = build_process(keys, lifecycle, readiness)
    else:
        workload = build_guest(keys, kind, doors.port, socket)
    return AppSpec(
        name=keys.name,
        lifecycle=lifecycle,
        routes=doors.routes,
        streams=doors.streams,
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
        port=doors.port if kind is None else None,  # a guest's is its own: others may have the same
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
