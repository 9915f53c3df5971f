"""Connections to hosts over TLS, where the host is another one, or never says farewell."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from providers.guests.proxmox.server import make_certificate
from torpor.config.guests import MachineSpec
from torpor.config.hosts import ProxmoxHost
from torpor.errors import ProviderFailed
from torpor.providers.guests.proxmox.driver import ProxmoxDriver
from torpor.providers.guests.tls import WrongCertificate, pinned, vouched

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody vouches for, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def digest(certificate: tuple[Path, Path]) -> bytes:
    """Its SHA-256 digest."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate[0].read_text())).digest()


@pytest.fixture
def silent(certificate: tuple[Path, Path]) -> Iterator[int]:
    """The port of a host that shakes hands and then neither says anything nor lets go."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                made, _ = listener.accept()
            except OSError:
                return  # it is shut down
            with contextlib.suppress(OSError):  # who called may not trust us
                held.append(context.wrap_socket(made, server_side=True))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        serving.join()
    for one in held:
        one.close()


@pytest.mark.parametrize(
    "trust", [lambda ca, _: vouched(ca), lambda _, digest: pinned(digest)], ids=["vouched", "pinned"]
)
async def test_an_end_waits_for_nobody(
    silent: int,
    certificate: tuple[Path, Path],
    digest: bytes,
    trust: Callable[[Path, bytes], ssl.SSLContext],
) -> None:
    """The connection is closed, though the other side has said no farewell: it would run into a limit else."""
    _, writer = await asyncio.open_connection("127.0.0.1", silent, ssl=trust(certificate[0], digest))
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    writer.close()
    await writer.wait_closed()


async def test_another_certificate(silent: int, digest: bytes) -> None:
    """The handshake fails, and it is told whose it was."""
    with pytest.raises(WrongCertificate) as caught:
        await asyncio.open_connection("127.0.0.1", silent, ssl=pinned(b"\0" * 32))
    assert digest == caught.value.digest


async def test_who_is_vouched_for_has_to_be_who_was_meant(
    silent: int, certificate: tuple[Path, Path], digest: bytes
) -> None:
    """The certificate is for 127.0.0.1, under no name; one that is pinned is known by itself."""
    with pytest.raises(ssl.SSLCertVerificationError, match="localhost"):
        await asyncio.open_connection(
            "127.0.0.1", silent, ssl=vouched(certificate[0]), server_hostname="localhost"
        )
    _, writer = await asyncio.open_connection(
        "127.0.0.1", silent, ssl=pinned(digest), server_hostname="localhost"
    )
    writer.close()
    await writer.wait_closed()


async def test_each_connection_is_looked_at(
    certificate: tuple[Path, Path], digest: bytes, tmp_path: Path
) -> None:
    """A host that has had the right certificate before is told nothing with another one: the token least of all."""
    heard = bytearray()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.readline())
        writer.write(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    server = await asyncio.start_server(hear, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    driver = ProxmoxDriver(
        ProxmoxHost(urls=(f"https://127.0.0.1:{port}",), token="", fingerprint=digest.hex())
    )
    with pytest.raises(ProviderFailed, match="401"):
        await driver.status(MachineSpec(name="105", host="pve", port=8080))
    assert heard
    heard.clear()

    context.load_cert_chain(*make_certificate(tmp_path))
    with pytest.raises(ProviderFailed, match="has the fingerprint"):
        await driver.status(MachineSpec(name="105", host="pve", port=8080))
    await driver.close()
    server.close()
    assert not heard


async def test_nothing_is_left_of_who_is_not_trusted(silent: int) -> None:
    """A driver that is closed leaves no connection behind to a host with another certificate."""
    host = ProxmoxHost(urls=(f"https://127.0.0.1:{silent}",), token="", fingerprint="00" * 32)
    driver = ProxmoxDriver(host)
    before = connections(silent)
    with pytest.raises(ProviderFailed, match="has the fingerprint"):
        await driver.status(MachineSpec(name="105", host="pve", port=8080))
    await driver.close()
    assert before == connections(silent) == 0


def connections(port: int) -> int:
    """How many of this machine to this port are open, and closed by neither side."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(remote.endswith(f":{port:04X}") and state == "01" for _, _, remote, state, *_ in rows)
