"""The time before each line, in the file itself.

Off by default: an index tells the times as well, and leaves the app's bytes alone.  Here bytes pass
through our memory, so that a daemon killed between writing and taking them may write some twice.
"""

from __future__ import annotations

import time

_SECOND = 1_000_000_000


class Stamps:
    """Puts RFC 3339 times in UTC, to the millisecond, before lines."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def line(self, data: bytes, now: int, *, fresh: bool) -> tuple[int, bytes]:
        """The rest of the first line of `data`: how many of its bytes that is, and what is to be written.

        `fresh`: `data` begins a line.
        """
        taken = data.find(b"\n") + 1 or len(data)
        return taken, (self._stamp(now) if fresh else b"") + data[:taken]

    def fill(self, data: bytes, now: int, room: int, *, fresh: bool) -> tuple[int, bytes]:
        """The same for as many lines of `data` as fit into `room` bytes; an unfinished one counts if it is the last."""
        stamp = self._stamp(now)
        longest = data.count(b"\n") + 1
        taken = len(data)
        if taken + longest * len(stamp) > room:
            taken, left = 0, room
            for line in _lines(data):
                left -= len(line) + (len(stamp) if taken or fresh else 0)
                if left < 0:
                    break
                taken += len(line)
        text = data[:taken]
        ended = text.endswith(b"\n")
        body = (text[:-1] if ended else text).replace(b"\n", b"\n" + stamp) + (b"\n" if ended else b"")
        return taken, (stamp if fresh and taken else b"") + body

    def _stamp(self, now: int) -> bytes:
        second, fraction = divmod(now, _SECOND)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{fraction // 1_000_000:03}Z ".encode()


def _lines(data: bytes) -> list[bytes]:
    *whole, rest = data.split(b"\n")
    return [*(line + b"\n" for line in whole), *([rest] if rest else [])]
