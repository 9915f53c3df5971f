"""Readers that follow logs and events live.

Laws:

1. The engine's callback never waits for a reader: it puts into a bounded queue.
2. A reader slower than its source loses the oldest items and is told how many.
3. A reader holds one of a bounded number of places, and gives it back when it leaves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from torpor.control.problems import ShuttingDown, TooManyFollowers

MAX_FOLLOWERS = 64
"""Streaming readers at once."""

QUEUE_BYTES = 1024 * 1024
"""What one slow reader may make the daemon hold."""


class Follower:
    """A bounded queue of encoded items from the engine's callbacks to one reader."""

    def __init__(self, capacity: int = QUEUE_BYTES) -> None:
        self._capacity = capacity
        self._items: deque[bytes] = deque()
        self._held = 0
        self._dropped = 0
        self._closed = False
        self._changed = asyncio.Event()

    def push(self, item: bytes) -> None:
        """Queue an item, forgetting the oldest ones where there is no room.  Never blocks."""
        if self._closed:
            return
        self._items.append(item)
        self._held += len(item)
        while self._held > self._capacity and len(self._items) > 1:
            self._held -= len(self._items.popleft())
            self._dropped += 1
        self._changed.set()

    def close(self) -> None:
        """Let the reader finish what is queued, and then end."""
        self._closed = True
        self._changed.set()

    async def take(self, patience: float | None = None) -> tuple[int, bytes] | None:
        """All that is queued as one piece, and how many items were lost before it.

        Waits for a first item, at most `patience` seconds: then the piece is empty.
        None is the end.
        """
        if not self._items and not self._closed:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._changed.wait()
        if not self._items and self._closed:
            return None
        dropped, piece = self._dropped, b"".join(self._items)
        self._items.clear()
        self._held = self._dropped = 0
        return dropped, piece


class Followers:
    """The places that readers take."""

    def __init__(self, limit: int = MAX_FOLLOWERS) -> None:
        self._limit = limit
        self._present: set[Follower] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._present)

    @contextmanager
    def place(self) -> Iterator[Follower]:
        """Take a place for as long as the block lasts.  Raises `TooManyFollowers`, `ShuttingDown`."""
        if self._closed:
            raise ShuttingDown("torpor is shutting down")
        if len(self._present) >= self._limit:
            raise TooManyFollowers(
                f"{self._limit} readers follow logs or events already",
                hint="Close some of them and try again.",
            )
        follower = Follower()
        self._present.add(follower)
        try:
            yield follower
        finally:
            follower.close()
            self._present.discard(follower)

    def close(self) -> None:
        """End all streams; new ones are refused."""
        self._closed = True
        for follower in self._present:
            follower.close()
