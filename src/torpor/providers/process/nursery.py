"""Children of the daemon: how they are born off the loop, and reaped if nobody else does.

1. Executing a program may take long (a slow disk), so it happens in a few threads.
2. A birth that is given up leaves nothing alive.
3. Commands that run beside apps are reaped here; apps are by their `Life`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from torpor.core.model import ExitInfo
from torpor.errors import ProviderFailed, StartFailed
from torpor.providers.process import files
from torpor.providers.process.children import Child
from torpor.providers.process.exits import wait_for_exit_nowait
from torpor.providers.process.explanations import explain
from torpor.providers.process.procfs import read_process, tag
from torpor.providers.process.reaper import Reaper
from torpor.providers.process.spawn import spawn
from torpor.providers.process.surroundings import Surroundings
from torpor.providers.process.tree import Descent, Mark

_SPAWNERS = 4
"""Programs that are executed at once."""
_PATIENCE = 5.0
"""Seconds in which a command that was killed must have ended."""


class Run(Protocol):
    """Runs a command to its end, or to its time limit."""

    def __call__(
        self, argv: tuple[str, ...], where: Surroundings, output: int, timeout: float | None
    ) -> Awaitable[ExitInfo | None]:
        """How it ended; None if it had to be killed.  `timeout`: seconds; None: no limit.

        Cancelling kills it.  Raises `StartFailed`.
        """
        ...


class Nursery:
    """Bears children.  `open` before, `close` after."""

    def __init__(self, reaper: Reaper) -> None:
        self._reaper = reaper
        self._unreaped: dict[int, int] = {}
        self._pool: ThreadPoolExecutor | None = None

    def open(self) -> None:
        """Begin."""
        self._pool = ThreadPoolExecutor(_SPAWNERS, thread_name_prefix="torpor-spawn")

    def close(self) -> None:
        """End; what is alive stays alive."""
        for pidfd in list(self._unreaped):
            self._forget(pidfd)
        if self._pool is not None:
            # Not waited for: whoever needs a birth to be over has awaited it.
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    async def give_birth(self, bear: Callable[[], Child], mark: Mark) -> Child:
        """Execute a program in the pool.  Cancelling leaves nothing alive.  Raises `StartFailed`."""
        if self._pool is None:
            raise ProviderFailed("the process provider is not open")
        with self._reaper.spawning():
            birth = asyncio.get_running_loop().run_in_executor(self._pool, bear)
            try:
                child = await asyncio.shield(birth)
            except asyncio.CancelledError:
                with contextlib.suppress(StartFailed):
                    child = await birth
                    self._reaper.ours.add(child.process.pid)
                    Descent(child.process, mark, self._reaper.ours).kill()
                    await self.reap_at_end(child)
                raise
            self._reaper.ours.add(child.process.pid)
            return child

    async def run(
        self,
        argv: tuple[str, ...],
        where: Surroundings,
        output: int,
        timeout: float | None,
        mark: Mark | None = None,
    ) -> ExitInfo | None:
        """Run a command to its end, or kill it after `timeout` seconds: then None.  Raises `StartFailed`.

        `mark`: of the generation that it belongs to; None: it is a tree of its own, and killed as a whole.
        """
        own = mark or Mark.fresh()
        child = await self.give_birth(lambda: bear(argv, where, output, own), own)
        ended = self.reap_at_end(child)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(ended)
        except TimeoutError:
            return None
        finally:
            if child.pidfd in self._unreaped:
                if mark is None:
                    with contextlib.suppress(OSError):
                        Descent(child.process, own, self._reaper.ours).kill()
                # Its number cannot be a stranger's before it is reaped.
                os.killpg(child.process.pid, signal.SIGKILL)
                await asyncio.wait([ended], timeout=_PATIENCE)

    def reap_at_end(self, child: Child) -> asyncio.Future[ExitInfo]:
        """Reap a child when it ends, whoever waits; the result tells how it ended."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[ExitInfo] = loop.create_future()

        def reap() -> None:
            info = wait_for_exit_nowait(child.pidfd)
            if info is None:
                return
            self._forget(child.pidfd)
            if not ended.done():
                ended.set_result(info)

        self._unreaped[child.pidfd] = child.process.pid
        loop.add_reader(child.pidfd, reap)
        return ended

    def _forget(self, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        self._reaper.ours.discard(self._unreaped.pop(pidfd))
        os.close(pidfd)


def bear(argv: tuple[str, ...], where: Surroundings, output: int, mark: Mark) -> Child:
    """Execute a program and mark it.  Called off the loop.  Raises `StartFailed`."""
    pid = spawn(argv, where, output)
    if "rttime" not in where.attributes.rlimits:
        # The mark lies in that limit; without it, the session and the environment must do.
        tag(pid, mark.number)
    if "nofile" not in where.attributes.rlimits:
        files.give_back(pid)
    # Not reaped yet, so nothing here can meet a stranger.
    try:
        process = read_process(pid)
        assert process is not None
        return Child(process, os.pidfd_open(pid))
    except OSError as error:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise explain(error, argv[0], where) from error
