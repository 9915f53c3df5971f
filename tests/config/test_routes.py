"""Routes are written in one line and compared in one form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.config.routes import parse_route, parse_stream
from torpor.core.model import Route, Scheme, StreamRoute


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (Route("notes.localhost"), "notes.localhost"),
        (Route("notes.localhost"), " Notes.LOCALHOST. "),
        (Route("example.org", "/api"), "example.org/api"),
        (Route("example.org", "/api/v1"), "example.org/api/v1/"),
        (Route("example.org"), "example.org/"),
        (Route("*.example.org", "/x"), "*.example.org/x"),
        (Route("notes.*", "/x"), "Notes.*/x"),
        (Route(None), "default"),
        (Route(None, "/x"), "default/x"),
        (Route("127.0.0.1"), "127.0.0.1"),
        (Route("[::1]", "/x"), "[::1]/x"),
        (Route("xn--bcher-kva.example"), "Bücher.example"),
        (Route("my_app.localhost"), "my_app.localhost"),
        (Route("a.org", "/%C3%A9"), "a.org/%C3%A9"),
    ],
)
def test_routes_are_normalised(expected: Route, text: str) -> None:
    """Case, a final dot or slash, and other alphabets lead to the same route as a request does."""
    assert expected == parse_route(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "/x", "http://a.org", "a.org:80", "::1", "*", "a.b.*", "*.*", "*.*.org", "*.", "-a.org", "a..org", "a b", "a.org//x",
        "a.org/./x", "a.org/../x", "a.org/x?y", "a.org/x#y", "a.org/é", "a.org/x y", "a" * 64, "a." * 127 + "aa", "\0",
        "a.org/" + "x" * 1024, "[::1", "ü" * 64,
    ],
)  # fmt: skip
def test_what_no_request_could_match_is_refused(text: str) -> None:
    """A route that can never match is a mistake."""
    with pytest.raises(ValueError, match=r"\S"):
        parse_route(text)


@pytest.mark.parametrize("text", ["udp//10.0.0.1:53", "udp:/10.0.0.1:53", "UDP//10.0.0.1:53"])
def test_a_scheme_that_is_badly_written_is_seen(text: str) -> None:
    """It looks like a host name and a path, and nobody would understand what is wrong with those."""
    with pytest.raises(ValueError, match=r"did you mean udp://10\.0\.0\.1:53\?"):
        parse_route(text)


def test_a_host_may_be_called_like_a_scheme() -> None:
    """As long as nothing else speaks for the scheme."""
    assert Route("tcp") == parse_route("tcp")
    assert Route("tcp", "/x") == parse_route("tcp/x")


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (StreamRoute("127.0.0.1", 5432), "tcp://127.0.0.1:5432"),
        (StreamRoute("127.0.0.1", 5432), " tcp://5432 "),
        (StreamRoute("::1", 5432), "tcp://[::1]:5432"),
        (StreamRoute("db.example", 1), "tcp://DB.example:1"),
        (
            StreamRoute("127.0.0.1", 443, scheme=Scheme.TLS, name="git.example.org"),
            "tls://Git.Example.org:443",
        ),
        (
            StreamRoute("0.0.0.0", 443, scheme=Scheme.TLS, name="*.example.org"),
            "tls://*.example.org@0.0.0.0:443",
        ),
        (StreamRoute("0.0.0.0", 53, Scheme.UDP), "udp://0.0.0.0:53"),
        (StreamRoute("::1", 443, scheme=Scheme.TLS), "tls://default@[::1]:443"),
    ],
)
def test_streams_are_addresses(expected: StreamRoute, text: str) -> None:
    """As `gateway.listen` is written, and as it reads itself."""
    assert expected == parse_stream(text)
    assert expected == parse_stream(str(expected))


@pytest.mark.parametrize(
    "text",
    [
        "tcp://",
        "tcp://:5432",
        "tcp://a.org",
        "tcp://a:0",
        "tcp://a:65536",
        "tcp://::1:5",
        "tcp://a/b:1",
        "tcp://x@a:1",
        "tls://:443",
        "tls://a.org",
        "tls://@a:1",
        "tls://a@",
    ],
)
def test_what_nobody_can_listen_on_is_refused(text: str) -> None:
    """No port, or an address that means more than one thing."""
    with pytest.raises(ValueError, match=r"\S"):
        parse_stream(text)


@given(st.one_of(st.text(max_size=40), st.text("ab.*/:[]-ß.é%?#\0 ", max_size=20)))
def test_any_text_is_a_route_or_refused(text: str) -> None:
    """No text makes it fail in another way; a route that was read reads as itself."""
    try:
        route = parse_route(text)
    except ValueError:
        return
    assert route == parse_route(str(route))
