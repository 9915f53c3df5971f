"""What only all apps together can tell: names, routes and ports that collide, and needs that cannot be met."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torpor.config.companions import check_companions
from torpor.config.dependencies import check_dependencies
from torpor.config.guests import GuestSpec
from torpor.config.kinds import guest_kind
from torpor.config.layers import Layers
from torpor.config.settings import Settings
from torpor.config.sharing import check_sharing
from torpor.core.model import AppSpec, OnStartTimeout, OnWatchdog, Scheme, StreamRoute


def check_together(
    apps: Mapping[str, AppSpec],
    keys: Mapping[str, Layers],
    settings: Settings,
    refused: Collection[str],
    found: Collection[str],
) -> None:
    """Report what does not go together.

    `refused` are names of apps of which nothing is known, `found` those of apps that are no file's.
    """
    _check_routes(apps, keys)
    _check_streams(apps, keys, settings)
    _check_ports(apps, keys, settings)
    _check_sockets(apps, keys)
    _check_guests(apps, keys)
    _check_reboots(apps, keys, settings)
    check_dependencies(apps, keys, refused)
    discovers = any(engine.discover for engine in settings.hosts.engines.values())
    check_companions(apps, keys, refused, found, discovers=discovers)
    check_sharing(apps, keys, settings.sharing)


def _check_routes(apps: Mapping[str, AppSpec], keys: Mapping[str, Layers]) -> None:
    taken: dict[object, str] = {}
    for app in apps.values():
        known: list[tuple[object, str]] = [((route.host, route.path), str(route)) for route in app.routes]
        known += [(str(stream), str(stream)) for stream in app.streams]
        for route, text in known:
            owner = taken.setdefault(route, app.name)
            if owner != app.name:
                first = _place(keys[owner], "routes")
                keys[app.name].report("routes", f"'{text}' leads to the app '{owner}' already ({first})")
        if len(dict(known)) < len(known):
            keys[app.name].report("routes", "names the same route twice")


def _check_streams(apps: Mapping[str, AppSpec], keys: Mapping[str, Layers], settings: Settings) -> None:
    """Whoever shares an address must agree on what is said there first."""
    first: dict[tuple[str, int], StreamRoute] = {}
    for app in apps.values():
        for stream in app.streams:
            if stream.scheme is Scheme.UDP:
                continue
            other = first.setdefault((stream.host, stream.port), stream)
            if (stream.scheme, stream.accept_proxy) != (other.scheme, other.accept_proxy):
                message = (
                    f"{stream} and {other} share an address: both take tls:// and accept_proxy, or neither"
                )
                keys[app.name].report("routes", message)
            if stream.accept_proxy and not settings.gateway.trusted_proxies:
                message = f"{stream}: accept_proxy lets nobody in without `gateway.trusted_proxies`"
                keys[app.name].report("routes", message)


def _check_ports(apps: Mapping[str, AppSpec], keys: Mapping[str, Layers], settings: Settings) -> None:
    taken: dict[int, str] = {}
    addresses = {(listen.host, listen.port) for listen in settings.gateway.listen}
    for app in apps.values():
        for stream in app.streams:
            if (stream.host, stream.port) in addresses and stream.scheme is not Scheme.UDP:
                keys[app.name].report("routes", f"{stream} is where the gateway takes requests")
    streams = {stream.port for app in apps.values() for stream in app.streams}
    listening = {port for _, port in addresses} | streams
    for app in apps.values():
        for port, key in _fixed_ports(app, keys[app.name]).items():
            if port in listening:
                keys[app.name].report(key, f"{port} is where the gateway listens")
            owner = taken.setdefault(port, app.name)
            if owner != app.name:
                first = _place(keys[owner], _fixed_ports(apps[owner], keys[owner])[port])
                keys[app.name].report(key, f"{port} is the port of the app '{owner}' already ({first})")


def _fixed_ports(app: AppSpec, keys: Layers) -> dict[int, str]:
    """The ports of this machine that it is to have, and which key says so."""
    main = "routes" if keys.find("port") is None else "port"
    return {port: main if port == app.port else "routes" for port in sorted(app.fixed_ports)}


def _check_sockets(apps: Mapping[str, AppSpec], keys: Mapping[str, Layers]) -> None:
    taken: dict[str, str] = {}
    for app in apps.values():
        if app.socket is None:
            continue
        owner = taken.setdefault(app.socket, app.name)
        if owner != app.name:
            first = _place(keys[owner], "address")
            keys[app.name].report("address", f"is the socket of the app '{owner}' already ({first})")


def _check_guests(apps: Mapping[str, AppSpec], keys: Mapping[str, Layers]) -> None:
    """Of two apps that are made of the same guest, one would end it while the other is in use."""
    taken: dict[object, str] = {}
    for app in apps.values():
        if not isinstance(app.workload, GuestSpec):
            continue
        owner = taken.setdefault(app.workload.identity, app.name)
        if owner != app.name and (key := guest_kind(keys[app.name])) is not None:
            first = _place(keys[owner], guest_kind(keys[owner]) or key)
            keys[app.name].report(
                key, f"{app.workload.name} is what the app '{owner}' is made of already ({first})"
            )


def _check_reboots(apps: Mapping[str, AppSpec], keys: Mapping[str, Layers], settings: Settings) -> None:
    if settings.allow_reboot:
        return
    message = "may not reboot the machine; write `allow_reboot: true` at the top of the main file to allow it"
    for app in apps.values():
        if app.lifecycle.on_start_timeout is OnStartTimeout.REBOOT:
            keys[app.name].report("on_start_timeout", message)
        if app.lifecycle.on_watchdog is OnWatchdog.REBOOT and app.lifecycle.watchdog is not None:
            keys[app.name].report("on_watchdog", message)


def _place(keys: Layers, key: str) -> str:
    """Where the key of an app is written."""
    layer = keys.find(key) or keys.own
    return layer.document.place((*layer.path, key))
