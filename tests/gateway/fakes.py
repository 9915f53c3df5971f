"""The seam without an engine, a backend that hides nothing, and a raw client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from torpor.config.settings import GatewaySpec, Limits, Listen
from torpor.core.model import (
    AppSnapshot,
    AppSpec,
    Caller,
    Cause,
    Endpoint,
    Event,
    InstanceId,
    Phase,
    Reason,
    Refusal,
    Route,
    Want,
)
from torpor.core.upstream import Upstream
from torpor.errors import UnknownApp
from torpor.gateway.gateway import Gateway
from torpor.runtime.seam import Gate, Refused, UpstreamListener


class FakeGate:
    """A door that the test opens and shuts.  Implements `runtime.seam.Gate`.

    It notes in `violations` where the lease law is broken; `serving` looks there.
    """

    def __init__(self, spec: AppSpec, endpoint: Endpoint | None) -> None:
        self._spec = spec
        self.endpoint = endpoint
        self.upstream: Upstream | None = None
        self.knocks: list[Caller] = []
        self.waits: list[Caller] = []
        self.discounted = 0
        """Leases ever discounted."""
        self.coming = False
        self.dozing = False
        """Whether somebody has woken it already."""
        self.touches = 0
        self.generation = 1
        self.violations: list[str] = []
        self.leases = 0
        """Leases ever given."""
        self.refused_connections = 0
        self.refused: Refusal | None = None
        self.on_wait: Callable[[], object] = lambda: None
        self._waiting: list[asyncio.Future[Upstream]] = []
        self._settled = asyncio.Event()

    @property
    def spec(self) -> AppSpec:
        return self._spec

    def configure(self, **changes: object) -> None:
        """Change the app's settings."""
        self._spec = replace(self._spec, **changes)  # type: ignore[arg-type]

    def awake(self, endpoint: Endpoint | None = None, *, ago: float = 0.0) -> Upstream:
        """Become ready, `ago` seconds ago, and grant everybody who waits."""
        if endpoint is not None:
            self.endpoint = endpoint
        assert self.endpoint is not None
        self.upstream = Upstream(
            InstanceId(self._spec.name), self.generation, self.endpoint, time.monotonic() - ago
        )
        for verdict in self._waiting:
            if not verdict.done():
                verdict.set_result(self._claim())
        self._waiting.clear()
        return self.upstream

    def asleep(self) -> None:
        """Shut the door."""
        if self.upstream is not None:
            self.upstream.open = False
        self.upstream = None

    def refuse(self, refusal: Refusal) -> None:
        """Give everybody who waits this verdict."""
        for verdict in self._waiting:
            if not verdict.done():
                verdict.set_exception(Refused(refusal))
        self._waiting.clear()

    async def settled(self) -> None:
        """Wait until every lease and parking is repaid."""
        while self.inflight or self.parked:
            self._settled.clear()
            await self._settled.wait()

    @property
    def waiting(self) -> int:
        return sum(not verdict.done() for verdict in self._waiting)

    inflight = 0
    parked = 0

    def _check(self, fact: bool, violation: str) -> None:
        if not fact:
            self.violations.append(violation)

    def _claim(self) -> Upstream:
        assert self.upstream is not None
        self.upstream.inflight += 1
        self.inflight += 1
        self.leases += 1
        return self.upstream

    def enter(self) -> Upstream | None:
        return None if self.upstream is None else self._claim()

    def leave(self, upstream: Upstream) -> None:
        self._check(upstream.inflight > upstream.discounted, "a lease was repaid twice, or as another one")
        upstream.inflight -= 1
        upstream.last_active = time.monotonic()
        self.inflight -= 1
        self._settled.set()

    def touch(self, upstream: Upstream) -> None:
        self._check(upstream.parked > 0, "activity without a parked connection")
        self.touches += 1
        self._settled.set()

    def discount(self, upstream: Upstream) -> None:
        self._check(upstream.inflight > upstream.discounted, "a lease was discounted twice")
        upstream.discounted += 1
        self.discounted += 1

    def leave_discounted(self, upstream: Upstream) -> None:
        self._check(upstream.discounted > 0, "a lease that counts was repaid as one that does not")
        before = upstream.last_active
        upstream.discounted -= 1
        self.leave(upstream)
        upstream.last_active = before

    def park(self, upstream: Upstream) -> None:
        upstream.parked += 1
        self.parked += 1

    def unpark(self, upstream: Upstream) -> None:
        self._check(upstream.parked > 0, "a parking was repaid twice")
        upstream.parked -= 1
        self.parked -= 1
        self._settled.set()

    def engage(self, upstream: Upstream) -> None:
        self._check(upstream.parked > 0, "a lease for a connection that was not parked")
        upstream.parked -= 1
        self.parked -= 1
        upstream.inflight += 1
        self.inflight += 1
        self._settled.set()

    async def wait(self, by: Caller) -> Upstream:
        self.waits.append(by)
        if self.upstream is not None:
            return self._claim()
        verdict: asyncio.Future[Upstream] = asyncio.get_running_loop().create_future()
        self._waiting.append(verdict)
        self.on_wait()
        try:
            async with asyncio.timeout(self._spec.lifecycle.wake_timeout):
                return await verdict
        except TimeoutError:
            text = f"{self._spec.name} did not become ready in time"
            raise Refused(Refusal(Reason(Cause.WAKE_TIMEOUT, text), 5.0)) from None
        except asyncio.CancelledError:
            if verdict.done() and not verdict.cancelled() and verdict.exception() is None:
                self.leave(verdict.result())
            raise
        finally:
            self._settled.set()

    def knock(self, by: Caller) -> Refusal | None:
        self.knocks.append(by)
        return self.refused

    def dozes(self) -> bool:
        return self.dozing

    def would_wake(self) -> bool:
        return self.upstream is None and not self.coming and self.refused is None

    def refusal(self) -> Refusal | None:
        return self.refused

    def connect_refused(self, upstream: Upstream) -> None:
        self._check(upstream.inflight > 0, "reported without a lease")
        self.refused_connections += 1
        if upstream is self.upstream:
            self.asleep()

    def snapshot(self) -> AppSnapshot:
        phase = Phase.STARTING if self.upstream is None else Phase.READY
        return AppSnapshot(
            self._spec.name, Want.AUTO, phase, self.waiting, None, None, instances=(), spec=self._spec
        )


