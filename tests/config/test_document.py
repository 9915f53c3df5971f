"""YAML 1.2 with a place for every value."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from torpor.config import nodes
from torpor.config.document import Document, read_document
from torpor.config.problems import Problems


def read(text: str) -> Document:
    problems = Problems()
    document = read_document("t.yaml", text.encode(), {}, problems)
    assert () == problems.sorted()
    assert document is not None
    return document


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *(
            (word, word)
            for word in ("no", "yes", "on", "off", "y", "n", "22:22", "1_000", "2026-11-21", "=", "1.2.3")
        ),
        (755, "0755"),
        (8, "0o10"),
        (255, "0xff"),
        (-5, "-5"),
        (1.5, "1.5"),
        (1000.0, "1e3"),
        (math.inf, ".inf"),
        (-math.inf, "-.INF"),
        (True, "true"),
        (False, "FALSE"),
        (None, "~"),
        (None, ""),
        ("", "''"),
        ("5", "'5'"),
        ("5", "!!str 5"),
        (5, "!!int 5"),
        ("9" * 50, "9" * 50),
        ("a\nb\n", "|\n  a\n  b\n"),
        ([1, {"a": "b"}], "[1, {a: b}]"),
    ],
)
def test_scalars_follow_yaml_1_2(value: object, text: str) -> None:
    """The core schema: what YAML 1.1 guessed at is text."""
    assert {"k": value} == read(f"k: {text}").data


def test_keys_are_text() -> None:
    """A key is what is written, also where a value would be something else."""
    assert {"on": 1, "8080": 2, "null": 3} == read("on: 1\n8080: 2\nnull: 3\n").data


def test_merge_keys_fill_in_what_is_not_written() -> None:
    """Own keys win wherever they stand, then earlier sources."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\n"
    assert {"x": 3, "y": 1, "z": 2} == read(text).data["c"]


def test_a_quoted_merge_key_is_a_key() -> None:
    """Only a plain `<<` merges."""
    assert {"c": {"<<": 1}} == read("c: {'<<': 1}").data


def test_every_value_has_its_place() -> None:
    """Keys, values, list items and merged values are found where they are written."""
    document = read("a: &a\n  x: 1\nb:\n  <<: *a\n  list: [é, {k: v}]\n")

    def place(*path: str | int, at_key: bool = False) -> tuple[int, int]:
        problem = document.problem(path, "", at_key=at_key)
        return problem.line, problem.column

    assert (2, 6) == place("a", "x")
    assert (2, 3) == place("a", "x", at_key=True)
    assert (2, 6) == place("b", "x")
    assert (5, 10) == place("b", "list", 0)
    assert (5, 17) == place("b", "list", 1, "k")
    assert (3, 1) == place("b", "missing", "deeper")
    assert (1, 1) == place()
    assert "t.yaml:5:3" == document.place(("b", "list"))


def test_the_text_of_a_number_is_kept() -> None:
    """What an environment variable gets is what is written, not what YAML makes of it."""
    document = read("a: {b: 1.10, c: 0755}\n")
    assert "1.10" == document.text(("a", "b"))
    assert "0755" == document.text(("a", "c"))


def test_the_pure_parser_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where libyaml is missing, values and places are the same; it is only slower."""
    text = "a: &a {x: 0755, 'on': on}\nb:\n  <<: *a\n  c: [é, \"q\", !!str 5]\n"
    fast = read(text)
    monkeypatch.setattr(nodes, "_LOADER", yaml.Loader)
    slow = read(text)
    assert fast.data == slow.data
    assert fast.place(("b", "c", 2)) == slow.place(("b", "c", 2))
    problems = Problems()
    assert read_document("t.yaml", b"a: [", {}, problems) is None
    assert read_document("u.yaml", b"a: \x01", {}, problems) is None
    assert [("t.yaml", 1), ("u.yaml", 1)] == [(problem.file, problem.line) for problem in problems.sorted()]


YAMLISH = st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@`,?<~ \n\t$0.x\x00\x85\ufeffé😀"), max_size=80)


@given(st.one_of(YAMLISH, st.text(max_size=80)).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_data_or_problems(raw: bytes) -> None:
    """No input makes the reader fail in another way."""
    problems = Problems()
    document = read_document("t.yaml", raw, {}, problems)
    assert document is not None or problems
    for problem in problems.sorted():
        assert 1 <= problem.line
        assert 1 <= problem.column
