"""A socket on which datagrams are taken: each address that sends has a session of its own."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from torpor.gateway.session import AT_ONCE, LARGEST, Session
from torpor.gateway.taker import Taker

Begin = Callable[["Letterbox", Any], "Session | None"]
"""Begins a session with an address; None where there is to be none."""


class Letterbox(Taker):
    """Takes datagrams in, and sends the answers."""

    def __init__(self, sock: socket.socket, begin: Begin) -> None:
        super().__init__(sock)
        self._begin = begin
        self._sessions: dict[Any, Session] = {}

    def close(self) -> None:
        """Take no more.  Nobody can be answered without the socket: the sessions end."""
        super().close()
        for session in list(self._sessions.values()):
            session.abort()

    def answer(self, address: Any, data: bytes) -> None:
        """Send a datagram; it may be lost."""
        if not self._closed:
            with contextlib.suppress(OSError):
                self._sock.sendto(data, address)

    def forget(self, address: Any) -> None:
        """A session is over."""
        self._sessions.pop(address, None)

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            try:
                data, address = self._sock.recvfrom(LARGEST)
            except OSError:  # nothing is left, or an answer did not arrive
                return
            session = self._sessions.get(address)
            if session is None:
                session = self._begin(self, address)
                if session is None:
                    continue
                self._sessions[address] = session
            session.take(data)
