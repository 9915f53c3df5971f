"""A server that binds nothing: it answers lines on the socket that it was handed.

It follows the protocol of systemd by hand, as a program without any library would.  `die` ends it at once,
any other line is answered with its pid.  At TERM it answers whom it has let in, and ends.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading


def main() -> None:
    """Serve until TERM."""
    assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ["LISTEN_PID"]
    names = os.environ["LISTEN_FDNAMES"].split(":")
    assert len(names) == int(os.environ["LISTEN_FDS"])
    listener = socket.socket(fileno=3 + names.index("app"))
    assert os.get_blocking(listener.fileno()), "left non-blocking by the generation before"

    ending, end = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.close(end))
    while ending not in select.select([listener.fileno(), ending], [], [])[0]:
        client, _ = listener.accept()
        threading.Thread(target=answer, args=(client,)).start()
    # As an event loop would leave it to the next generation.
    os.set_blocking(listener.fileno(), False)


def answer(client: socket.socket) -> None:
    """Serve one connection to its end."""
    with client, client.makefile("r", encoding="utf-8") as lines:
        for line in lines:
            if line == "die\n":
                os._exit(1)
            client.sendall(f"{os.getpid()}\n".encode())


if __name__ == "__main__":
    main()
