"""Variables are filled in on finished strings, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.config.document import read_document
from torpor.config.interpolate import CannotInterpolate, interpolate
from torpor.config.problems import Problems

ENVIRON = {"A": "1", "EMPTY": "", "TRICKY": "${A} $$ x: {y: z}\nport: 1"}


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("1", "${A}"),
        ("a1b1", "a${A}b${A}"),
        ("", "${EMPTY}"),
        ("d", "${EMPTY:-d}"),
        ("", "${EMPTY-d}"),
        ("d", "${NOPE-d}"),
        ("", "${NOPE:-}"),
        ("1", "${NOPE:-${NOPE:-${A}}}"),
        ("1", "${A:?never seen}"),
        ("$", "$$"),
        ("${A}", "$${A}"),
        ("$1", "$$${A}"),
        ("$PORT ${PORT}", "$PORT ${PORT}"),
        ("${TORPOR_REPLICA} $TORPOR_APP", "${TORPOR_REPLICA} $TORPOR_APP"),
        ("${PORT:-80}", "${PORT:-80}"),
        ("$HOME costs 5$", "$HOME costs 5$"),
        ("^ready$", "^ready$"),
        (ENVIRON["TRICKY"], "${TRICKY}"),
    ],
)
def test_variables_are_filled_in(expected: str, text: str) -> None:
    """Compose's forms; what the launch or a shell fills in stays."""
    assert expected == interpolate(text, ENVIRON)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("NOPE is not set; set it or write ${NOPE:-default}", "${NOPE}"),
        ("EMPTY is needed: fill it", "${EMPTY:?fill it}"),
        ("NOPE is needed: is not set", "${NOPE?}"),
        ("without its closing '}'", "a ${A"),
        ("names no variable", "${}"),
        ("names no variable", "${1}"),
        ("is not understood", "${A!x}"),
        ("nests variables deeper than 8 levels", "${N:-" * 10 + "}" * 10),
    ],
)
def test_what_can_not_be_filled_in_says_why(message: str, text: str) -> None:
    """Each failure names the variable and a way out."""
    with pytest.raises(CannotInterpolate) as caught:
        interpolate(text, ENVIRON)
    assert message in str(caught.value)


@given(st.text("${}:-?AB_ a", max_size=60))
def test_any_text_is_filled_in_or_refused(text: str) -> None:
    """No text makes it fail in another way."""
    try:
        interpolate(text, ENVIRON)
    except CannotInterpolate:
        assert "$" in text


@given(st.text("ab{}:-?_ \n", max_size=60))
def test_text_without_dollar_is_kept(text: str) -> None:
    """Nothing else means anything."""
    assert text == interpolate(text, ENVIRON)


def data_of(text: str) -> dict[str, object]:
    problems = Problems()
    document = read_document("t.yaml", text.encode(), ENVIRON, problems)
    assert () == problems.sorted()
    assert document is not None
    return document.data


def test_a_value_can_not_change_the_shape_of_the_file() -> None:
    """A variable that holds YAML stays one string."""
    assert {"a": ENVIRON["TRICKY"], "b": [ENVIRON["TRICKY"]]} == data_of("a: ${TRICKY}\nb: ['${TRICKY}']\n")


def test_a_plain_value_may_become_a_number() -> None:
    """`port: ${PORT_OF_A}` is a number, as if it stood there; quotes keep it text."""
    assert {"a": 1, "b": "1", "c": None} == data_of("a: ${A}\nb: '${A}'\nc: ${EMPTY}\n")


def test_keys_and_comments_are_not_filled_in() -> None:
    """Only values have variables."""
    assert {"${A}": 2} == data_of("${A}: 2 # ${NOPE}\n")


def test_the_file_on_disk_is_not_needed(tmp_path: Path) -> None:
    """A document is read from bytes alone: the name is only for messages."""
    assert {} == data_of("")
