"""Upgraded connections: a tunnel between a client and an app.

Laws:
1. A tunnel repays its lease (or its parking) exactly once, when it ends.
2. Payloads are never copied or unmasked; WebSocket frame headers are followed only to know
   what is activity and where a frame ends.
3. A close frame of ours is written on a frame boundary or not at all.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from torpor.core.model import SocketActivity, SocketPolicy
from torpor.gateway.backend import BackendConnection
from torpor.gateway.ending import end_writing
from torpor.runtime.seam import Gate

if TYPE_CHECKING:
    from torpor.gateway.http import ClientConnection

FRAME_END_LIMIT = 1.0
"""Seconds that a good-bye waits for the end of the frame that the app is in the middle of."""

_GOING_AWAY = b"\x88\x02\x03\xe9"
_GOING_AWAY_MASKED = b"\x88\x82\x00\x00\x00\x00\x03\xe9"
_DATA_OPCODES = frozenset({0, 1, 2})
_CLOSE_OPCODE = 8


class FrameCursor:
    """Follows the frames of one direction of a WebSocket."""

    __slots__ = ("_head", "_left", "_opcode", "closing")

    def __init__(self) -> None:
        self._head = b""
        """The beginning of a frame header that is not complete."""
        self._left = 0
        """Payload bytes of the current frame that are to come."""
        self._opcode = _CLOSE_OPCODE
        self.closing = False
        """Whether a close frame has begun: nothing may follow it."""

    @property
    def at_boundary(self) -> bool:
        """Whether the last byte seen ended a frame."""
        return not self._left and not self._head

    def follow(self, data: bytes) -> bool:
        """Take what was sent; whether any of it belongs to a data frame."""
        active = False
        position = 0
        while position < len(data):
            position = self._step(data, position)
            active = active or self._opcode in _DATA_OPCODES
        return active

    def to_boundary(self, data: bytes) -> int:
        """Take bytes until the current frame ends; how many that are."""
        position = 0
        while position < len(data) and not self.at_boundary:
            position = self._step(data, position)
        return position

    def _step(self, data: bytes, position: int) -> int:
        """Go on to the end of a header or of a payload, or to the end of `data`."""
        if self._left:
            taken = min(self._left, len(data) - position)
            self._left -= taken
            return position + taken
        # No header is longer than 14 bytes: what is copied here is never a payload.
        head = self._head + data[position : position + 14 - len(self._head)]
        size = _header_size(head)
        self._opcode = head[0] & 0x0F
        if len(head) < size:
            self._head = head
            return len(data)
        position += size - len(self._head)
        self._head = b""
        if self._opcode == _CLOSE_OPCODE:
            self.closing = True
        length = head[1] & 0x7F
        if length == 126:
            length = int.from_bytes(head[2:4], "big")
        elif length == 127:
            length = int.from_bytes(head[2:10], "big")
        self._left = length
        return position


def _header_size(head: bytes) -> int:
    """How long the frame header is that begins like this; two bytes tell."""
    if len(head) < 2:
        return 2
    length = head[1] & 0x7F
    extended = 2 if length == 126 else 8 if length == 127 else 0
    return 2 + extended + (4 if head[1] & 0x80 else 0)


class Tunnel:
    """Both ends of an upgraded connection."""

    def __init__(
        self,
        client: ClientConnection,
        backend: BackendConnection,
        gate: Gate,
        policy: SocketPolicy,
        *,
        is_websocket: bool,
    ) -> None:
        self.client = client
        self.upstream = backend.upstream
        self._backend = backend
        self._gate = gate
        self._parked = policy.activity is not SocketActivity.OPEN
        self._counts = policy.activity is SocketActivity.DATA
        self._max_age = policy.max_age
        self._up = FrameCursor() if is_websocket else None
        self._down = FrameCursor() if is_websocket else None
        self._leaving = False
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._half_closed = False

    def pause_app(self) -> None:
        """The client reads too slowly."""
        self._backend.pause_reading()

    def resume_app(self) -> None:
        """The client has room again."""
        self._backend.resume_reading()

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin: the age limit runs from here."""
        self._backend.tunnel = self
        if self._max_age is not None:
            self._timer = loop.call_later(self._max_age, self.say_goodbye)

    def from_client(self, data: bytes) -> None:
        """Bytes from the client."""
        self._backend.transport.write(data)
        active = self._up is None or self._up.follow(data)
        if self._counts:
            self._weigh(data)
            if active:
                self._gate.touch(self.upstream)

    def from_app(self, data: bytes) -> None:
        """Bytes from the app."""
        if self._down is not None:
            if self._leaving:
                data = data[: self._down.to_boundary(data)]
            else:
                self._down.follow(data)
        if self._counts:
            self._weigh(data)
        self.client.transport.write(data)
        if self._leaving and self._down is not None and self._down.at_boundary:
            self._goodbye_now()

    def say_goodbye(self) -> None:
        """Close with 1001 (going away), at the end of the frame that is on its way."""
        if self._ended or self._leaving:
            return
        self._leaving = True
        if self._down is None or self._down.at_boundary:
            self._goodbye_now()
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(FRAME_END_LIMIT, self._end)

    def client_eof(self) -> bool:
        """The client sends no more.  Whether its own side stays open."""
        if self._up is not None or self._half_closed or not self._backend.transport.can_write_eof():
            self._end()
            return False
        self._half_closed = True
        end_writing(self._backend.transport)
        return True

    def app_eof(self) -> bool:
        """The app sends no more.  Whether its own side stays open."""
        if self._down is not None or self._half_closed or not self.client.transport.can_write_eof():
            self._end()
            return False
        self._half_closed = True
        end_writing(self.client.transport)
        return True

    def client_lost(self) -> None:
        """The client's connection is gone."""
        self._end()

    def app_lost(self) -> None:
        """The app's connection is gone."""
        self._end()

    def _weigh(self, data: bytes) -> None:
        volume = self.upstream.volume
        if volume is not None:
            volume.passed += len(data)

    def _goodbye_now(self) -> None:
        if self._down is not None and not self._down.closing:
            self.client.transport.write(_GOING_AWAY)
        if self._up is not None and self._up.at_boundary and not self._up.closing:
            self._backend.transport.write(_GOING_AWAY_MASKED)
        self._end()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._backend.tunnel = None
        transport = self._backend.transport
        transport.close()
        if transport.get_write_buffer_size():
            # An app that does not read must not hold the connection for ever.
            asyncio.get_running_loop().call_later(FRAME_END_LIMIT, transport.abort)
        if self._parked:
            self._gate.unpark(self.upstream)
        else:
            self._gate.leave(self.upstream)
        self.client.tunnel_closed(self)
