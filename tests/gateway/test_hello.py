"""Server names are read from what real clients send, and from nothing else."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.gateway.early import Foreign, Incomplete
from torpor.gateway.hello import server_name


def hello(name: str | None) -> bytes:
    """What OpenSSL says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


def in_records(handshake: bytes, size: int) -> bytes:
    """The same in records of `size` bytes."""
    pieces = [handshake[start : start + size] for start in range(0, len(handshake), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def test_a_name_is_read() -> None:
    """In lower case; without a name it is empty."""
    assert "git.example.org" == server_name(hello("Git.Example.ORG"))
    assert "" == server_name(hello(None))


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
def test_a_greeting_may_come_in_many_records(size: int) -> None:
    """Some clients spread it, to get past those who look."""
    assert "a.example" == server_name(in_records(hello("a.example")[5:], size))


def test_every_beginning_of_a_greeting_is_incomplete() -> None:
    """However much of it has come."""
    whole = hello("a.example")
    for size in range(len(whole)):
        with pytest.raises(Incomplete):
            server_name(whole[:size])


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\x16\x02\x01\x00\x05",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff",
        b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
    ],
)
def test_what_is_no_greeting(data: bytes) -> None:
    """Another protocol, another message, none at all, or one that is larger than any."""
    with pytest.raises(Foreign):
        server_name(data)


@given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 255))
def test_nothing_makes_it_fail_in_another_way(noise: bytes, where: int, byte: int) -> None:
    """Noise, and greetings with one byte changed."""
    whole = bytearray(hello("a.example"))
    whole[where] = byte
    for data in (noise, bytes(whole), b"\x16\x03\x01" + noise):
        with contextlib.suppress(Incomplete, Foreign):
            assert server_name(data) == server_name(data).lower()
