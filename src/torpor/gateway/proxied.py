"""The PROXY protocol, versions 1 and 2: a proxy says first for whom it connects.

Law: a header is taken whole or not at all, and what says that it is longer than the protocol's own limits is none.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
from dataclasses import dataclass
from typing import NamedTuple

from torpor.core.model import ProxyVersion
from torpor.gateway.early import Foreign, Incomplete

MOST = 2048
"""Bytes of a header, with what it carries besides addresses (TLVs)."""

_MOST_V1 = 107
_V1 = re.compile(rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5}))\r\n")
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL, _PROXY = 0x20, 0x21
_TCP = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}


class End(NamedTuple):
    """Address and port of one end of a connection."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a connection: who opened it, and to where."""

    source: End
    destination: End


def read_header(data: bytes) -> tuple[int, Ends | None]:
    """How long the header is, and what it says; None: the connection is the proxy's own, or nothing it can tell.

    Raises `Incomplete` and `Foreign`.
    """
    if data.startswith(_V2[: len(data)]):
        return _read_v2(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _read_v1(data)
    raise Foreign


def header(version: ProxyVersion, ends: Ends) -> bytes:
    """What tells an app for whom we connect."""
    addresses = [ipaddress.ip_address(end.host) for end in (ends.source, ends.destination)]
    ports = (ends.source.port, ends.destination.port)
    family = max(address.version for address in addresses)
    if family == 6:
        # An IPv4 client may come in on an address of all networks, which is IPv6's.
        addresses = [_as_v6(address) for address in addresses]
    if version is ProxyVersion.V1:
        return f"PROXY TCP{family} {addresses[0]} {addresses[1]} {ports[0]} {ports[1]}\r\n".encode()
    packed = b"".join(address.packed for address in addresses) + struct.pack("!HH", *ports)
    return _V2 + struct.pack("!BBH", _PROXY, 0x11 if family == 4 else 0x21, len(packed)) + packed


def _as_v6(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.IPv6Address(f"::ffff:{address}") if address.version == 4 else address


def _read_v1(data: bytes) -> tuple[int, Ends | None]:
    end = data.find(b"\r\n", 0, _MOST_V1)
    if end < 0:
        if len(data) >= _MOST_V1:
            raise Foreign
        raise Incomplete
    found = _V1.fullmatch(data, 0, end + 2)
    if found is None:
        raise Foreign
    if found[1] is None:
        return end + 2, None
    family = socket.AF_INET if found[1] == b"4" else socket.AF_INET6
    try:
        hosts = [socket.inet_ntop(family, socket.inet_pton(family, found[at].decode())) for at in (2, 3)]
    except (OSError, ValueError):
        raise Foreign from None
    ports = [int(found[at]) for at in (4, 5)]
    if max(ports) > 65535:
        raise Foreign
    return end + 2, Ends(End(hosts[0], ports[0]), End(hosts[1], ports[1]))


def _read_v2(data: bytes) -> tuple[int, Ends | None]:
    if len(data) < 16:
        raise Incomplete
    command, kind, length = struct.unpack_from("!BBH", data, 12)
    if command not in {_LOCAL, _PROXY} or 16 + length > MOST:
        raise Foreign
    if len(data) < 16 + length:
        raise Incomplete
    if command == _LOCAL or kind not in _TCP:
        return 16 + length, None
    family, size = _TCP[kind]
    if length < 2 * size + 4:
        raise Foreign
    source, destination = (socket.inet_ntop(family, data[start : start + size]) for start in (16, 16 + size))
    ports = struct.unpack_from("!HH", data, 16 + 2 * size)
    return 16 + length, Ends(End(source, ports[0]), End(destination, ports[1]))
