"""Readiness: waiting until a start attempt can serve.

1. All probes of an app run side by side; each must hold once, then `settle` passes.
2. Where the other side can notify (sd_notify, a log line) nothing is polled.  Else the
   first look comes at once, and the pauses grow from 2 ms to 100 ms, to a quarter of the time
   that has passed: so the waiting itself adds next to nothing to a wake.
3. Probes go straight to the instance: they are never activity.
4. Cancelling leaves no task, socket or process behind.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace

from torpor.config.guests import GuestSpec
from torpor.core.model import (
    DelayProbe,
    Endpoint,
    ExecProbe,
    HttpProbe,
    Liveness,
    LogProbe,
    NotifyProbe,
    Probe,
    Readiness,
    TcpProbe,
)
from torpor.errors import ProviderFailed
from torpor.providers.base import Launch, Provider, Running
from torpor.runtime.dial import connect

_FIRST_PAUSE = 0.002
_PAUSE_FACTOR = 1.25
_LONGEST_PAUSE = 0.1
_FIRST_LIMIT = 1.0
"""How long the first attempt may take, in seconds; an app that hangs gets more each time."""
_LIMIT_FACTOR = 2.0
_LONGEST_LIMIT = 10.0
_FAREWELL = 0.05
"""Seconds in which a published port closes a connection for which nobody listens behind it: that is asked only
once it was accepted, and answered at once."""
_STATUS_LINE = 256
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r?\n)")
_EARLIER_LINES = 100_000


async def wait_until_ready(
    readiness: Readiness,
    launch: Launch,
    running: Running,
    provider: Provider,
    announce: Callable[[str, str], None],
) -> None:
    """Return once all of the app's probes have held and its settling time has passed.

    Waits for ever if they never do: the caller owns the limit and cancels.  `announce`
    is told, in words for people, what is still missing: not of what holds at once.
    Raises `ProviderFailed` if a probe cannot be carried out at all.
    """
    attempt = _Attempt(launch, running, provider)
    missing = list(readiness.probes)
    looked = False

    def tell() -> None:
        if looked and missing:
            announce(*_words(missing, launch))

    async def hold(probe: Probe) -> None:
        await attempt.wait_for(probe)
        missing.remove(probe)
        tell()

    try:
        async with asyncio.TaskGroup() as group:
            for probe in readiness.probes:
                group.create_task(hold(probe))
            await asyncio.sleep(0)  # each looks for itself
            looked = True
            tell()
    except ExceptionGroup as failures:
        # Not `except*`: what is raised inside of that stays wrapped in a group on Python 3.11.2 (Debian 12).
        raise failures.exceptions[0] from None
    if readiness.settle:
        announce(f"waiting {readiness.settle:g} s to settle", "")
        await asyncio.sleep(readiness.settle)


def proof_again(readiness: Readiness) -> Readiness:
    """What an instance that refused a connection has to show.

    What it has once said or written stays true for ever, so that it proves nothing: it must
    take a connection.
    """
    if any(isinstance(probe, HttpProbe | TcpProbe) for probe in readiness.probes):
        return readiness
    return replace(readiness, probes=(*readiness.probes, TcpProbe()))


async def wait_until_unhealthy(
    liveness: Liveness, launch: Launch, running: Running, provider: Provider
) -> str:
    """Return what is wrong once the liveness probe has failed as often in a row as it may.

    Waits for ever while it holds; the caller cancels.  Raises `ProviderFailed` if it
    cannot be carried out at all.
    """
    attempt = _Attempt(launch, running, provider)
    failed = 0
    while failed < liveness.failures:
        await asyncio.sleep(liveness.interval)
        failed = 0 if await attempt.holds(liveness.probe, liveness.timeout) else failed + 1
    words = " ".join(filter(None, (_word(liveness.probe), _inside(liveness.probe))))
    return f"{words} failed {failed} times"


class _Attempt:
    def __init__(self, launch: Launch, running: Running, provider: Provider) -> None:
        self._launch = launch
        self._endpoint = running.endpoint
        self._provider = provider

    async def wait_for(self, probe: Probe) -> None:
        match probe:
            case HttpProbe() | TcpProbe():
                await _until(lambda limit: self.holds(probe, limit))
            case ExecProbe():
                await _until(lambda _: self.holds(probe, probe.timeout))
            case LogProbe():
                await self._wait_for_line(re.compile(probe.pattern))
            case NotifyProbe():
                await self._provider.wait_for_notify(self._launch.id, self._launch.generation)
            case DelayProbe():
                await asyncio.sleep(probe.seconds)

    async def holds(self, probe: HttpProbe | TcpProbe | ExecProbe, limit: float) -> bool:
        """Whether the probe holds now; it has `limit` seconds to prove so."""
        match probe:
            case HttpProbe():
                if self._endpoint is None:
                    raise ProviderFailed(f"{_word(probe)} needs a port, but {self._launch.id} has none")
                return await _in_time(limit, _answers(self._endpoint, probe))
            case TcpProbe():
                # The default probe: an app that listens nowhere is ready when it runs.
                return self._endpoint is None or await _in_time(limit, _accepts(self._endpoint))
            case ExecProbe():
                return await self._provider.run_probe(self._launch, probe.command, limit)

    async def _wait_for_line(self, pattern: re.Pattern[str]) -> None:
        id, generation = self._launch.id, self._launch.generation
        if self._provider.remembers(id, generation, pattern.pattern):
            return  # the line may be in no log any more
        output = self._provider.output(id)
        seen = asyncio.Event()

        def look(line: str) -> None:
            if pattern.search(line):
                seen.set()

        unsubscribe = output.subscribe(look)
        try:
            # Subscribed first, and no await in between: no line falls into a gap.
            for line in output.tail(_EARLIER_LINES):
                look(line)
            await seen.wait()
        finally:
            unsubscribe()
        self._provider.remember(id, generation, pattern.pattern)


async def _until(holds: Callable[[float], Awaitable[bool]]) -> None:
    """Ask `holds`, which is given a time limit in seconds, until it says yes."""
    pause, limit = _FIRST_PAUSE, _FIRST_LIMIT
    while not await holds(limit):
        await asyncio.sleep(pause)
        pause = min(pause * _PAUSE_FACTOR, _LONGEST_PAUSE)
        limit = min(limit * _LIMIT_FACTOR, _LONGEST_LIMIT)


async def _in_time(limit: float, attempt: Awaitable[bool]) -> bool:
    try:
        async with asyncio.timeout(limit):
            return await attempt
    except (TimeoutError, OSError):
        return False


async def _accepts(endpoint: Endpoint) -> bool:
    with await _connect(endpoint) as sock:
        return not endpoint.relayed or await _stays(sock)


async def _stays(sock: socket.socket) -> bool:
    """Whether a connection is not closed as soon as it is there.  Raises `OSError` where it is broken off."""
    try:
        async with asyncio.timeout(_FAREWELL):
            return await asyncio.get_running_loop().sock_recv(sock, 1) != b""
    except TimeoutError:
        return True


async def _answers(endpoint: Endpoint, probe: HttpProbe) -> bool:
    status = await status_of(endpoint, probe.path)
    return status is not None and any(low <= status <= high for low, high in probe.codes)


async def status_of(endpoint: Endpoint, path: str) -> int | None:
    """The status with which a GET of `path` is answered; None: what comes is no HTTP.  Raises `OSError`."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: torpor-probe\r\nConnection: close\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    with await _connect(endpoint) as sock:
        await loop.sock_sendall(sock, request.encode())
        head = b""
        while b"\n" not in head and len(head) < _STATUS_LINE:
            piece = await loop.sock_recv(sock, _STATUS_LINE - len(head))
            if not piece:
                break
            head += piece
    found = _STATUS.match(head)
    return None if found is None else int(found[1])