class FakeSeam:
    """All doors.  Implements `runtime.seam.Seam`."""

    def __init__(self, *gates: FakeGate) -> None:
        self.gates = {gate.spec.name: gate for gate in gates}
        self.listener: UpstreamListener | None = None

    def specs(self) -> Sequence[AppSpec]:
        return [gate.spec for gate in self.gates.values()]

    def gate(self, app: str) -> Gate:
        if app not in self.gates:
            raise UnknownApp(app)
        return self.gates[app]

    def listen(self, listener: UpstreamListener) -> None:
        self.listener = listener

    def wake_steps(self, app: str) -> Sequence[Event]:
        return ()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        return lambda: None

    def last_lines(self, app: str, lines: int) -> Sequence[str]:
        return (f"the last words of {app} <b>",)


Answer = Callable[["Served"], Awaitable[None]]


@dataclass
class Served:
    """One connection to the backend: what came, and the streams."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes = b""

    async def read_head(self) -> bytes:
        """The next request's head; empty at the end of the connection."""
        try:
            self.head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            self.head = b""
        return self.head

    async def read_chunked(self) -> bytes:
        """A chunked body's content, strictly framed."""
        content = b""
        while True:
            size = int((await self.reader.readuntil(b"\r\n"))[:-2], 16)
            piece = await self.reader.readexactly(size)
            line = await self.reader.readuntil(b"\r\n")
            if size == 0:
                while line != b"\r\n":
                    line = await self.reader.readuntil(b"\r\n")
                return content
            assert line == b"\r\n"
            content += piece

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


