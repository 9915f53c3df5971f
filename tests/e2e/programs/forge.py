"""Pages at `$PORT`, and conversations like SSH's at the port that it is given, some seconds later.

`forge.py PORT SECONDS`
"""

import http.server
import os
import socketserver
import sys
import threading
import time


class Page(http.server.BaseHTTPRequestHandler):
    """What a browser sees."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The page."""
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"page")


class Talk(socketserver.StreamRequestHandler):
    """What a client of SSH sees."""

    def handle(self) -> None:
        """Speak first."""
        self.wfile.write(b"SSH-2.0-forge\n")
        for line in self.rfile:
            self.wfile.write(b"you said " + line)


class Server(socketserver.ThreadingTCPServer):
    """Many conversations."""

    allow_reuse_address = True
    daemon_threads = True


def talk() -> None:
    """Listen a little later than for pages."""
    time.sleep(float(sys.argv[2]))
    with Server(("127.0.0.1", int(sys.argv[1])), Talk) as server:
        server.serve_forever()


threading.Thread(target=talk, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page).serve_forever()
