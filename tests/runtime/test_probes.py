"""Readiness probes, against real sockets and the fake provider."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from ports import free_port
from torpor.core.model import (
    AppSpec,
    DelayProbe,
    Endpoint,
    ExecProbe,
    HttpProbe,
    InstanceId,
    LogProbe,
    NotifyProbe,
    Probe,
    Readiness,
    TcpProbe,
    Ways,
    in_full,
)
from torpor.errors import ProviderFailed
from torpor.providers.base import Launch, Running
from torpor.providers.fake import FakeProvider
from torpor.runtime import dial, probes
from torpor.runtime.probes import proof_again, wait_until_ready

pytestmark = pytest.mark.anyio

ID = InstanceId("app")


class Backend:
    """A TCP listener that answers each connection with the next of its replies, the last one for ever.

    A reply of None holds the connection open without a word.
    """

    def __init__(self, *replies: bytes | None) -> None:
        self.replies = list(replies)
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            self.asked.set()
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            if reply is None:
                await reader.read()
                self.left.set()
            else:
                writer.write(reply)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*replies: bytes | None) -> AsyncIterator[Backend]:
    """A backend that listens on loopback."""
    backend = Backend(*replies)
    server = await asyncio.start_server(backend.answer, "127.0.0.1", 0)
    backend.port = server.sockets[0].getsockname()[1]
    try:
        yield backend
    finally:
        server.close()
        await server.wait_closed()


class Start:
    """A started app of the fake provider, and what was announced about it."""

    def __init__(self, *wanted: Probe, port: int | None = None, settle: float = 0.0) -> None:
        self.provider = FakeProvider(lambda _: None)
        self.spec = AppSpec(ID.app, readiness=Readiness(wanted, settle))
        self.launch = Launch(ID, 1, self.spec, port)
        self.running = Running(Endpoint("127.0.0.1", port) if port else None, 1)
        self.announced: list[str] = []
        self._news = asyncio.Event()

    def announce(self, text: str, detail: str) -> None:
        self.announced.append(in_full(text, detail))
        self._news.set()

    async def wait(self) -> None:
        """Start it and wait until it is ready."""
        await self.provider.start(self.launch)
        await wait_until_ready(self.spec.readiness, self.launch, self.running, self.provider, self.announce)

    async def announcement(self, text: str) -> None:
        """Return once `text` was announced."""
        while text not in self.announced:
            self._news.clear()
            await self._news.wait()


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel and wait for the end of it."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_tcp_holds_once_something_listens() -> None:
    """A port that refuses is asked again until it accepts."""
    port = free_port()
    start = Start(TcpProbe(), port=port)
    waiting = asyncio.create_task(start.wait())
    await start.announcement("waiting for tcp")
    assert not waiting.done()
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
    await waiting
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("end", [b"", b"reset"], ids=["closed", "broken off"])
async def test_a_published_port_accepts_for_nobody(end: bytes) -> None:
    """Who accepts there closes at once while nobody listens behind it: that is not ready."""
    ends = [end, end, None]
    accepted = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(1)
        what = ends.pop(0) if len(ends) > 1 else ends[0]
        if what is None:
            await reader.read()
        elif what:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        start = Start(TcpProbe(), port=port)
        published = Endpoint("127.0.0.1", port, ways=Ways(None, (("80/tcp", Endpoint("127.0.0.1", port)),)))
        start.running = replace(start.running, endpoint=published)
        await start.wait()
    assert 3 == len(accepted)


async def test_tcp_of_an_app_that_listens_nowhere() -> None:
    """The default probe asks nothing of an app without a port."""
    await Start(TcpProbe()).wait()


async def test_http_waits_for_an_expected_status() -> None:
    """Statuses outside the codes, silence and nonsense do not count; the first good answer does."""
    async with serving(
        b"HTTP/1.1 503 Busy\r\n\r\n", b"nonsense\r\n", b"", b"HTTP/1.1 204 No Content\r\n\r\n"
    ) as backend:
        await Start(HttpProbe("/healthz"), port=backend.port).wait()
    assert len(backend.requests) == 4
    head = backend.requests[0].split(b"\r\n")
    assert head[0] == b"GET /healthz HTTP/1.1"
    assert {b"Host: localhost", b"User-Agent: torpor-probe", b"Connection: close"} < set(head)


async def test_http_codes_are_the_configs() -> None:
    """What counts as good is what the config says, a 404 for example."""
    async with serving(b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.0 404 Not Found\r\n\r\n") as backend:
        await Start(HttpProbe("/", codes=((400, 404), (418, 418))), port=backend.port).wait()
    assert len(backend.requests) == 2


async def test_http_reads_no_more_than_it_needs() -> None:
    """An endless first line is no answer, and costs a bounded amount."""
    async with serving(b"H" * 100_000, b"HTTP/1.1 200 OK\r\n\r\n") as backend:
        await Start(HttpProbe("/"), port=backend.port).wait()
    assert len(backend.requests) == 2


async def test_a_hanging_attempt_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that accepts and says nothing is asked again."""
    monkeypatch.setattr(probes, "_FIRST_LIMIT", 0.01)
    async with serving(None, b"HTTP/1.1 200 OK\r\n\r\n") as backend:
        await Start(HttpProbe("/"), port=backend.port).wait()
    assert len(backend.requests) == 2


