"""Accepts connections as plain sockets: streams are carried by the kernel, not by a transport of the loop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from torpor.gateway.listeners import Address

log = logging.getLogger(__name__)

_AT_ONCE = 64
"""Connections accepted before others get their turn."""
_PAUSE = 1.0
"""Seconds without accepting once the system is out of descriptors or memory."""


class Acceptor:
    """One listening socket.  `accepted` gets each connection, and the address of whoever opened it."""

    def __init__(self, sock: socket.socket, accepted: Callable[[socket.socket, Address], None]) -> None:
        self._sock = sock
        self._accepted = accepted
        self._loop: asyncio.AbstractEventLoop
        self._closed = False

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """As those of `asyncio.Server`."""
        return () if self._closed else (self._sock,)

    def open(self) -> None:
        """Begin to accept."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more.  What was accepted is not touched."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as problem:
                log.error("cannot accept connections for %g s: %s", _PAUSE, problem)
                self._loop.remove_reader(self._sock.fileno())
                self._loop.call_later(_PAUSE, self._resume)
                return
            client.setblocking(False)
            self._accepted(client, address[:2])

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._sock.fileno(), self._accept)
