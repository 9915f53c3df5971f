"""Named budgets: plans by hand, and apps that take turns on a simulated machine."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from core.computer import Computer, GiB
from torpor.core import budgets
from torpor.core.messages import (
    Announce,
    Applied,
    ClientLeft,
    Effect,
    Exited,
    MemoryMeasured,
    PriorityRequested,
    SleepRequested,
    StopRequested,
    WakeRequested,
)
from torpor.core.model import AppSpec, Dependency, ExitInfo, InstanceId, Lifecycle, Phase, Restart, Tier
from torpor.core.pressure import Candidate
from torpor.core.sharing import Budget, Share, Sharing

NEVER = Lifecycle(idle_timeout=None, wake_timeout=300.0)
SHARING = Sharing(budgets={"gpu": Budget(24 * GiB, sized=True), "slots": Budget(2)})


def app(
    name: str, lifecycle: Lifecycle = NEVER, *, replicas: int = 1, priority: int = 50, **uses: int
) -> AppSpec:
    return AppSpec(name, lifecycle, replicas=replicas, share=Share(priority, uses=uses))


def model(name: str, size: int = 18, lifecycle: Lifecycle = NEVER, **more: int) -> AppSpec:
    return app(name, lifecycle, gpu=size * GiB, **more)


class Watched(Computer):
    """Checks after every effect that no budget is overdrawn."""

    def __init__(self, *specs: AppSpec, **more: object) -> None:
        super().__init__(*specs, sharing=SHARING, **more)  # type: ignore[arg-type]
        self.after = self._check

    def _check(self, effect: Effect) -> None:
        for name, budget in SHARING.budgets.items():
            used = sum(one.taken.get(name, 0) for one in self.fleet.apps.values())
            assert budget.limit is not None
            assert used <= budget.limit, f"{used} of {name} in use"
        if isinstance(effect, Announce) and effect.kind == "evicting":
            victim = self.fleet.apps[effect.app]
            assert not victim.instances.inflight, f"{effect.app} is busy"
            assert not victim.always_on
            assert not victim.held_by


# --- plans -------------------------------------------------------------------


def user(name: str) -> Candidate:
    return Candidate(name, 50, 0.0, 0, None, Tier.STOP)


@pytest.mark.parametrize(
    ("missing", "uses", "expected"),
    [
        ({"gpu": 5}, {"a": {"gpu": 2}, "b": {"gpu": 3}, "c": {"gpu": 9}}, ["a", "b"]),
        ({"gpu": 6}, {"a": {"gpu": 2}, "b": {"gpu": 3}, "c": {"gpu": 9}}, ["c"]),
        ({"gpu": 6}, {"a": {"gpu": 2}, "b": {"gpu": 3}}, None),
        (
            {"gpu": 1, "slots": 1},
            {"a": {"gpu": 2}, "b": {"slots": 1}, "c": {"gpu": 1, "slots": 1}},
            ["a", "b"],
        ),
        ({"slots": 1}, {"a": {"gpu": 2}, "b": {"slots": 1}}, ["b"]),
        ({}, {"a": {"gpu": 2}}, []),
    ],
)
def test_a_plan_takes_the_first_that_suffice(
    missing: Mapping[str, int], uses: Mapping[str, Mapping[str, int]], expected: list[str] | None
) -> None:
    """Nobody goes who is of no use, and nobody goes at all if that does not suffice."""
    plan = budgets.plan(missing, [user(name) for name in uses], uses)

    assert expected == (None if plan is None else [it.app for it in plan])


# --- turns -------------------------------------------------------------------


def test_waits_are_served_in_three_swaps() -> None:
    """A B C A B C become A A, B B, C C: all who wait for an app are served before the next one has its turn."""
    it = Watched(model("a"), model("b"), model("c"))
    tickets = [it.request(name, 1.0) for name in "abcabc"]
    it.run(60)

    assert ["a", "b", "c"] == it.starts
    assert all(ticket not in it.refused for ticket in tickets)
    assert ["c"] == it.awake()
    assert [("a", Tier.STOP), ("b", Tier.STOP)] == it.sleeps


def test_who_is_busy_is_not_cut_off() -> None:
    """The one that waits gets its turn when the answer is complete, however long that takes."""
    it = Watched(model("a"), model("b"))
    long = it.request("a", 100.0)
    it.run(5)
    waiting = it.arrive("b")
    it.run(80)
    assert ["a"] == it.awake()
    assert long in it.granted
    assert waiting not in it.granted

    it.run(30)
    assert ["b"] == it.awake()
    assert waiting in it.granted


def test_a_stream_of_requests_lets_others_have_their_turn() -> None:
    """New requests of a running app wait in line once somebody else waits."""
    it = Watched(model("a"), model("b"))
    served = []

    def knock() -> None:
        served.append(it.request("a", 2.0))
        it.later(0.5, knock)

    knock()
    it.run(20)
    ticket = it.request("b", 1.0)
    it.run(10)
    assert ticket not in it.refused
    assert it.starts[:2] == ["a", "b"]
    it.run(60)

    assert ["a", "b", "a"] == it.starts[:3]
    assert not it.refused


def test_who_gives_up_gives_the_turn_back() -> None:
    """If the one that waits is not wanted any more, the running app takes requests again."""
    it = Watched(model("a"), model("b", lifecycle=replace(NEVER, wake_timeout=5.0, start_timeout=20.0)))
    it.request("a", 100.0)
    it.run(5)
    it.arrive("b")
    late = it.arrive("a")
    assert late not in it.granted
    it.run(30)

    assert late in it.granted
    assert ["a"] == it.awake()
    assert [] == it.sleeps


def test_an_idle_user_goes_at_once_by_priority() -> None:
    """The least important of those whose end makes room."""
    it = Watched(app("a", slots=1, priority=90), app("b", slots=1, priority=10), app("c", slots=1))
    it.use("b", "a")
    ticket = it.arrive("c")
    it.run(5)

    assert [("b", Tier.STOP)] == it.sleeps
    assert ["a", "c"] == it.awake()
    assert ticket in it.granted
    told = next(told for told in it.told if told.kind == "evicting")
    assert (
        "others need what it uses; so b is put to sleep (stop): "
        "c needs 1 of slots; b uses 1 of slots; priority 10, idle for" in str(told)
    )


def test_what_is_frozen_still_uses_its_share() -> None:
    """A paused app keeps its memory on the GPU, so it is ended for others."""
    it = Watched(model("a", lifecycle=Lifecycle(idle_timeout=5.0, tier=Tier.PAUSE)), model("b"))
    it.use("a")
    it.run(20)
    assert Phase.FROZEN is it.phases()["a"]
    it.arrive("b")
    it.run(5)

    assert [("a", Tier.STOP)] == it.sleeps
    assert ["b"] == it.awake()


def test_what_must_not_sleep_is_told_to_who_waits_in_vain() -> None:
    """The refusal names who keeps the budget, and why; an app that is always on waits until it is free."""
    it = Watched(
        model("a", lifecycle=replace(NEVER, always_on=True)),
        model("b"),
        model("c", lifecycle=replace(NEVER, always_on=True)),
    )
    it.run(5)
    ticket = it.arrive("b")

    assert "b needs 18 GiB of gpu, which others keep: a is always on" == it.refused[ticket]
    assert ["a"] == it.awake()
    assert Phase.BLOCKED is it.phases()["c"]
    it.run(600)
    assert 2 == sum(told.kind == "no-room" for told in it.told)

    it.post(StopRequested("a"))
    it.run(5)
    assert ["c"] == it.awake()


def test_a_browser_gets_its_page_before_the_next_turn() -> None:
    """What was woken for the waiting page stays until somebody has used it, or a moment has passed."""
    it = Watched(model("a"), model("b"))
    it.page("a")
    it.arrive("b")
    it.run(4)
    assert ["a"] == it.awake()
    page = it.request("a", 0.1)
    assert page in it.granted
    it.run(1)
    it.run(6)

    assert ["b"] == it.awake()


def test_a_page_that_is_asked_for_meanwhile_wakes_it_in_its_turn() -> None:
    """A knock at the door of an app that makes room is not lost."""
    it = Watched(model("a"), model("b"))
    it.request("a", 10.0)
    it.run(3)
    it.request("b", 3.0)
    it.page("a")
    it.run(60)

    assert ["a", "b", "a"] == it.starts


def test_replicas_use_their_share_each() -> None:
    """An app with two replicas uses twice as much, from the start of the first to the end of the last."""
    it = Watched(app("a", slots=1, replicas=2), app("b", slots=1))
    it.use("a")
    assert 2 == len(it.resident)
    it.arrive("b")
    it.run(5)

    assert ["b"] == it.awake()


def test_two_budgets_are_independent() -> None:
    """Who waits for one budget is not in the way of who waits for another."""
    it = Watched(model("a"), model("b"), app("c", slots=2), app("d", slots=1))
    it.request("a", 50.0)
    it.request("c", 2.0)
    it.run(1.5)
    it.arrive("b")
    it.arrive("d")
    it.run(10)

    assert ["a", "d"] == it.awake()


def test_a_crash_gives_the_budget_back() -> None:
    """What is not alive uses nothing."""
    it = Watched(model("a", lifecycle=replace(NEVER, restart=Restart.NO)), model("b"))
    it.request("a", 1000.0)
    it.run(3)
    ticket = it.arrive("b")
    instance = it.fleet.apps["a"].instances[0]
    it.resident.pop(instance.id)
    it.post(Exited(InstanceId("a"), instance.generation, ExitInfo(code=1)))
    it.run(5)

    assert ticket in it.granted


def test_a_dependency_in_use_is_kept() -> None:
    """What somebody awake needs is not ended for others."""
    specs = [model("needed"), AppSpec("user", NEVER, depends_on=(Dependency("needed"),)), model("other")]
    it = Watched(*specs)
    it.use("user")
    it.run(3)
    ticket = it.arrive("other")

    assert "needed is needed by user" in it.refused[ticket]


def test_a_gpu_that_others_use_has_less_to_give() -> None:
    """What a GPU's driver tells counts: its size, and what programs of others take."""
    sharing = Sharing(budgets={"gpu": Budget(None, sized=True, device=0)})
    it = Computer(model("a"), model("b", 10), sharing=sharing)
    it.post(MemoryMeasured(1, 1, devices={0: (24 * GiB, 8 * GiB)}))
    big, small = it.arrive("a"), it.arrive("b")
    it.run(3)

    assert "needs 18 GiB of gpu" in it.refused[big]
    assert small in it.granted


