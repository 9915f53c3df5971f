"""What HAProxy asks of its `agent-check`: whether an app is awake.  Tells Torpor, too, that it is used.

    python agent.py --listen 127.0.0.1:8082 --haproxy /run/haproxy/torpor.sock [--torpor /run/torpor/torpor.sock]

HAProxy sends the name of an app and gets `up` where it is ready, else `down`.  With each question the agent looks
into HAProxy's statistics whether requests went to the server of that name meanwhile, or are under way; if so, the app
counts as used.  Needs nothing but Python, and the right to open both sockets: let it be an app of Torpor's.
"""

from __future__ import annotations

import argparse
import csv
import json
import socket
import socketserver
import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote

PATIENCE = 2.0
"""Seconds that anybody may take to answer."""
LONGEST_NAME = 64
"""Bytes of an app's name and the end of its line."""


class Torpor(HTTPConnection):
    """One request to Torpor's control socket."""

    def __init__(self, path: str) -> None:
        super().__init__("torpor", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of to a host."""
        self.sock = unix(self._path)

    def ask(self, method: str, address: str) -> dict[str, object]:
        """The document of the answer.  Raises `OSError`, `HTTPException` or `ValueError`."""
        try:
            self.request(method, f"/api/v1/{address}")
            answer = self.getresponse()
            body = answer.read()
        finally:
            self.close()
        if answer.status != 200:
            raise OSError(f"Torpor answers {answer.status}: {body.decode(errors='replace')}")
        document: dict[str, object] = json.loads(body)
        return document


class Agent(socketserver.ThreadingTCPServer):
    """Answers HAProxy."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], torpor: str, haproxy: str) -> None:
        super().__init__(address, Question)
        self.torpor = torpor
        self.haproxy = haproxy
        self.counted: dict[str, int] = {}
        """Requests that each server had got when it was last looked at."""

    def state(self, app: str) -> str:
        """What HAProxy is to do with the server of this name."""
        name = quote(app, safe="")
        ready = Torpor(self.torpor).ask("GET", f"apps/{name}")["state"] == "ready"
        if ready and self.used(app):
            Torpor(self.torpor).ask("POST", f"apps/{name}/track")
        return "up" if ready else "down"

    def used(self, server: str) -> bool:
        """Whether requests go to it now, or did since the last look."""
        current = total = 0
        for line in self.statistics():
            if line["svname"] == server:
                current += int(line["scur"] or 0)
                total += int(line["stot"] or 0)
        before = self.counted.get(server, total)
        self.counted[server] = total
        return current > 0 or total != before

    def statistics(self) -> csv.DictReader[str]:
        """HAProxy's own table, a line per server.  Raises `OSError`."""
        with unix(self.haproxy) as connection, connection.makefile(encoding="utf-8") as lines:
            connection.sendall(b"show stat\n")
            return csv.DictReader(lines.read().removeprefix("# ").splitlines())


class Question(socketserver.StreamRequestHandler):
    """One question."""

    timeout = PATIENCE
    server: Agent

    def handle(self) -> None:
        """Answer it.  What cannot be known is not answered: HAProxy leaves the server as it is then."""
        app = self.rfile.readline(LONGEST_NAME).decode(errors="replace").strip()
        try:
            self.wfile.write(f"{self.server.state(app)}\n".encode())
        except (OSError, HTTPException, ValueError) as error:
            print(f"{app!r}: {error}", file=sys.stderr, flush=True)


def unix(path: str) -> socket.socket:
    """A connection to a unix socket.  Raises `OSError`."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def main() -> None:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser(description="Answers HAProxy's agent-check for apps of Torpor's.")
    parser.add_argument("--listen", default="127.0.0.1:8082", metavar="HOST:PORT")
    parser.add_argument("--haproxy", default="/run/haproxy/torpor.sock", metavar="SOCKET")
    parser.add_argument("--torpor", default="/run/torpor/torpor.sock", metavar="SOCKET")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    with Agent((host, int(port)), options.torpor, options.haproxy) as agent:
        agent.serve_forever()


if __name__ == "__main__":
    main()
