"""Reading heads: the careful reader, the plain expressions, and llhttp as a third opinion."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torpor.config.settings import Limits
from torpor.gateway.fields import CHUNKED, UNTIL_CLOSE, Malformed
from torpor.gateway.heads import Request, host_name, parse_request
from torpor.gateway.plain import PLAIN_REQUEST, PLAIN_RESPONSE
from torpor.gateway.response import Response, parse_response

LIMITS = Limits()


def read(data: bytes) -> Request:
    """Parse a request's head."""
    return parse_request(data, data.index(b"\r\n\r\n"), LIMITS)


def answer(data: bytes) -> Response:
    """Parse a response's head."""
    return parse_response(data, data.index(b"\r\n\r\n"), LIMITS)


def get(fields: bytes = b"", line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a\r\n") -> bytes:
    """A request of parts."""
    return line + b"\r\n" + host + fields + b"\r\n"


def test_end_to_end_fields_stay_byte_for_byte() -> None:
    """What does not concern a proxy is passed on unchanged."""
    data = get(b"aCCept:   x ; q=1\t\r\nCookie: a=\xff; b\r\nSet_Odd: 1\r\nX:\r\n")
    assert data[:-2] == read(data).head


@pytest.mark.parametrize(
    "field",
    [
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"TE: trailers",
        b"Upgrade: websocket",
        b"HTTP2-Settings: x",
        b"X-Forwarded-For: 6.6.6.6",
        b"Forwarded: for=6.6.6.6",
        b"X-Real-IP: 6.6.6.6",
        b"CONNECTION: \tclose ",
    ],
)
def test_hop_by_hop_fields_go(field: bytes) -> None:
    """Fields of this connection, and claims about who asks, do not reach the app."""
    assert (
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B: 2\r\n"
        == read(get(b"X-A: 1\r\n" + field + b"\r\nX-B: 2\r\n")).head
    )


def test_connection_names_fields() -> None:
    """Whatever Connection names goes with it, also from several Connection lines."""
    request = read(get(b"X-A: 1\r\nConnection: x-a, X-C\r\nX-B: 2\r\nconnection: keep-alive\r\nx-C: 3\r\n"))
    assert b"GET / HTTP/1.1\r\nHost: a\r\nX-B: 2\r\n" == request.head


@pytest.mark.parametrize(
    ("line", "fields", "close"),
    [
        (b"GET / HTTP/1.1", b"", False),
        (b"GET / HTTP/1.1", b"Connection: close\r\n", True),
        (b"GET / HTTP/1.1", b"Connection: keep-alive, Close\r\n", True),
        (b"GET / HTTP/1.0", b"", True),
        (b"GET / HTTP/1.0", b"Connection: Keep-Alive\r\n", False),
    ],
)
def test_close(line: bytes, fields: bytes, close: bool) -> None:
    """Who says that the connection ends after the response."""
    assert close == read(get(fields, line)).close


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        (b"", 0),
        (b"Content-Length: 0\r\n", 0),
        (b"content-length:\t42 \r\n", 42),
        (b"Transfer-Encoding: Chunked\r\n", CHUNKED),
    ],
)
def test_request_length(fields: bytes, length: int) -> None:
    """A request's body is framed by what it says, or there is none."""
    assert length == read(get(fields)).length


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        (b"http://a/x?y", b"a", b"/x?y"),
        (b"HTTP://A:80?y", b"a:80", b"/?y"),
        (b"https://a", b"A", b"/"),
    ],
)
def test_absolute_form(target: bytes, host: bytes, expected: bytes) -> None:
    """The absolute form becomes the origin form."""
    request = read(get(line=b"GET " + target + b" HTTP/1.1", host=b"Host: " + host + b"\r\n"))
    assert expected == request.target
    assert request.head.startswith(b"GET " + expected + b" HTTP/1.1\r\n")


def test_asterisk_form() -> None:
    """OPTIONS may ask about the whole server."""
    assert b"*" == read(get(line=b"OPTIONS * HTTP/1.1")).target


@pytest.mark.parametrize(
    ("value", "name"),
    [(b"a", "a"), (b"a.b.:80", "a.b"), (b"[::1]:8080", "::1"), (b"127.0.0.1:", "127.0.0.1")],
)
def test_host_name(value: bytes, name: str) -> None:
    """Port, brackets and the trailing dot are no part of the name."""
    assert name == host_name(value)


