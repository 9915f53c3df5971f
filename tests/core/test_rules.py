"""Which requests a rule meets."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.core.rules import AGENT_SEEN, Glob, Header, Rule, address, agent


@dataclass(frozen=True)
class Asked:
    """A request as rules see it."""

    method: bytes = b"GET"
    path: str = "/"
    client: str = "192.0.2.7"
    fields: tuple[tuple[bytes, str], ...] = ()

    def values(self, name: bytes) -> list[str]:
        return [value for key, value in self.fields if key == name]


def calling_itself(name: str) -> Asked:
    return Asked(fields=((b"user-agent", name),))


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("/x", ["/x"], ["/", "/x/", "/xy", "/X", ""]),
        ("/x/*", ["/x/", "/x/y", "/x/y/z"], ["/x", "/y/x/"]),
        ("/x*", ["/x", "/x/y", "/xyz"], ["/y/x"]),
        ("*.php", ["/a.php", ".php"], ["/a.php5", "/a.PHP"]),
        ("/a*b*c", ["/abc", "/a--b--c", "/abcbc"], ["/ac", "/acb", "/abcd"]),
        ("/a*a", ["/aa", "/aba"], ["/a"]),
        ("*", ["", "/", "/x"], []),
        ("**", ["", "/"], []),
        ("/[x]?", ["/[x]?"], ["/x", "/xy"]),
    ],
)
def test_a_star_stands_for_anything_and_nothing_else_is_special(
    pattern: str, fits: list[str], fits_not: list[str]
) -> None:
    """A pattern without a star is that text; with stars it is its pieces in their order."""
    assert fits == [text for text in [*fits, *fits_not] if Glob(pattern).meets(text)]


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_a_pattern_means_what_the_same_expression_means(pattern: str, text: str) -> None:
    """Never going back finds all that a search that goes back finds."""
    expression = ".*".join(map(re.escape, pattern.split("*")))

    assert (re.fullmatch(expression, text) is not None) is Glob(pattern).meets(text)


def test_a_hostile_path_is_soon_looked_at() -> None:
    """What takes a search that goes back longer than the universe has existed is looked at once."""
    assert not Glob("*a" * 500 + "b").meets("a" * 60_000)


@pytest.mark.parametrize(
    ("rule", "meets"),
    [
        (Rule("all"), True),
        (Rule("method", methods=("HEAD", "GET")), True),
        (Rule("method", methods=("HEAD",)), False),
        (Rule("path", paths=(Glob("/other"), Glob("/metrics"))), True),
        (Rule("path", paths=(Glob("/other"),)), False),
        (Rule("agent", agents=(Glob("*robot*"),)), True),
        (Rule("agent", agents=(Glob("robot"),)), False),
        (Rule("network", networks=(ipaddress.ip_network("192.0.2.0/24"),)), True),
        (
            Rule("network", networks=(ipaddress.ip_network("192.0.3.0/24"), ipaddress.ip_network("::/0"))),
            False,
        ),
        (Rule("header", headers=(Header("x-probe"),)), True),
        (Rule("header", headers=(Header("x-probe", Glob("y*")),)), True),
        (Rule("header", headers=(Header("x-probe", Glob("no")),)), False),
        (Rule("header", headers=(Header("x-other"),)), False),
        (Rule("both", methods=("GET",), paths=(Glob("/metrics"),)), True),
        (Rule("both", methods=("GET",), paths=(Glob("/other"),)), False),
    ],
)
def test_every_matcher_must_hold_and_of_its_alternatives_any(rule: Rule, meets: bool) -> None:
    """Matchers are joined by `and`, the values of one by `or`."""
    asked = Asked(
        path="/metrics", fields=((b"user-agent", "Uptime-ROBOT/2"), (b"x-probe", "no?"), (b"x-probe", "Yes"))
    )

    assert meets is rule.meets(asked)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("unknown", "None"),
        ("", "None"),
        ("1" * 5000, "None"),
    ],
)
def test_an_address_is_one_however_it_is_written(text: str, expected: str) -> None:
    """An IPv4 client on an IPv6 socket is in the IPv4 networks."""
    assert expected == str(address(text))


def test_of_a_user_agent_the_beginning_is_looked_at() -> None:
    """A stranger's name of any length costs no more than a long one."""
    assert "" == agent(Asked())
    assert "first" == agent(Asked(fields=((b"user-agent", "first"), (b"user-agent", "second"))))
    assert AGENT_SEEN == len(agent(calling_itself("x" * 60_000)))
