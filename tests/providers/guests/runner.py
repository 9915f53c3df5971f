"""Runs commands, and hears of guests, as a daemon does without any app of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from torpor.config.guests import GuestSpec
from torpor.providers.guests.driver import Driver, Notice
from torpor.providers.process.nursery import Nursery, Run
from torpor.providers.process.reaper import Reaper


@asynccontextmanager
async def running() -> AsyncIterator[Run]:
    """What runs commands."""
    nursery = Nursery(Reaper())
    nursery.open()
    try:
        yield nursery.run
    finally:
        nursery.close()


@asynccontextmanager
async def hearing(driver: Driver, guest: GuestSpec) -> AsyncIterator[asyncio.Queue[Notice]]:
    """What a driver tells of a guest."""
    heard = asyncio.Queue[Notice]()

    async def listen() -> None:
        async for notice in driver.watch(lambda: [guest]):
            heard.put_nowait(notice)

    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listen())
        yield heard
        listening.cancel()
