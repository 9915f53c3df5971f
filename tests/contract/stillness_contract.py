"""What providers promise of frozen instances that count while they are awake.

A provider's test module derives a class from `StillnessContract`, beside that from `FreezeContract`,
and gives it the same `subject` fixture.
"""

from __future__ import annotations

import asyncio
import itertools

import pytest

from contract.provider_contract import ID, Behaviour, Subject, measured, wait_for_line
from torpor.core.model import InstanceId, Tier
from torpor.errors import StartFailed

WITNESS = InstanceId(ID.app, 1)
"""Another replica, which goes on: what it does meanwhile shows that there was time."""
LONG_ENOUGH = 20
"""Numbers that the witness counts while the other one must not."""


async def start_counting(subject: Subject, generation: int = 1) -> None:
    """Start the app, and the witness beside it; return when both count."""
    await subject.provider.start(subject.launch(Behaviour.COUNTING, generation, WITNESS))
    await subject.provider.start(subject.launch(Behaviour.COUNTING, generation))
    await wait_for_line(subject, "3")


async def pass_time(subject: Subject) -> None:
    """Return when the witness has counted on for a while."""
    output = subject.provider.output(WITNESS)
    many = itertools.count(1)
    enough = asyncio.Event()
    unsubscribe = output.subscribe(lambda _: enough.set() if next(many) >= LONG_ENOUGH else None)
    await enough.wait()
    unsubscribe()


def counted(subject: Subject) -> int:
    """How far the app has counted, leaving no number out."""
    lines = subject.provider.output(ID).tail(100_000)
    assert [str(number) for number in range(1, len(lines) + 1)] == lines
    return len(lines)


async def assert_it_stands_still(subject: Subject) -> None:
    """The app does nothing while the witness does a lot."""
    # What was on its way into the log arrives first, and both of them may have a lot there.
    for _ in range(10):
        before = counted(subject)
        await pass_time(subject)
        if before == counted(subject):
            return
    raise AssertionError("it goes on counting")


async def assert_it_goes_on(subject: Subject) -> None:
    """The app counts on from where it was."""
    await wait_for_line(subject, str(counted(subject) + LONG_ENOUGH))
    counted(subject)


@pytest.mark.anyio
class StillnessContract:
    """The suite."""

    @pytest.mark.parametrize("tier", [Tier.PAUSE, Tier.HIBERNATE])
    async def test_it_stands_still_and_goes_on(self, subject: Subject, tier: Tier) -> None:
        """What is frozen does nothing at all; thawed, it goes on with its memory where it was."""
        await start_counting(subject)
        frozen = await subject.provider.freeze(ID, 1, tier)
        assert frozen.before >= frozen.after > 0
        assert frozen.tier is tier or frozen.note
        await assert_it_stands_still(subject)
        await subject.provider.thaw(ID, 1)
        await assert_it_goes_on(subject)
        assert subject.facts.all == []

    async def test_a_hundred_times(self, subject: Subject) -> None:
        """It is the same app after it was frozen and thawed again and again."""
        await start_counting(subject)
        for _ in range(100):
            assert (await subject.provider.freeze(ID, 1, Tier.PAUSE)).tier is Tier.PAUSE
            await subject.provider.thaw(ID, 1)
        await assert_it_goes_on(subject)
        assert subject.facts.all == []

    async def test_deeper(self, subject: Subject) -> None:
        """What is paused may be hibernated, and never becomes awake or less deep by a freeze."""
        await start_counting(subject)
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        deep = await subject.provider.freeze(ID, 1, Tier.HIBERNATE)
        again = await subject.provider.freeze(ID, 1, Tier.PAUSE)
        assert deep.tier is again.tier
        await assert_it_stands_still(subject)

    async def test_twice_is_no_error(self, subject: Subject) -> None:
        """To thaw what is awake, or was thawed, changes nothing."""
        await start_counting(subject)
        await subject.provider.thaw(ID, 1)
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.thaw(ID, 1)
        await subject.provider.thaw(ID, 1)
        await assert_it_goes_on(subject)

    async def test_another_generation_is_not_touched(self, subject: Subject) -> None:
        """Freeze and thaw of a generation that is gone are no error, and the one that is there goes on."""
        await subject.provider.start(subject.launch(Behaviour.FAILING, 1))
        await subject.facts.exited(1)
        assert (await subject.provider.freeze(ID, 1, Tier.PAUSE)).before == 0
        await start_counting(subject, 2)
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.thaw(ID, 1)
        await assert_it_goes_on(subject)
        await subject.provider.freeze(ID, 2, Tier.PAUSE)
        await subject.provider.thaw(ID, 1)
        await assert_it_stands_still(subject)

    async def test_stats(self, subject: Subject) -> None:
        """What is frozen is alive, and its memory counts."""
        await start_counting(subject)
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await measured(subject)
        with pytest.raises(StartFailed):
            await subject.provider.start(subject.launch(Behaviour.STEADY, 2))

    async def test_a_frozen_survivor_is_adopted_frozen(self, subject: Subject) -> None:
        """The next daemon is told how it sleeps, takes it on without waking it, and may wake it."""
        await start_counting(subject, 7)
        await subject.provider.freeze(ID, 7, Tier.PAUSE)
        await subject.succeed()
        found = {survivor.id: survivor.frozen for survivor in await subject.provider.survivors()}
        assert {ID: Tier.PAUSE, WITNESS: None} == found
        subject.provider.adopt(subject.launch(Behaviour.COUNTING, 7, WITNESS))
        subject.provider.adopt(subject.launch(Behaviour.COUNTING, 7))
        await assert_it_stands_still(subject)
        await subject.provider.thaw(ID, 7)
        await assert_it_goes_on(subject)
        assert subject.facts.all == []

    async def test_a_freeze_that_is_cancelled(self, subject: Subject) -> None:
        """Whenever that is, a thaw lets it go on, and another freeze freezes it."""
        await start_counting(subject)
        for steps in range(12):
            freezing = asyncio.ensure_future(subject.provider.freeze(ID, 1, Tier.HIBERNATE))
            for _ in range(steps):
                await asyncio.sleep(0.0002)
            freezing.cancel()
            await asyncio.wait([freezing])
            await subject.provider.thaw(ID, 1)
            await wait_for_line(subject, str(counted(subject) + 1))
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await assert_it_stands_still(subject)

    async def test_kill_ends_what_counted(self, subject: Subject) -> None:
        """Kill reaches all of what was frozen in the middle of its work."""
        await start_counting(subject)
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.kill(ID, 1)
        if (await subject.facts.exited()).leftovers:
            await subject.facts.gone()
        await subject.provider.kill(WITNESS, 1)
        while subject.provider.stats(WITNESS) is not None:
            await asyncio.sleep(0.01)
        assert subject.alive() == 0
