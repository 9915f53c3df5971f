"""Answers that last: NDJSON, plain text or server-sent events until one side ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from torpor.control.follow import Follower, Followers

T = TypeVar("T")

PING_INTERVAL = 15.0
"""Seconds of silence after which an event stream gets a comment, so that proxies keep it open."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something with a past and a future, both encoded."""

    past: Callable[[], bytes]
    subscribe: Callable[[Callable[[bytes], None]], Callable[[], None]]
    """Connects a sink for what comes; the result ends that."""
    is_over: Callable[[], bool] = lambda: False
    """Whether nothing more comes; asked after everything that came."""


class StreamResponse(Response):
    """Sends the past of each source, one after the other.

    With `followers` it takes a place there, and then sends what comes until the client leaves,
    all sources are over, or the daemon ends; `marker` encodes the notice of a gap, `ping` is
    sent in times of silence.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        media_type: str,
        followers: Followers | None = None,
        marker: Callable[[int], bytes],
        ping: bytes = b"",
    ) -> None:
        self._sources = sources
        self._followers = followers
        self._marker = marker
        self._ping = ping
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Stream.  Raises `TooManyFollowers` or `ShuttingDown` before anything is sent."""
        with suppress(ClientDisconnect), ExitStack() as stack:
            follower = stack.enter_context(self._followers.place()) if self._followers is not None else None
            await unless_gone(receive, self._stream(follower, send, stack))

    async def _stream(self, follower: Follower | None, send: Send, stack: ExitStack) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for source in self._sources:
            # No await between the look back and the subscription: no item is lost or doubled.
            past = source.past()
            if follower is not None:
                stack.callback(source.subscribe(follower.push))
            # One source at a time, at the reader's pace: what is held and the loop's pause stay small.
            await send({"type": "http.response.body", "body": past, "more_body": True})
            await asyncio.sleep(0)
        if follower is not None:
            await self._pump(follower, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, follower: Follower, send: Send) -> None:
        patience = PING_INTERVAL if self._ping else None
        while True:
            if all(source.is_over() for source in self._sources):
                follower.close()  # what is queued is still sent
            if (taken := await follower.take(patience)) is None:
                return
            dropped, piece = taken
            if dropped:
                piece = self._marker(dropped) + piece
            await send({"type": "http.response.body", "body": piece or self._ping, "more_body": True})


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Carry out `work`, but cancel it when the client leaves.  Raises `ClientDisconnect` then."""
    task = asyncio.create_task(work)
    watcher = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((task, watcher), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        watcher.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    """Return when the client has left; what it still sends is thrown away."""
    while (await receive())["type"] != "http.disconnect":
        pass
