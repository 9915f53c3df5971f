"""Accepts connections as plain sockets: streams are carried by the kernel, not by a transport of the loop."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

from torpor.gateway.listeners import Address
from torpor.gateway.taker import Taker

log = logging.getLogger(__name__)

_AT_ONCE = 64
"""Connections accepted before others get their turn."""
_PAUSE = 1.0
"""Seconds without accepting once the system is out of descriptors or memory."""


class Acceptor(Taker):
    """One listening socket.  `accepted` gets each connection, and the address of whoever opened it."""

    def __init__(self, sock: socket.socket, accepted: Callable[[socket.socket, Address], None]) -> None:
        super().__init__(sock)
        self._accepted = accepted

    def _take(self) -> None:
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
            self._loop.add_reader(self._sock.fileno(), self._take)
