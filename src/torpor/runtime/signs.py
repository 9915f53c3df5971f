"""The kernel's signs of memory pressure (PSI), as an event of the loop: nothing is polled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

TRIGGERS = (b"some 150000 1000000\0", b"some 300000 2000000\0")
"""Stalled for 150 ms of a second.  Without privileges the kernel takes windows of 2 s and their multiples."""


class Signs:
    """Calls `told` whenever the kernel says that somebody had to wait for memory."""

    def __init__(self, file: Path | None, told: Callable[[], None]) -> None:
        self._file = file
        self._told = told
        self._fd: int | None = None
        self._epoll: select.epoll | None = None

    def open(self) -> bool:
        """Begin; False where this kernel tells nothing, or not to us."""
        if self._file is None:
            return False
        try:
            self._fd = os.open(self._file, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            log.info("no signs of memory pressure from %s: %s", self._file, error.strerror)
            return False
        if not self._ask():
            self.close()
            return False
        # A loop waits for readable descriptors only; an epoll of our own is readable when it has an event.
        self._epoll = select.epoll()
        self._epoll.register(self._fd, select.EPOLLPRI)
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._come)
        return True

    def close(self) -> None:
        """End."""
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _ask(self) -> bool:
        assert self._fd is not None
        for trigger in TRIGGERS:
            with contextlib.suppress(OSError):
                os.write(self._fd, trigger)
                return True
        log.info("no signs of memory pressure from %s: the kernel takes no trigger", self._file)
        return False

    def _come(self) -> None:
        assert self._epoll is not None
        if any(events & select.EPOLLERR for _, events in self._epoll.poll(0)):
            self.close()  # the cgroup is gone: there will be no signs any more, only errors
        else:
            self._told()
