"""Rules about requests: which ones they meet, and what follows from that.

Laws of this file:

- Every matcher that a rule names must hold; of the alternatives of one, any will do.
- Matching takes time that grows with the request's head, never faster: `*` is the only wildcard.
- A path is compared as it was sent, byte by byte and without its query, as routes are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

AGENT_SEEN = 1024
"""Characters of a user agent that are looked at: no program has a longer name."""

_LONGEST_ADDRESS = 64
"""Characters, with the name of an interface."""


class Visit(Protocol):
    """What rules look at: the head of a request."""

    @property
    def method(self) -> bytes:
        """As sent: upper case."""
        ...

    @property
    def path(self) -> str:
        """As sent, without the query."""
        ...

    @property
    def client(self) -> str:
        """The address of whoever asks, behind all trusted proxies."""
        ...

    def values(self, name: bytes) -> Iterable[str]:
        """The values of all fields of that name (lower case)."""
        ...


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern in which `*` stands for any characters, or none; nothing else is special."""

    text: str

    def meets(self, text: str) -> bool:
        """Whether the whole of `text` fits.

        The leftmost place of each piece leaves the most room for the others, so no choice is
        ever taken back.
        """
        first, *others = self.text.split("*")
        if not others:
            return text == first
        *middle, last = others
        if not text.startswith(first):
            return False
        at = len(first)
        for piece in middle:
            if (found := text.find(piece, at)) < 0:
                return False
            at = found + len(piece)
        return len(text) - at >= len(last) and text.endswith(last)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Header:
    """A header field that a request has, with any value or with one that fits.  All in lower case."""

    name: str
    value: Glob | None = None

    def meets(self, visit: Visit) -> bool:
        """Whether the request has it."""
        values = visit.values(self.name.encode())
        return any(self.value is None or self.value.meets(value.lower()) for value in values)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered in a sleeping app's place."""

    status: int = 503
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """Which requests it meets, and what they mean for the app.  Without matchers it meets all of them."""

    name: str
    """How people know it: its own name, or where it stands."""
    paths: tuple[Glob, ...] = ()
    methods: tuple[str, ...] = ()
    """Upper case."""
    agents: tuple[Glob, ...] = ()
    """Lower case."""
    networks: tuple[Network, ...] = ()
    """Of the client's address."""
    headers: tuple[Header, ...] = ()
    wakes: bool = True
    """Whether such a request wakes the app."""
    counts: bool = True
    """Whether it is activity, which keeps the app awake."""
    answer: Answer | None = None
    """What it gets as long as the app is not awake; None: it waits, or is told that the app sleeps."""

    def meets(self, visit: Visit) -> bool:
        """Whether the rule is about this request."""
        return (
            (not self.methods or visit.method.decode("latin-1") in self.methods)
            and (not self.paths or any(path.meets(visit.path) for path in self.paths))
            and (not self.agents or _fits_any(self.agents, agent(visit).lower()))
            and (not self.networks or _within(visit.client, self.networks))
            and (not self.headers or any(header.meets(visit) for header in self.headers))
        )


def agent(visit: Visit) -> str:
    """The user agent that a request names, cut to `AGENT_SEEN`; empty where it names none."""
    return next(iter(visit.values(b"user-agent")), "")[:AGENT_SEEN]


def address(text: str) -> Address | None:
    """The address that `text` is, an IPv4 address inside of an IPv6 one as itself; None for other text."""
    return _address(text) if len(text) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _fits_any(globs: tuple[Glob, ...], text: str) -> bool:
    return any(glob.meets(text) for glob in globs)


def _within(client: str, networks: tuple[Network, ...]) -> bool:
    found = address(client)
    return found is not None and any(found in network for network in networks)
