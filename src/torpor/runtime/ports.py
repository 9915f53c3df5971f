"""Ports for `$PORT`: allotted where the config fixes none, checked where it does."""

from __future__ import annotations

import errno
import socket

from torpor.core.model import InstanceId
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

    def allot(self, id: InstanceId, fixed: int | None) -> int:
        """A free port.  Raises `StartFailed` if a fixed one is taken or not permitted.

        A foreign program on the port would pass for the app: its readiness probe would
        hold, and visitors would be sent to it.  So a taken port ends the attempt.
        """
        if fixed is not None:
            if (problem := _problem_with(fixed)) is not None:
                hint = "stop the other program, or give the app another `port`"
                raise StartFailed(f"cannot use port {fixed}: {problem}", hint=hint)
            return fixed
        before = self._allotted.get(id)
        if before is not None and _problem_with(before) is None:
            return before
        taken = set(self._allotted.values())
        while (port := _any_free_port()) in taken:
            pass
        self._allotted[id] = port
        return port


def _problem_with(port: int) -> str | None:
    with socket.socket() as probe:
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
