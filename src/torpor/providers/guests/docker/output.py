"""Reads what one run of a container has written, and can go on after any piece of it.

The engine keeps the output of all runs of a container in one log, and can only be asked for what
was logged since some moment.  So a cursor is such a moment, and how many messages of just that
moment were told: Podman writes times without fractions of seconds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from torpor.providers.guests.docker.api import EngineApi, Refused, container_path
from torpor.providers.guests.docker.container import Container, run_of, start_of
from torpor.providers.guests.docker.frames import Decoder, Frames, Lines, Message
from torpor.providers.guests.docker.moments import SECOND, nanoseconds
from torpor.providers.guests.docker.seams import Seams
from torpor.providers.guests.driver import Piece, Stream


class Cursor(NamedTuple):
    """What was told: all before a moment (ns since the epoch), and some messages of that moment."""

    moment: int
    told: int = 0

    def __str__(self) -> str:
        return f"{self.moment:019d}+{self.told:06d}"


def cursor_from(text: str) -> Cursor:
    """Read what `str` wrote."""
    moment, _, told = text.partition("+")
    return Cursor(int(moment), int(told))


async def read_output(
    api: EngineApi, container: Container, seams: Seams, run: str, after: str | None, *, follow: bool
) -> AsyncIterator[Piece]:
    """What that run has written after the cursor; `follow`: and writes until it ends.

    Raises `ProviderFailed` and `Refused`.
    """
    id, _ = start_of(run)
    if not container.id.startswith(id):
        # It was made anew, and its output went with it.
        return
    cursor = cursor_from(after) if after is not None else Cursor(seams.beginning(container, run))
    params: dict[str, str | int] = {
        "stdout": 1,
        "stderr": 1,
        "timestamps": 1,
        "since": cursor.moment // SECOND,
    }
    if follow:
        params["follow"] = 1
    elif (next_run := run_of(container)) is not None and next_run != run:
        until = seams.end_before(container, next_run)
        params["until"] = f"{until // SECOND}.{until % SECOND:09d}"
    decoder: Decoder = Lines() if container.config.tty else Frames()
    sieve = _Sieve(cursor)
    async with api.opened("GET", container_path(container.id, "logs"), params=params) as answer:
        async for chunk in answer.content.iter_any():
            for piece in sieve.pieces(decoder.feed(chunk)):
                yield piece
        for piece in sieve.pieces(decoder.rest()):
            yield piece


def is_without_log(refused: Refused) -> bool:
    """Whether the engine refuses because it keeps no output of that container, or gives none away."""
    # Docker's words and Podman's; the status is 501 or 500.
    return any(words in refused.words for words in ("does not support reading", "not logging output"))


class _Sieve:
    """Lets through what comes after a cursor, and says where each piece ends."""

    def __init__(self, cursor: Cursor) -> None:
        self._skip = cursor
        self._seen = Cursor(0)
        self._stamp = b""
        self._moment = 0
        self._lets = False
        self._cursor = str(cursor)

    def pieces(self, messages: Iterator[Message]) -> Iterator[Piece]:
        """What is new of these, in as few pieces as their streams allow."""
        data = b""
        stream = Stream.STDOUT
        for message in messages:
            new = message.data
            if message.begins:
                stamp, _, new = message.data.partition(b" ")
                self._lets = self._is_new(stamp)
            if not self._lets:
                continue
            if message.stream is not stream and data:
                yield Piece(data, stream, self._cursor)
                data = b""
            stream = message.stream
            data += new
            self._cursor = str(self._seen)
        if data:
            yield Piece(data, stream, self._cursor)

    def _is_new(self, stamp: bytes) -> bool:
        if stamp != self._stamp:
            self._stamp = stamp
            self._moment = nanoseconds(stamp.decode("ascii", "replace")) or 0
        # Two streams are stamped apart from each other: an older message may come after a newer one.
        if self._moment > self._seen.moment:
            self._seen = Cursor(self._moment, 1)
        elif self._moment == self._seen.moment:
            self._seen = Cursor(self._moment, self._seen.told + 1)
        least = self._skip.moment
        if b"." not in stamp:
            least -= least % SECOND
        return self._moment > least or (self._moment == least and self._seen.told > self._skip.told)
