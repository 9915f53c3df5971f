"""A socket of ours that is read from the loop, without a transport."""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod


class Taker(ABC):
    """Calls `_take` whenever something has come."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop: asyncio.AbstractEventLoop
        self._closed = False

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """As those of `asyncio.Server`."""
        return () if self._closed else (self._sock,)

    def open(self) -> None:
        """Begin to take."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock.fileno(), self._take)

    def close(self) -> None:
        """Take no more.  What was taken is not touched."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    @abstractmethod
    def _take(self) -> None:
        """Take what has come."""