@pytest.mark.parametrize(
    ("fields", "length", "close"),
    [
        (b"Content-Length: 5\r\n", 5, False),
        (b"Transfer-Encoding: chunked\r\n", CHUNKED, False),
        (b"", UNTIL_CLOSE, False),
        (b"Content-Length: 5\r\nConnection: close\r\n", 5, True),
    ],
)
def test_response(fields: bytes, length: int, close: bool) -> None:
    """A response's body is framed by what it says, or lasts until the connection ends."""
    response = answer(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n")
    assert (200, length, close) == (response.status, response.length, response.close)


def test_old_response_becomes_new() -> None:
    """An HTTP/1.0 response is passed on as what we speak, and its connection ends."""
    response = answer(b"HTTP/1.0 200 Fine\r\nConnection: keep-alive\r\nX-A: 1\r\n\r\n")
    assert (b"HTTP/1.1 200 Fine\r\nX-A: 1\r\n", True) == (response.head, response.close)


def test_response_without_reason() -> None:
    """A status line needs no reason phrase."""
    assert 204 == answer(b"HTTP/1.1 204\r\n\r\n").status


def test_view() -> None:
    """People-facing code gets names in lower case and values without space."""
    view = read(get(b"X-A: \t1 \r\n", b"GET /p?q HTTP/1.1", b"HOST: A.b:8\r\n")).view("::1", "https")
    assert ("a.b", "/p", "q") == (view.host, view.path, view.query)
    assert ((b"host", b"A.b:8"), (b"x-a", b"1")) == view.headers
    assert b"1" == view.get(b"x-a")


# --- differential ------------------------------------------------------------------------------

_NAMES = st.sampled_from(
    [
        b"Host",
        b"host",
        b"HOST",
        b"Connection",
        b"connection",
        b"Content-Length",
        b"content_length",
        b"Expect",
        b"Transfer-Encoding",
        b"Transfer_Encoding",
        b"Upgrade",
        b"TE",
        b"Keep-Alive",
        b"Proxy-Connection",
        b"Te",
        b"X-Forwarded-For",
        b"X_Forwarded-Host",
        b"Forwarded",
        b"X-Real-IP",
        b"HTTP2-Settings",
        b"hosts",
        b"Ho",
        b"Accept",
        b"Cookie",
        b"Content-Type",
        b"User-Agent",
        b"X-A",
        b"Contents",
        b"Upgrade-Insecure-Requests",
        b"",
        b" ",
        b"X A",
        b"X-A ",
        b"\tX",
        b"X\xe9",
        b"Connection ",
    ]
)
_VALUES = st.sampled_from(
    [
        b"a",
        b"",
        b" a",
        b"a b",
        b"keep-alive",
        b"Keep-Alive",
        b"close",
        b"chunked",
        b"5",
        b"0",
        b"05",
        b"5, 5",
        b"websocket",
        b"upgrade",
        b"100-continue",
        b"a:80",
        b"A",
        b"[::1]",
        b"a\tb",
        b"a\xffb",
        b"a\x01",
        b"x-a",
        b"a\rb",
        b"a\nb",
        b"a\x00b",
        b"host",
    ]
)
_COLONS = st.sampled_from([b":", b": ", b": ", b": ", b":  ", b":\t", b" :"])
_ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n ", b"\r\r\n"])
_FIELDS = st.lists(st.tuples(_NAMES, _COLONS, _VALUES, _ENDS).map(b"".join), max_size=5).map(b"".join)
_LINES = st.tuples(
    st.sampled_from([b"GET", b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"get", b"PROPFIND"]),
    st.sampled_from([b" ", b" ", b" ", b"  ", b"\t"]),
    st.sampled_from([b"/", b"/a?b", b"*", b"http://a/", b"/a b", b"/#", b"/\x01", b"/_torpor/x", b"//", b""]),
    st.sampled_from([b" HTTP/1.1\r\n"] * 6 + [b" HTTP/1.0\r\n", b" HTTP/1.2\r\n", b"\r\n", b" HTTP/1.1\n"]),
).map(b"".join)
_STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n"] * 4
    + [
        b"HTTP/1.1 404\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 204 N\r\n",
        b"HTTP/1.1 304 N\r\n",
        b"HTTP/1.1 20 OK\r\n",
    ]
    + [b"HTTP/1.1 101 S\r\n", b"HTTP/1.1 600 S\r\n", b"HTTP/1.1 200 \x01\r\n", b"HTTP/1.1  200 OK\r\n"]
)


