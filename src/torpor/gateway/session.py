"""Datagrams between one client's address and an app: held while the app wakes, then passed on both ways.

Laws:
1. What is held of one client is bounded; what does not fit is lost, as datagrams are.
2. A session ends when nothing has come either way for a while: nobody says good-bye.
3. Its lease or parking is repaid exactly once, whatever ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from torpor.core.model import Knock
from torpor.core.upstream import Upstream
from torpor.gateway.reach import GRACE, RETRY_PAUSE
from torpor.gateway.stay import Stay
from torpor.runtime.dial import NoWay, open_for_datagrams, way_to
from torpor.runtime.seam import Gate, Refused

if TYPE_CHECKING:
    from torpor.gateway.streams import Streams

log = logging.getLogger(__name__)

HELD = 16
"""Datagrams of one client that are held."""
HELD_BYTES = 64 * 1024
"""Bytes of them, all together."""
SILENCE = 60.0
"""Seconds without a datagram, either way, after which a session is over."""
LARGEST = 65_535
"""Bytes of a datagram."""
AT_ONCE = 64
"""Datagrams taken before others get their turn."""


class Session:
    """What a client's address and an app have to say to each other."""

    def __init__(
        self,
        streams: Streams,
        gate: Gate,
        by: Knock,
        answer: Callable[[bytes], None],
        ended: Callable[[], None],
        *,
        port: int | None = None,
    ) -> None:
        """`answer` sends to the client; `ended` is called once.  `port`: which one of the app; None: the main one."""
        self._streams = streams
        self._gate = gate
        self._by = by
        self._port = port
        self._answer = answer
        self._ended = ended
        self._stay: Stay | None = None
        self._app: socket.socket | None = None
        self._held: list[bytes] = []
        """What the app has not got, or may have been too young to hear."""
        self._heard = streams.loop.time()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle
        self._again: asyncio.TimerHandle | None = None

    @property
    def upstream(self) -> Upstream | None:
        """To whom it goes; None while it is held."""
        return None if self._stay is None else self._stay.upstream

    def open(self) -> None:
        """Begin."""
        self._task = self._streams.loop.create_task(self._reach())
        self._look_whether_silent()

    def say_goodbye(self) -> None:
        """There is no way to say it."""
        self.abort()

    def app_gone(self) -> None:
        """The app has ended: the next datagram begins another session."""
        self.abort()

    def abort(self) -> None:
        """End it."""
        if not self._streams.forget(self):
            return
        self._timer.cancel()
        if self._again is not None:
            self._again.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._app is not None:
            self._streams.loop.remove_reader(self._app.fileno())
            self._app.close()
        if self._stay is not None:
            self._stay.end()
        self._ended()

    def take(self, data: bytes) -> None:
        """A datagram of the client."""
        self._heard = self._streams.loop.time()
        # Once the app has spoken, it is old enough to hear all.
        if (self._stay is None or self._held) and self._has_room(len(data)):
            self._held.append(data)
        if self._stay is not None:
            self._stay.client_spoke(len(data))
            self._send(data)

    def _has_room(self, size: int) -> bool:
        return len(self._held) < HELD and sum(map(len, self._held)) + size <= HELD_BYTES

    async def _reach(self) -> None:
        try:
            upstream = self._gate.enter() or await self._gate.wait(self._by)
            self._stay = Stay(self._gate, upstream, self._gate.spec.stream_activity)
            self._app = open_for_datagrams(way_to(upstream.endpoint, self._port, datagrams=True))
        except Refused as refused:
            log.info("%s: %s: %s", self._gate.spec.name, self._by, refused)
        except NoWay as problem:
            log.info("%s: %s: %s", self._gate.spec.name, self._by, problem)
        except Exception:
            log.exception("%s: %s could not be carried", self._gate.spec.name, self._by)
        self._task = None
        if self._stay is None or self._app is None:
            self.abort()
            return
        self._streams.loop.add_reader(self._app.fileno(), self._read)
        self._stay.client_spoke(sum(map(len, self._held)))
        self._send_held()

    def _send_held(self) -> None:
        for data in self._held:
            self._send(data)

    def _send(self, data: bytes) -> None:
        assert self._app is not None
        with contextlib.suppress(OSError):  # lost, as datagrams are; a refusal is also met by whoever reads
            self._app.send(data)

    def _read(self) -> None:
        for _ in range(AT_ONCE):
            if self._app is None or self._stay is None:
                return
            try:
                data = self._app.recv(LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._refused()
                return
            self._held.clear()
            self._heard = self._streams.loop.time()
            self._stay.app_spoke(len(data))
            self._answer(data)

    def _refused(self) -> None:
        """Nobody listens there: not yet, where it has only just become ready."""
        assert self._stay is not None
        assert self._app is not None
        # libuv stops to look at a descriptor once that has had an error: have it look again.
        self._streams.loop.remove_reader(self._app.fileno())
        self._streams.loop.add_reader(self._app.fileno(), self._read)
        young = time.monotonic() < self._stay.upstream.ready_at + GRACE
        if self._held and young and self._again is None:
            self._again = self._streams.loop.call_later(RETRY_PAUSE, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        self._send_held()

    def _look_whether_silent(self) -> None:
        loop = self._streams.loop
        left = self._heard + SILENCE - loop.time()
        if left > 0 or self._task is not None:  # whoever is held is told by the gate
            self._timer = loop.call_later(max(left, 1.0), self._look_whether_silent)
        else:
            self.abort()
