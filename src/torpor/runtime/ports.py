"""Ports for `$PORT`: allotted where the config fixes none, checked where it does."""

from __future__ import annotations

import errno
import socket

from torpor.core.model import AppSpec, InstanceId, Scheme, StreamRoute
from torpor.errors import StartFailed

HOST = "127.0.0.1"
"""Where apps are expected to listen."""


class Ports:
    """Remembers which port each instance had, so that it gets the same one again where possible."""

    def __init__(self) -> None:
        self._allotted: dict[InstanceId, int] = {}

    def keep(self, id: InstanceId, port: int) -> None:
        """An instance that is alive already has this port."""
        self._allotted[id] = port

    def forget(self, id: InstanceId) -> None:
        """That instance is gone for good: its port may be another one's."""
        self._allotted.pop(id, None)

    def allot(self, id: InstanceId, spec: AppSpec) -> int:
        """A port that is free for all that comes to the app.  Raises `StartFailed` if its fixed one is not.

        A foreign program on the port would pass for the app: its readiness probe would
        hold, and visitors would be sent to it.  So a taken port ends the attempt.
        """
        kinds = _kinds(spec)
        _check_further(spec)
        if (fixed := spec.port) is not None:
            if (problem := _problem_with(fixed, kinds)) is not None:
                hint = "stop the other program, or give the app another `port`"
                raise StartFailed(f"cannot use port {fixed}: {problem}", hint=hint)
            return fixed
        before = self._allotted.get(id)
        if before is not None and _problem_with(before, kinds) is None:
            return before
        taken = {*self._allotted.values(), *spec.further_ports}
        while (port := _any_free_port()) in taken or _problem_with(port, kinds) is not None:
            pass
        self._allotted[id] = port
        return port


def _check_further(spec: AppSpec) -> None:
    """Raises `StartFailed` if somebody else has a port that the app is to have beside its main one."""
    for port, routes in spec.further_ports.items():
        udp = {isinstance(route, StreamRoute) and route.scheme is Scheme.UDP for route in routes}
        kinds = tuple(socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM for datagrams in udp)
        if (problem := _problem_with(port, kinds)) is not None:
            hint = f"stop the other program, or have the app listen elsewhere, and {routes[0]} lead there"
            raise StartFailed(f"cannot use port {port}: {problem}", hint=hint)


def _kinds(spec: AppSpec) -> tuple[socket.SocketKind, ...]:
    """Connections in any case: nobody can tell for what else the app uses its port."""
    datagrams = any(stream.scheme is Scheme.UDP and stream.app_port is None for stream in spec.streams)
    return (socket.SOCK_STREAM, socket.SOCK_DGRAM) if datagrams else (socket.SOCK_STREAM,)


def _problem_with(port: int, kinds: tuple[socket.SocketKind, ...]) -> str | None:
    return next(filter(None, (_problem_of(port, kind) for kind in kinds)), None)


def _problem_of(port: int, kind: socket.SocketKind) -> str | None:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            # A listener that ended leaves connections in TIME_WAIT; they are no obstacle to the app either.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "another program listens there"
            return (error.strerror or str(error)).lower()
    return None


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