class Opinion:
    """What llhttp makes of a request."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.accepted = True
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            self.accepted = False
        self.parser = parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Part of httptools' interface."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Part of httptools' interface."""
        self.complete = True


@settings(max_examples=1500)
@given(_LINES, st.booleans(), _FIELDS)
def test_never_laxer_than_llhttp(line: bytes, with_host: bool, fields: bytes) -> None:
    """What we accept, llhttp accepts with the same fields; and the plain expression agrees with us."""
    data = line + (b"Host: a\r\n" if with_host else b"") + fields + b"\r\n"
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return
    plain = PLAIN_REQUEST.match(data)
    try:
        request = parse_request(data, end, LIMITS)
    except Malformed:
        assert plain is None
        return
    opinion = Opinion(data[: end + 4])
    assert opinion.accepted
    assert opinion.complete
    ours = [(name, value.strip(b" \t")) for name, value in request.view("", "http").headers]
    assert [(name, value.strip(b" \t")) for name, value in opinion.headers] == ours
    if plain is not None:
        assert (end + 4, request.target, request.host) == (plain.end(), plain[1], plain[2])
        assert (0, False, None, False) == (request.length, request.close, request.upgrade, request.expect)
        assert request.forwarded is None
        start, stop = plain.span(3)
        assert request.head == (data[: end + 2] if start < 0 else data[:start] + data[stop : end + 2])


@settings(max_examples=1500)
@given(_STATUS_LINES, st.booleans(), _FIELDS)
def test_plain_response_agrees(line: bytes, with_length: bool, fields: bytes) -> None:
    """Whatever the plain expression takes for a response, the careful reader reads the same way."""
    data = line + (b"Content-Length: 5\r\n" if with_length else b"") + fields + b"\r\n"
    plain = PLAIN_RESPONSE.match(data)
    if plain is None:
        return
    assert plain.end() == data.index(b"\r\n\r\n") + 4
    response = answer(data)
    assert (int(plain[1]), False, None) == (response.length, response.close, response.upgrade)
    start, stop = plain.span(2)
    head = data[: plain.end() - 2]
    assert (response.head or head) == (head if start < 0 else data[:start] + data[stop : plain.end() - 2])


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
        b"GET /a?b=c HTTP/1.1\r\nHost: a.b\r\nUser-Agent: x\r\nAccept: */*\r\nConnection: keep-alive\r\nTest: 1\r\n\r\n",
        b"DELETE /x HTTP/1.1\r\nhost: [::1]:80\r\nCookie: a\r\n\r\n",
    ],
)
def test_plain_requests_are_recognised(data: bytes) -> None:
    """The usual heads take the fast way (on every Python that we support)."""
    assert PLAIN_REQUEST.match(data) is not None


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\n",
        b"Server: x\r\nContent-Length: 5\r\nDate: now\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nX: y\r\n",
        b"content-type: text/plain\r\ncontent-length: 12345\r\n",
    ],
)
def test_plain_responses_are_recognised(fields: bytes) -> None:
    """The usual heads take the fast way (on every Python that we support)."""
    assert PLAIN_RESPONSE.match(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\nbody") is not None


@pytest.mark.parametrize(
    "field",
    [
        b"Host: b",
        b"Connection: close",
        b"Connection: upgrade",
        b"Content-Length: 0",
        b"content_length: 5",
        b"Transfer-Encoding: chunked",
        b"TRANSFER_ENCODING: chunked",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"te: trailers",
        b"Keep-Alive: 5",
        b"Proxy-Connection: close",
        b"HTTP2-Settings: x",
        b"Forwarded: for=x",
        b"x-forwarded-for: x",
        b"X_Forwarded_Anything: x",
        b"X-Real-IP: x",
    ],
)
def test_what_a_proxy_heeds_is_never_plain(field: bytes) -> None:
    """A field that the careful reader looks at takes the careful way, wherever it stands."""
    assert PLAIN_REQUEST.match(get(field + b"\r\n")) is None
    assert PLAIN_REQUEST.match(get(b"X-A: 1\r\nConnection: keep-alive\r\n" + field + b"\r\n")) is None
    assert PLAIN_REQUEST.match(get(host=field + b"\r\nHost: a\r\n")) is None
