"""What every provider promises of frozen instances.

A provider's test module derives a class from `FreezeContract`, beside that from `ProviderContract`,
and gives it the same `subject` fixture.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
from dataclasses import replace

import pytest

from contract.provider_contract import ID, Behaviour, Subject, wait_for_line
from torpor.core.model import ExitInfo, InstanceId, Tier
from torpor.errors import NotAllowed, StartFailed

WITNESS = InstanceId(ID.app, 1)
"""Another replica, which goes on: what it does meanwhile shows that there was time."""
LONG_ENOUGH = 20
"""Numbers that the witness counts while the other one must not."""


async def start_counting(subject: Subject, generation: int = 1) -> None:
    """Start the app, and the witness beside it; return when both count."""
    launch = subject.launch(Behaviour.COUNTING, generation)
    await subject.provider.start(launch)
    await subject.provider.start(replace(launch, id=WITNESS))
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
    await pass_time(subject)  # what was on its way into the log arrives
    before = counted(subject)
    await pass_time(subject)
    assert before == counted(subject)


async def assert_it_goes_on(subject: Subject) -> None:
    """The app counts on from where it was."""
    await wait_for_line(subject, str(counted(subject) + LONG_ENOUGH))
    counted(subject)


@pytest.mark.anyio
class FreezeContract:
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

    async def test_stop_ends_it(self, subject: Subject) -> None:
        """A stop request reaches what is frozen."""
        await subject.provider.start(subject.launch(Behaviour.STEADY))
        await wait_for_line(subject, "up")
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.stop(ID, 1)
        fact = await subject.facts.exited()
        if fact.leftovers:
            await subject.facts.gone()
        assert subject.alive() == 0

    async def test_kill_ends_it(self, subject: Subject) -> None:
        """Kill reaches what is frozen, all of it."""
        await subject.provider.start(subject.launch(Behaviour.COUNTING))
        await wait_for_line(subject, "3")
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.kill(ID, 1)
        if (await subject.facts.exited()).leftovers:
            await subject.facts.gone()
        assert subject.alive() == 0

    async def test_what_ignores_a_stop_is_awake(self, subject: Subject) -> None:
        """A stop request wakes it, whether it ends or not."""
        await subject.provider.start(subject.launch(Behaviour.STUBBORN))
        await wait_for_line(subject, "up")
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.stop(ID, 1)
        assert subject.facts.all == []
        await subject.provider.kill(ID, 1)
        await subject.facts.exited()

    async def test_a_signal_waits_for_the_thaw(self, subject: Subject) -> None:
        """A signal is kept for what is frozen, and a reload, which wants an answer, is refused."""
        await subject.provider.start(subject.launch(Behaviour.HEARING))
        await wait_for_line(subject, "up")
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.signal(ID, 1, signal.SIGUSR1)
        with pytest.raises(NotAllowed, match="frozen"):
            await subject.provider.reload(ID, 1)
        assert subject.provider.output(ID).tail(10) == ["up"]
        await subject.provider.thaw(ID, 1)
        await wait_for_line(subject, f"got signal {signal.SIGUSR1:d}")
        await subject.provider.reload(ID, 1)
        await wait_for_line(subject, "reloaded")

    async def test_stats(self, subject: Subject) -> None:
        """What is frozen is alive, and its memory counts."""
        await start_counting(subject)
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        stats = subject.provider.stats(ID)
        assert stats is not None
        assert stats.rss > 0
        with pytest.raises(StartFailed):
            await subject.provider.start(subject.launch(Behaviour.STEADY, 2))

    async def test_a_frozen_survivor_is_adopted_frozen(self, subject: Subject) -> None:
        """The next daemon is told how it sleeps, takes it on without waking it, and may wake it."""
        await start_counting(subject, 7)
        await subject.provider.freeze(ID, 7, Tier.PAUSE)
        await subject.succeed()
        found = {survivor.id: survivor.frozen for survivor in await subject.provider.survivors()}
        assert {ID: Tier.PAUSE, WITNESS: None} == found
        launch = subject.launch(Behaviour.COUNTING, 7)
        subject.provider.adopt(launch)
        subject.provider.adopt(replace(launch, id=WITNESS))
        await assert_it_stands_still(subject)
        await subject.provider.thaw(ID, 7)
        await assert_it_goes_on(subject)
        assert subject.facts.all == []

    async def test_a_frozen_survivor_is_ended_like_others(self, subject: Subject) -> None:
        """Adopted and stopped, or discarded: nothing is left of it."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 7))
        await wait_for_line(subject, "up")
        await subject.provider.freeze(ID, 7, Tier.PAUSE)
        await subject.succeed()
        await subject.provider.survivors()
        await subject.provider.discard(ID, 7)
        assert subject.alive() == 0
        await subject.provider.start(subject.launch(Behaviour.STEADY, 8))
        await wait_for_line(subject, "up")
        await subject.provider.freeze(ID, 8, Tier.PAUSE)
        await subject.succeed()
        await subject.provider.survivors()
        subject.provider.adopt(subject.launch(Behaviour.STEADY, 8))
        await subject.provider.stop(ID, 8)
        assert (await subject.facts.exited(8)).info != ExitInfo(signal=signal.SIGKILL)

    async def test_what_was_thawed_survives_awake(self, subject: Subject) -> None:
        """The next daemon finds it awake."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 7))
        await wait_for_line(subject, "up")
        await subject.provider.freeze(ID, 7, Tier.PAUSE)
        await subject.provider.thaw(ID, 7)
        await subject.succeed()
        assert [None] == [survivor.frozen for survivor in await subject.provider.survivors()]

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
