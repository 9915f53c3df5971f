"""SIGHUP: the configuration is read again and holds; what came of it goes to the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from torpor import notify
from torpor.errors import ConfigInvalid, TorporError
from torpor.runtime.running_set import RunningSet

log = logging.getLogger(__name__)


class HangUp:
    """Applies the configuration as often as it is told to, one time after the other."""

    def __init__(self, running: RunningSet, done: Callable[[], None]) -> None:
        """`done` is called after each time, whatever came of it."""
        self._set = running
        self._done = done
        self._applying: asyncio.Task[None] | None = None

    def come(self) -> None:
        """Apply it, once more if it is being applied."""
        before = self._applying
        self._applying = asyncio.get_running_loop().create_task(self._apply_after(before))

    async def _apply_after(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        notify.reloading("applies the configuration")
        try:
            changes = await self._set.apply()
        except ConfigInvalid as invalid:
            for problem in invalid.problems:
                log.error("%s", problem)
            log.error("SIGHUP: the configuration has problems; nothing was applied")
        except TorporError as error:
            log.error("SIGHUP: %s; nothing was applied", error)
        else:
            log.info("SIGHUP: applied; %s", "some apps changed" if changes else "nothing has changed")
        self._done()
