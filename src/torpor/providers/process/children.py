"""Processes that are held by a descriptor, and the end of any others."""

from __future__ import annotations

import asyncio
import os
from typing import NamedTuple

from torpor.providers.process.procfs import Process, open_verified


class Child(NamedTuple):
    """A process that was just born.  Whoever holds it closes the pidfd."""

    process: Process
    pidfd: int


async def wait_for_end(processes: list[Process]) -> None:
    """Return when all of them have ended.  Raises `OSError` if there are no descriptors left."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    fds: set[int] = set()

    def one_ended(fd: int) -> None:
        loop.remove_reader(fd)
        fds.discard(fd)
        os.close(fd)
        if not fds:
            ended.set()

    try:
        for process in processes:
            fd = open_verified(process)
            if fd is not None:
                fds.add(fd)
                loop.add_reader(fd, one_ended, fd)
        if fds:
            await ended.wait()
    finally:
        for fd in fds:
            loop.remove_reader(fd)
            os.close(fd)
