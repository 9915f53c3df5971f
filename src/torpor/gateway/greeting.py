"""A connection that first has to say which app it is for: what it says is looked at, and left where it is.

Laws:
1. Nothing is read: the app gets the greeting itself, whole.
2. A greeting has a limit of size and of time.  Half of one costs nothing while the other half is awaited:
   the kernel tells when more has come (SO_RCVLOWAT).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from torpor.config.settings import Listen
from torpor.core.upstream import Upstream
from torpor.gateway.ending import reset
from torpor.gateway.hello import MOST, UNKNOWN_NAME, Incomplete, NotTls, server_name

if TYPE_CHECKING:
    from torpor.gateway.streams import Streams


class Greeting:
    """A connection of which the server name is awaited."""

    upstream: Upstream | None = None
    """It is not carried to anybody yet."""

    def __init__(self, streams: Streams, listen: Listen, client: socket.socket, address: str) -> None:
        self.listen = listen
        self.client = client
        self.address = address
        self._streams = streams
        self._seen = 0
        self._timer: asyncio.TimerHandle

    def open(self) -> None:
        """Begin."""
        loop = self._streams.loop
        loop.add_reader(self.client.fileno(), self._look)
        self._timer = loop.call_later(self._streams.limits.header_timeout, self.abort)

    def say_goodbye(self) -> None:
        """End it: nothing has been said yet."""
        self.abort()

    def app_gone(self) -> None:
        """Concerns others."""

    def abort(self) -> None:
        """End it now, by a reset."""
        if self._leave():
            reset(self.client)

    def _look(self) -> None:
        try:
            data = self.client.recv(MOST, socket.MSG_PEEK)
            name = server_name(data)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, NotTls):
            self.abort()
            return
        except Incomplete:
            if len(data) in {self._seen, MOST}:  # its end has come instead, or there is no end to it
                self.abort()
                return
            self._seen = len(data)
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self._seen + 1)
            return
        if self._leave():
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            self._streams.greeted(self, name)

    def _leave(self) -> bool:
        if not self._streams.forget(self):
            return False
        self._timer.cancel()
        self._streams.loop.remove_reader(self.client.fileno())
        return True


def refuse_name(client: socket.socket) -> None:
    """Tell a client that nobody here has that name, in its own language."""
    with contextlib.suppress(OSError):
        client.recv(MOST)  # what is left unread would turn the alert into a reset
        client.send(UNKNOWN_NAME)
    client.close()
