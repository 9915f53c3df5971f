"""What the terminal can do, and text that fits it."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Iterator

import pytest

from torpor.cli import terminal


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.TextIOWrapper]:
    """A stream onto a terminal of 100 columns, with no wishes in the environment."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    main, side = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    with os.fdopen(main, "rb"), os.fdopen(side, "w") as stream:
        yield stream


def test_colour_is_for_terminals(tty: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capable terminal gets colour; a file, a dumb terminal and who refused do not; who insists does."""
    assert terminal.has_colour(tty)
    assert not terminal.has_colour(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal.has_colour(tty)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert terminal.has_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.has_colour(tty)


def test_an_empty_no_color_is_no_wish(tty: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the convention says: only a value that is not empty counts."""
    monkeypatch.setenv("NO_COLOR", "")
    assert terminal.has_colour(tty)


def test_width_is_the_terminals(tty: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal's own width unless COLUMNS says otherwise; a file has none."""
    assert 100 == terminal.columns(tty)
    monkeypatch.setenv("COLUMNS", "60")
    assert 60 == terminal.columns(tty)
    monkeypatch.setenv("COLUMNS", "wide")
    assert 100 == terminal.columns(tty)
    assert None is terminal.columns(io.StringIO())


@pytest.mark.parametrize(
    ("expected", "text"),
    [(0, ""), (5, "notes"), (4, "日本"), (4, "café"), (4, "cafe\u0301"), (3, "a\u200bbc")],
)
def test_width_is_what_the_eye_sees(expected: int, text: str) -> None:
    """Wide characters take two columns, combining and invisible ones none."""
    assert expected == terminal.width(text)


@pytest.mark.parametrize(
    ("expected", "text", "room"),
    [
        ("notes", "notes", 5),
        ("not…", "notes", 4),
        ("日…", "日本語", 4),
        ("日…", "日本語", 3),
        ("", "notes", 0),
        ("…", "ab", 1),
    ],
)
def test_text_is_cut_to_fit(expected: str, text: str, room: int) -> None:
    """Never wider than the room, and the cut is shown."""
    assert expected == terminal.fit(text, room)


def test_text_is_padded_by_what_the_eye_sees() -> None:
    """Columns stay straight, whatever the script."""
    assert ("日本  ", "  日本") == (terminal.pad("日本", 6), terminal.pad("日本", 6, right=True))


def test_nothing_steers_the_terminal() -> None:
    """Escape sequences in names and reasons are shown, not obeyed."""
    assert "a�[2Jb�" == terminal.printable("a\x1b[2Jb\n")


def test_texts_are_folded_between_words() -> None:
    """No line is wider than it may be, but for a word that is; no word is lost."""
    assert ["a bc", "defgh", "日本 i"] == terminal.fold("a bc defgh 日本 i", 6)
    assert ["", "x"] == [*terminal.fold("", 5), *terminal.fold("x", 5)]
    assert ["abcdef", "g"] == terminal.fold("abcdef g", 3)
