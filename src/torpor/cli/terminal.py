"""What the terminal can do, and text that fits it."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36", "dim": "2"}
PREFIX_COLOURS = ("cyan", "yellow", "green", "magenta", "blue")
_WIDE = frozenset("WF")
_INVISIBLE = frozenset(("Mn", "Me", "Cf"))


class CannotWrite(OSError):
    """Stdout takes no more, e.g. because its disk is full."""


class _Output(io.FileIO):
    """A file whose errors cannot be mistaken for those of other files."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        # A terminal that has hung up is none any more: it has to be asked before.
        self._terminal = self.isatty()

    def write(self, data: Any) -> int:
        """Bytes written.  Raises `BrokenPipeError`, `CannotWrite`."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            if self._terminal and error.errno == errno.EIO:
                raise BrokenPipeError(errno.EPIPE, "the terminal has hung up") from error
            raise CannotWrite(error.errno, error.strerror) from error


def prepare_streams() -> None:
    """Make stdout and stderr fit for any text, and their errors known.  Raises `CannotWrite` without a stdout."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # until the process ends
    if sys.stdout is None:
        raise CannotWrite(errno.EBADF, "it is closed")
    # A terminal that cannot show a character gets a stand-in, never a traceback.
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="replace")
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(sys.stdout.fileno())),
        encoding=sys.stdout.encoding,
        errors="replace",
        line_buffering=sys.stdout.isatty(),
    )


def fail(message: str, hint: str | None = None) -> None:
    """Say on stderr what went wrong, and what to do."""
    lines = f"torpor: {message}\n"
    if hint:
        lines += f"hint: {hint}\n"
    sys.stderr.write(lines)
    sys.stderr.flush()


def has_colour(stream: TextIO) -> bool:
    """Whether to colour: a terminal that can, unless NO_COLOR says no or FORCE_COLOR yes."""
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def paint(text: str, colour: str | None, *, on: bool) -> str:
    """The text in a colour."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if on and colour else text


def columns(stream: TextIO) -> int | None:
    """How many columns there are; None where lines may have any length."""
    if not stream.isatty():
        return None
    wish = os.environ.get("COLUMNS", "")
    if wish.isascii() and wish.isdigit() and int(wish):
        return int(wish)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def printable(text: str) -> str:
    """The text without characters that could steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def width(text: str) -> int:
    """How many columns the text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width  # noqa: PLC0415  # most tables are plain ASCII

    return sum(0 if category(c) in _INVISIBLE else 2 if east_asian_width(c) in _WIDE else 1 for c in text)


def fit(text: str, room: int) -> str:
    """The text, cut with an ellipsis to at most `room` columns."""
    if width(text) <= room:
        return text
    kept = ""
    for char in text:
        if width(kept + char) > room - 1:
            break
        kept += char
    return kept + "…" if room > 0 else ""


def pad(text: str, room: int, *, right: bool = False) -> str:
    """The text with spaces to `room` columns; `right` puts it at the right end."""
    space = " " * (room - width(text))
    return space + text if right else text + space


def fold(text: str, room: int) -> list[str]:
    """The text in lines of at most `room` columns, broken between words; a longer word stays whole."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and width(lines[-1]) + 1 + width(word) > room:
            lines.append(word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return lines
