"""The fields that the gateway adds: who asked, by which name and scheme.

Laws:
1. What an untrusted peer says about itself in `Forwarded` or `X-Forwarded-*` is dropped.
2. What a peer within `trusted_proxies` says is believed and extended by the peer itself.
3. The client is the nearest address that is no trusted proxy: what lies behind it is its own word.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from torpor.core.rules import Network, address

MOST_HOPS = 32
"""Addresses of `X-Forwarded-For` that are looked at, from the nearest on."""

_FOR = re.compile(rb"(?i:\bfor)=\"?([^\";]*)")
"""Whom an element of `Forwarded` names."""

_THIS_MACHINE = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks or single addresses.  Raises ValueError."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


class Forwarding:
    """What the gateway says of one client connection to the apps behind it."""

    __slots__ = (
        "_fixed",
        "_host",
        "_networks",
        "_node",
        "_peer",
        "_port",
        "_scheme",
        "_suffix",
        "from_a_friend",
        "peer",
        "trusted",
    )

    def __init__(self, peer: str, scheme: str, port: int, trusted: Sequence[Network]) -> None:
        self.peer = peer
        self._networks = trusted
        self._peer = peer.encode()
        self._node = b'"[%b]"' % self._peer if ":" in peer else self._peer or b"unknown"
        self._scheme = scheme.encode()
        self._port = str(port).encode()
        self.trusted = within(peer, trusted)
        self.from_a_friend = self.trusted or within(peer, _THIS_MACHINE)
        """Whether the peer may ask about requests that others made."""
        self._host: bytes | None = None
        self._suffix = b""
        self._fixed = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Port: %b\r\n" % (
            self._peer,
            self._scheme,
            self._port,
        )

    def suffix(self, host: bytes) -> bytes:
        """The fields and the empty line that end a request's head.

        A connection asks the same host again and again: the last result is kept.
        """
        if host != self._host:
            self._host = host
            self._suffix = self._fixed + self._of_host(host) + b"\r\n"
        return self._suffix

    def extended(self, host: bytes, came: Sequence[tuple[bytes, bytes]]) -> bytes:
        """As `suffix`, built upon what a trusted peer sent."""
        said: dict[bytes, bytes] = {}
        for name, value in came:
            said[name] = said[name] + b", " + value if name in said else value
        chain = said.get(b"x-forwarded-for")
        lines = [
            b"X-Forwarded-For: " + (chain + b", " + self._peer if chain else self._peer),
            b"X-Forwarded-Proto: " + said.get(b"x-forwarded-proto", self._scheme),
            b"X-Forwarded-Port: " + said.get(b"x-forwarded-port", self._port),
        ]
        seen = said.get(b"x-forwarded-host", host)
        if seen:
            lines.append(b"X-Forwarded-Host: " + seen)
        if b"x-forwarded-prefix" in said:
            lines.append(b"X-Forwarded-Prefix: " + said[b"x-forwarded-prefix"])
        if b"x-real-ip" in said:
            lines.append(b"X-Real-IP: " + said[b"x-real-ip"])
        element = self._element(host)
        earlier = said.get(b"forwarded")
        lines.append(b"Forwarded: " + (earlier + b", " + element if earlier else element))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def client(self, came: Sequence[tuple[bytes, bytes]] | None) -> str:
        """The address of whoever asks, `came` being what was sent of `X-Forwarded-*` and `Forwarded`.

        An element that is no address ends the search: nobody knows who is behind it.
        """
        if not came or not self.trusted:
            return self.peer
        found = self.peer
        for hop in _hops(came):
            if (known := address(hop)) is None:
                break
            found = str(known)
            if not any(known in network for network in self._networks):
                break
        return found

    def _of_host(self, host: bytes) -> bytes:
        named = b"X-Forwarded-Host: %b\r\n" % host if host else b""
        return named + b"Forwarded: %b\r\n" % self._element(host)

    def _element(self, host: bytes) -> bytes:
        quoted = b'"%b"' % host if b":" in host else host
        named = b"host=%b;" % quoted if host else b""
        return b"for=%b;%bproto=%b" % (self._node, named, self._scheme)


def _hops(came: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """Whom the proxies name, the nearest first; `X-Forwarded-For` is heard before `Forwarded`."""
    for name in (b"x-forwarded-for", b"forwarded", b"x-real-ip"):
        chain = b",".join(value for key, value in came if key == name)
        if chain:
            hops = chain.rsplit(b",", MOST_HOPS)[-MOST_HOPS:]
            return [_address_of(hop, forwarded=name == b"forwarded") for hop in reversed(hops)]
    return []


def _address_of(hop: bytes, *, forwarded: bool) -> str:
    """The address that an element names, without its port; other text where it names none."""
    if forwarded:
        node = _FOR.search(hop)
        hop = b"" if node is None else node[1]
    text = hop.strip().decode("latin-1")
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def within(peer: str, networks: Sequence[Network]) -> bool:
    """Whether this peer is in one of these networks."""
    found = address(peer) if networks else None
    return found is not None and any(found in network for network in networks)
