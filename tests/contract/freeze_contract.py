"""What every provider promises of frozen instances.

A provider's test module derives a class from `FreezeContract`, beside that from `ProviderContract`,
and gives it the same `subject` fixture.
"""

from __future__ import annotations

import signal

import pytest

from contract.provider_contract import ID, Behaviour, Subject
from torpor.core.model import ExitInfo, Tier


@pytest.mark.anyio
class FreezeContract:
    """The suite."""

    async def test_stop_ends_it(self, subject: Subject) -> None:
        """A stop request reaches what is frozen."""
        await subject.provider.start(subject.launch(Behaviour.STEADY))
        await subject.up()
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.stop(ID, 1)
        fact = await subject.facts.exited()
        if fact.leftovers:
            await subject.facts.gone()
        assert subject.alive() == 0

    async def test_kill_ends_it(self, subject: Subject) -> None:
        """Kill reaches what is frozen, all of it."""
        await subject.provider.start(subject.launch(Behaviour.STEADY))
        await subject.up()
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.kill(ID, 1)
        if (await subject.facts.exited()).leftovers:
            await subject.facts.gone()
        assert subject.alive() == 0

    async def test_what_ignores_a_stop_is_awake(self, subject: Subject) -> None:
        """A stop request wakes it, whether it ends or not."""
        await subject.provider.start(subject.launch(Behaviour.STUBBORN))
        await subject.up()
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.stop(ID, 1)
        assert subject.facts.all == []
        await subject.provider.kill(ID, 1)
        await subject.facts.exited()

    async def test_a_frozen_survivor_is_ended_like_others(self, subject: Subject) -> None:
        """Adopted and stopped, or discarded: nothing is left of it."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 7))
        await subject.up()
        await subject.provider.freeze(ID, 7, Tier.PAUSE)
        await subject.succeed()
        await subject.provider.survivors()
        await subject.provider.discard(ID, 7)
        assert subject.alive() == 0
        await subject.provider.start(subject.launch(Behaviour.STEADY, 8))
        await subject.up()
        await subject.provider.freeze(ID, 8, Tier.PAUSE)
        await subject.succeed()
        await subject.provider.survivors()
        subject.provider.adopt(subject.launch(Behaviour.STEADY, 8))
        await subject.provider.stop(ID, 8)
        assert (await subject.facts.exited(8)).info != ExitInfo(signal=signal.SIGKILL)

    async def test_what_was_thawed_survives_awake(self, subject: Subject) -> None:
        """The next daemon finds it awake."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 7))
        await subject.up()
        await subject.provider.freeze(ID, 7, Tier.PAUSE)
        await subject.provider.thaw(ID, 7)
        await subject.succeed()
        assert [None] == [survivor.frozen for survivor in await subject.provider.survivors()]
