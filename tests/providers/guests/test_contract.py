"""The provider of guests keeps the contract, whatever drives them: here a host in memory."""

from __future__ import annotations

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
from contract.provider_contract import ProviderContract
from contract.stillness_contract import StillnessContract
from contract.telling_contract import TellingContract
from providers.guests.fake_world import FakeWorld


@pytest.fixture
async def subject(tmp_path: Path, anyio_backend: object) -> AsyncIterator[FakeWorld]:
    """A host in memory."""
    world = FakeWorld(tmp_path)
    async with world.opened():
        yield world


class TestGuestProvider(ProviderContract, TellingContract, HearingContract):
    """In memory."""


class TestGuestFreezing(FreezeContract, StillnessContract):
    """In memory."""


class TestOthers(GuestContract, PausedByOthersContract, HostContract, LostHostLogContract):
    """In memory."""
