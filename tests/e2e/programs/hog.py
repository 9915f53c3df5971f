"""Takes memory: so many MiB from its start, more at `/grab/N`; `/hold` answers only after `/let-go`."""

from __future__ import annotations

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEPT: list[bytearray] = []
LET_GO = threading.Event()


def take(megabytes: int) -> None:
    """Memory that is really there: every page is written."""
    pages = bytearray(megabytes * 2**20)
    for start in range(0, len(pages), 4096):
        pages[start] = 1
    KEPT.append(pages)


class Hog(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Do what the path says."""
        _, verb, *rest = self.path.split("/")
        if verb == "grab":
            take(int(rest[0]))
        elif verb == "hold":
            LET_GO.wait(60)
        elif verb == "let-go":
            LET_GO.set()
        body = f"{os.getpid()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    take(int(sys.argv[1]))
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Hog).serve_forever()
