"""The foreground daemon's live account on the terminal: a line for what a person wants to know."""

from __future__ import annotations

import time
from typing import TextIO

from torpor.core.model import Event

TOLD = frozenset(
    {
        "added",
        "asleep",
        "backoff",
        "changed",
        "done",
        "exited",
        "failed",
        "freeze-failed",
        "hibernated",
        "hook-failed",
        "killing",
        "leaving",
        "outdated",
        "paused",
        "ready",
        "removed",
        "start-failed",
        "stop-problem",
        "unready",
        "waiting",
        "waking",
        "want",
    }
)
"""Kinds of events that are told.  The rest is in `torpor events`."""

_COLOURS = {
    "ready": 32,
    "asleep": 34,
    "paused": 34,
    "hibernated": 34,
    "failed": 31,
    "start-failed": 31,
    "exited": 33,
    "backoff": 33,
    "waking": 36,
}


class Console:
    """Writes events to a stream; falls silent when the stream breaks."""

    def __init__(self, out: TextIO, *, colour: bool, told: frozenset[str] = TOLD) -> None:
        """`told`: the kinds of events that are told."""
        self._out: TextIO | None = out
        self._told = told
        self._colour = colour

    def tell(self, event: Event) -> None:
        """Write one event, if it is of a kind that is told."""
        if event.kind in self._told:
            at = time.strftime("%H:%M:%S", time.localtime(event.at))
            self.say(f"{at}  {event.app:<14}  {self._painted(event)}")

    def say(self, line: str = "") -> None:
        """Write a line of our own."""
        if self._out is None:
            return
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except (OSError, ValueError):  # the terminal is gone, the daemon is not
            self._out = None

    def _painted(self, event: Event) -> str:
        colour = _COLOURS.get(event.kind)
        # An app's words may reach an event's text; the terminal must not obey them.
        text = "".join(
            letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(event)
        )
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour and colour else text
