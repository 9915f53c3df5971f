"""Foreign text made fit to be shown: log lines, reasons and event texts may contain anything."""

from __future__ import annotations

import re
from collections.abc import Iterable

SENTENCE = 300
"""Characters of one sentence (a reason, a step)."""
LOG_LINE = 400
"""Characters of one log line."""
LOG_LINES = 20
"""Log lines on the page."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)")
# C0 and C1 controls, marks that reorder or end a line, and lone surrogates, which UTF-8 cannot carry.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]+")


def line(text: str, limit: int = SENTENCE) -> str:
    """`text` as one line of at most `limit` printable characters, without terminal escapes."""
    # Cut first: a line of a hundred megabytes must not cost a pass over all of it.  Escapes
    # take room too, so leave some for them.
    text = text[: limit * 8].replace("\t", "    ")
    text = _UNFIT.sub(" ", _ANSI.sub("", text)).rstrip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """The first line that says anything.

    What follows it may quote the app's output, which is shown only where the
    configuration allows that.
    """
    for piece in text[: SENTENCE * 8].splitlines():
        if shown := line(piece).lstrip():
            return shown
    return ""


def log_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """The last `LOG_LINES` lines, each fit to be shown; empty ones at the ends are dropped."""
    shown = [line(piece, LOG_LINE) for piece in list(lines)[-LOG_LINES:]]
    while shown and not shown[-1]:
        shown.pop()
    while shown and not shown[0]:
        shown.pop(0)
    return tuple(shown)
