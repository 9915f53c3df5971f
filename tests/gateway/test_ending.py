"""Ending our half of a connection."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from torpor.gateway.ending import end_writing


@pytest.mark.anyio
async def test_a_connection_that_was_reset_meanwhile_is_given_up() -> None:
    """The system refuses to end it; that is nobody's error."""
    lost = asyncio.Event()

    class Side(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.set()

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        transport, _ = await asyncio.get_running_loop().create_connection(Side, sock=accepted)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        end_writing(transport)
        await lost.wait()
