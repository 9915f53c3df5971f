from __future__ import annotations

import pytest

from torpor.gateway.waiting.text import LOG_LINE, LOG_LINES, SENTENCE, line, log_lines, sentence


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x00b\x07c", "a b c"),
        ("cut off \x1b[", "cut off"),
        ("lone \ud800 surrogate", "lone   surrogate"),
        ("right \u202eto left", "right  to left"),
        ("\ttab", "    tab"),
        ("Größe 雪 🌙", "Größe 雪 🌙"),
    ],
)
def test_line(raw: str, expected: str) -> None:
    """Terminal escapes and what would disturb a page are gone; every script of the world stays."""
    assert expected == line(raw)
    expected.encode()


def test_line_is_bounded() -> None:
    """A huge line is cut, visibly."""
    assert SENTENCE == len(line("x" * 10_000_000))
    assert line("x" * 1000).endswith("…")


def test_sentence_is_the_first_that_says_anything() -> None:
    """A reason of several lines is told by its first one."""
    assert "exited with code 1" == sentence("\n\n  exited with code 1\nsecret")
    assert "" == sentence("\n \n")


def test_log_lines_keep_their_shape() -> None:
    """Indentation stays, empty lines at the ends go, only the last lines and their beginnings count."""
    assert ("Traceback", "", '  File "x"') == log_lines(["", "Traceback", "", '  File "x"', "", ""])
    assert LOG_LINES == len(log_lines(["x"] * 1000))
    assert LOG_LINE == len(log_lines(["y" * 100_000])[0])
