"""The receiving side of sd_notify, one socket per generation of an instance.

1. A message counts only if the kernel says that its sender belongs to the instance.
2. What is taken from a message, its size, and the work of one turn of the loop are bounded.
   A message of which a part was cut off counts for nothing.
3. Descriptors that come along are closed when all before has been dealt with, which is
   what BARRIER=1 waits for, and before anything after it is: who sends what takes long
   to close waits for that alone.
4. The socket is known by its path alone: the next daemon binds it again, and the app,
   which keeps the path, never knows.  What it says while no daemon listens is lost.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from torpor.providers.process.disposal import close_foreign
from torpor.providers.process.fdstore import FdStore

logger = logging.getLogger(__name__)

_CREDENTIALS = struct.Struct("3i")
_SO_PASSCRED = getattr(socket, "SO_PASSCRED", 16)
_SCM_CREDENTIALS = getattr(socket, "SCM_CREDENTIALS", 2)
_LARGEST = 16 * 1024
_MOST_FDS = 253
"""As many as the kernel lets into a message (SCM_MAX_FD): what has no room is closed by it, on the loop."""
_PER_TURN = 16
_MOST_AT_ONCE = 512
_LONGEST_PATH = 107

Hear = Callable[[Mapping[str, str]], None]
Object = Callable[[str], None]


class NotifySocket:
    """Receives what an instance says of itself, and the descriptors that it gives away."""

    def __init__(self, path: Path, store: FdStore | None = None) -> None:
        """`store` keeps the descriptors; None: they are closed."""
        self.path = path
        self._store = store
        self._belongs: Callable[[int], bool] = lambda _: False
        self._hear: Hear = lambda _: None
        self._object: Object = lambda _: None
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Bind, so that messages can queue; the owner of a socket that lies there stays it.  Raises `OSError`."""
        if len(os.fsencode(self.path)) > _LONGEST_PATH:
            raise OSError(f"the path of the notify socket is too long: {self.path}")
        owner = None
        with contextlib.suppress(FileNotFoundError):
            owner = os.lstat(self.path)
            os.unlink(self.path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, _SO_PASSCRED, 1)
            sock.bind(os.fspath(self.path))
            if owner is not None and owner.st_uid != os.geteuid():
                os.chown(self.path, owner.st_uid, owner.st_gid)
        except OSError:
            sock.close()
            raise
        self._socket = sock

    def listen(self, belongs: Callable[[int], bool], hear: Hear, objection: Object = lambda _: None) -> None:
        """Take messages from now on.  `belongs`: whether a pid is one of the instance's processes.

        `objection` is told each time why descriptors are not kept.
        """
        assert self._socket is not None
        self._belongs = belongs
        self._hear = hear
        self._object = objection
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._take_some)

    def close(self, *, unlink: bool = True) -> None:
        """Stop listening; `unlink` removes the path too."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        # What nobody has read goes with it.
        close_foreign([self._socket.detach()])
        self._socket = None
        if unlink:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def catch_up(self) -> None:
        """Take what has been said until now, as far as a sender that goes on can not hold us here."""
        sent: list[int] = []
        for _ in range(_MOST_AT_ONCE):
            fds = self._take()
            sent += fds or ()
            if fds is None or len(sent) > _MOST_FDS:
                break
        close_foreign(sent)

    def _take_some(self) -> None:
        """Take some messages."""
        loop = asyncio.get_running_loop()
        for _ in range(_PER_TURN):
            fds = self._take()
            if fds is None:
                return
            if not close_foreign(fds, lambda: _tell(loop, self._go_on)) and self._socket is not None:
                loop.remove_reader(self._socket.fileno())
                return

    def _go_on(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._take_some)

    def _take(self) -> list[int] | None:
        """Take one message; the descriptors that the caller closes, None if there is no message."""
        if self._socket is None:
            return None
        space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(4 * _MOST_FDS)
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(_LARGEST, space, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return None
        pid, fds = _take_ancillary(ancillary)
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            logger.debug("a message of process %d to %s was ignored: it is cut off", pid, self.path)
            return fds
        if not self._belongs(pid):
            logger.debug("a message of process %d to %s was ignored: not of that app", pid, self.path)
            return fds
        said = _assignments(data)
        fds += self._keep(said, fds)
        self._hear(said)
        return fds

    def _keep(self, said: Mapping[str, str], fds: list[int]) -> list[int]:
        """Keep what is to be kept; the descriptors that are no longer."""
        if self._store is None:
            return []
        name = said.get("FDNAME")
        if said.get("FDSTOREREMOVE") == "1":
            return [] if name is None else self._store.remove(name)
        if said.get("FDSTORE") == "1":
            ended = self._store.remove_hung_up()
            objection = self._store.keep(name, fds, poll=said.get("FDPOLL") != "0")
            if objection is not None:
                self._object(objection)
            return ended
        return []


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Have the loop call it; to be called in another thread."""
    # It may have ended meanwhile.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def _assignments(data: bytes) -> Mapping[str, str]:
    """The last value of each key."""
    lines = data.decode("utf-8", "replace").split("\n")
    return {key: value for line in lines for key, equals, value in [line.partition("=")] if equals}


def _take_ancillary(messages: list[tuple[int, int, bytes]]) -> tuple[int, list[int]]:
    """The sender's pid, 0 if unknown, and the descriptors that came along."""
    pid = 0
    fds = array.array("i")
    for level, kind, data in messages:
        if level != socket.SOL_SOCKET:
            continue
        if kind == _SCM_CREDENTIALS:
            pid = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0]
        elif kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return pid, list(fds)
