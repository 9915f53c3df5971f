"""The receiving side of sd_notify, one socket per generation of an instance.

A message counts only if the kernel says that its sender belongs to the instance.
Keys that are not understood are ignored, as the protocol asks.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)

_CREDENTIALS = struct.Struct("3i")
_SO_PASSCRED = getattr(socket, "SO_PASSCRED", 16)
_SCM_CREDENTIALS = getattr(socket, "SCM_CREDENTIALS", 2)
_LARGEST = 16 * 1024
_MOST_FDS = 64
_PER_TURN = 32
_LONGEST_PATH = 107
_LONGEST_STATUS = 200


class NotifySocket:
    """Collects what an instance says of itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ready = asyncio.Event()
        """Set by READY=1."""
        self.status = ""
        """The last STATUS=, for people."""
        self._belongs: Callable[[int], bool] = lambda _: False
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Bind, so that messages can queue.  Raises `OSError`."""
        if len(os.fsencode(self.path)) > _LONGEST_PATH:
            raise OSError(f"the path of the notify socket is too long: {self.path}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, _SO_PASSCRED, 1)
            sock.bind(os.fspath(self.path))
        except OSError:
            sock.close()
            raise
        self._socket = sock

    def listen(self, belongs: Callable[[int], bool]) -> None:
        """Take messages from now on.  `belongs`: whether a pid is one of the instance's processes."""
        assert self._socket is not None
        self._belongs = belongs
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def close(self, *, unlink: bool = True) -> None:
        """Stop listening; `unlink` removes the path too."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = None
        if unlink:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def _read(self) -> None:
        for _ in range(_PER_TURN):
            if self._socket is None:
                return
            space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(4 * _MOST_FDS)
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_LARGEST, space)
            except OSError:
                return
            pid = _take_ancillary(ancillary)
            if self._belongs(pid):
                self._apply(data)
            else:
                logger.debug("a message of process %d to %s was ignored: not of that app", pid, self.path)

    def _apply(self, data: bytes) -> None:
        for line in data.decode("utf-8", "replace").splitlines():
            key, _, value = line.partition("=")
            if key == "READY" and value == "1":
                self.ready.set()
            elif key == "STATUS":
                self.status = value[:_LONGEST_STATUS]


def _take_ancillary(messages: list[tuple[int, int, bytes]]) -> int:
    """The sender's pid, 0 if unknown.  Descriptors are closed: that is what BARRIER=1 waits for."""
    pid = 0
    for level, kind, data in messages:
        if level != socket.SOL_SOCKET:
            continue
        if kind == _SCM_CREDENTIALS:
            pid = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0]
        elif kind == socket.SCM_RIGHTS:
            fds = array.array("i")
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
            for fd in fds:
                os.close(fd)
    return pid
