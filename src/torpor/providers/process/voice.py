"""What one generation says of itself by sd_notify, turned into facts about it.

Whoever speaks has been checked by `notify`.  Keys that are not understood, and values
that make no sense, are ignored, as the protocol asks.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Protocol

from torpor.core.messages import (
    EndAnnounced,
    InstanceInput,
    Pinged,
    StatusChanged,
    TimeExtended,
    WatchdogChanged,
    WatchdogTriggered,
)
from torpor.core.model import InstanceId
from torpor.providers.process.reloads import Reloads

_LONGEST_STATUS = 200
_LONGEST_SPAN = 7 * 24 * 3600.0
"""Seconds that an app may ask for at once."""
_SHORTEST_WATCH = 0.1
"""Seconds.  A shorter watchdog interval, which only an app itself can want, would keep the daemon busy."""
_MOST_DIGITS = 20
_LARGEST_ERRNO = 4095


class Keeper(Protocol):
    """Whoever does what an app asks for beside being heard."""

    def note_ready(self) -> None:
        """It has said READY=1 for the first time."""
        ...

    def note_status(self, text: str) -> None:
        """It says that it is doing this."""
        ...

    def note_watchdog(self, seconds: float) -> None:
        """It asks for another watchdog interval."""
        ...

    def follow(self, pid: int) -> None:
        """Its main process is another one from now on."""
        ...


class Voice:
    """Listens to one generation."""

    def __init__(
        self,
        id: InstanceId,
        generation: int,
        report: Callable[[InstanceInput], None],
        keeper: Keeper,
        *,
        ready: bool = False,
        status: str = "",
    ) -> None:
        """`ready`: whether it has said so already; `status`: what it said of itself last."""
        self.ready = asyncio.Event()
        """Set by READY=1."""
        if ready:
            self.ready.set()
        self._id = id
        self._generation = generation
        self._report = report
        self._keeper = keeper
        self._status = status
        self._shown = status
        self.reloads = Reloads()
        self._told_at: int | None = None
        self._words: tuple[tuple[str, Callable[[str], None]], ...] = (
            ("MAINPID", self._main_pid),
            ("RELOADING", self._reload),
            ("READY", self._become_ready),
            ("STATUS", self._say),
            ("ERRNO", self._fail),
            ("EXTEND_TIMEOUT_USEC", self._extend),
            ("WATCHDOG_USEC", self._set_watchdog),
            ("WATCHDOG", self._ping),
            ("STOPPING", self._stop),
        )

    def hear(self, said: Mapping[str, str]) -> None:
        """Take one message, in an order in which its parts make sense together."""
        self._told_at = _number(said.get("MONOTONIC_USEC", ""))
        for word, meaning in self._words:
            value = said.get(word)
            if value is not None:
                meaning(value)

    def _main_pid(self, value: str) -> None:
        if (pid := _number(value)) is not None:
            self._keeper.follow(pid)

    def _reload(self, value: str) -> None:
        if value == "1":
            self.reloads.begin(self._told_at)
            self._show("reloading")

    def _become_ready(self, value: str) -> None:
        if value != "1":
            return
        if self.reloads.under_way:
            self.reloads.finish()
            self._show(self._status)
        if not self.ready.is_set():
            self.ready.set()
            self._keeper.note_ready()

    def _say(self, value: str) -> None:
        self._status = value[:_LONGEST_STATUS]
        self._show(self._status)

    def _fail(self, value: str) -> None:
        number = _number(value)
        if number:
            problem = (
                f"{os.strerror(number)} (error {number})" if number <= _LARGEST_ERRNO else f"error {number}"
            )
            self._show(f"{self._status}: {problem}" if self._status else problem, problem)

    def _extend(self, value: str) -> None:
        if (seconds := _seconds(value)) is not None:
            self._report(TimeExtended(self._id, self._generation, seconds))

    def _set_watchdog(self, value: str) -> None:
        # Zero would switch off what the operator has configured.
        if (seconds := _seconds(value)) is not None:
            interval = max(seconds, _SHORTEST_WATCH)
            self._keeper.note_watchdog(interval)
            self._report(WatchdogChanged(self._id, self._generation, interval))

    def _ping(self, value: str) -> None:
        if value == "1":
            self._report(Pinged(self._id, self._generation))
        elif value == "trigger":
            self._report(WatchdogTriggered(self._id, self._generation))

    def _stop(self, value: str) -> None:
        if value == "1":
            self._report(EndAnnounced(self._id, self._generation))

    def _show(self, text: str, trouble: str | None = None) -> None:
        if text != self._shown:
            self._shown = text
            self._keeper.note_status(text)
            self._report(StatusChanged(self._id, self._generation, text, trouble))


def _number(value: str) -> int | None:
    if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
        return int(value)
    return None


def _seconds(microseconds: str) -> float | None:
    number = _number(microseconds)
    return min(number / 1e6, _LONGEST_SPAN) if number else None
