"""A service that keeps a diary: when it began, listened, was asked to end, and ended.

    member.py NAME DIARY [--mute-after FILE] [--deaf-after FILE] [--warm-up SECONDS]

All members of a test write to the same file, one line for each event, so the order of the
lines is the order of the events.  Answers each request with its replica and pid on $PORT.
Sends READY=1, and WATCHDOG=1 ten times a second, where it is given a $NOTIFY_SOCKET.
From the moment on at which FILE is there it does neither, nor does it answer well, if it is
to be mute; if it is to be deaf, it closes its port.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BEAT = 0.1
"""Seconds between two signs of life."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mute: Path | None = None

    def do_GET(self) -> None:
        body = f"{os.environ['TORPOR_REPLICA']} {os.getpid()}".encode()
        self.send_response(200 if not is_there(self.mute) else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def is_there(file: Path | None) -> bool:
    return file is not None and file.exists()


def notify(text: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if address is not None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.sendto(text.encode(), address.replace("@", "\0", 1))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("diary")
    parser.add_argument("--mute-after", type=Path)
    parser.add_argument("--deaf-after", type=Path)
    parser.add_argument("--warm-up", type=float, default=0.0)
    options = parser.parse_args()

    def write(event: str) -> None:
        with open(options.diary, "a", encoding="utf-8") as diary:
            diary.write(f"{options.name} {event}\n")

    def end(_number: int, _frame: object) -> None:
        write("asked")
        time.sleep(BEAT)  # long enough for others to be asked too early
        write("ended")
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    write("began")
    time.sleep(options.warm_up)
    Handler.mute = options.mute_after
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler, bind_and_activate=False)
    server.server_bind()
    write("listens")  # before anybody can see it: what follows from that must come later in the diary
    server.server_activate()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    notify("READY=1")
    while True:
        time.sleep(BEAT)
        if is_there(options.deaf_after):
            server.socket.close()
        if not is_there(options.mute_after):
            notify("WATCHDOG=1")


if __name__ == "__main__":
    main()
