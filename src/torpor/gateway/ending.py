"""Ending our half of a connection."""

from __future__ import annotations

import asyncio
import socket
import struct

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def end_writing(transport: asyncio.Transport) -> None:
    """Say that nothing more will come.

    Where the other side has reset the connection meanwhile, asyncio lets the system's error through
    although nobody is left who could be told: then the connection is given up.
    """
    try:
        transport.write_eof()
    except OSError:
        transport.abort()


def reset(sock: socket.socket) -> None:
    """Close a connection so that the other side is told of an error, not of an end in order."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()
