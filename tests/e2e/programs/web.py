"""An app that misbehaves on request, to see what Torpor makes of it.

Listens on $PORT.  Writes its pid into a line of --starts at each start.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BORN = time.monotonic()


def wait_for_file(path: str | None) -> None:
    """Return once the test has made the file; at once without one."""
    while path is not None and not Path(path).exists():
        time.sleep(0.01)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    unready_for = 0.0
    mute_for = 0.0

    def do_GET(self) -> None:
        if time.monotonic() < BORN + self.mute_for:
            time.sleep(BORN + self.mute_for - time.monotonic())
        ready = time.monotonic() >= BORN + self.unready_for
        body = f"pid {os.getpid()}\n".encode() if ready else b"warming up\n"
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--starts", help="append the pid to this file at each start")
    parser.add_argument("--exit", type=int, help="say why and exit with this code instead of listening")
    parser.add_argument("--exit-after", help="wait for this file before that")
    parser.add_argument("--listen-after", help="wait for this file before listening")
    parser.add_argument("--stop-after", help="when asked to end, wait for this file first")
    parser.add_argument("--unready-for", type=float, default=0.0, help="answer 503 for so many seconds")
    parser.add_argument(
        "--mute-for", type=float, default=0.0, help="listen, but answer after so many seconds"
    )
    options = parser.parse_args()

    if options.starts:
        with Path(options.starts).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
    if options.exit is not None:
        wait_for_file(options.exit_after)
        print("no database here", flush=True)
        sys.exit(options.exit)

    wait_for_file(options.listen_after)
    asked_to_end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked_to_end.set())
    Handler.unready_for = options.unready_for
    Handler.mute_for = options.mute_for
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asked_to_end.wait()
    wait_for_file(options.stop_after)
    server.shutdown()


if __name__ == "__main__":
    main()
