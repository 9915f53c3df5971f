"""Answers that last: NDJSON, plain text or server-sent events until one side ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from torpor.control.follow import Follower, Followers

T = TypeVar("T")

PING_INTERVAL = 15.0
"""Seconds of silence after which an event stream gets a comment, so that proxies keep it open."""

Subscribe = Callable[[Callable[[bytes], None]], list[Callable[[], None]]]
"""Connects a sink of encoded items to its sources; gives what ends that."""


class StreamResponse(Response):
    """Sends `first`, and then what `subscribe` brings, until the client leaves or the daemon ends.

    `marker` encodes the notice of a gap, `ping` is sent in times of silence.
    """

    def __init__(
        self,
        first: Callable[[], bytes],
        *,
        media_type: str,
        followers: Followers,
        subscribe: Subscribe,
        marker: Callable[[int], bytes],
        ping: bytes = b"",
    ) -> None:
        self._first = first
        self._followers = followers
        self._subscribe = subscribe
        self._marker = marker
        self._ping = ping
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Take a place and stream.  Raises `TooManyFollowers` or `ShuttingDown` before anything is sent."""
        with suppress(ClientDisconnect), ExitStack() as stack:
            follower = stack.enter_context(self._followers.place())
            # No await between the look back and the subscription: no item is lost or doubled.
            first = self._first()
            for end in self._subscribe(follower.push):
                stack.callback(end)
            await unless_gone(receive, self._pump(follower, first, send))

    async def _pump(self, follower: Follower, first: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        patience = PING_INTERVAL if self._ping else None
        while (taken := await follower.take(patience)) is not None:
            dropped, piece = taken
            if dropped:
                piece = self._marker(dropped) + piece
            await send({"type": "http.response.body", "body": piece or self._ping, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


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
