"""The PROXY protocol is read as it is written, and nothing else is taken for it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.core.model import ProxyVersion
from torpor.gateway.early import Foreign, Incomplete
from torpor.gateway.proxied import End, Ends, header, read_header

V4 = Ends(End("192.0.2.1", 4711), End("198.51.100.2", 443))
V6 = Ends(End("2001:db8::1", 1), End("::1", 65535))
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.mark.parametrize("version", ProxyVersion)
@pytest.mark.parametrize("ends", [V4, V6])
def test_what_is_written_is_read(version: ProxyVersion, ends: Ends) -> None:
    """And what follows is left."""
    data = header(version, ends)
    assert (len(data), ends) == read_header(data + b"more")
    for size in range(len(data)):
        with pytest.raises(Incomplete):
            read_header(data[:size])


def test_the_words_of_the_protocol() -> None:
    """As others write them."""
    line = b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n"
    binary = SIGNATURE + bytes.fromhex("2111000c c0000201 c6336402 1267 01bb")
    assert line == header(ProxyVersion.V1, V4)
    assert binary == header(ProxyVersion.V2, V4)
    with_extras = SIGNATURE + bytes.fromhex("21110010 c0000201 c6336402 1267 01bb 04000100")
    assert (32, V4) == read_header(with_extras)


def test_ends_of_two_kinds_are_told_as_ipv6() -> None:
    """A listener of all networks is IPv6's, also for who comes by IPv4."""
    mixed = Ends(End("192.0.2.1", 1), End("::1", 2))
    assert b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n" == header(ProxyVersion.V1, mixed).replace(
        b"::ffff:c000:201", b"::ffff:192.0.2.1"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 x 1 2\r\n",
        SIGNATURE + b"\x20\0\0\0",
        SIGNATURE + b"\x21\0\0\0",
    ],
)
def test_a_proxy_may_have_nothing_to_tell(data: bytes) -> None:
    """A health check of its own, or a kind of address that nobody knows."""
    assert (len(data), None) == read_header(data)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2  4711 443\r\n",
        b"PROXY " + b"x" * 200,
        SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\0\x08" + bytes(8),
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_what_is_no_header(data: bytes) -> None:
    """Another protocol, half the addresses, or one that is longer than any."""
    with pytest.raises(Foreign):
        read_header(data)


@given(st.binary(max_size=120))
def test_nothing_makes_it_fail_in_another_way(noise: bytes) -> None:
    """Whatever comes."""
    for data in (noise, SIGNATURE + noise, b"PROXY TCP4 " + noise, b"PROXY " + noise + b"\r\n"):
        with contextlib.suppress(Incomplete, Foreign):
            size, _ = read_header(data)
            assert 0 < size <= len(data)
