"""An address for the gateway that is free now."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
FIRST = 8080
LAST = 8099


def free_address() -> str:
    """The first address that nobody listens on; the usual one if all are taken."""
    for port in range(FIRST, LAST + 1):
        with socket.socket() as probe:
            # As the gateway will: a connection of the last minute is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return f"{HOST}:{port}"
    return f"{HOST}:{FIRST}"
