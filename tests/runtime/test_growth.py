"""What an engine and its hands keep does not grow with what has happened."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import replace

import pytest

from runtime.house import APP, ID, House, house
from torpor.core.model import Backoff, ExitInfo, InstanceId, Lifecycle, Phase, StartLimit
from torpor.providers.fake import Plan
from torpor.runtime import journal
from torpor.runtime.operator import Verb

pytestmark = pytest.mark.anyio

FRAIL = replace(
    APP, lifecycle=Lifecycle(backoff=Backoff(initial=0.001, max=0.001), start_limit=StartLimit(1000))
)


async def test_no_more_is_kept_after_many_lives_than_after_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wakes, requests, crashes, sleeps and replicas that have left leave nothing behind, whatever came of them."""
    for limit in ("KEPT", "KEPT_OF_A_WAKE", "KEPT_SINCE"):
        monkeypatch.setattr(journal, limit, 4)  # so that it is full before anything is counted
    async with house(FRAIL) as home:
        for _ in range(20):
            await _live(home, replicas=2)
        before = _kept(home)
        for _ in range(20):
            await _live(home, replicas=5)

        assert {} == dict(_kept(home) - before)


async def test_replicas_that_have_left_are_forgotten_and_no_others() -> None:
    """The provider lets go of what it holds for those that were too many."""
    async with house() as home:
        await home.awake()
        await _scale(home, 4)
        assert [] == home.provider.forgotten

        await _scale(home, 1)

        assert {InstanceId("app", number) for number in (1, 2, 3)} == set(home.provider.forgotten)
        assert Phase.READY is home.phase()


async def test_a_replica_that_never_came_to_life_is_forgotten_too() -> None:
    """A start that fails has left a log all the same."""
    async with house() as home:
        await home.awake()
        home.provider.plans["app"] = Plan(refuse="no")
        home.desk.scale("app", 2)
        await home.until(lambda: len(home.engine.fleet.apps["app"].instances) == 2)
        await home.until(lambda: home.engine.fleet.apps["app"].instances[1].phase is Phase.BACKOFF)

        await _scale(home, 1)

        assert [InstanceId("app", 1)] == home.provider.forgotten


async def _live(home: House, replicas: int) -> None:
    """A wake and all that may follow it, to the next sleep."""
    await home.awake()
    upstream = home.gate.enter()
    assert upstream is not None
    home.gate.leave(upstream)
    home.provider.exit(ID, ExitInfo(code=1))
    await home.until(lambda: home.phase() is not Phase.READY)
    await home.awake()
    await _scale(home, replicas)
    await _scale(home, 1)
    home.desk.command(Verb.SLEEP, "app")
    await home.until(lambda: home.phase() is Phase.ASLEEP)


async def _scale(home: House, replicas: int) -> None:
    home.desk.scale("app", replicas)
    instances = home.engine.fleet.apps["app"].instances

    def settled() -> bool:
        for one in instances:
            if one.phase is Phase.STARTING and home.provider.alive(one.id):
                home.provider.notify(one.id)
        return [one.phase for one in instances] == [Phase.READY] * replicas

    await home.until(settled)


def _kept(home: House) -> Counter[type]:
    """How many objects there are of each type of ours, but for what the fakes note down."""
    for fake in (home.provider, home.listener):
        for notes in (value for value in vars(fake).values() if isinstance(value, list)):
            notes.clear()
    gc.collect()
    kinds = Counter(type(one) for one in gc.get_objects())
    return Counter({kind: count for kind, count in kinds.items() if _counts(kind)})


def _counts(kind: type) -> bool:
    module = str(kind.__module__)
    return module.startswith("torpor.") and module != "torpor.providers.fake" and kind is not InstanceId