@dataclass
class Backend:
    """An app that keeps every byte it was sent."""

    answer: Answer
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    endpoint: Endpoint = field(default_factory=lambda: Endpoint("127.0.0.1", 0))
    open: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> Endpoint:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=2**20)
        self.endpoint = Endpoint("127.0.0.1", self._server.sockets[0].getsockname()[1])
        return self.endpoint

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self.open):
            task.cancel()
        await asyncio.gather(*self.open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        self.connections += 1
        served = Served(reader, writer)
        try:
            while await served.read_head():
                self.heads.append(served.head)
                await self.answer(served)
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.open.discard(task)


@contextlib.contextmanager
def silence() -> Iterator[Endpoint]:
    """Where nobody answers, not even with a refusal: a queue that is full, and that nobody empties."""
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield Endpoint("127.0.0.1", listening.getsockname()[1])


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def answer_ok(served: Served) -> None:
    """Read a body strictly, answer `ok`."""
    lower = served.head.lower()
    if b"\r\ntransfer-encoding: chunked\r\n" in lower:
        await served.read_chunked()
    elif b"\r\ncontent-length:" in lower:
        length = int(lower.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
        await served.reader.readexactly(length)
    await served.send(OK)


class Client:
    """A raw connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        """The next response's head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def response(self) -> tuple[bytes, bytes]:
        """Head and body of a response with a Content-Length, or that ends with the connection."""
        head = await self.head()
        lower = head.lower()
        if b"\r\ncontent-length:" in lower:
            length = int(lower.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
            return head, await self.reader.readexactly(length)
        return head, await self.reader.read()

    async def rest(self) -> bytes:
        """Everything until the gateway closes."""
        return await self.reader.read()

    async def ask(self, data: bytes) -> tuple[bytes, bytes]:
        """Send a request and read its response."""
        await self.send(data)
        return await self.response()

    def close(self) -> None:
        self.writer.close()


@dataclass
class Setup:
    """A gateway in front of one app, `app`, routed by default."""

    gateway: Gateway
    seam: FakeSeam
    gate: FakeGate
    backend: Backend
    clients: list[Client] = field(default_factory=list)

    async def client(self) -> Client:
        host, port = self.gateway.addresses()[0]
        reader, writer = await asyncio.open_connection(host, port, limit=2**20)
        client = Client(reader, writer)
        self.clients.append(client)
        return client

    async def ask(self, data: bytes) -> tuple[bytes, bytes]:
        """One request on its own connection."""
        client = await self.client()
        return await client.ask(data)


DEFAULT = AppSpec("app", routes=(Route(None),))


@contextlib.asynccontextmanager
async def serving(
    answer: Answer = answer_ok,
    *,
    spec: AppSpec = DEFAULT,
    more: Sequence[AppSpec] = (),
    limits: Limits | None = None,
    trusted: tuple[str, ...] = (),
    awake: bool = True,
    listen: Listen | None = None,
) -> AsyncIterator[Setup]:
    """A backend, a fake seam and a gateway.

    Checks at the end that every lease is repaid and that no callback failed.
    """
    failures: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    usual = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, context: failures.append(context))
    backend = Backend(answer)
    endpoint = await backend.start()
    gates = [FakeGate(each, endpoint) for each in (spec, *more)]
    seam = FakeSeam(*gates)
    if awake:
        for gate in gates:
            gate.awake(ago=60.0)
    gateway = Gateway(
        GatewaySpec((listen or Listen("127.0.0.1", 0),), limits or Limits(), trusted_proxies=trusted), seam
    )
    await gateway.open()
    setup = Setup(gateway, seam, gates[0], backend)
    try:
        yield setup
        for client in setup.clients:
            client.close()
        async with asyncio.timeout(5):
            for gate in gates:
                await gate.settled()
    finally:
        for client in setup.clients:
            client.close()
        await gateway.close(0.0)
        await backend.stop()
        loop.set_exception_handler(usual)
    assert [] == failures
    assert [] == [violation for gate in gates for violation in gate.violations]
