"""Containers of Docker and Podman keep the contract of guests."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contract.freeze_contract import FreezeContract
from contract.guest_contract import (
    GuestContract,
    HostContract,
    LostHostLogContract,
    PausedByOthersContract,
)
from contract.hearing_contract import HearingContract
from contract.provider_contract import ID, Behaviour, ProviderContract
from contract.stillness_contract import StillnessContract
from contract.telling_contract import TellingContract
from engines import Engine
from providers.guests.world import GuestWorld
from torpor.config.guests import ContainerSpec, GuestSpec
from torpor.config.hosts import EngineHost
from torpor.core.model import InstanceId
from torpor.providers.guests.docker.driver import DockerDriver
from torpor.providers.guests.driver import Driver

pytestmark = pytest.mark.slow


class EngineWorld(GuestWorld):
    """See `GuestWorld`."""

    stop_timeout = 2.0

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.engine = engine
        self.made: dict[str, Behaviour] = {}
        super().__init__(folder)

    def driver(self) -> Driver:
        """See `GuestWorld`."""
        return DockerDriver(EngineHost(self.engine.url))

    def guest(self, behaviour: Behaviour, id: InstanceId) -> GuestSpec:
        """See `GuestWorld`.  It is made anew where it is to behave otherwise."""
        name = str(id).replace("/", ".")
        if self.made.get(name) is not behaviour:
            self.engine.remove(name)
            if behaviour is not Behaviour.MISSING:
                self.engine.create(name, behaviour.name.lower())
            self.made[name] = behaviour
        return ContainerSpec(name=name, host="engine", port=self.port, address="127.0.0.1")

    def alive(self) -> int:
        """See `GuestWorld`."""
        found = self.engine.inspect(str(ID))
        return int(found is not None and found["State"]["Status"] in ("running", "paused", "stopping"))

    async def start_by_others(self) -> None:
        """See `GuestSubject`."""
        await asyncio.to_thread(self.engine.act, "start", str(ID))

    async def stop_by_others(self) -> None:
        """See `GuestSubject`."""
        if (self.engine.inspect(str(ID)) or {})["State"]["Status"] == "paused":
            await self.resume_by_others()
        await asyncio.to_thread(self.engine.act, "stop", str(ID), "t=5")

    async def restart_by_others(self) -> None:
        """See `GuestSubject`."""
        await asyncio.to_thread(self.engine.act, "restart", str(ID), "t=5")

    async def crash(self) -> None:
        """See `GuestSubject`."""
        found = self.engine.inspect(str(ID))
        assert found is not None
        os.kill(found["State"]["Pid"], signal.SIGKILL)
        while self.alive():
            await asyncio.sleep(0.01)

    async def pause_by_others(self) -> None:
        """See `PausingSubject`."""
        await asyncio.to_thread(self.engine.act, "pause", str(ID))

    async def resume_by_others(self) -> None:
        """See `PausingSubject`."""
        await asyncio.to_thread(self.engine.act, "unpause", str(ID))

    async def lose_host(self) -> None:
        """See `HostSubject`."""
        await asyncio.to_thread(self.engine.crash)

    async def restore_host(self) -> None:
        """See `HostSubject`."""
        await asyncio.to_thread(self.engine.begin)


@pytest.fixture
async def subject(tmp_path: Path, engine: Engine, anyio_backend: object) -> AsyncIterator[EngineWorld]:
    """An engine of the tests' own."""
    world = EngineWorld(tmp_path, engine)
    async with world.opened():
        yield world
    if not engine.answers():
        engine.begin()


class TestContainers(ProviderContract, TellingContract, HearingContract):
    """As any instance."""


class TestFreezing(FreezeContract, StillnessContract):
    """Paused by the engine."""


class TestOthers(GuestContract, PausedByOthersContract, HostContract, LostHostLogContract):
    """By the engine's own commands."""