def test_a_changed_budget_holds_at_once() -> None:
    """Who waits is let in when an applied configuration makes room."""
    specs = [app("a", slots=1), app("b", slots=1), app("c", slots=1)]
    it = Computer(*specs, sharing=SHARING)
    for name in "abc":
        it.request(name, 100.0)
    it.run(5)
    assert ["a", "b"] == it.awake()
    it.post(Applied(tuple(specs), sharing=Sharing(budgets={"slots": Budget(3)})))
    it.run(5)

    assert ["a", "b", "c"] == it.awake()


def test_who_uses_no_budget_any_more_takes_requests_again() -> None:
    """Other settings for an app that has closed its door for others: nobody else would open it."""
    other = app("b", slots=1)
    it = Computer(app("a", slots=2), other, sharing=SHARING)
    it.request("a", 500.0)
    it.run(5)
    it.arrive("b")
    it.run(5)
    held = it.arrive("a")
    assert held not in it.granted

    it.post(Applied((app("a"), other), sharing=SHARING))
    it.run(5)

    assert held in it.granted
    assert ["a", "b"] == it.awake()


# --- many --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_turns_at_random(seed: int) -> None:
    """Whatever comes in whatever order: no budget is overdrawn, nobody busy is ended, everybody gets a verdict."""
    dice = random.Random(seed)
    names = "abcdef"
    specs = [
        app(
            name,
            Lifecycle(
                idle_timeout=dice.choice([None, 5.0, 60.0]), wake_timeout=dice.choice([20.0, 200.0]),
                tier=dice.choice([Tier.STOP, Tier.PAUSE]), always_on=name == "f" and dice.random() < 0.5,
            ),
            replicas=dice.choice([1, 1, 2]) if name in "ef" else 1,
            priority=dice.randint(1, 100),
            **({"gpu": dice.choice([6, 12, 18]) * GiB} if name < "e" else {"slots": 1}),
        )
        for name in names
    ]  # fmt: skip
    it = Watched(*specs)
    tickets, left = [], set()
    for _ in range(150):
        name = dice.choice(names)
        chance = dice.random()
        if chance < 0.7:
            tickets.append(it.request(name, dice.choice([0.1, 1.0, 15.0])))
        elif chance < 0.8:
            it.page(name)
        elif chance < 0.85 and tickets and tickets[-1] not in it.granted and tickets[-1] not in it.refused:
            left.add(tickets[-1])
            it.post(ClientLeft(name, tickets[-1]))
        elif chance < 0.9:
            it.post(SleepRequested(name))
        elif chance < 0.95:
            it.post(WakeRequested(name))
        it.run(dice.choice([0.0, 0.1, 1.0, 8.0]))
    it.run(1000)

    assert not it.granted.keys() - left
    assert 0 == sum(one.snapshot(it.now).waiting for one in it.fleet.apps.values())
    assert all(not one.door.yielding for one in it.fleet.apps.values())


@pytest.mark.parametrize("how", ["priority", "apply"])
def test_who_is_to_run_always_no_more_does_not_wait_in_vain(how: str) -> None:
    """What it needs is kept by another one, and nobody wants it: it sleeps, and does not look as if it would come."""
    always = replace(NEVER, always_on=True)
    it = Watched(app("a", always, slots=2), app("b", slots=1))
    it.run(5.0)
    if how == "priority":
        it.post(PriorityRequested("b", 50, always_on=True))
        it.run(5.0)
        assert Phase.BLOCKED is it.phases()["b"]
        it.post(PriorityRequested("b", 50, always_on=False))
    else:
        it.post(Applied((app("a", always, slots=2), app("b", always, slots=1)), sharing=SHARING))
        it.run(5.0)
        assert Phase.BLOCKED is it.phases()["b"]
        it.post(Applied((app("a", always, slots=2), app("b", slots=1)), sharing=SHARING))

    assert Phase.ASLEEP is it.phases()["b"]
