"""The daemon's end: each time that somebody asks, it comes sooner."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from runtime.house import APP, ID, House, house
from torpor.core.model import Lifecycle
from torpor.core.upstream import Upstream
from torpor.providers.fake import Plan
from torpor.runtime.shutdown import Shutdown

pytestmark = pytest.mark.anyio

PATIENT = replace(APP, lifecycle=Lifecycle(drain_timeout=3600.0, stop_timeout=3600.0))


class End:
    """The end of a house, and what it came to."""

    def __init__(self, home: House) -> None:
        self.hurried = 0
        self.cut = asyncio.Event()
        self.shutdown = Shutdown(self._hurry)
        self._home = home

    def begin(self) -> asyncio.Task[None]:
        self.shutdown.ask()
        return asyncio.create_task(self.shutdown.stop_apps(self._home.engine, self._home.journal, self._cut))

    def _hurry(self) -> None:
        self.hurried += 1

    async def _cut(self) -> None:
        self.cut.set()


async def in_flight(home: House) -> Upstream:
    """Where a request is under way that has not ended."""
    await home.awake()
    upstream = home.gate.enter()
    assert upstream is not None
    return upstream


async def test_whoever_asks_once_gets_an_orderly_end() -> None:
    """It comes once the last request has ended and nothing of any app is alive."""
    async with house(PATIENT) as home:
        upstream = await in_flight(home)
        end = End(home)
        ending = end.begin()
        await asyncio.sleep(0)
        assert home.provider.alive(ID)

        home.gate.leave(upstream)
        await home.until(ending.done)

        assert not home.provider.alive(ID)
        assert not end.cut.is_set()
        assert not end.hurried


async def test_whoever_asks_again_cuts_what_is_in_flight() -> None:
    """Nobody waits for the last request then."""
    async with house(PATIENT) as home:
        upstream = await in_flight(home)
        end = End(home)
        ending = end.begin()

        end.shutdown.ask()
        await home.until(end.cut.is_set)
        home.gate.leave(upstream)
        await home.until(ending.done)

        assert not end.hurried


async def test_whoever_asks_a_third_time_leaves_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is alive still is named, and left."""
    async with house(PATIENT) as home:
        await home.awake()
        home.provider._lives[ID].plan = Plan(obeys=False)
        end = End(home)
        ending = end.begin()

        end.shutdown.ask()
        end.shutdown.ask()
        await home.until(ending.done)

        assert home.provider.alive(ID)
        assert 1 == end.hurried
        assert "left behind, maybe alive: app" in caplog.text


async def test_the_first_to_ask_decides_on_the_apps() -> None:
    """Whoever asks for it again is in a hurry, and has no say about that."""
    shutdown = Shutdown(lambda: None)

    shutdown.ask(keep_apps=True)
    shutdown.ask()

    assert shutdown.keeps_apps
    assert shutdown.begun
    await shutdown.wait()
