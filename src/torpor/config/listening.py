"""Where an app listens: at a port, or at a Unix socket; and who binds that."""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from torpor.config.layers import Layers
from torpor.core.model import Scheme, StreamRoute

UNIX = "unix:"
"""What the address of a Unix socket begins with."""
LONGEST_PATH = 107
"""Bytes that the kernel has room for in the address of a Unix socket."""


def build_socket(keys: Layers, streams: tuple[StreamRoute, ...], replicas: int) -> str | None:
    """The absolute path of the Unix socket at which the app listens; None: at a port."""
    layer, value = keys.find("address"), keys.get("address", None)
    if layer is None or value is None or not value.startswith(UNIX):
        return None
    # Two slashes, as in a URL, or none.
    path = layer.absolute(value.removeprefix(UNIX).removeprefix("//") or ".")
    complaint = None
    if os.path.isdir(path):
        complaint = f"is a directory: {path}"
    elif "\0" in path or len(os.fsencode(path)) > LONGEST_PATH:
        complaint = f"is no path that a Unix socket can have: {path[:120]} (at most {LONGEST_PATH} bytes)"
    elif keys.get("port", None) is not None:
        complaint = "names a Unix socket, and `port` a port; write one of them"
    elif replicas > 1:
        complaint = f"{replicas} replicas cannot share one socket; let Torpor allot ports"
    elif any(stream.scheme is Scheme.UDP for stream in streams):
        complaint = "is for connections, and a udp:// route brings datagrams; let the app listen at a port"
    if complaint is not None:
        keys.report("address", complaint)
        return None
    return path


def main_port(keys: Layers, named: Sequence[int | None]) -> int | None:
    """What `port` says.  Where nobody says it and every route names a port, the first one: readiness is asked there.

    `named`: the ports of the routes that bring connections.
    """
    port: int | None = keys.get("port", None)
    return named[0] if port is None and named and None not in named else port


def further_port(keys: Layers, port: int | UnsetType, *inner: str | int) -> int | None:
    """The port of the app to which a route leads by its own word; None: it has none."""
    if port is UNSET:
        return None
    address, replicas = keys.get("address", None), keys.get("replicas", 1)
    complaint = None
    if address is not None and address.startswith(UNIX):
        complaint = (
            f"the app listens at {address}, which has no ports; let it listen at a port, or leave this out"
        )
    elif keys.get("activation", False):
        complaint = "with `activation` the app is handed the one socket that all of its routes lead to"
    elif replicas > 1:
        complaint = f"{replicas} replicas cannot share one port; let this route lead to $PORT as well"
    if complaint is not None:
        keys.report("routes", complaint, *inner, "port")
        return None
    return port


def build_activation(keys: Layers, *, connects: bool) -> bool:
    """Whether Torpor binds where the app listens.  `connects`: whether anybody can connect to it."""
    activation: bool = keys.get("activation", False)
    if activation and not connects:
        keys.report("activation", "hands over a socket for connections; udp:// routes bring none")
    for key in ("private_tmp", "read_only"):
        if activation and keys.get(key, False):
            keys.report("activation", f"cannot hand anything over past the sandbox of `{key}`")
    return activation