async def test_http_without_a_port_is_an_error() -> None:
    """What can never hold is said at once."""
    with pytest.raises(ProviderFailed, match="http / needs a port"):
        await Start(HttpProbe("/")).wait()


async def test_log_sees_lines_from_before_and_after() -> None:
    """A line counts whether it was written before the probe looked or while it listens."""
    start = Start(LogProbe(r"listening on \d+"))
    waiting = asyncio.create_task(start.wait())
    await start.announcement(r"waiting for log: /listening on \d+/")
    start.provider.say(ID, "listening on what")
    start.provider.say(ID, "now listening on 80")
    await waiting
    await wait_until_ready(start.spec.readiness, start.launch, start.running, start.provider, start.announce)


@pytest.mark.parametrize("probe", [NotifyProbe(), LogProbe("go"), DelayProbe(0.0), ExecProbe(("true",))])
async def test_what_refused_a_connection_has_to_take_one(probe: Probe) -> None:
    """What it once said of itself proves nothing then; a probe that connects proves enough by itself."""
    assert (probe, TcpProbe()) == proof_again(Readiness((probe,))).probes
    for connecting in (TcpProbe(), HttpProbe("/")):
        assert (connecting, probe) == proof_again(Readiness((connecting, probe))).probes


async def test_notify() -> None:
    """READY=1 ends the wait."""
    start = Start(NotifyProbe())
    waiting = asyncio.create_task(start.wait())
    await start.announcement("waiting for notify")
    assert not waiting.done()
    start.provider.notify(ID)
    await waiting


async def test_exec_is_tried_until_it_succeeds() -> None:
    """A command that fails is run again."""
    start = Start(ExecProbe(("check", "it")))
    start.provider.probe_answer = False
    waiting = asyncio.create_task(start.wait())
    await start.announcement("waiting for exec: check it")
    assert not waiting.done()
    start.provider.probe_answer = True
    await waiting


async def test_all_probes_must_hold() -> None:
    """One missing probe keeps it waiting, and each one that holds is announced by what is left."""
    start = Start(NotifyProbe(), LogProbe("up"), DelayProbe(0.0), settle=0.001)
    waiting = asyncio.create_task(start.wait())
    await start.announcement("waiting for notify, log: /up/")
    start.provider.say(ID, "up")
    await start.announcement("waiting for notify")
    assert not waiting.done()
    start.provider.notify(ID)
    await waiting
    assert [
        "waiting for notify, log, delay 0 s: /up/",
        "waiting for notify, log: /up/",
        "waiting for notify",
        "waiting 0.001 s to settle",
    ] == start.announced


async def test_what_holds_at_once_is_not_announced() -> None:
    """A host that has nothing to say of the health of a guest is not waited for, nor is a line that was written."""
    start = Start(NotifyProbe(), LogProbe("up"), TcpProbe())
    await start.provider.start(start.launch)
    start.provider.notify(ID)
    start.provider.say(ID, "up")
    await wait_until_ready(start.spec.readiness, start.launch, start.running, start.provider, start.announce)
    assert start.announced == []


async def test_no_probes_are_ready_at_once() -> None:
    """Nothing to ask, nothing to announce."""
    start = Start()
    await start.wait()
    assert start.announced == []


async def test_cancelling_leaves_nothing_behind() -> None:
    """The caller may give up at any time: no task, connection or subscription stays."""
    async with serving(None) as backend:
        start = Start(HttpProbe("/"), LogProbe("never"), NotifyProbe(), port=backend.port)
        waiting = asyncio.create_task(start.wait())
        await backend.asked.wait()
        await cancel(waiting)
        await backend.left.wait()
    assert start.provider.output(ID)._listeners == {}
    assert [task for task in asyncio.all_tasks() if probes.__file__ in repr(task)] == []


async def test_a_connection_to_ourselves_is_no_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the kernel gives our end the very port that is probed, nobody listens, and the port stays free."""
    endpoint = Endpoint("127.0.0.1", free_port())

    def bound_to_the_very_port(_: Endpoint, _kind: socket.SocketKind) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((endpoint.host, endpoint.port))
        return sock

    monkeypatch.setattr(dial, "_new_socket", bound_to_the_very_port)
    with pytest.raises(ConnectionRefusedError):
        await probes._connect(endpoint)
    with socket.socket() as listener:
        listener.bind((endpoint.host, endpoint.port))
