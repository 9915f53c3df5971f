"""A plain HTTP client that goes where it is told, whatever the host name says."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any

BROWSER = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "User-Agent": "Mozilla/5.0",
}
"""What a browser sends when somebody opens a page."""


@dataclass(frozen=True)
class Answer:
    """A reply, read to its end.  Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Client:
    """Requests to one gateway for one host name."""

    def __init__(self, port: int, host: str, timeout: float = 30.0) -> None:
        self.port = port
        self.host = host
        self.timeout = timeout

    def request(
        self, path: str = "/", method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        """One request on a connection of its own, and its answer."""
        connection, reply = self.open(path, method, body, headers)
        try:
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def open(
        self, path: str = "/", method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> tuple[HTTPConnection, HTTPResponse]:
        """Like `request`, with the body still to be read.  The caller closes the connection."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            connection.request(method, path, body, {"Host": f"{self.host}:{self.port}", **headers})
            return connection, connection.getresponse()
        except BaseException:
            connection.close()
            raise

    def navigate(self, path: str = "/") -> Answer:
        """Ask as a browser does when somebody opens the page."""
        return self.request(path, headers=BROWSER)

    def send(self, path: str = "/") -> socket.socket:
        """Send a request and read nothing: the answer waits in the socket, which the caller closes."""
        connection = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n\r\n".encode())
        return connection

    def in_background(self, path: str = "/") -> Future[Answer]:
        """A request on a thread of its own."""
        pool = ThreadPoolExecutor(1)
        future = pool.submit(self.request, path)
        pool.shutdown(wait=False)
        return future

    def together(self, number: int, path: str = "/") -> list[Answer]:
        """That many requests at the same time, each on a connection of its own."""
        with ThreadPoolExecutor(number) as pool:
            return list(pool.map(lambda _: self.request(path), range(number)))
