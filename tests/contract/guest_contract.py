"""What providers of guests promise: others may start, stop and restart them, and the host may be down.

A driver's test module makes a world of its host (see `providers.guests.world.GuestWorld`) and
derives from `GuestContract`; from `PausedByOthersContract` where guests can be paused; from
`HostContract` where its world can take the host away.  Beside them the suites that
`provider_contract` names.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest

from contract.provider_contract import ID, Behaviour, Subject, wait_for_line
from torpor.core.messages import FoundRunning, Froze, HostReturned, Thawed
from torpor.core.model import ExitInfo, Tier
from torpor.errors import ProviderFailed
from torpor.providers.base import UNASKED
from torpor.providers.guests.provider import GuestProvider


class GuestSubject(Subject, Protocol):
    """A provider of guests, and others who act on the guest of `ID` that was launched last."""

    @property
    def provider(self) -> GuestProvider: ...

    @property
    def tells_hands(self) -> bool:
        """Whether its host tells an end that somebody asked for from one that nobody did."""
        ...

    def follow(self) -> None:
        """Tell the provider that the app launched last is its own."""
        ...

    async def start_by_others(self) -> None:
        """Somebody else starts it, where it lives; returns when it runs."""
        ...

    async def stop_by_others(self) -> None:
        """Somebody else stops it, where it lives; returns when it has ended."""
        ...

    async def restart_by_others(self) -> None:
        """Somebody else stops it and starts it again; returns when it runs."""
        ...

    async def crash(self) -> None:
        """It is ended by a SIGKILL of which its host knows nothing, or whatever comes next to that."""
        ...


class PausingSubject(GuestSubject, Protocol):
    """Its guests can be paused."""

    async def pause_by_others(self) -> None:
        """Somebody else freezes it."""
        ...

    async def resume_by_others(self) -> None:
        """Somebody else lets it go on."""
        ...


class HostSubject(GuestSubject, Protocol):
    """Its host can be taken away; the guests go on meanwhile."""

    async def lose_host(self) -> None:
        """The host does not answer any more, whatever has a connection to it."""
        ...

    async def restore_host(self) -> None:
        """The host answers again."""
        ...


async def settled(subject: GuestSubject) -> None:
    """Return when the provider knows what it can know by now."""
    await subject.provider.settled(ID)


@pytest.mark.anyio
class GuestContract:
    """The suite, beside `ProviderContract`."""

    async def test_what_runs_already_is_taken(self, subject: GuestSubject) -> None:
        """A start of what others have started takes it as it is, and it is stopped like any other."""
        launch = subject.launch(Behaviour.STEADY)
        await subject.start_by_others()
        before = subject.alive()
        await subject.provider.start(launch)
        assert before == subject.alive() > 0
        assert subject.facts.all == []
        await subject.provider.stop(ID, 1)
        fact = await subject.facts.exited()
        assert not fact.by_hand
        assert subject.alive() == 0
        assert [fact] == subject.facts.all

    async def test_a_start_by_others_is_told(self, subject: GuestSubject) -> None:
        """Of a guest that is ours to look after; once, however often its host has news of it."""
        launch = subject.launch(Behaviour.STEADY)
        subject.follow()
        await settled(subject)
        assert subject.facts.all == []
        await subject.start_by_others()
        told = await subject.facts.first(FoundRunning)
        assert ID == told.id
        await settled(subject)
        assert [told] == subject.facts.all
        await subject.provider.start(launch)
        await settled(subject)
        assert [told] == subject.facts.all
        await subject.provider.kill(ID, 1)
        assert not (await subject.facts.exited()).by_hand

    async def test_what_ran_before_the_daemon_is_told(self, subject: GuestSubject) -> None:
        """As is what others started while nobody looked."""
        subject.launch(Behaviour.STEADY)
        await subject.start_by_others()
        subject.follow()
        await subject.facts.first(FoundRunning)
        await settled(subject)
        assert len(subject.facts.all) == 1

    async def test_what_runs_unasked_is_ended(self, subject: GuestSubject) -> None:
        """Where nobody wants what others have started, nothing of it is left and no exit is told of."""
        subject.launch(Behaviour.STUBBORN)
        await subject.start_by_others()
        subject.follow()
        told = await subject.facts.first(FoundRunning)
        await subject.provider.discard(ID, UNASKED)
        assert subject.alive() == 0
        await settled(subject)
        assert [told] == subject.facts.all

    async def test_a_stop_by_others(self, subject: GuestSubject) -> None:
        """It is told as such where the host knows, and nothing follows it."""
        await subject.provider.start(subject.launch(Behaviour.STEADY))
        subject.follow()
        await subject.up()
        await subject.stop_by_others()
        fact = await subject.facts.exited()
        assert subject.tells_hands == fact.by_hand
        await settled(subject)
        assert [fact] == subject.facts.all

    async def test_a_crash_is_no_stop(self, subject: GuestSubject) -> None:
        """An end that nobody asked for is no end by hand, after one that was, too."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 1))
        await subject.up()
        await subject.stop_by_others()
        await subject.facts.exited(1)
        await subject.provider.start(subject.launch(Behaviour.STEADY, 2))
        await subject.up()
        await subject.crash()
        fact = await subject.facts.exited(2)
        assert not fact.by_hand
        assert ExitInfo(code=0) != fact.info

    async def test_a_restart_by_others(self, subject: GuestSubject) -> None:
        """The generation has ended, and something runs that nobody here has started; a start takes it."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 1))
        subject.follow()
        await subject.up()
        await subject.restart_by_others()
        fact = await subject.facts.exited(1)
        told = await subject.facts.first(FoundRunning)
        await settled(subject)
        assert [fact, told] == subject.facts.all
        before = subject.alive()
        await subject.provider.start(subject.launch(Behaviour.STEADY, 2))
        assert before == subject.alive() > 0
        await subject.provider.stop(ID, 2)
        assert not (await subject.facts.exited(2)).by_hand

    async def test_a_restart_while_no_daemon_ran(self, subject: GuestSubject) -> None:
        """What runs then is no survivor; it is found as what others have started."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 7))
        await subject.up()
        await subject.provider.close()
        await subject.restart_by_others()
        await subject.succeed()
        assert [] == await subject.provider.survivors()
        subject.follow()
        await subject.facts.first(FoundRunning)
        await subject.provider.start(subject.launch(Behaviour.STEADY, 8))
        assert len(subject.facts.all) == 1

    async def test_an_end_while_no_daemon_ran(self, subject: GuestSubject) -> None:
        """What has ended is no survivor, and can be started again."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 7))
        await subject.up()
        await subject.provider.close()
        await subject.crash()
        await subject.succeed()
        assert [] == await subject.provider.survivors()
        subject.follow()
        await settled(subject)
        assert subject.facts.all == []
        await subject.provider.start(subject.launch(Behaviour.STEADY, 8))
        assert subject.alive() > 0

    async def test_a_start_that_is_given_up(self, subject: GuestSubject) -> None:
        """Whenever that is, nothing of it is alive when it returns, nothing is told, and another start may follow."""
        for steps in range(8):
            start = asyncio.ensure_future(subject.provider.start(subject.launch(Behaviour.STEADY)))
            for _ in range(steps):
                await asyncio.sleep(0.002)
            start.cancel()
            await asyncio.wait([start])
            if not start.cancelled():
                break
            assert subject.alive() == 0
            assert subject.facts.all == []
        if start.cancelled():
            await subject.provider.start(subject.launch(Behaviour.STEADY))
        assert subject.alive() > 0

    async def test_what_others_started_outlives_a_start_that_is_given_up(self, subject: GuestSubject) -> None:
        """A start that only took what ran already leaves it alone."""
        launch = subject.launch(Behaviour.STEADY)
        await subject.start_by_others()
        start = asyncio.ensure_future(subject.provider.start(launch))
        await asyncio.sleep(0)
        start.cancel()
        await asyncio.wait([start])
        assert subject.alive() > 0


@pytest.mark.anyio
class PausedByOthersContract:
    """The suite, beside `FreezeContract`, where others may pause a guest, too."""

    async def test_others_pause_it_and_let_it_go_on(self, subject: PausingSubject) -> None:
        """Both are told, once each."""
        await subject.provider.start(subject.launch(Behaviour.STEADY))
        await subject.up()
        await subject.pause_by_others()
        froze = await subject.facts.first(Froze)
        assert (ID, 1, Tier.PAUSE) == (froze.id, froze.generation, froze.tier)
        await subject.resume_by_others()
        thawed = await subject.facts.first(Thawed)
        await settled(subject)
        assert [froze, thawed] == subject.facts.all

    async def test_our_own_pause_is_not_told(self, subject: PausingSubject) -> None:
        """Nor is what we let go on; what others let go on then is."""
        await subject.provider.start(subject.launch(Behaviour.STEADY))
        await subject.up()
        for _ in range(3):
            await subject.provider.freeze(ID, 1, Tier.PAUSE)
            await subject.provider.thaw(ID, 1)
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await settled(subject)
        assert subject.facts.all == []
        await subject.resume_by_others()
        await subject.facts.first(Thawed)
        await settled(subject)
        assert len(subject.facts.all) == 1

    async def test_what_is_paused_is_resumed_by_a_start(self, subject: PausingSubject) -> None:
        """A start of what others have started and paused lets it go on."""
        launch = subject.launch(Behaviour.STEADY)
        await subject.start_by_others()
        await subject.pause_by_others()
        await subject.provider.start(launch)
        await settled(subject)
        await subject.up()
        assert subject.facts.all == []

    async def test_what_has_ended_is_not_thawed(self, subject: PausingSubject) -> None:
        """Others have ended what we froze: its end is told, whether before or after the thaw."""
        await subject.provider.start(subject.launch(Behaviour.STEADY))
        await subject.up()
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.stop_by_others()
        await subject.provider.thaw(ID, 1)
        fact = await subject.facts.exited()
        await settled(subject)
        # Who stops it may have to let it go on before, and that may have been seen.
        assert [fact] == [other for other in subject.facts.all if not isinstance(other, Thawed)]
        assert subject.alive() == 0


@pytest.mark.anyio
class HostContract:
    """The suite, beside `GuestContract`, where the host can be taken away."""

    async def test_a_host_that_is_down_is_no_exit(self, subject: HostSubject) -> None:
        """Nothing is told of its guests until it can be asked again; then all that has happened is."""
        await subject.provider.start(subject.launch(Behaviour.STEADY))
        await subject.up()
        await subject.lose_host()
        await subject.provider.settled(ID, limit=0.5)
        assert subject.facts.all == []
        await subject.restore_host()
        await subject.stop_by_others()
        fact = await subject.facts.exited()
        await settled(subject)
        assert [fact] == subject.facts.all

    async def test_a_host_that_is_down_when_the_daemon_starts(self, subject: HostSubject) -> None:
        """The daemon starts all the same; its guest is found later, taken on, and not started twice."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 7))
        await subject.up()
        before = subject.alive()
        await subject.provider.close()
        await subject.lose_host()
        await subject.succeed()
        assert [] == await subject.provider.survivors()
        subject.follow()
        await subject.restore_host()
        await subject.facts.first(FoundRunning)
        await subject.provider.start(subject.launch(Behaviour.STEADY, 8))
        assert before == subject.alive()
        await subject.provider.stop(ID, 8)
        await subject.facts.exited(8)

    async def test_a_start_that_failed_for_want_of_the_host(self, subject: HostSubject) -> None:
        """Once the host answers again, that is told, once; the next start goes well."""
        launch = subject.launch(Behaviour.STEADY)
        subject.follow()
        await subject.lose_host()
        with pytest.raises(ProviderFailed):
            await subject.provider.start(launch)
        await subject.restore_host()
        told = await subject.facts.first(HostReturned)
        await subject.provider.start(subject.launch(Behaviour.STEADY, 2))
        await settled(subject)
        assert [told] == subject.facts.all
        assert subject.alive()


@pytest.mark.anyio
class LostHostLogContract:
    """The suite, beside `HostContract`, where the host keeps output."""

    async def test_no_line_is_lost_or_told_twice(self, subject: HostSubject) -> None:
        """While the host was down, over the end of a daemon, and by the generation that takes it."""
        await subject.provider.start(subject.launch(Behaviour.COUNTING, 7))
        await wait_for_line(subject, "10")
        await subject.lose_host()
        await subject.restore_host()
        await wait_for_line(subject, "60")
        await subject.succeed()
        await subject.provider.survivors()
        subject.provider.adopt(subject.launch(Behaviour.COUNTING, 7))
        await wait_for_line(subject, "100")
        lines = subject.provider.output(ID).tail(100_000)
        assert [str(number) for number in range(1, len(lines) + 1)] == lines
