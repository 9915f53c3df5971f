"""Where bodies end, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smuggling import BROKEN_BODIES, Case
from torpor.config.settings import Limits
from torpor.gateway.framing import BadFraming, Chunked, Counted, Endless, Framer

LIMITS = Limits()
BODY = b'5\r\nhello\r\n00A;a=b;c="d;\\"e"\r\n0123456789\r\n1 ;x\r\n!\r\n0\r\nX-Sum: 1\r\nETag: 2\r\n\r\n'
CLEAN = b"5\r\nhello\r\n00A\r\n0123456789\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\nETag: 2\r\n\r\n"
NEXT = b"GET / HTTP/1.1\r\n"


def run(framer: Framer, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """Feed pieces; what went on, and what was left."""
    out, rest = b"", b""
    for piece in pieces:
        if framer.done:
            rest += piece
            continue
        passed, behind = framer.feed(piece)
        out += passed
        rest += behind
    return out, rest


@pytest.mark.parametrize("cut", range(1, len(BODY + NEXT)))
def test_chunked_at_every_boundary(cut: int) -> None:
    """Cut anywhere, a chunked body is passed on without extensions, and what follows is not part of it."""
    data = BODY + NEXT
    framer = Chunked(LIMITS)
    assert (CLEAN, NEXT) == run(framer, [data[:cut], data[cut:]])
    assert framer.done


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_chunked_in_small_pieces(step: int) -> None:
    """Fed in pieces of a few bytes, the result is the same."""
    data = BODY + NEXT
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    assert (CLEAN, NEXT) == run(Chunked(LIMITS), pieces)


@pytest.mark.parametrize("step", [1, 2, 5, 1000])
def test_payload_only(step: int) -> None:
    """For HTTP/1.0 only the content is passed on."""
    pieces = [BODY[start : start + step] for start in range(0, len(BODY), step)]
    assert (b"hello0123456789!", b"") == run(Chunked(LIMITS, payload_only=True), pieces)


@pytest.mark.parametrize("case", BROKEN_BODIES, ids=lambda case: case.name)
@pytest.mark.parametrize("step", [1, 3, 10**6])
def test_broken(case: Case, step: int) -> None:
    """Broken framing is found however it is cut, and the final chunk never passes."""
    data = case.data + NEXT + b"\r\n" * 2
    framer = Chunked(LIMITS)
    with pytest.raises(BadFraming):
        run(framer, [data[start : start + step] for start in range(0, len(data), step)])
    assert not framer.done


def test_long_trailer_is_refused_before_it_ends() -> None:
    """A trailer section that never ends is not collected for ever."""
    endless = [b"0\r\n", *[b"X-A: " + b"b" * 1000] * 100]
    with pytest.raises(BadFraming):
        run(Chunked(LIMITS), endless)


@settings(max_examples=300)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=8),
)
def test_chunked_any_content(chunks: list[bytes], cuts: list[int]) -> None:
    """Content may be any bytes; nothing in it is taken for framing."""
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    pieces, position, turn = [], 0, 0
    while position < len(data):
        size = cuts[turn % len(cuts)]
        pieces.append(data[position : position + size])
        position += size
        turn += 1
    assert (data, b"") == run(Chunked(LIMITS), pieces)
    assert (b"".join(chunks), b"") == run(Chunked(LIMITS, payload_only=True), pieces)


@pytest.mark.parametrize("cut", range(1, 15))
def test_counted(cut: int) -> None:
    """A counted body ends where it said."""
    data = b"0123456789next"
    framer = Counted(10)
    assert (b"0123456789", b"next") == run(framer, [data[:cut], data[cut:]])
    assert framer.done


def test_endless() -> None:
    """A body until the end of the connection never ends by itself."""
    framer = Endless()
    assert (b"ab", b"") == run(framer, [b"a", b"b"])
    assert not framer.done
