"""The front door as docs/server-behaviour.md describes it: routes, TLS, and what is not let in."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from e2e.apps import app, config, example, web
from e2e.client import Client
from e2e.harness import Launch

GET = b"GET / HTTP/1.1\r\n"
POST = b"POST /echo HTTP/1.1\r\n"
HOST = b"Host: api.localhost\r\n"


def say(port: int, request: bytes) -> bytes:
    """Send these very bytes and read until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(request)
        said = b""
        while piece := connection.recv(65536):
            said += piece
        return said


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        pytest.param(
            400, POST + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", id="both"
        ),
        pytest.param(400, POST + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", id="two lengths"),
        pytest.param(400, POST + HOST + b"Content-Length: one\r\n\r\n", id="no number"),
        pytest.param(400, POST + HOST + b"Content-Length : 1\r\n\r\nx", id="space before the colon"),
        pytest.param(400, GET + HOST + b"A: b\r\n c\r\n\r\n", id="folded"),
        pytest.param(400, b"GET / HTTP/1.1\nHost: api.localhost\n\n", id="bare LF"),
        pytest.param(400, GET + HOST + b"A: \0\r\n\r\n", id="NUL"),
        pytest.param(400, GET + b"\r\n", id="no host"),
        pytest.param(400, GET + HOST + HOST + b"\r\n", id="two hosts"),
        pytest.param(400, b"GET http://else.localhost/ HTTP/1.1\r\n" + HOST + b"\r\n", id="other host"),
        pytest.param(501, POST + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", id="coding"),
        pytest.param(501, b"CONNECT api.localhost:1 HTTP/1.1\r\n" + HOST + b"\r\n", id="CONNECT"),
        pytest.param(400, b"GET /\r\n", id="HTTP/0.9"),
        pytest.param(400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS to a plain port"),
        pytest.param(414, b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", id="long line"),
        pytest.param(431, GET + HOST + b"A: b\r\n" * 200 + b"\r\n", id="many headers"),
        pytest.param(431, GET + HOST + b"A: " + b"x" * 70_000 + b"\r\n\r\n", id="large headers"),
        pytest.param(417, POST + HOST + b"Expect: a-miracle\r\nContent-Length: 1\r\n\r\nx", id="expect"),
        pytest.param(408, GET + HOST, id="unfinished"),
    ],
)
def test_what_is_malformed_is_answered_closed_and_wakes_nothing(
    launch: Launch, status: int, request_: bytes
) -> None:
    """A request that two programs could read differently never reaches an app."""
    daemon = launch(config(example("api"), limits={"header_timeout": "500ms"}))

    said = say(daemon.port, request_)

    assert said.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nX-Torpor: " in said
    assert 1 == said.count(b"HTTP/1.1 ")
    assert 0 == daemon.apps()["api"]["generation"]


def test_a_bad_chunk_ends_the_exchange(launch: Launch) -> None:
    """A body whose framing breaks is cut off; what follows it is never taken for a request."""
    daemon = launch(config(example("api")))
    broken = (
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX\r\n0\r\n\r\nGET /hello/smuggled HTTP/1.1\r\n" + HOST
    )

    said = say(daemon.port, POST + HOST + broken + b"\r\n")

    assert b"smuggled" not in said
    assert b" 200 " not in said


def test_an_app_that_talks_nonsense_is_a_502(launch: Launch, home: Path) -> None:
    """What is not HTTP never reaches the client as if it were."""
    program = home / "nonsense.py"
    program.write_text(
        "import os, socket\n"
        "with socket.create_server(('127.0.0.1', int(os.environ['PORT']))) as server:\n"
        "    while True:\n"
        "        client, _ = server.accept()\n"
        "        client.recv(65536)\n"
        "        client.sendall(b'what?\\r\\n\\r\\n')\n"
        "        client.close()\n",
        encoding="utf-8",
    )
    daemon = launch(config(app("web", f"python3 {program}")))

    answer = Client(daemon.port, "web.localhost").request()

    assert (502, "bad-gateway") == (answer.status, answer.headers["x-torpor"])


def test_one_connection_too_many_is_told_so(launch: Launch) -> None:
    """Above `limits.connections` a client hears a 503 instead of hanging."""
    daemon = launch(config(example("api"), limits={"connections": 1}))

    with socket.create_connection(("127.0.0.1", daemon.port), 30) as first:
        first.sendall(GET + b"Host: nobody\r\n\r\n")
        assert b"HTTP/1.1 404" == first.recv(12)
        said = say(daemon.port, GET + HOST + b"\r\n")

    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"too-many-connections" in said


def test_routes_lead_by_host_then_path(launch: Launch) -> None:
    """An exact host wins over a wildcard, that over the default; the longest path wins; prefixes are stripped."""
    daemon = launch(
        config(
            example(
                "api",
                routes=["one.localhost", {"host": "two.localhost", "path": "/api", "strip_prefix": True}],
            ),
            web("exact", routes=["two.localhost"]),
            web("wild", routes=["*.wild.localhost"]),
            web("rest", routes=["default"]),
        )
    )
    port = daemon.port

    assert {"hello": "you"} == Client(port, "ONE.localhost").request("/hello/you").json
    assert {"hello": "you"} == Client(port, "two.localhost").request("/api/hello/you").json
    for app_name, host, path in [
        ("exact", "two.localhost", "/apis"),
        ("wild", "a.wild.localhost", "/"),
        ("rest", "elsewhere.example", "/"),
    ]:
        served = Client(port, host).request(path).text
        assert f"pid {daemon.apps()[app_name]['pid']}\n" == served


def test_the_gateway_speaks_tls(launch: Launch, home: Path) -> None:
    """With a certificate the same app is served over HTTPS, and learns so."""
    key, cert = home / "key.pem", home / "cert.pem"
    subject = ["-subj", "/CN=api.localhost", "-addext", "subjectAltName=DNS:api.localhost"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject, *files],
        check=True,
        capture_output=True,
    )
    listener = {"address": "GATEWAY", "tls": {"cert": str(cert), "key": str(key)}}
    daemon = launch(config(example("api"), listen=listener))

    context = ssl.create_default_context(cafile=str(cert))
    raw = socket.create_connection(("127.0.0.1", daemon.port), 30)
    with context.wrap_socket(raw, server_hostname="api.localhost") as connection:
        connection.sendall(b"GET /hello/you HTTP/1.1\r\nHost: api.localhost\r\nConnection: close\r\n\r\n")
        said = b""
        while piece := connection.recv(65536):
            said += piece

    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b'{"hello":"you"}')
