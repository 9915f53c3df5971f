"""A program that needs its neighbour to begin: it listens only once that has answered.

    caller.py PORT

Connects to PORT of the loopback, sends a line, and waits for the answer; then it serves HTTP on $PORT
with that answer.
"""

from __future__ import annotations

import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    answer = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as neighbour:
        neighbour.sendall(b"GET / HTTP/1.1\r\nHost: neighbour\r\nConnection: close\r\n\r\n")
        Handler.answer = neighbour.makefile("rb").read()
    HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
