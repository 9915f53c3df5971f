"""What every provider promises, whatever its instances are made of.

A provider's test module derives a class from `ProviderContract` and gives it a `subject`
fixture.  What only some kinds of instances have stands beside it, and each kind derives from
what it has: `TellingContract` (their end and their output are told), `HearingContract`
(they take signals), `DescentContract` (they may leave descendants, and be reloaded),
`FreezeContract` and `StillnessContract` (they can be frozen), `GuestContract` and `HostContract`
(others may start, stop and pause them, and their host may be down).
"""

from __future__ import annotations

import asyncio
import signal
from enum import Enum, auto
from typing import Protocol, TypeVar

import pytest

from torpor.core.messages import Exited, Gone
from torpor.core.model import InstanceId
from torpor.errors import NotAllowed, ProviderFailed, StartFailed
from torpor.providers.base import Fact, Launch, Provider, Stats

ID = InstanceId("app")
AnyFact = TypeVar("AnyFact")


class Behaviour(Enum):
    """What the app of a launch does."""

    STEADY = auto()
    """Writes `up`, runs until it is stopped, and ends at the stop request."""
    STUBBORN = auto()
    """Writes `up`, runs, and ignores the stop request."""
    FAILING = auto()
    """Writes `broken`, then exits with code 3 at once."""
    MISSING = auto()
    """Cannot be started."""
    LEAVING = auto()
    """Exits with code 0 and leaves a descendant that ends at the stop request.  Only where there are such."""
    LEAVING_STUBBORN = auto()
    """Exits with code 0 and leaves a descendant that ignores the stop request.  Only where there are such."""
    NOTIFYING = auto()
    """Says READY=1, or whatever its kind has instead, then runs."""
    HEARING = auto()
    """Writes `up`, then `got signal N` for a USR1 and `reloaded` for a reload, which a descendant
    of it would not survive.  Only where there are signals."""
    COUNTING = auto()
    """Writes 1, 2, 3 and so on, a line each, a few hundred a second at most.  Only where it is told."""


class Facts:
    """Takes a provider's reports and waits for them."""

    def __init__(self) -> None:
        self.all: list[Fact] = []
        self._news = asyncio.Event()

    def __call__(self, fact: Fact) -> None:
        self.all.append(fact)
        self._news.set()

    async def exited(self, generation: int = 1) -> Exited:
        """Wait for the exit of a generation."""
        while True:
            for fact in self.all:
                if isinstance(fact, Exited) and fact.generation == generation:
                    return fact
            await self._next()

    async def gone(self, generation: int = 1) -> Gone:
        """Wait for the end of what a generation left."""
        while True:
            for fact in self.all:
                if isinstance(fact, Gone) and fact.generation == generation:
                    return fact
            await self._next()

    async def first(self, kind: type[AnyFact]) -> AnyFact:
        """Wait for a fact of this kind."""
        while True:
            for fact in self.all:
                if isinstance(fact, kind):
                    return fact
            await self._next()

    async def _next(self) -> None:
        self._news.clear()
        await self._news.wait()


class Subject(Protocol):
    """A provider under test, and what the suite must know about its world."""

    @property
    def provider(self) -> Provider: ...

    @property
    def facts(self) -> Facts: ...

    def launch(self, behaviour: Behaviour, generation: int = 1, id: InstanceId = ID) -> Launch:
        """A launch that behaves so, of `ID` or of another instance beside it."""
        ...

    async def up(self) -> None:
        """Return once what was launched last runs, and does as its behaviour says."""
        ...

    async def succeed(self) -> None:
        """The daemon is gone; `provider` and `facts` are those of the next one."""
        ...

    def alive(self) -> int:
        """How many processes (or what stands for them) of `ID` are alive now."""
        ...


async def wait_for_line(subject: Subject, line: str) -> None:
    """Return once the app of the current generation has written `line`."""
    output = subject.provider.output(ID)
    seen = asyncio.Event()
    unsubscribe = output.subscribe(lambda text: seen.set() if text == line else None)
    if line not in output.tail(1000):
        await seen.wait()
    unsubscribe()


