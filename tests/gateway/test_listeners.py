"""Other addresses while the gateway serves."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.fakes import serving
from ports import free_port
from torpor.config.settings import GatewaySpec, Listen, Tls
from torpor.errors import ListenFailed
from torpor.gateway.gateway import Gateway

pytestmark = pytest.mark.anyio


async def _status(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
        return (await reader.read()).split(b" ")[1]
    finally:
        writer.close()


async def _change(gateway: Gateway, *listens: Listen, **more: object) -> None:
    spec = replace(gateway.spec, listen=listens, **more)  # type: ignore[arg-type]
    await gateway.change(spec, gateway.prepare(spec))


async def test_addresses_are_exchanged_while_connections_go_on() -> None:
    """The new address serves, the old one takes nobody more, and who is connected stays so."""
    async with serving() as setup:
        gateway = setup.gateway
        (_, old), first = gateway.addresses()[0], gateway.spec.listen[0]
        reader, writer = await asyncio.open_connection("127.0.0.1", old)

        await _change(gateway, first, Listen("localhost", 0))
        assert old == gateway.addresses()[0][1]
        new = gateway.addresses()[1][1]
        await _change(gateway, Listen("localhost", 0))

        assert [new] == [port for _, port in gateway.addresses()]
        assert b"200" == await _status(new)
        with pytest.raises(ConnectionRefusedError):
            await _status(old)
        writer.write(b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_an_address_becomes_a_gate() -> None:
    """From the next connection on it carries nothing more."""
    async with serving() as setup:
        gateway = setup.gateway
        (_, port), listen = gateway.addresses()[0], gateway.spec.listen[0]
        assert b"200" == await _status(port)

        await _change(gateway, replace(listen, gate=True))

        assert port == gateway.addresses()[0][1]
        assert b"404" == await _status(port)


async def test_an_address_that_cannot_be_had_changes_nothing() -> None:
    """What was opened for the others is closed again."""
    async with serving() as setup:
        gateway = setup.gateway
        before = gateway.addresses()
        wanted = free_port()
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            held.listen()
            taken = Listen("127.0.0.1", held.getsockname()[1])
            with pytest.raises(ListenFailed, match="taken"):
                gateway.prepare(GatewaySpec((gateway.spec.listen[0], Listen("127.0.0.1", wanted), taken)))

        assert before == gateway.addresses()
        with pytest.raises(ConnectionRefusedError):
            await _status(wanted)


async def test_an_address_that_covers_ours_is_told_apart_from_a_taken_one() -> None:
    """It is we who listen there: another program need not be looked for."""
    async with serving() as setup:
        port = setup.gateway.addresses()[0][1]
        with pytest.raises(ListenFailed, match="while this gateway listens"):
            setup.gateway.prepare(GatewaySpec((Listen("0.0.0.0", port),)))


async def test_an_unreadable_certificate_changes_nothing(tmp_path: Path) -> None:
    """Certificates are read before anything changes."""
    async with serving() as setup:
        (tmp_path / "x").write_text("no certificate")
        listen = replace(setup.gateway.spec.listen[0], tls=Tls(tmp_path / "x", tmp_path / "x"))
        with pytest.raises(ListenFailed, match="certificate"):
            setup.gateway.prepare(GatewaySpec((listen,)))
        assert 1 == len(setup.gateway.addresses())
