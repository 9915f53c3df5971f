"""What is asked about an app before it sleeps; what cannot be found out keeps it awake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from torpor.core.model import AppSpec, Endpoint, ExecProbe, ExitInfo, HttpProbe, IdleQuestion, InstanceId
from torpor.errors import StartFailed
from torpor.providers.base import Launch, Provider, Running, Stats
from torpor.runtime.questions import ask

pytestmark = pytest.mark.anyio

LAUNCH = Launch(InstanceId("app"), 1, AppSpec("app"), None)
COMMAND = ExecProbe(("./busy.sh",))


@dataclass
class Surroundings:
    """A provider whose command ends as told, and whose CPU time is what the list says."""

    ends: ExitInfo | StartFailed | None = None
    cpu: list[float | None] = field(default_factory=list)

    async def run_command(self, launch: Launch, command: tuple[str, ...], timeout: float) -> ExitInfo | None:
        if isinstance(self.ends, StartFailed):
            raise self.ends
        return self.ends

    def stats(self, _id: InstanceId) -> Stats | None:
        used = self.cpu.pop(0)
        return None if used is None else Stats(1, 0, used)


async def found(
    question: IdleQuestion, surroundings: Surroundings | None = None, endpoint: Endpoint | None = None
) -> tuple[bool, str]:
    provider = cast(Provider, surroundings or Surroundings())
    finding = await ask(question, LAUNCH, Running(endpoint, 1), provider)
    return finding.keeps_awake, finding.text


@pytest.mark.parametrize(
    ("ends", "keeps_awake", "text"),
    [
        (ExitInfo(code=0), True, "`./busy.sh` exited with code 0"),
        (ExitInfo(code=1), False, "`./busy.sh` exited with code 1"),
        (ExitInfo(code=127), True, "cannot tell: `./busy.sh` exited with code 127"),
        (ExitInfo(signal=9), True, "cannot tell: `./busy.sh` killed by signal 9"),
        (None, True, "cannot tell: `./busy.sh` did not end within 5 s"),
        (StartFailed("there is no ./busy.sh"), True, "cannot tell: there is no ./busy.sh"),
    ],
)
async def test_a_command_keeps_awake_by_success_and_by_every_failure_to_tell(
    ends: ExitInfo | StartFailed | None, keeps_awake: bool, text: str
) -> None:
    """Only a command that ended and said no lets the app sleep."""
    assert (keeps_awake, text) == await found(IdleQuestion(probe=COMMAND), Surroundings(ends))


@pytest.mark.parametrize(
    ("cpu", "keeps_awake", "words"),
    [
        ([1.0, 1.0], False, "uses 0 % of a core, below 5 %"),
        ([1.0, 100.0], True, "not below 5 %"),
        ([1.0, None], True, "cannot be measured"),
        ([9.0, 1.0], False, "uses 0 %"),
    ],
)
async def test_cpu_time_is_measured_over_a_window(
    cpu: list[float | None], keeps_awake: bool, words: str
) -> None:
    """A process that ended in between takes its time out of the sum: that is not work that was undone."""
    finding = await found(IdleQuestion(cpu_below=0.05, cpu_window=0.01), Surroundings(cpu=list(cpu)))

    assert keeps_awake is finding[0]
    assert words in finding[1]


async def test_one_that_keeps_it_awake_suffices() -> None:
    """The command is asked first; what it says suffices, and nothing is measured."""
    question = IdleQuestion(cpu_below=0.05, cpu_window=1000.0, probe=COMMAND)

    assert (True, "`./busy.sh` exited with code 0") == await found(question, Surroundings(ExitInfo(code=0)))


@asynccontextmanager
async def answering(status: bytes | None) -> AsyncIterator[Endpoint]:
    """A server that answers everybody so; None: never."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if status is not None:
            writer.write(status)
            writer.close()
        else:
            await reader.read()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host: Any = server.sockets[0].getsockname()
    try:
        yield Endpoint(host[0], host[1])
    finally:
        server.close()


@pytest.mark.parametrize(
    ("status", "keeps_awake", "text"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", True, "/busy answers 204"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", False, "/busy answers 404"),
        (b"HTTP/1.1 503 Oh\r\n\r\n", True, "cannot tell: /busy answers 503"),
        (b"good day\r\n", True, "cannot tell: /busy does not answer"),
        (None, True, "cannot tell: /busy does not answer"),
    ],
)
async def test_a_path_keeps_awake_by_success_and_by_every_failure_to_tell(
    status: bytes | None, keeps_awake: bool, text: str
) -> None:
    """A status of 200 to 299 says that it is at work; one that blames the app says nothing."""
    question = IdleQuestion(probe=HttpProbe("/busy", ((200, 299),)), timeout=0.2 if status is None else 5.0)
    async with answering(status) as endpoint:
        assert (keeps_awake, text) == await found(question, endpoint=endpoint)
