"""Ending our half of a connection."""

from __future__ import annotations

import asyncio


def end_writing(transport: asyncio.Transport) -> None:
    """Say that nothing more will come.

    Where the other side has reset the connection meanwhile, asyncio lets the system's error through
    although nobody is left who could be told: then the connection is given up.
    """
    try:
        transport.write_eof()
    except OSError:
        transport.abort()
