"""One client's connection that is carried byte by byte: held while its app wakes, then given to it.

Laws:
1. What the client sends meanwhile stays unread in the kernel: nothing is lost, and how much that is
   is bounded by the window that the kernel gives.
2. What one end does, the other one sees: an end in order is an end in order, a half one a half one,
   and a reset is a reset.
3. Whom the app will not serve is reset, not ended in order: there was no conversation, and an empty
   one would be told as a success.
4. Its lease or parking is repaid exactly once, whatever ends it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from torpor.core.model import Endpoint, Knock
from torpor.core.upstream import Upstream
from torpor.gateway.ending import reset
from torpor.gateway.reach import RETRY_PAUSE, Approach
from torpor.gateway.stay import Stay
from torpor.gateway.way import Way
from torpor.runtime.dial import connect, way_to
from torpor.runtime.seam import Gate, Refused

if TYPE_CHECKING:
    from torpor.gateway.streams import Streams

log = logging.getLogger(__name__)

QUIET = 0.25
"""Seconds without a word of the app after which its answer counts as whole, when a stream is to end."""


class Stream:
    """A connection, from its first moment to its last."""

    __slots__ = (
        "_ageing",
        "_app",
        "_client",
        "_down",
        "_gate",
        "_leaving",
        "_orphaned",
        "_port",
        "_preface",
        "_stay",
        "_streams",
        "_task",
        "_up",
        "by",
    )

    def __init__(
        self,
        streams: Streams,
        gate: Gate,
        client: socket.socket,
        by: Knock,
        *,
        port: int | None = None,
        preface: bytes = b"",
    ) -> None:
        """`port`: which one of the app; None: the main one.  `preface`: what the app is told first; short."""
        self.by = by
        self._port = port
        self._preface = preface
        self._streams = streams
        self._gate = gate
        self._client = client
        self._app: socket.socket | None = None
        self._stay: Stay | None = None
        """None: it is held."""
        self._up: Way
        self._down: Way
        self._task: asyncio.Task[None] | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._ageing: asyncio.TimerHandle | None = None
        self._orphaned = False

    @property
    def upstream(self) -> Upstream | None:
        """To whom it is carried; None while it is held."""
        return None if self._stay is None else self._stay.upstream

    def open(self) -> None:
        """Begin."""
        loop = self._streams.loop
        self._task = loop.create_task(self._reach())
        loop.add_reader(self._client.fileno(), self._glance)

    def say_goodbye(self) -> None:
        """End it in order: at once, or if the client waits for an answer, once that seems to be whole."""
        if self._stay is None:
            self.abort()
        elif not self._stay.waits:
            self._end(in_order=True)
        elif self._leaving is None:
            self._look_whether_quiet(None)

    def app_gone(self) -> None:
        """The app has ended: what it said is still passed on, and nobody waits for more."""
        self._orphaned = True
        self._half_ended()

    def abort(self) -> None:
        """End it now, by a reset."""
        self._end(in_order=False)

    # --- held ------------------------------------------------------------------------------

    def _glance(self) -> None:
        """See whether the client is gone, without reading: an end in order may be half an end only."""
        try:
            self._client.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.abort()
            return
        # What has come stays readable: nothing can be seen behind it.
        self._streams.loop.remove_reader(self._client.fileno())

    async def _reach(self) -> None:
        try:
            upstream, app = await self._connected()
        except Refused as refused:
            log.info("%s: %s: %s", self._gate.spec.name, self.by, refused)
        except Exception:
            # Whatever a provider's gate may raise, the client hears that it was for nothing.
            log.exception("%s: %s could not be carried", self._gate.spec.name, self.by)
        else:
            self._task = None
            self._carry(upstream, app)
            return
        self._task = None
        self.abort()

    async def _connected(self) -> tuple[Upstream, socket.socket]:
        """A lease, and a connection to where it is for.  Raises `Refused`, and `OSError` for a shortage of ours."""
        attempts = Approach(self._gate, self._port)
        upstream = self._gate.enter()
        while True:
            if upstream is None:
                upstream = await attempts.lease(self.by)
            try:
                async with self._streams.dials.to(upstream):
                    return upstream, await _dial(way_to(upstream.endpoint, self._port), self._preface)
            except OSError as problem:
                try:
                    attempts.turned_away(upstream, problem)
                finally:
                    self._gate.leave(upstream)
            except BaseException:
                self._gate.leave(upstream)
                raise
            upstream = attempts.another()
            if upstream is None:
                await asyncio.sleep(RETRY_PAUSE)

    # --- carried ---------------------------------------------------------------------------

    def _carry(self, upstream: Upstream, app: socket.socket) -> None:
        loop, pipes = self._streams.loop, self._streams.pipes
        loop.remove_reader(self._client.fileno())
        self._app = app
        spec = self._gate.spec
        self._stay = stay = Stay(self._gate, upstream, spec.stream_activity)
        if spec.stream_max_age is not None:
            self._ageing = loop.call_later(spec.stream_max_age, self.say_goodbye)
        self._up = Way(
            self._client, app, pipes, moved=stay.client_spoke, ended=self._half_ended, broken=self.abort
        )
        self._down = Way(
            app, self._client, pipes, moved=stay.app_spoke, ended=self._half_ended, broken=self.abort
        )
        self._up.open(loop)
        self._down.open(loop)

    def _half_ended(self) -> None:
        if self._down.over and (self._up.over or self._orphaned):
            self._end(in_order=True)

    def _look_whether_quiet(self, words: int | None) -> None:
        """End it if the app has said something, and nothing since it had said so many `words`."""
        stay = self._stay
        assert stay is not None
        if stay.words == words and not stay.waits:
            self._end(in_order=True)
            return
        self._leaving = self._streams.loop.call_later(QUIET, self._look_whether_quiet, stay.words)

    def _end(self, *, in_order: bool) -> None:
        """The one way out."""
        if self._streams.forget(self):
            loop = self._streams.loop
            if self._task is not None:
                self._task.cancel()
            for timer in (self._leaving, self._ageing):
                if timer is not None:
                    timer.cancel()
            if self._stay is None:
                loop.remove_reader(self._client.fileno())
            else:
                self._up.close()
                self._down.close()
                self._stay.end()
            for end in (self._client, self._app):
                if end is not None and in_order:
                    end.close()
                elif end is not None:
                    reset(end)


async def _dial(endpoint: Endpoint, preface: bytes) -> socket.socket:
    """A connection to there, on which `preface` has been said.  Raises `OSError`."""
    app = await connect(endpoint)
    try:
        await asyncio.get_running_loop().sock_sendall(app, preface)
    except BaseException:
        app.close()
        raise
    return app