async def measured(subject: Subject) -> Stats:
    """What it uses.  A provider that has to ask somebody for it may need a moment."""
    while True:
        stats = subject.provider.stats(ID)
        assert stats is not None
        if stats.rss > 0:
            return stats
        await asyncio.sleep(0.01)


@pytest.mark.anyio
class ProviderContract:
    """The suite."""

    async def test_a_start_says_it_runs(self, subject: Subject) -> None:
        """A start returns once the instance is alive."""
        running = await subject.provider.start(subject.launch(Behaviour.STEADY))
        assert subject.launch(Behaviour.STEADY).port == (running.endpoint.port if running.endpoint else None)
        assert subject.alive() > 0
        assert subject.facts.all == []

    async def test_stop_ends_it(self, subject: Subject) -> None:
        """A stop request ends an obedient instance, with exactly one Exited."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 4))
        await subject.up()
        await subject.provider.stop(ID, 4)
        fact = await subject.facts.exited(4)
        assert ID == fact.id
        assert fact.leftovers or subject.alive() == 0

    async def test_kill_ends_the_stubborn(self, subject: Subject) -> None:
        """What ignores a stop request is ended by kill."""
        await subject.provider.start(subject.launch(Behaviour.STUBBORN))
        await subject.up()
        await subject.provider.stop(ID, 1)
        assert subject.facts.all == []
        await subject.provider.kill(ID, 1)
        fact = await subject.facts.exited()
        if fact.leftovers:
            await subject.facts.gone()
        assert subject.alive() == 0

    async def test_a_failed_start_leaves_nothing(self, subject: Subject) -> None:
        """A start that cannot be raises StartFailed, reports nothing, and another start may follow."""
        with pytest.raises(StartFailed):
            await subject.provider.start(subject.launch(Behaviour.MISSING))
        assert subject.alive() == 0
        assert subject.provider.stats(ID) is None
        await subject.provider.start(subject.launch(Behaviour.STEADY, 2))
        assert subject.facts.all == []

    async def test_a_reload_that_nobody_named_is_refused(self, subject: Subject) -> None:
        """An app that names no way to reload it is left in peace, and the caller learns why."""
        await subject.provider.start(subject.launch(Behaviour.STEADY))
        await subject.up()
        with pytest.raises(NotAllowed, match="reload"):
            await subject.provider.reload(ID, 1)
        assert subject.alive() > 0

    async def test_an_older_generation_is_not_the_current_one(self, subject: Subject) -> None:
        """Stop, kill, signal and reload of a generation that is gone are no error and touch nothing."""
        await subject.provider.start(subject.launch(Behaviour.FAILING, 1))
        fact = await subject.facts.exited(1)
        await subject.provider.start(subject.launch(Behaviour.STEADY, 2))
        await subject.up()
        await subject.provider.stop(ID, 1)
        await subject.provider.kill(ID, 1)
        await subject.provider.signal(ID, 1, signal.SIGTERM)
        await subject.provider.reload(ID, 1)
        await subject.provider.stop(InstanceId("stranger"), 1)
        assert subject.alive() > 0
        assert [fact] == subject.facts.all

    async def test_never_two_generations(self, subject: Subject) -> None:
        """A start beside a live generation is refused."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 1))
        with pytest.raises(StartFailed):
            await subject.provider.start(subject.launch(Behaviour.STEADY, 2))

    async def test_notify(self, subject: Subject) -> None:
        """READY=1 ends the wait for it, whoever waits later too."""
        await subject.provider.start(subject.launch(Behaviour.NOTIFYING))
        await subject.provider.wait_for_notify(ID, 1)
        await subject.provider.wait_for_notify(ID, 1)

    async def test_stats(self, subject: Subject) -> None:
        """Statistics exist exactly while something is alive."""
        assert subject.provider.stats(ID) is None
        running = await subject.provider.start(subject.launch(Behaviour.STEADY))
        await subject.up()
        stats = await measured(subject)
        assert running.pid == stats.pid
        await subject.provider.kill(ID, 1)
        await subject.facts.exited()
        assert subject.provider.stats(ID) is None

    async def test_close_harms_nothing(self, subject: Subject) -> None:
        """Closing the provider leaves its instances alive and reports nothing."""
        await subject.provider.start(subject.launch(Behaviour.STEADY))
        await subject.up()
        await subject.provider.close()
        assert subject.alive() > 0
        assert subject.facts.all == []

    async def test_a_survivor_is_adopted(self, subject: Subject) -> None:
        """What an earlier daemon left is found as it is, and is after its adoption like what was started."""
        launch = subject.launch(Behaviour.STEADY, 7)
        running = await subject.provider.start(launch)
        await subject.up()
        before = subject.alive()
        await subject.succeed()
        (survivor,) = await subject.provider.survivors()
        assert (ID, 7, running, launch.port) == (
            survivor.id,
            survivor.generation,
            survivor.running,
            survivor.port,
        )
        assert survivor.age >= 0
        subject.provider.adopt(launch)
        assert before == subject.alive()
        stats = subject.provider.stats(ID)
        assert stats is not None
        assert running.pid == stats.pid
        with pytest.raises(StartFailed):
            await subject.provider.start(subject.launch(Behaviour.STEADY, 8))
        await subject.provider.stop(ID, 7)
        fact = await subject.facts.exited(7)
        assert fact.leftovers or subject.alive() == 0
        assert [] == await subject.provider.survivors()

    async def test_a_survivor_that_nobody_decided_on_is_silent(self, subject: Subject) -> None:
        """Nothing is started beside it, and of another generation nothing is adopted."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 7))
        await subject.up()
        await subject.succeed()
        assert len(await subject.provider.survivors()) == 1
        with pytest.raises(StartFailed):
            await subject.provider.start(subject.launch(Behaviour.STEADY, 8))
        with pytest.raises(ProviderFailed):
            subject.provider.adopt(subject.launch(Behaviour.STEADY, 8))
        await subject.provider.stop(ID, 7)
        assert subject.alive() > 0
        assert subject.facts.all == []

    async def test_a_survivor_that_nobody_wants_is_discarded(self, subject: Subject) -> None:
        """It is ended with all of its tree, nothing is reported, and another start may follow."""
        await subject.provider.start(subject.launch(Behaviour.STEADY, 7))
        await subject.up()
        await subject.succeed()
        await subject.provider.survivors()
        await subject.provider.discard(ID, 6)
        assert subject.alive() > 0
        await subject.provider.discard(ID, 7)
        assert subject.alive() == 0
        await subject.provider.discard(ID, 7)
        await subject.provider.start(subject.launch(Behaviour.STEADY, 8))
        assert subject.facts.all == []

    async def test_readiness_outlives_the_daemon(self, subject: Subject) -> None:
        """READY=1 that was said to an earlier daemon counts for the next one."""
        launch = subject.launch(Behaviour.NOTIFYING, 2)
        await subject.provider.start(launch)
        await subject.provider.wait_for_notify(ID, 2)
        await subject.succeed()
        await subject.provider.survivors()
        subject.provider.adopt(launch)
        await subject.provider.wait_for_notify(ID, 2)

    async def test_what_was_seen_outlives_the_daemon(self, subject: Subject) -> None:
        """What one daemon has seen of a generation the next one knows; of another generation it knows nothing."""
        launch = subject.launch(Behaviour.STEADY, 2)
        await subject.provider.start(launch)
        subject.provider.remember(ID, 2, "a line")
        subject.provider.remember(ID, 1, "another line")
        await subject.succeed()
        await subject.provider.survivors()
        assert () == subject.provider.adopt(launch)
        assert subject.provider.remembers(ID, 2, "a line")
        assert not subject.provider.remembers(ID, 2, "another line")
        assert not subject.provider.remembers(ID, 3, "a line")
