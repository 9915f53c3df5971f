"""Connections of ours to an instance, wherever it listens."""

from __future__ import annotations

import asyncio
import socket

from torpor.core.model import Endpoint

_NAMELESS = "localhost"


class NoWay(OSError):
    """A port of an instance cannot be reached from here, whoever listens there."""


def way_to(endpoint: Endpoint, port: int | None, *, datagrams: bool = False) -> Endpoint:
    """Where a port of an instance is reached; None: the main one.  Raises `NoWay`."""
    found = endpoint if port is None else endpoint.of_port(port, datagrams=datagrams)
    if found is None:
        kind = "UDP port" if datagrams else "port"
        raise NoWay(f"its {kind} {port} is not published, and none of its networks leads there from here")
    return found


async def connect(endpoint: Endpoint) -> socket.socket:
    """A connection to there, which the caller closes.  Raises `OSError`; it has no limit of its own."""
    sock = _new_socket(endpoint, socket.SOCK_STREAM)
    try:
        if endpoint.path is None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, (endpoint.host, endpoint.port))
        else:
            # Never under way, but made or refused: event loops take "the queue is full" for the former.
            sock.connect(endpoint.path)
    except BlockingIOError as error:
        sock.close()
        raise ConnectionRefusedError(f"too many wait at {endpoint}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def open_for_datagrams(endpoint: Endpoint) -> socket.socket:
    """A socket that sends there and hears nobody else.  Raises `OSError`."""
    sock = _new_socket(endpoint, socket.SOCK_DGRAM)
    try:
        sock.connect((endpoint.host, endpoint.port) if endpoint.path is None else endpoint.path)
    except BaseException:
        sock.close()
        raise
    return sock


def host_of(endpoint: Endpoint) -> str:
    """Which host a request that names none is for."""
    return _NAMELESS if endpoint.path is not None else str(endpoint)


def _new_socket(endpoint: Endpoint, kind: socket.SocketKind) -> socket.socket:
    if endpoint.path is not None:
        family = socket.AF_UNIX
    else:
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    return sock
