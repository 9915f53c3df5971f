"""The control socket: the operator's API on a unix socket that only its owner may open.

A lock beside the socket tells a live daemon from a dead one's leftovers.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

from torpor.control.api import Api, DaemonInfo
from torpor.control.connection import Connection
from torpor.control.gate import Ask
from torpor.errors import StateUnusable
from torpor.runtime.keeper import Keeper
from torpor.runtime.operator import Operator

__all__ = ["ControlServer", "DaemonInfo"]

MAX_CONNECTIONS = 256
"""Open connections; more are answered 503."""
CLOSE_LIMIT = 2.0
"""Seconds that answers under way may take when the server closes."""


class ControlServer:
    """Serves the API from `open` to `close`."""

    def __init__(
        self,
        operator: Operator,
        socket_path: str | Path,
        info: DaemonInfo,
        keeper: Keeper | None = None,
        ask: Ask | None = None,
    ) -> None:
        """Without a `keeper` the set of apps cannot be changed; without `ask` there is no gate."""
        self._api = Api(operator, info, keeper, ask)
        self._path = Path(socket_path)
        self._pid = info.pid
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._lock = -1

    async def open(self) -> None:
        """Listen.  `/readyz` answers 503 until `mark_ready`.

        Raises `StateUnusable` where the socket cannot be made, or another daemon lives on it.
        """
        app = self._api.application()
        listener = self._bind()
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(app, self._connections, MAX_CONNECTIONS), sock=listener
        )

    def inform(self, info: DaemonInfo) -> None:
        """Tell this of the daemon from now on."""
        self._api.info = info

    def mark_ready(self) -> None:
        """From now on `/readyz` answers 200."""
        self._api.ready = True

    async def close(self) -> None:
        """Stop listening, give every open stream and wait its end, remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._api.close()
        connections = list(self._connections)
        for connection in connections:
            connection.shut_down()
        if tasks := [one.task for one in connections if one.task is not None]:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_LIMIT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in list(self._connections):
            connection.abandon()
        await self._server.wait_closed()
        self._server = None
        self._path.unlink(missing_ok=True)
        os.close(self._lock)

    def _bind(self) -> socket.socket:
        path = self._path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._claim()
            try:
                self._remove_stale()
                return _listening(path)
            except BaseException:
                os.close(self._lock)
                raise
        except OSError as error:
            raise StateUnusable(
                f"cannot make the control socket {path}: {error.strerror or error}",
                hint="Set TORPOR_SOCKET to a path in a directory of yours.",
            ) from error

    def _claim(self) -> int:
        """Take the lock that a living daemon holds, and write our pid into it."""
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            os.close(lock)
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            whose = f"pid {other}" if other.isdigit() else "pid unknown"
            raise StateUnusable(
                f"another torpor ({whose}) answers on {self._path}",
                hint="`torpor down` ends it; or give this one its own TORPOR_SOCKET.",
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{self._pid}\n".encode(), 0)
        return lock

    def _remove_stale(self) -> None:
        """Remove the socket of a dead daemon; whatever else lies there is not ours to remove."""
        try:
            mode = self._path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise StateUnusable(
                f"{self._path} exists and is not a socket", hint="Move it away, or set TORPOR_SOCKET."
            )
        self._path.unlink()


def _listening(path: Path) -> socket.socket:
    """A socket bound to `path`, with mode 0600 from its first moment on."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # On Linux the new node takes its mode from the socket itself: no window, no process-wide umask.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(os.fspath(path))
    except BaseException:
        listener.close()
        raise
    return listener
