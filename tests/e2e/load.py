"""A steady stream of requests to one app through the gateway, at a rate that does not wait for answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self


class Load:
    """Requests at so many per second, each on a connection of its own, from entering to leaving the context."""

    def __init__(self, port: int, host: str, rate: float) -> None:
        self.answers: Counter[str] = Counter()
        """How many there were of each status line, or kind of failure."""
        self.bodies: Counter[str] = Counter()
        self._port = port
        self._request = f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
        self._pause = 1 / rate
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as requests:
            due = time.monotonic()
            while not self._over.is_set():
                requests.create_task(self._ask())
                due += self._pause
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(30):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(self._request)
                    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            self.answers[type(error).__name__] += 1
            return
        self.answers[head.partition(b"\r\n")[0].decode()] += 1
        self.bodies[body.decode()] += 1
