"""What belongs to a run of a container, where its engine keeps all runs in one log."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from torpor.providers.guests.docker.container import Condition, Config, Container, run_of
from torpor.providers.guests.docker.output import cursor_from, read_output
from torpor.providers.guests.docker.seams import Seams

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
    async def opened(self, *_: object, params: dict[str, str]) -> AsyncIterator[SimpleNamespace]:
        """See `EngineApi.opened`."""
        until = float(params.get("until", "inf")) - NOON
        yield SimpleNamespace(content=SimpleNamespace(iter_any=lambda: self._told(until)))

    async def _told(self, until: float) -> AsyncIterator[bytes]:
        for one in (one for one in self._moments if one <= until):
            line = f"{moment(one)} {one:g}\n".encode()
            yield struct.pack(">BxxxL", 1, len(line)) + line


class Engine:
    """One container, and what it has written, looked at and read as the driver does it."""

    def __init__(self, *moments: float) -> None:
        self._log = Log(*moments)
        self._seams = Seams()
        self._container: Container | None = None

    def look(self, status: str, started: float | None, ended: float | None) -> None:
        """Look at it: it is in this state, its last run began then, and it ended then."""
        never = "0001-01-01T00:00:00Z"
        state = Condition(
            status,
            started_at=never if started is None else moment(started),
            finished_at=never if ended is None else moment(ended),
        )
        self._container = Container("0123456789abcdef", "/app", state, Config())
        self._seams.note(self._container)

    @property
    def run(self) -> str:
        """The last one."""
        assert self._container is not None
        return run_of(self._container) or ""

    async def words(self, run: str | None = None) -> str:
        """What that run has written; None: the last one."""
        assert self._container is not None
        run = run or self.run
        told = b""
        async for piece in read_output(self._log, self._container, self._seams, run, None, follow=False):  # type: ignore[arg-type]
            self._seams.note_told(self._container, run, cursor_from(piece.cursor).moment)
            told += piece.data
        return " ".join(told.decode().split())


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        pytest.param(None, "-1.5 -0.05 1", id="the first run"),
        pytest.param(-1.0, "-0.05 1", id="after another one"),
    ],
)
async def test_the_first_words_may_be_older_than_the_run(ended: float | None, expected: str) -> None:
    """The engine notes its beginning down late; what was written before the last end is none of its."""
    engine = Engine(-60, -1.5, -0.05, 1)
    engine.look("running", 0, ended)

    assert expected == await engine.words()


@pytest.mark.parametrize("ended", [pytest.param(9, id="after it"), pytest.param(-0.02, id="before it")])
async def test_the_end_of_a_run_is_no_bound_of_its_own_words(ended: float) -> None:
    """The engine may note down that a run has begun when it has ended already, and at an earlier moment."""
    engine = Engine(-60, -0.05, 1)
    engine.look("exited", 0, ended)

    assert await engine.words() == "-0.05 1"


@pytest.mark.parametrize(
    ("started", "ended", "expected"),
    [
        pytest.param(None, None, "-1.5 -0.05 1", id="never ran"),
        pytest.param(-60, -1, "-0.05 1", id="ended before"),
    ],
)
async def test_an_end_seen_before_is_remembered(
    started: float | None, ended: float | None, expected: str
) -> None:
    """An engine forgets the end of the run before at the end of the next, which may come before anybody looks."""
    engine = Engine(-1.5, -0.05, 1)
    engine.look("created" if started is None else "exited", started, ended)
    engine.look("exited", 0, -0.02)

    assert expected == await engine.words()


async def test_what_was_told_of_a_run_is_not_told_of_the_next() -> None:
    """A busy engine may stamp the last words of a run after its end."""
    engine = Engine(-60, -1.4, -0.5)
    engine.look("exited", -60, -1.5)
    assert await engine.words() == "-60 -1.4 -0.5"
    engine.look("exited", 0, 1)

    assert await engine.words() == ""


async def test_a_clock_that_is_set_back_hides_no_words() -> None:
    """The run before has ended after this one began, as it seems: that is no bound."""
    engine = Engine(-0.05, 1)
    engine.look("running", 0, 3600)

    assert await engine.words() == "-0.05 1"


@pytest.mark.parametrize(
    "ended", [pytest.param(-0.2, id="a moment before"), pytest.param(-1.9, id="long before")]
)
async def test_a_run_is_over_before_the_next_is_noted_down(ended: float) -> None:
    """Words of a run that were stamped late are its own, and the first ones of the next are not; all are told once."""
    engine = Engine(-60, -0.19, -0.01, 1)
    engine.look("running", -60, None)
    run = engine.run
    engine.look("running", 0, ended)

    assert await engine.words(run) == "-60 -0.19"
    assert await engine.words() == "-0.01 1"
