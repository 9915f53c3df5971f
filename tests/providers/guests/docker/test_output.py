"""What belongs to a run of a container, where its engine keeps all runs in one log."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from torpor.providers.guests.docker.container import Condition, Config, Container, run_of
from torpor.providers.guests.docker.output import read_output

pytestmark = pytest.mark.anyio

NOON = 1_700_000_000.0


def moment(seconds: float) -> str:
    """As an engine writes it."""
    return datetime.fromtimestamp(NOON + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Log:
    """An engine that has logged one word at each of these moments, which is that word."""

    def __init__(self, *moments: float) -> None:
        self._moments = moments

    @asynccontextmanager
    async def opened(self, *_: object, **__: object) -> AsyncIterator[SimpleNamespace]:
        """See `EngineApi.opened`."""
        yield SimpleNamespace(content=self)

    async def iter_any(self) -> AsyncIterator[bytes]:
        """All of it."""
        for one in self._moments:
            line = f"{moment(one)} {one:g}\n".encode()
            yield struct.pack(">BxxxL", 1, len(line)) + line


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        pytest.param(None, "-1.5 -0.05 1", id="the first run"),
        pytest.param(-1.0, "-0.05 1", id="after another one"),
        pytest.param(9.0, "-0.05 1", id="which has ended"),
    ],
)
async def test_the_first_words_may_be_older_than_the_run(ended: float | None, expected: str) -> None:
    """The engine notes its beginning down late; what was written before the last end is none of its."""
    never = "0001-01-01T00:00:00Z"
    state = Condition("running", started_at=moment(0), finished_at=never if ended is None else moment(ended))
    container = Container("0123456789abcdef", "/app", state, Config())
    log = Log(-60, -1.5, -0.05, 1)

    pieces = read_output(log, container, run_of(container) or "", None, follow=False)  # type: ignore[arg-type]

    assert expected.split() == b"".join([piece.data async for piece in pieces]).decode().split()
