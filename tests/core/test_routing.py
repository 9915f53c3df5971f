"""Which app a request belongs to."""

from __future__ import annotations

import pytest

from torpor.core.model import Route
from torpor.core.routing import ConfusingPath, RoutingTable, strip_prefix

TABLE = RoutingTable(
    [
        (Route("a.org"), "exact"),
        (Route("A.org", "/app"), "app"),
        (Route("a.org", "/app/deep/"), "deep"),
        (Route("*.a.org"), "wild"),
        (Route("*.b.a.org"), "wilder"),
        (Route("any.*"), "any"),
        (Route("only.org", "/x"), "x"),
        (Route("whole.org."), "whole"),
        (Route(None), "default"),
        (Route(None), "second default"),
    ]
)


@pytest.mark.parametrize(
    ("host", "path", "app"),
    [
        ("a.org", b"/", "exact"),
        ("a.org", b"/app", "app"),
        ("a.org", b"/app/", "app"),
        ("a.org", b"/app/x", "app"),
        ("a.org", b"/apple", "exact"),
        ("a.org", b"/App", "exact"),
        ("a.org", b"/app/deep", "deep"),
        ("a.org", b"/app/deep/er", "deep"),
        ("a.org", b"/app/deeper", "app"),
        ("x.a.org", b"/", "wild"),
        ("x.y.a.org", b"/", "wild"),
        ("b.a.org", b"/", "wild"),
        ("x.b.a.org", b"/", "wilder"),
        ("*.a.org", b"/", "wild"),
        ("xa.org", b"/", "default"),
        ("any.org", b"/", "any"),
        ("any.x.org", b"/", "any"),
        ("any.a.org", b"/", "wild"),
        ("any", b"/", "default"),
        ("x.any.org", b"/", "default"),
        ("whole.org", b"/", "whole"),
        ("", b"/", "default"),
        ("only.org", b"/x/y", "x"),
        ("only.org", b"/y", None),
    ],
)
def test_match(host: str, path: bytes, app: str | None) -> None:
    """Exact host before longest wildcard before default; then the longest prefix by segments."""
    found = TABLE.match(host, path)
    assert app == (None if found is None else found[1])


def test_no_default() -> None:
    """Without a default, an unknown host leads nowhere; a wildcard's bare domain is unknown."""
    table = RoutingTable([(Route("*.a.org"), "wild")])
    assert (None, None) == (table.match("a.org", b"/"), table.match("b.org", b"/"))


@pytest.mark.parametrize(
    "path",
    [
        b"/app/../admin",
        b"/app/..",
        b"/./app",
        b"/app/%2e%2E/admin",
        b"/app/.%2e/admin",
        b"/app/..%2fadmin",
        b"/app%2F../admin",
        b"/app/..\\admin",
        b"/app\\..%5cadmin",
        b"/app/..;x/admin",
    ],
)
def test_dot_segments_with_prefixes(path: bytes) -> None:
    """Where prefixes decide, a path that an app might read as another one is refused."""
    with pytest.raises(ConfusingPath):
        TABLE.match("a.org", path)
    assert TABLE.match("whole.org", path) is not None


@pytest.mark.parametrize(
    "path", [b"/app/.well-known/x", b"/app/...", b"/app/a..b", b"/app/..a", b"/app/%2ewell"]
)
def test_dots_in_names(path: bytes) -> None:
    """Dots that are part of a name are harmless."""
    found = TABLE.match("a.org", path)
    assert found is not None
    assert "app" == found[1]


@pytest.mark.parametrize(
    ("target", "stripped"),
    [(b"/app", b"/"), (b"/app/", b"/"), (b"/app/x?q", b"/x?q"), (b"/app?q", b"/?q"), (b"/app//x", b"//x")],
)
def test_strip_prefix(target: bytes, stripped: bytes) -> None:
    """The app sees its own paths, query and all."""
    assert stripped == strip_prefix(target, Route("a", "/app", strip_prefix=True))
