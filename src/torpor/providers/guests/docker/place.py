"""Where an engine is, and how its place is connected to."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from torpor.config.hosts import ClientTls, EngineHost
from torpor.errors import ProviderFailed
from torpor.providers.guests.tls import vouched

_PORTS = {"http": 2375, "https": 2376}
_DEAD_PEER = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
"""After how many silent seconds a remote engine is asked whether it lives, how often, and how many times."""


@dataclass(frozen=True, slots=True)
class Place:
    """An engine's address, taken apart."""

    base: str
    """What the URL of every call begins with."""
    socket: str | None
    """Path of its unix socket; None: it is reached over TCP."""
    machine: str | None
    """The host on which its containers' published ports are reached; None: on this one."""


def place_of(host: EngineHost) -> Place:
    """Take the address of an engine apart.  Raises `ProviderFailed`."""
    try:
        url = urlsplit(host.url)
        port = url.port
    except ValueError:  # half a bracket, or no such port, in DOCKER_HOST
        url, port = urlsplit(""), None
    if url.scheme == "unix" and url.path:
        # The name is told to the engine and means nothing.
        return Place("http://engine", url.netloc + url.path, None)
    if url.scheme not in ("tcp", "http", "https") or not url.hostname:
        raise ProviderFailed(
            f"{host.url} is no address of a container engine",
            hint="unix:///var/run/docker.sock or tcp://HOST:2376; one behind SSH can be brought here by `ssh -L`",
        )
    scheme = "https" if url.scheme == "https" or host.tls is not None else "http"
    name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return Place(f"{scheme}://{name}:{port or _PORTS[scheme]}", None, url.hostname)


def connector_to(host: EngineHost, place: Place) -> aiohttp.BaseConnector:
    """What makes connections to it.  Raises `ProviderFailed` where the certificates cannot be used."""
    # Without a limit: each log that is followed holds a connection for as long as its container runs.
    if place.socket is not None:
        return aiohttp.UnixConnector(path=place.socket, limit=0)
    secure = _trust(host.tls or ClientTls()) if place.base.startswith("https") else False
    return aiohttp.TCPConnector(ssl=secure, limit=0, socket_factory=_watched_socket)


def _trust(tls: ClientTls) -> ssl.SSLContext:
    try:
        context = vouched(tls.ca)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    except OSError as error:
        files = ", ".join(str(path) for path in (tls.ca, tls.cert, tls.key) if path is not None)
        raise ProviderFailed(
            f"the certificates of the container engine cannot be used: {error}",
            hint=f"look at {files}: PEM files that Torpor may read, of which `key` belongs to `cert`",
        ) from error
    return context


def _watched_socket(info: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _DEAD_PEER.items():
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