async def _connect(endpoint: Endpoint) -> socket.socket:
    sock = await connect(endpoint)
    if endpoint.path is None and sock.getsockname() == sock.getpeername():
        # Nobody listens, but the kernel happened to choose the same port for our end.
        # Left open, or closed in peace, it would keep the app from binding its port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        raise ConnectionRefusedError
    return sock


def _words(probes: list[Probe], launch: Launch) -> tuple[str, str]:
    """What is waited for, and the rest of it, which is not for everybody: see `Announce`."""
    # A guest notifies nobody; its host says what its own check has come to.
    word = "its own check" if isinstance(launch.spec.workload, GuestSpec) else None
    words = (word if word and isinstance(probe, NotifyProbe) else _word(probe) for probe in probes)
    return "waiting for " + ", ".join(words), ", ".join(filter(None, map(_inside, probes)))


def _word(probe: Probe) -> str:
    match probe:
        case HttpProbe():
            return f"http {probe.path}"
        case TcpProbe():
            return "tcp"
        case ExecProbe():
            return "exec"
        case LogProbe():
            return "log"
        case NotifyProbe():
            return "notify"
        case DelayProbe():
            return f"delay {probe.seconds:g} s"


def _inside(probe: Probe) -> str:
    """What of a probe only its owner needs to know."""
    match probe:
        case ExecProbe():
            return " ".join(probe.command)
        case LogProbe():
            return f"/{probe.pattern}/"
        case _:
            return ""
