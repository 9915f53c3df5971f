"""Runs commands as a daemon does, without any app of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
