"""A search finds what asking each line would find, whatever the blocks are."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torpor.logs import grep
from torpor.logs.grep import Search, needed_text
from torpor.logs.index import START, Index, Record
from torpor.logs.reader import Block

EMPTY = Index([])
PATTERNS = [
    "a", "ab", "A", "a.b", "a[^x]*b", "^a", "b$", "^$", "x*", r"a\s+b", r"\bb", "a|b", "(a)(b)?", r"a\Z", r"\Aa",
    "a(?!b)", "(?<=a)b", "(?s)a.b", "a(?![^b]*b)", "é", "[éx]", "É", "b++a", r"\n", r"[\s\S]b", "a{2}", "",
    "[^,]*b", "a[^]x]*b", "[^-a]+b", "[^^]b", r"\W+", r"\D+b", r"[\Wx]+", r"[\x00- ]+a", r"a[\s,]*b", r"\x0a", r"\012",
    r"(a)[^b]*\1", r"\\n", r"[^\W]+b", "(?i)[^B]a", r"\s{1,2}$", "(?#[)a]", r"[^\n]+ ",
]  # fmt: skip


def blocks(data: bytes, size: int) -> list[Block]:
    """The data as blocks of whole lines."""
    found, start = [], 0
    while start < len(data):
        end = data.find(b"\n", min(start + size, len(data) - 1)) + 1 or len(data)
        found.append(Block(data[start:end], start, EMPTY, ()))
        start = end
    return found


def lines(data: bytes) -> list[bytes]:
    """All lines."""
    *whole, rest = data.split(b"\n")
    return [*whole, *([rest] if rest else [])]


def expected(pattern: str, text: list[bytes], *, ignore: bool) -> list[bool]:
    """Which lines match, each asked by itself."""
    flags = re.IGNORECASE if ignore else re.NOFLAG
    if pattern.isascii():
        compiled = re.compile(pattern.encode(), flags)
        return [compiled.search(line) is not None for line in text]
    by_text = re.compile(pattern, flags)
    return [by_text.search(line.decode("utf-8", "replace")) is not None for line in text]


@settings(max_examples=400)
@given(
    text=st.lists(st.text("abxA é\t", max_size=6), max_size=12),
    ends=st.booleans(),
    pattern=st.sampled_from(PATTERNS),
    ignore=st.booleans(),
    invert=st.booleans(),
    size=st.integers(1, 20),
)
def test_it_finds_what_each_line_would(
    *, text: list[str], ends: bool, pattern: str, ignore: bool, invert: bool, size: int
) -> None:
    """Literals, expressions of all kinds, capitals, the contrary; across blocks of any size."""
    data = "\n".join(text).encode() + (b"\n" if ends else b"")
    each = lines(data)
    wanted = [
        line
        for line, found in zip(each, expected(pattern, each, ignore=ignore), strict=True)
        if found is not invert
    ]
    search = Search(pattern, ignore_case=ignore, invert=invert)
    assert wanted == [hit.text for hit in search.hits(blocks(data, size))]
    assert [line for line in each if search.matches(line)] == wanted


NEEDING = {
    "[^,]*,abx": ",abx", "abx+a": "abx", "(abx)*abA": "abA", "ab{2}xab": "xab", "abx?aab": "aab", r"a\.b\-x": "a.b-x",
    "abx|b": "", "(?i)abx": "", "x.abA$": "abA", r"\w+abx": "abx", "(?:a|b)abx": "abx", "abx*": "ab", "(?#)abx": "",
    "a[b]xab*b": "xa", "^abx": "abx", "(?=b)bab": "bab", "abx{": "ab", "abx{0,1}baa": "baa", "ab\\nxab": "xab",
}  # fmt: skip


@pytest.mark.parametrize(("pattern", "text"), NEEDING.items())
def test_what_each_match_has(pattern: str, text: str) -> None:
    """The longest text that surely stands in each match."""
    assert text == needed_text(pattern)


@settings(max_examples=300)
@given(
    text=st.lists(
        st.lists(st.sampled_from(["abx", "a", ",abA", "xab", "a.b-x", "baa", "x"]), max_size=3), max_size=12
    ),
    pattern=st.sampled_from(list(NEEDING)),
    ignore=st.booleans(),
)
def test_who_has_it_is_asked(text: list[list[str]], pattern: str, ignore: bool) -> None:
    """Only lines with the needed text are asked, and that changes nothing."""
    data = b"".join("".join(words).encode() + b"\n" for words in text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grep, "_RARE", 0.001)
        search = Search(pattern, ignore_case=ignore)
        found = {hit.text for hit in search.hits(blocks(data, 1000))}
    wanted = expected(pattern, lines(data), ignore=ignore)
    assert {line for line, matches in zip(lines(data), wanted, strict=True) if matches} == found


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=25), st.integers(1, 3), st.integers(1, 30))
def test_neighbours(text: list[str], context: int, size: int) -> None:
    """With a context come so many lines around each, each once, and a gap is told."""
    data = "".join(f"{word}{number}\n" for number, word in enumerate(text)).encode()
    each = lines(data)
    near = [
        any(
            each[other].startswith(b"a")
            for other in range(max(0, at - context), min(len(each), at + context + 1))
        )
        for at in range(len(each))
    ]
    wanted: list[bytes | None] = []
    last = None
    for at, line in enumerate(each):
        if near[at]:
            if last is not None and last != at - 1:
                wanted.append(None)
            wanted.append(line)
            last = at
    assert wanted == [hit.text for hit in Search("a", context=context).hits(blocks(data, size))]


def test_a_run_ends_a_line() -> None:
    """What a run left unfinished and what the next began are two lines."""
    block = Block(b"one twothree\n", 0, Index([Record(7, 5, 2, START)]), (7,))
    assert [b"one two"] == [hit.text for hit in Search("two").hits([block])]
    assert [] == list(Search("twothree").hits([block]))


ENDLESS = """
import sys
from torpor.logs import grep
from torpor.logs.grep import Search, needed_text
from torpor.logs.index import Index
from torpor.logs.reader import Block

data = b"one two three four five\\n" * 100_000
assert not list(Search(sys.argv[1]).hits([Block(data, 0, Index([]), ())]))
"""


@pytest.mark.parametrize("pattern", ["[^,]*,ERROR", r"four\D+!", r"[\s\w]+!"])
def test_no_match_leaves_its_line(pattern: str) -> None:
    """What matches nearly everything is not tried to the end of the block from each place: it would take hours."""
    subprocess.run([sys.executable, "-c", ENDLESS, pattern], timeout=60, check=True)


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "[", "(?P<a>b)(?P<a>c)"])
def test_no_expression(pattern: str) -> None:
    """What does not compile is said in words."""
    with pytest.raises(ValueError, match="is not a regular expression"):
        Search(pattern)


@pytest.mark.parametrize("pattern", ["a\nb", "a.\nb", "\n"])
def test_several_lines(pattern: str) -> None:
    """No line can match, which is said instead of finding what is not one."""
    with pytest.raises(ValueError, match="has a line end in it"):
        Search(pattern)
