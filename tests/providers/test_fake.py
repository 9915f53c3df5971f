"""The fake provider keeps the contract, and its script is played as written."""

from __future__ import annotations

import asyncio

import pytest

from contract.descent_contract import DescentContract, FrozenDescentContract
from contract.freeze_contract import FreezeContract
from contract.hearing_contract import HearingContract
from contract.provider_contract import ID, Behaviour, Facts, ProviderContract, wait_for_line
from contract.stillness_contract import StillnessContract
from contract.telling_contract import TellingContract
from torpor.core.model import AppSpec, ExitInfo, InstanceId
from torpor.errors import ProviderFailed
from torpor.providers.base import Launch
from torpor.providers.fake import FakeProvider, Plan

PLANS = {
    Behaviour.STEADY: Plan(lines=("up",)),
    Behaviour.STUBBORN: Plan(lines=("up",), obeys=False),
    Behaviour.FAILING: Plan(lines=("broken",), exit=ExitInfo(code=3)),
    Behaviour.MISSING: Plan(refuse="no such program"),
    Behaviour.LEAVING: Plan(exit=ExitInfo(code=0), leaves=True),
    Behaviour.LEAVING_STUBBORN: Plan(exit=ExitInfo(code=0), leaves=True, obeys=False),
    Behaviour.NOTIFYING: Plan(notify=True),
    Behaviour.HEARING: Plan(lines=("up",), reloads=True),
    Behaviour.COUNTING: Plan(counts=True),
}


class FakeWorld:
    """A fake provider whose next start is planned by `launch`."""

    def __init__(self) -> None:
        self.facts = Facts()
        self.provider = FakeProvider(self.facts)

    def launch(self, behaviour: Behaviour, generation: int = 1, id: InstanceId = ID) -> Launch:
        """Plan the next start."""
        self.provider.plans[id.app] = PLANS[behaviour]
        return Launch(id, generation, AppSpec(id.app), 18000)

    async def up(self) -> None:
        """Wait for its line."""
        await wait_for_line(self, "up")

    async def succeed(self) -> None:
        """A second provider finds what the first one leaves."""
        before = self.provider
        self.facts = Facts()
        self.provider = FakeProvider(self.facts)
        self.provider.plans = before.plans
        self.provider.succeed(before)

    def alive(self) -> int:
        """One while anything is alive."""
        return int(self.provider.alive(ID))


@pytest.fixture
def subject() -> FakeWorld:
    """A fake world."""
    return FakeWorld()


class TestFakeProvider(ProviderContract, TellingContract, HearingContract, DescentContract):
    """No processes."""


class TestFakeFreezing(FreezeContract, StillnessContract, FrozenDescentContract):
    """No processes."""


@pytest.mark.anyio
async def test_a_start_hangs_until_it_is_let_go(subject: FakeWorld) -> None:
    """A planned hang holds the start and nothing else."""
    subject.provider.plans[ID.app] = Plan(hang=True)
    start = asyncio.ensure_future(subject.provider.start(Launch(ID, 1, AppSpec(ID.app), None)))
    await asyncio.sleep(0)
    assert not start.done()
    subject.provider.let_start(ID)
    running = await start
    assert running.endpoint is None


@pytest.mark.anyio
async def test_a_planned_stop_problem_is_raised(subject: FakeWorld) -> None:
    """Stop and kill raise what the plan says, and the instance stays alive."""
    subject.provider.plans[ID.app] = Plan(stop_problem="not allowed")
    await subject.provider.start(Launch(ID, 1, AppSpec(ID.app), None))
    with pytest.raises(ProviderFailed, match="not allowed"):
        await subject.provider.stop(ID, 1)
    with pytest.raises(ProviderFailed, match="not allowed"):
        await subject.provider.kill(ID, 1)
    assert subject.alive() == 1
