"""The containers that an engine tells of, for discovery."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from engines import Engine
from torpor.config.hosts import EngineHost
from torpor.errors import ProviderFailed
from torpor.providers.guests.docker.catalogue import EngineCatalogue
from torpor.providers.guests.docker.place import place_of

pytestmark = pytest.mark.anyio

LABELS = {"torpor.enable": "true", "torpor.name": "notes"}


async def test_all_containers_are_told_with_their_labels(engine: Engine) -> None:
    """Whatever state they are in, by their own names."""
    catalogue = EngineCatalogue("mine", EngineHost(engine.url))
    engine.create("made", "steady", Labels=LABELS)
    engine.create("runs", "steady")
    engine.act("start", "runs")
    try:
        found = {one.name: one for one in await catalogue.containers()}
    finally:
        await catalogue.close()

    assert {"made": "created", "runs": "running"} == {name: one.state for name, one in found.items()}
    made = found["made"]
    assert ("mine", LABELS) == (made.engine, {name: made.labels.get(name) for name in LABELS})


async def test_appearances_are_told_and_other_news_are_not(engine: Engine) -> None:
    """The first one comes at once: from then on none is missed."""
    catalogue = EngineCatalogue("mine", EngineHost(engine.url))
    try:
        async with asyncio.timeout(20), aclosing(catalogue.appearances()) as appearances:
            await anext(appearances)
            await asyncio.to_thread(engine.create, "web", "steady")
            await anext(appearances)
            await asyncio.to_thread(engine.act, "start", "web")
            await asyncio.to_thread(engine.remove, "web")
            await anext(appearances)
            assert [] == [one for one in await catalogue.containers() if one.name == "web"]
    finally:
        await catalogue.close()


async def test_an_engine_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With what to do."""
    catalogue = EngineCatalogue("mine", EngineHost(f"unix://{tmp_path}/none.sock"))
    try:
        with pytest.raises(ProviderFailed) as refused:
            await catalogue.containers()
        with pytest.raises(ProviderFailed):
            await anext(catalogue.appearances())
    finally:
        await catalogue.close()
    assert refused.value.hint is not None


@pytest.mark.parametrize("url", ["tcp://[::1", "tcp://here:99999", "ssh://me@here", "here", ""])
def test_what_is_no_address_is_said_so(url: str) -> None:
    """`DOCKER_HOST` is checked by nobody else."""
    with pytest.raises(ProviderFailed, match="no address of a container engine"):
        place_of(EngineHost(url))
