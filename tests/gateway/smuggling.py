"""Requests that two parties could read differently: the corpus.

Each must be answered with `status`, and the connection closed; not one byte may reach an app.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One request and the status that refuses it."""

    name: str
    status: int
    data: bytes


def _post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n" + body


def _get(fields: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n"


INNER = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

REFUSED = [
    # two lengths
    Case("CL.TE", 400, _post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + INNER)),
    Case("TE.CL", 400, _post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n" + INNER)),
    Case("two different lengths", 400, _post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!")),
    Case("two equal lengths", 400, _post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello")),
    Case("two lengths in one field", 400, _post(b"Content-Length: 5, 5\r\n", b"hello")),
    Case("two lengths, one empty", 400, _post(b"Content-Length: 5\r\nContent-Length:\r\n", b"hello")),
    # odd lengths
    Case("signed length", 400, _post(b"Content-Length: +5\r\n", b"hello")),
    Case("negative length", 400, _post(b"Content-Length: -5\r\n", b"hello")),
    Case("hexadecimal length", 400, _post(b"Content-Length: 0x5\r\n", b"hello")),
    Case("length with underscore", 400, _post(b"Content-Length: 1_0\r\n", b"hello12345")),
    Case("length with inner space", 400, _post(b"Content-Length: 1 0\r\n", b"hello12345")),
    Case("fractional length", 400, _post(b"Content-Length: 5.0\r\n", b"hello")),
    Case("empty length", 400, _post(b"Content-Length:\r\n", b"")),
    Case("huge length", 400, _post(b"Content-Length: 99999999999999999999\r\n", b"")),
    Case("length in other digits", 400, _post("Content-Length: ٥\r\n".encode(), b"hello")),
    # transfer codings
    Case("gzip", 501, _post(b"Transfer-Encoding: gzip\r\n")),
    Case("gzip, chunked", 501, _post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n")),
    Case("chunked, chunked", 501, _post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n")),
    Case(
        "chunked twice",
        501,
        _post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    ),
    Case(
        "chunked and identity", 501, _post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")
    ),
    Case("identity", 501, _post(b"Transfer-Encoding: identity\r\n")),
    Case("xchunked", 501, _post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n")),
    Case("chunked with parameter", 501, _post(b"Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n")),
    Case("quoted chunked", 501, _post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n")),
    Case("chunked with vertical tab", 400, _post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n")),
    Case("chunked behind a tab line", 400, _post(b"Transfer-Encoding:\r\n\tchunked\r\n", b"0\r\n\r\n")),
    Case("empty coding", 501, _post(b"Transfer-Encoding:\r\n")),
    Case(
        "chunked on HTTP/1.0",
        400,
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    # lines
    Case("space before the colon", 400, _post(b"Content-Length : 5\r\n", b"hello")),
    Case("tab before the colon", 400, _post(b"Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n")),
    Case("folded field", 400, _get(b"X-A: b\r\n c\r\n")),
    Case("folded by tab", 400, _get(b"X-A: b\r\n\tContent-Length: 5\r\n")),
    Case("space before the first field", 400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    Case("bare LF in a field", 400, _get(b"X-A: b\nTransfer-Encoding: chunked\r\n")),
    Case("bare LF everywhere", 400, b"GET / HTTP/1.1\nHost: a\n\n"),
    Case("bare LF behind the request line", 400, b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    Case(
        "bare LF as the empty line", 400, b"GET / HTTP/1.1\r\nHost: a\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
    ),
    Case("bare CR in a field", 400, _get(b"X-A: b\rTransfer-Encoding: chunked\r\n")),
    Case("bare CR before CRLF", 400, _get(b"X-A: b\r\r\n")),
    Case("bare CR as line end", 400, b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
    Case("NUL in a value", 400, _get(b"X-A: b\0c\r\n")),
    Case("NUL in a name", 400, _get(b"X\0A: b\r\n")),
    Case("control character in a value", 400, _get(b"X-A: \x01\r\n")),
    Case("DEL in a value", 400, _get(b"X-A: \x7f\r\n")),
    Case("no colon", 400, _get(b"X-A\r\n")),
    Case("empty name", 400, _get(b": b\r\n")),
    Case("space in a name", 400, _get(b"X A: b\r\n")),
    Case("bracket in a name", 400, _get(b"X[A]: b\r\n")),
    Case("high byte in a name", 400, _get(b"X\xe9: b\r\n")),
    Case("second empty-name trick", 400, _get(b"\x0bTransfer-Encoding: chunked\r\n")),
    # hosts
    Case("no Host", 400, b"GET / HTTP/1.1\r\n\r\n"),
    Case("two Hosts", 400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    Case("two equal Hosts", 400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    Case("two Hosts on HTTP/1.0", 400, b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    Case("empty Host", 400, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    Case("list of Hosts", 400, b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    Case("Host with path", 400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    Case("Host with user", 400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    Case("Host with space", 400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    Case("Host with bad port", 400, b"GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n"),
    Case("Host with two ports", 400, b"GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n"),
    Case("Host with query", 400, b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"),
    Case("Host with percent", 400, b"GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n"),
    Case("Host too long", 400, b"GET / HTTP/1.1\r\nHost: " + b"a" * 300 + b"\r\n\r\n"),
    Case("broken IPv6 Host", 400, b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    # request lines
    Case("HTTP/0.9", 400, b"GET /\r\n\r\n"),
    Case("HTTP/2 preface", 400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Case("HTTP/1.2", 400, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    Case("HTTP/1.10", 400, b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    Case("HTTP/01.1", 400, b"GET / HTTP/01.1\r\nHost: a\r\n\r\n"),
    Case("http/1.1", 400, b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    Case("two spaces", 400, b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("tab as separator", 400, b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("space at the end", 400, b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    Case("space in front", 400, b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("space in the target", 400, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("control character in the target", 400, b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("NUL in the target", 400, b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("fragment in the target", 400, b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("lower-case method", 400, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("method too long", 400, b"A" * 40 + b" / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("CONNECT", 501, b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    Case("CONNECT with a path", 501, b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("absolute form, other host", 400, b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("absolute form, other port", 400, b"GET http://a:81/ HTTP/1.1\r\nHost: a:80\r\n\r\n"),
    Case("absolute form with user", 400, b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("other scheme", 400, b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("relative target", 400, b"GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("asterisk for GET", 400, b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("TLS greeting", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)),
    # connection options that would change the meaning
    Case(
        "Connection names Content-Length",
        400,
        _post(b"Connection: Content-Length\r\nContent-Length: 5\r\n", b"hello"),
    ),
    Case(
        "Connection names Transfer-Encoding",
        400,
        _post(b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    ),
    Case("Connection names Host", 400, _get(b"Connection: close, host\r\n")),
    Case("unknown expectation", 417, _post(b"Expect: 200-maybe\r\nContent-Length: 0\r\n")),
    # sizes
    Case("long request line", 414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("endless request line", 414, b"GET /" + b"a" * 9000),
    Case("large head", 431, _get(b"X-A: " + b"b" * 70_000 + b"\r\n")),
    Case("many fields", 431, _get(b"A:b\r\n" * 101)),
]

# The head is good, the body's framing is not: the head may have been forwarded, but no second
# request, and the app must not be able to take the body for complete.
BROKEN_BODIES = [
    Case("size is not a number", 400, b"x\r\nhello\r\n0\r\n\r\n"),
    Case("size with 0x", 400, b"0x5\r\nhello\r\n0\r\n\r\n"),
    Case("signed size", 400, b"+5\r\nhello\r\n0\r\n\r\n"),
    Case("negative size", 400, b"-5\r\nhello\r\n0\r\n\r\n"),
    Case("space before the size", 400, b" 5\r\nhello\r\n0\r\n\r\n"),
    Case("space behind the size", 400, b"5 \r\nhello\r\n0\r\n\r\n"),
    Case("underscore in the size", 400, b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n"),
    Case("overflowing size", 400, b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    Case("empty size", 400, b"\r\nhello\r\n0\r\n\r\n"),
    Case("bare LF behind the size", 400, b"5\nhello\r\n0\r\n\r\n"),
    Case("bare CR behind the size", 400, b"5\rhello\r\n0\r\n\r\n"),
    Case("chunk longer than its size", 400, b"3\r\nhello\r\n0\r\n\r\n"),
    Case("chunk without CRLF", 400, b"5\r\nhelloX\r\n0\r\n\r\n"),
    Case("two other bytes behind the chunk", 400, b"5\r\nhelloXY0\r\n\r\n"),
    Case("LF CR behind the chunk", 400, b"5\r\nhello\n\r0\r\n\r\n"),
    Case("bare LF behind the chunk", 400, b"5\r\nhello\n0\r\n\r\n"),
    Case("junk as extension", 400, b"5;\0\r\nhello\r\n0\r\n\r\n"),
    Case("bare LF in the extension", 400, b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    Case("bare CR in the extension", 400, b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    Case("long extension", 400, b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n"),
    Case("endless extension", 400, b"5;" + b"a" * 300),
    Case("bare LF at the end", 400, b"0\r\n\n"),
    Case("folded trailer", 400, b"0\r\nX-A: b\r\n c\r\n\r\n"),
    Case("trailer with space before the colon", 400, b"0\r\nX-A : b\r\n\r\n"),
    Case("trailer that frames", 400, b"0\r\nContent-Length: 5\r\n\r\n"),
    Case("trailer that frames in disguise", 400, b"0\r\nTransfer_Encoding: chunked\r\n\r\n"),
    Case("trailer that routes", 400, b"0\r\nHost: b\r\n\r\n"),
    Case("trailer that lies", 400, b"0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"),
    Case("request instead of a trailer", 400, b"0\r\n" + INNER),
    Case("many trailers", 400, b"0\r\n" + b"A:b\r\n" * 101 + b"\r\n"),
]

# What an upstream must not say either.
BAD_ANSWERS = [
    Case(
        "CL and TE",
        502,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    Case("two lengths", 502, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
    Case("odd length", 502, b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"),
    Case("other coding", 502, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok"),
    Case("coding on HTTP/1.0", 502, b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    Case("folded field", 502, b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok"),
    Case("bare LF", 502, b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok\r\n\r\n"),
    Case("space before the colon", 502, b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"),
    Case("not HTTP", 502, b"hello there, this is no HTTP\r\n\r\n"),
    Case("HTTP/2", 502, b"HTTP/2 200 OK\r\n\r\n"),
    Case("no status", 502, b"HTTP/1.1 OK\r\n\r\n"),
    Case("status 999", 502, b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"),
    Case("two-digit status", 502, b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    Case("NUL in a field", 502, b"HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 2\r\n\r\nok"),
    Case(
        "header injection by CR",
        502,
        b"HTTP/1.1 200 OK\r\nX-A: b\rSet-Cookie: c\r\nContent-Length: 2\r\n\r\nok",
    ),
    Case(
        "Connection names Content-Length",
        502,
        b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok",
    ),
    Case("endless head", 502, b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 9000),
    Case("interim for ever", 502, b"HTTP/1.1 102 Busy\r\n\r\n" * 40),
]
