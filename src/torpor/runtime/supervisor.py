"""What whoever supervises the daemon itself (systemd …) is told of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from torpor import notify
from torpor.runtime.shutdown import Shutdown


class Supervisor:
    """The supervisor of the daemon, if it has one."""

    def __init__(self, shutdown: Shutdown, doing: Callable[[], str]) -> None:
        """`doing`: what the daemon does, for people."""
        self._shutdown = shutdown
        self._doing = doing

    def tell(self) -> None:
        """The daemon is up, also after it has read its configuration again."""
        if not self._shutdown.begun:
            notify.ready(self._doing())

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Tell that the daemon is up, that it is alive meanwhile, and at the end that it is about to end."""
        self.tell()
        interval = notify.watchdog_interval()
        beating = asyncio.create_task(_beat(interval / 2)) if interval is not None else None
        try:
            yield
        finally:
            if beating is not None:
                beating.cancel()
            notify.stopping()


async def _beat(pause: float) -> None:
    """Give signs of life, one each `pause` seconds: a loop that hangs gives none."""
    while True:
        notify.heartbeat()
        await asyncio.sleep(pause)
