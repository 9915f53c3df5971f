"""Env files follow Compose where it matters and keep secrets as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.config.env_file import parse_env_file


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ({}, ""),
        ({}, "\n  \n# A=1\n   # B=2\n"),
        ({"A": "1", "B": "2"}, "A=1\r\nB=2"),
        ({"A": "1"}, "export A=1\n"),
        ({"A": ""}, "A=\n"),
        ({"A": "x y"}, "  A = x y  \n"),
        ({"A": "x"}, "A=x # comment\n"),
        ({"A": "x#y"}, "A=x#y\n"),
        ({"A": "a=b"}, "A=a=b\n"),
        ({"A": "$5 ${B} # x"}, "A='$5 ${B} # x' # comment\n"),
        ({"A": 'a\tb"c$d\\'}, 'A="a\\tb\\"c\\$d\\\\"\n'),
        ({"A": "a\\n"}, "A='a\\n'\n"),
        ({"KEY": "one\ntwo", "B": "2"}, 'KEY="one\ntwo"\nB=2\n'),
        ({"A": "2"}, "A=1\nA=2\n"),
        ({"KNOWN": "k"}, "KNOWN\nUNKNOWN\n"),
        ({"a.b-c": "1"}, "a.b-c=1\n"),
    ],
)
def test_files_are_read(expected: dict[str, str], text: str) -> None:
    """Comments, quotes, export, several lines, names alone."""
    complaints: list[tuple[int, str]] = []
    assert expected == parse_env_file(text, {"KNOWN": "k"}, lambda *at: complaints.append(at))
    assert [] == complaints


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (2, "A=1\nno pair\n"),
        (1, "=x\n"),
        (1, "1A=x\n"),
        (3, "A='one\ntwo'\nB='open\n"),
        (1, "A='x'y\n"),
        (1, "A=\0\n"),
    ],
)
def test_mistakes_have_a_line(line: int, text: str) -> None:
    """A line that is no variable is told; the value is not, it may be a secret."""
    complaints: list[int] = []
    parse_env_file(text, {}, lambda at, message: complaints.append(at))
    assert [line] == complaints


@given(st.text(st.sampled_from("AB=\"'\\ \n\r\t#$x\0export "), max_size=60))
def test_any_text_is_read(text: str) -> None:
    """No text makes it fail or hang; what comes out can be an environment."""
    for name, value in parse_env_file(text, {}, lambda line, message: None).items():
        assert name
        assert "=" not in name
        assert "\0" not in name + value
