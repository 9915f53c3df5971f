"""A connection that first has to say for whom and for which app it is.

Laws:
1. What is for the app is not read: it gets its greeting itself, whole.  Only what a proxy says for us is taken.
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
from torpor.gateway.early import Foreign, Incomplete
from torpor.gateway.ending import reset
from torpor.gateway.hello import MOST, UNKNOWN_NAME, server_name
from torpor.gateway.proxied import Ends, read_header

if TYPE_CHECKING:
    from torpor.gateway.streams import Streams


class Greeting:
    """A connection of which more has to be known before it can be given to an app."""

    upstream: Upstream | None = None
    """It is not carried to anybody yet."""

    def __init__(
        self,
        streams: Streams,
        listen: Listen,
        client: socket.socket,
        ends: Ends,
        *,
        proxied: bool,
        named: bool,
    ) -> None:
        """`proxied`: a proxy says first for whom it is; `named`: the client then says which server it wants."""
        self.listen = listen
        self.client = client
        self.ends = ends
        self.name: str | None = None
        """The server that the client wants; None: that is of no interest."""
        self._streams = streams
        self._proxied = proxied
        self._named = named
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
        data = b""
        try:
            if self._proxied:
                data = self.client.recv(MOST, socket.MSG_PEEK)
                self._take_header(data)
            if self._named:
                data = self.client.recv(MOST, socket.MSG_PEEK)
                self.name = server_name(data)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, Foreign):
            self.abort()
        except Incomplete:
            self._await_more(len(data))
        else:
            if self._leave():
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
                self._streams.greeted(self)

    def _take_header(self, data: bytes) -> None:
        size, ends = read_header(data)
        self.client.recv(size)
        self.ends = ends or self.ends
        self._proxied = False
        self._seen = 0
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _await_more(self, size: int) -> None:
        if size in {self._seen, MOST}:  # its end has come instead, or there is no end to it
            self.abort()
        else:
            self._seen = size
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size + 1)

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
