"""What engines send of a container's output: messages with their time, in frames or, from a terminal, in lines.

A message is a line, or a part of one that is too long for the engine's log.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from torpor.providers.guests.driver import Stream

_HEAD = struct.Struct(">BxxxL")
"""The stream's number, and the length of what follows."""
_STDERR = 2
_LONGEST = 1024 * 1024
"""Bytes of a message that are waited for before its first are passed on."""


class Message(NamedTuple):
    """Some output, as the engine has logged it."""

    stream: Stream
    data: bytes
    """With the time before it and a space between, where the engine was asked for times."""
    begins: bool = True
    """False: it is the rest, or some more, of the message before it."""


class Decoder(Protocol):
    """Takes what comes over a connection apart."""

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The messages that have become complete."""
        ...

    def rest(self) -> Iterator[Message]:
        """What is left of one that was not completed."""
        ...


class Frames:
    """Of a container without a terminal: stdout and stderr are told apart."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._missing = 0
        """Bytes still to come of a message whose first were passed on."""
        self._stream = Stream.STDOUT

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The messages that have become complete."""
        held = self._held
        held += chunk
        at = 0
        while len(held) > at:
            if self._missing:
                end = min(len(held), at + self._missing)
                self._missing -= end - at
                yield Message(self._stream, bytes(held[at:end]), begins=False)
                at = end
                continue
            if len(held) < at + _HEAD.size:
                break
            number, length = _HEAD.unpack_from(held, at)
            start, end = at + _HEAD.size, at + _HEAD.size + length
            if len(held) < end and len(held) - start < _LONGEST:
                break
            self._stream = Stream.STDERR if number == _STDERR else Stream.STDOUT
            self._missing = max(0, end - len(held))
            yield Message(self._stream, bytes(held[start:end]))
            at = min(end, len(held))
        del held[:at]

    def rest(self) -> Iterator[Message]:
        """Frames that were cut off say nothing that is whole."""
        self._held.clear()
        return iter(())


class Lines:
    """Of a container with a terminal, which writes to one stream."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The messages that have become complete."""
        held = self._held
        searched = len(held)
        held += chunk
        at = 0
        while (end := held.find(b"\n", max(at, searched))) >= 0:
            yield _line(bytes(held[at : end + 1]))
            at = end + 1
        del held[:at]
        if len(held) >= _LONGEST:
            yield from self.rest()

    def rest(self) -> Iterator[Message]:
        """What is left of one that was not completed."""
        if self._held:
            yield _line(bytes(self._held))
        self._held.clear()


def _line(line: bytes) -> Message:
    # The parts of a long line each carry their time, the same one, and nothing says where they begin.
    stamp, space, data = line.partition(b" ")
    return Message(Stream.STDOUT, stamp + space + data.replace(stamp + b" ", b""))
