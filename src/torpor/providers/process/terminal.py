"""A terminal for an app that wants one (`tty: true`).

The app sits at the slave side; what it writes there is passed on to the pipe of its
log.  Unlike that pipe a terminal cannot outlive the daemon: when the master side is
gone the kernel hangs up, and the app gets a HUP.
"""

from __future__ import annotations

import asyncio
import os
import struct
import termios
from fcntl import ioctl

from torpor.config.settings import Identity

NAME = "xterm"
"""What TERM says where the config does not name one."""
_ROWS, _COLUMNS = 24, 80
_CHUNK = 32 * 1024
_OUTPUT_FLAGS = 1


class Terminal:
    """Both sides of one terminal, and the passing on."""

    def __init__(self) -> None:
        self.path = ""
        """The slave side, which the app opens."""
        self._master = -1
        # Kept open: without anybody at that side, the master would only report errors.
        self._slave = -1
        self._pipe = -1
        self._rest = b""

    def open(self, identity: Identity | None, pipe: int) -> None:
        """Open it for a program of that user; what is written goes to `pipe`.  Raises `OSError`."""
        self._master, self._slave = os.openpty()
        self.path = os.ttyname(self._slave)
        modes = termios.tcgetattr(self._slave)
        # A log's lines end in a line feed alone.
        modes[_OUTPUT_FLAGS] &= ~termios.ONLCR
        termios.tcsetattr(self._slave, termios.TCSANOW, modes)
        ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("4H", _ROWS, _COLUMNS, 0, 0))
        if identity is not None and identity.uid != os.geteuid():
            os.fchown(self._slave, identity.uid, -1)
        os.set_blocking(self._master, False)
        # An opening of its own, because not to wait is a property of the opening.
        self._pipe = os.open(f"/proc/self/fd/{pipe}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._master, self._forward)

    def pump(self) -> bool:
        """Pass on what is there.  False if there is nothing, or the pipe is full."""
        if self._master < 0:
            return False
        if not self._rest:
            try:
                self._rest = os.read(self._master, _CHUNK)
            except BlockingIOError:
                return False
        try:
            written = os.write(self._pipe, self._rest)
        except BlockingIOError:
            return False
        self._rest = self._rest[written:]
        return written > 0

    def close(self) -> None:
        """Hang up."""
        loop = asyncio.get_running_loop()
        if self._master >= 0:
            loop.remove_reader(self._master)
        if self._pipe >= 0:
            loop.remove_writer(self._pipe)
        for fd in (self._master, self._slave, self._pipe):
            if fd >= 0:
                os.close(fd)
        self._master = self._slave = self._pipe = -1

    def _forward(self) -> None:
        self.pump()
        if self._rest:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._master)
            loop.add_writer(self._pipe, self._resume)

    def _resume(self) -> None:
        self.pump()
        if not self._rest:
            loop = asyncio.get_running_loop()
            loop.remove_writer(self._pipe)
            loop.add_reader(self._master, self._forward)
