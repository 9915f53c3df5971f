"""The sockets at which apps listen and that Torpor binds for them (`activation`).

1. A socket is bound at the first start and outlives generations: between two of them the kernel
   queues whoever connects, and nobody is refused.
2. It is closed once nothing is to follow by itself: whoever queued up then would wait for nobody.
3. An app that the daemon before this one has started holds its socket itself.  It is taken back from
   it where that is permitted; else the next generation gets a new one, as if it were the first.
4. The file of a Unix socket at which nobody listens any more is removed; one at which somebody
   does is never taken away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

from torpor.core.model import AppSpec, InstanceId
from torpor.errors import StartFailed
from torpor.runtime.ports import HOST, Ports

_BACKLOG = 4096
"""Connections that may queue up; the kernel's own limit (`net.core.somaxconn`) holds, too."""


class Sockets:
    """At most one for each instance."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._bound: dict[InstanceId, socket.socket] = {}

    def open(self, id: InstanceId, spec: AppSpec) -> socket.socket:
        """The one to hand to its next generation; it stays ours.  Raises `StartFailed`."""
        sock = self._bound.get(id)
        if sock is None or not _fits(sock, spec):
            self.close(id)
            sock = self._bind(id, spec)
        self._bound[id] = sock
        # The generation before may have left it so that this one would not expect it, even shut down.
        sock.setblocking(True)
        try:
            sock.listen(_BACKLOG)
        except OSError as error:
            self.close(id)
            raise StartFailed(f"cannot listen where {id} is to: {error.strerror}") from error
        return sock

    def keep(self, id: InstanceId, spec: AppSpec, descriptor: int) -> None:
        """One that an instance was handed by the daemon before this one."""
        sock = socket.socket(fileno=descriptor)
        if _fits(sock, spec):
            self._bound[id] = sock
        else:
            sock.close()

    def close(self, id: InstanceId) -> None:
        """Let nobody queue up there any more."""
        sock = self._bound.pop(id, None)
        if sock is not None:
            _remove_file(sock)
            sock.close()

    def let_go(self) -> None:
        """The daemon ends: what apps still hold is theirs."""
        for sock in self._bound.values():
            sock.close()
        self._bound.clear()

    def _bind(self, id: InstanceId, spec: AppSpec) -> socket.socket:
        if spec.socket is not None:
            clear(spec.socket)
            where: tuple[str, int] | str = spec.socket
            sock = socket.socket(socket.AF_UNIX)
        else:
            where = HOST, self._ports.allot(id, spec)
            sock = socket.socket(socket.AF_INET)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(where)
        except OSError as error:
            sock.close()
            raise StartFailed(f"cannot listen at {_name(where)}: {error.strerror or error}") from error
        return sock


def port_of(sock: socket.socket) -> int | None:
    """Where it listens; None: not at a port."""
    return sock.getsockname()[1] if sock.family == socket.AF_INET else None


def clear(path: str) -> None:
    """Make room for somebody who will listen there.  Raises `StartFailed` if somebody does already.

    A foreign program would pass for the app; but a file that a killed one left is in the way of most.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if not os.path.isdir(folder := os.path.dirname(path)):
            raise StartFailed(
                f"cannot listen at {path}: there is no directory {folder}", hint="create it"
            ) from None
        return
    except OSError as error:
        raise StartFailed(f"cannot listen at {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(found.st_mode):
        raise StartFailed(
            f"cannot listen at {path}: there is a file that is no socket",
            hint="remove it, or give the app another `address`",
        )
    try:
        if _somebody_listens(path):
            raise StartFailed(
                f"cannot listen at {path}: another program does",
                hint="stop it, or give the app another `address`",
            )
        os.unlink(path)
    except OSError as error:
        raise StartFailed(f"cannot listen at {path}: {error.strerror}") from error


def _somebody_listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError as error:
            # Many have queued up there, or it is one for datagrams.
            if error.errno not in (errno.EAGAIN, errno.EPROTOTYPE):
                raise
    return True


def _fits(sock: socket.socket, spec: AppSpec) -> bool:
    """Whether it is where the app is to listen."""
    try:
        name = sock.getsockname()
    except OSError:
        return False
    if spec.socket is not None:
        return name == spec.socket and os.path.exists(spec.socket)
    if sock.family != socket.AF_INET or sock.type != socket.SOCK_STREAM or name[0] != HOST:
        return False
    return spec.port in (None, name[1])


def _remove_file(sock: socket.socket) -> None:
    if sock.family == socket.AF_UNIX:
        with contextlib.suppress(OSError):
            os.unlink(sock.getsockname())


def _name(where: tuple[str, int] | str) -> str:
    return where if isinstance(where, str) else f"{where[0]}:{where[1]}"
