"""Who is put to sleep when memory is short: by hand, and on a simulated machine."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from core.computer import Computer, GiB, MiB, keep_free
from core.story import Story
from torpor.core.messages import Answered, Exited, PriorityRequested, StartRequested, StopRequested
from torpor.core.model import (
    AppMemory,
    AppSpec,
    Cause,
    Dependency,
    ExitInfo,
    IdleQuestion,
    Lifecycle,
    Phase,
    Rung,
    Tier,
)
from torpor.core.pressure import Candidate, enough, relief, victims
from torpor.core.sharing import Admission, MemoryRules, Share, Sharing

NEVER = Lifecycle(idle_timeout=None)
SLEEPY = Lifecycle(
    idle_timeout=None, tier=Tier.PAUSE, deeper=(Rung(Tier.HIBERNATE, 1e9), Rung(Tier.STOP, 2e9))
)


def app(name: str, lifecycle: Lifecycle = NEVER, *needs: str, **share: object) -> AppSpec:
    depends_on = tuple(Dependency(need) for need in needs)
    return AppSpec(name, lifecycle, depends_on=depends_on, share=Share(**share))  # type: ignore[arg-type]


def candidate(name: str, **facts: object) -> Candidate:
    usual = {"priority": 50, "idle": 60.0, "size": 100, "tier": None, "deeper": Tier.STOP}
    return Candidate(name, **{**usual, **facts})  # type: ignore[arg-type]


# --- the rule ----------------------------------------------------------------


def test_the_order_of_victims() -> None:
    """Sleepers first, then the idle by priority, idleness and size, and the busy last; the spared not at all."""
    found = victims(
        [
            candidate("busy", busy=True, priority=1),
            candidate("spared", spared="always on"),
            candidate("important", priority=90, idle=9999.0),
            candidate("large", size=200),
            candidate("small", size=100),
            candidate("idle longest", idle=600.0, size=1),
            candidate("unimportant", priority=10, idle=1.0),
            candidate("hibernated", tier=Tier.HIBERNATE, priority=1),
            candidate("paused", tier=Tier.PAUSE, priority=99),
        ]
    )

    order = ["paused", "hibernated", "unimportant", "idle longest", "large", "small", "important", "busy"]
    assert order == [it.app for it in found]


def test_no_more_victims_than_needed() -> None:
    """They are taken from the front until their sizes suffice."""
    candidates = [candidate("a", size=10), candidate("b", size=20), candidate("c", size=30)]

    assert ["a", "b"] == [it.app for it in enough(candidates, 25)]
    assert [] == enough(candidates, 0)
    assert candidates == enough(candidates, 1000)


@pytest.mark.parametrize(
    ("lifecycle", "tier", "swap", "expected"),
    [
        (Lifecycle(), None, True, Tier.STOP),
        (SLEEPY, None, True, Tier.HIBERNATE),
        (SLEEPY, None, False, Tier.STOP),
        (SLEEPY, Tier.PAUSE, True, Tier.HIBERNATE),
        (SLEEPY, Tier.HIBERNATE, True, Tier.STOP),
        (Lifecycle(tier=Tier.KILL), None, True, Tier.KILL),
    ],
)
def test_how_deep_a_victim_sleeps(
    lifecycle: Lifecycle, tier: Tier | None, swap: bool, expected: Tier
) -> None:
    """It is hibernated where its configuration knows that and there is swap for it, else it is ended."""
    assert expected is relief(lifecycle, tier, swap=swap)


# --- pressure ----------------------------------------------------------------


def test_apps_sleep_one_by_one_until_enough_is_free() -> None:
    """The least important goes first, and no more go than have to."""
    sizes = {"a": 200 * MiB, "b": 200 * MiB, "c": 200 * MiB}
    it = Computer(
        app("a", priority=80), app("b", priority=20), app("c"), sharing=keep_free(100 * MiB), sizes=sizes
    )
    it.use("a", "b", "c")
    it.measure()
    assert [] == it.sleeps

    it.others = 550 * MiB
    it.run(6)
    it.measure()
    it.run(10)

    assert [("b", Tier.STOP), ("c", Tier.STOP)] == it.sleeps
    assert ["a"] == it.awake()
    assert ["pressure", "evicting", "evicting", "pressure-over"] == it.kinds()


def test_a_decision_tells_its_numbers() -> None:
    """The event of an eviction names what was available, what is to stay free, and what is known of the victim."""
    it = Computer(app("a"), sharing=keep_free(0.1), sizes={"a": 300 * MiB})
    it.use("a")
    it.others = 650 * MiB
    it.run(60)
    it.measure()
    it.run(10)

    told = next(told for told in it.told if told.kind == "evicting")
    assert (
        "memory is short; so a is put to sleep (stop): "
        "50 MiB available, 100 MiB are to stay free; 300 MiB, priority 50, idle for 1m" == str(told)
    )
    facts = {"available": 50 * MiB, "keep_free": 100 * MiB, "size": 300 * MiB, "priority": 50, "idle": 60.0}
    assert facts.items() <= dict(told.data).items()
    assert Phase.ASLEEP is it.phases()["a"]
    reason = it.fleet.apps["a"].instances[0].reason
    assert reason is not None
    assert reason.cause is Cause.EVICTED


def test_nothing_happens_where_nothing_is_configured() -> None:
    """Without `keep_free` no app sleeps for memory, and none is refused."""
    it = Computer(app("a"), app("b"), sizes={"a": 900 * MiB, "b": 900 * MiB})
    it.use("a", "b")
    it.measure()
    it.run(100)

    assert ["a", "b"] == it.awake()
    assert [] == it.kinds()


def test_who_must_not_sleep_is_spared() -> None:
    """What is always on, needed by others, or busy stays awake; that nobody can help is said once."""
    always = Lifecycle(idle_timeout=None, always_on=True)
    it = Computer(
        app("always", always), app("needed"), app("user", always, "needed"), app("busy"), sharing=keep_free(0.5),
        sizes=dict.fromkeys(["always", "needed", "user", "busy"], 200 * MiB),
    )  # fmt: skip
    it.run(10)
    it.arrive("busy")
    it.run(10)
    it.measure()
    it.measure()

    assert ["always", "needed", "user", "busy"] == it.awake()
    assert [] == it.sleeps
    assert 1 == list(it.kinds()).count("pressure-helpless")


def test_busy_apps_sleep_last_and_only_where_that_is_allowed() -> None:
    """`evict_busy` lets an app sleep for memory while it answers, once nobody else is left."""
    lifecycle = replace(NEVER, drain_timeout=1.0)
    it = Computer(
        app("may", lifecycle, evict_busy=True, priority=1), app("idle", priority=99), app("busy"),
        sharing=keep_free(0.95), sizes=dict.fromkeys(["may", "idle", "busy"], 50 * MiB),
    )  # fmt: skip
    it.use("idle")
    it.arrive("may")
    it.arrive("busy")
    it.run(5)
    it.measure()
    it.run(30)

    assert [("idle", Tier.STOP), ("may", Tier.STOP)] == it.sleeps
    assert ["busy"] == it.awake()


def test_what_may_be_at_work_is_busy_until_it_is_known_to_be_idle() -> None:
    """An app that works without requests, as its settings say, is no idle app, asked already or not."""
    at_work = Lifecycle(idle_timeout=60.0, question=IdleQuestion(cpu_below=0.05))
    it = Computer(
        app("job", at_work, priority=1),
        app("batch", at_work, priority=2, evict_busy=True),
        app("idle"),
        sharing=keep_free(200 * MiB),
        sizes=dict.fromkeys(("job", "batch", "idle"), 250 * MiB),
    )
    it.use("job", "batch", "idle")
    (spared,) = (one for one in it.fleet.steward.outlook(it.facts(), it.now).others if one.app == "job")
    assert spared.spared is not None
    assert "at work" in spared.spared

    it.others = 200 * MiB
    it.measure()
    it.run(5)
    assert [("idle", Tier.STOP)] == it.sleeps
    it.others = 500 * MiB
    it.measure()
    it.run(5)
    assert ["job"] == it.awake()

    it.run(55)
    job = it.fleet.apps["job"].instances[0]
    it.post(Answered(job.id, job.generation, keeps_awake=True, text="uses 80 % of a core"))
    it.others = 700 * MiB
    it.measure()
    it.run(5)
    assert ["job"] == it.awake()


def test_sleepers_sleep_deeper_before_anybody_else_sleeps() -> None:
    """What is paused is hibernated, then ended, before an idle app of lower priority is touched."""
    it = Computer(
        app("paused", replace(SLEEPY, idle_timeout=10.0), priority=99), app("idle", priority=1),
        sharing=keep_free(500 * MiB), sizes={"paused": 300 * MiB, "idle": 300 * MiB}, swap=GiB,
    )  # fmt: skip
    it.use("paused", "idle")
    it.run(30)
    assert Phase.FROZEN is it.phases()["paused"]
    it.measure()
    it.run(5)
    assert [("paused", Tier.HIBERNATE)] == it.sleeps

    it.others = 300 * MiB
    it.measure()
    it.run(5)

    assert [("paused", Tier.HIBERNATE), ("paused", Tier.STOP), ("idle", Tier.STOP)] == it.sleeps


def test_what_cannot_be_hibernated_is_ended() -> None:
    """An app that stays paused although it was to be hibernated is ended next."""
    it = Computer(app("a", SLEEPY), sharing=keep_free(0.9), sizes={"a": 300 * MiB}, swap=301 * MiB)
    it.use("a")
    it.measure()
    it.swap = 0  # somebody else was quicker
    it.run(20)
    assert [("a", Tier.HIBERNATE), ("a", Tier.STOP)] == it.sleeps


def test_what_could_not_be_hibernated_once_may_be_the_next_time() -> None:
    """Swap that was full when it was needed is not full for ever."""
    it = Computer(app("a", SLEEPY), sharing=keep_free(200 * MiB), sizes={"a": 300 * MiB}, swap=10 * GiB)
    it.use("a")
    it.others = 600 * MiB
    it.measure()
    it.swap = 0
    it.run(10)
    assert [("a", Tier.HIBERNATE), ("a", Tier.STOP)] == it.sleeps

    it.others, it.swap = 0, 10 * GiB
    it.use("a")
    it.run(60)
    it.others = 600 * MiB
    it.measure()
    it.run(10)
    assert ("a", Tier.HIBERNATE) == it.sleeps[-1]


def test_what_is_left_of_a_frozen_app_is_ended() -> None:
    """One replica has ended in its sleep: the other one is a sleeper like any other, and no app that is awake."""
    lifecycle = Lifecycle(idle_timeout=10.0, tier=Tier.HIBERNATE)
    it = Computer(
        AppSpec("a", lifecycle, replicas=2),
        sharing=keep_free(100 * MiB),
        sizes={"a": 200 * MiB},
        swap=10 * GiB,
    )
    it.use("a")
    it.run(60)
    gone, left = it.fleet.apps["a"].instances
    del it.resident[gone.id]
    it.post(Exited(gone.id, gone.generation, ExitInfo(signal=9)))
    it.resident[left.id] = 300 * MiB
    it.others = 900 * MiB
    it.measure()
    it.run(5)

    assert [("a", Tier.STOP)] == it.sleeps
    assert {"a": Phase.ASLEEP} == it.phases()


def test_who_does_not_go_to_sleep_is_passed_over() -> None:
    """The next one has its turn once a victim's time is over."""
    it = Computer(
        app("stubborn", priority=1),
        app("b"),
        sharing=keep_free(0.6),
        sizes={"stubborn": 300 * MiB, "b": 300 * MiB},
    )
    it.stubborn.add("stubborn")
    it.use("stubborn", "b")
    it.run(6)
    it.measure()
    it.run(49)
    assert [("stubborn", Tier.STOP)] == it.sleeps
    it.run(5)

    assert [("stubborn", Tier.STOP), ("b", Tier.STOP)] == it.sleeps


def test_what_was_just_woken_gets_its_first_visitor() -> None:
    """A page is shown before the app that it waited for may be put to sleep for others."""
    it = Computer(app("a"), sharing=keep_free(0.9), sizes={"a": 500 * MiB})
    it.page("a")
    it.run(1.5)
    it.measure()
    it.run(3)
    assert [] == it.sleeps

    it.run(3)
    assert [("a", Tier.STOP)] == it.sleeps


# --- admission ---------------------------------------------------------------


def known(**sizes: int) -> dict[str, AppMemory]:
    return {name: AppMemory(size=size * MiB) for name, size in sizes.items()}


def test_a_wake_that_does_not_fit_puts_others_to_sleep_first() -> None:
    """It waits for that, and starts once there is memory for it."""
    it = Computer(
        app("a"), app("b", priority=20), app("c"), sharing=keep_free(100 * MiB),
        sizes={"a": 400 * MiB, "b": 400 * MiB, "c": 300 * MiB}, memory=known(c=300),
    )  # fmt: skip
    it.use("a", "b")
    it.measure()
    ticket = it.arrive("c")
    assert Phase.BLOCKED is it.phases()["c"]
    it.run(5)

    assert ["a", "c"] == it.awake()
    assert ticket in it.granted
    assert [("b", Tier.STOP)] == it.sleeps
    text = next(str(told) for told in it.told if told.kind == "evicting")
    assert "200 MiB available, 100 MiB are to stay free, c needs 300 MiB" in text


def test_a_declared_size_counts_before_a_measured_one() -> None:
    """`memory:` of the app says what it takes."""
    it = Computer(
        app("a"), app("b", memory=50 * MiB), sharing=keep_free(0), memory=known(b=900), sizes={"a": 500 * MiB}
    )
    it.use("a")
    it.measure()
    it.arrive("b")

    assert Phase.STARTING is it.phases()["b"]


def test_a_wake_for_which_nobody_can_make_room_is_refused() -> None:
    """Whoever waits is told the numbers, and nobody is put to sleep in vain."""
    it = Computer(
        app("a"), app("b"), sharing=keep_free(100 * MiB), sizes={"a": 300 * MiB}, memory=known(b=950)
    )
    it.use("a")
    it.measure()
    ticket = it.arrive("b")
    it.run(1)

    assert (
        "not enough memory: b takes 950 MiB: 700 MiB available, 100 MiB are to stay free, "
        "and others that may sleep take 300 MiB" == it.refused[ticket]
    )
    assert ["a"] == it.awake()
    assert Phase.ASLEEP is it.phases()["b"]


def test_a_wake_may_be_refused_at_once_or_let_in() -> None:
    """`admission` says what becomes of a wake that does not fit."""
    for admission, phase in ((Admission.REFUSE, Phase.ASLEEP), (Admission.ALLOW, Phase.READY)):
        sharing = Sharing(MemoryRules(100 * MiB, admission))
        it = Computer(
            app("a"), app("b"), sharing=sharing, sizes={"a": 700 * MiB, "b": 100 * MiB}, memory=known(b=300)
        )
        it.use("a")
        it.measure()
        ticket = it.arrive("b")
        it.run(3)

        assert phase is it.phases()["b"]
        assert (ticket in it.refused) is (admission is Admission.REFUSE)


def test_wakes_at_once_do_not_share_the_same_memory() -> None:
    """What is starting has been promised its memory already."""
    it = Computer(
        app("a"), app("b"), sharing=keep_free(100 * MiB), sizes={"a": 500 * MiB, "b": 500 * MiB},
        memory=known(a=500, b=500),
    )  # fmt: skip
    it.arrive("a")
    it.arrive("b")

    assert [Phase.STARTING, Phase.BLOCKED] == list(it.phases().values())


def test_what_must_run_waits_until_there_is_memory() -> None:
    """An app that is always on is refused to whoever asks, tried again, and started as soon as it fits."""
    always = Lifecycle(always_on=True)
    it = Computer(app("a", always), sharing=keep_free(100 * MiB), sizes={"a": 500 * MiB}, memory=known(a=500))
    it.post(StopRequested("a"))
    it.run(20)
    it.others = 600 * MiB
    it.measure()
    it.post(StartRequested("a"))
    it.run(60)
    assert Phase.BLOCKED is it.phases()["a"]
    assert it.arrive("a") in it.refused
    assert 1 == list(it.kinds()).count("no-room")

    it.others = 0  # nobody tells: it is tried again
    it.run(10)
    assert ["a"] == it.awake()


def test_the_size_of_an_awake_app_is_remembered() -> None:
    """It is known after a restart of the daemon."""
    it = Computer(app("a"), sizes={"a": 300 * MiB})
    it.use("a")
    it.measure()

    assert 300 * MiB == it.fleet.apps["a"].memory.size


# --- the operator's word -----------------------------------------------------


def test_an_operator_changes_the_priority() -> None:
    """It holds at once, is remembered, and may make an app one that is always on, or not any more."""
    it = Computer(app("a"), app("b"), sharing=keep_free(0.5), sizes={"a": 300 * MiB, "b": 300 * MiB})
    it.post(PriorityRequested("b", 10))
    it.post(PriorityRequested("a", 90, always_on=True))
    it.run(5)
    it.use("b")
    it.measure()
    it.run(5)

    assert [("b", Tier.STOP)] == it.sleeps
    memory = it.fleet.apps["a"].memory
    assert (90, True) == (memory.priority, memory.always_on)
    assert ["a"] == it.awake()

    it.post(PriorityRequested("a", 90, always_on=False))
    it.others = 500 * MiB
    it.measure()
    it.run(5)
    assert [] == it.awake()


# --- a day -------------------------------------------------------------------


def test_a_day_of_200_apps() -> None:
    """A busy day on a machine for a fifth of its apps: memory is kept free, and nobody waits for ever."""
    dice = random.Random(5)
    names = [f"app{number}" for number in range(200)]
    sizes = {name: dice.randint(50, 300) * MiB for name in names}
    specs = [
        app(
            name,
            replace(SLEEPY, idle_timeout=1800.0, always_on=number < 5)
            if number % 2
            else replace(NEVER, idle_timeout=900.0),
            priority=dice.randint(1, 100),
        )
        for number, name in enumerate(names)
    ]
    total, keep = 8 * GiB, GiB
    it = Computer(*specs, sharing=keep_free(keep), sizes=sizes, total=total, swap=2 * GiB)
    tickets = []
    began = time.process_time()

    def knock() -> None:
        name = names[min(int(dice.expovariate(1 / 40)), 199)]
        tickets.append(it.request(name, dice.uniform(0.05, 2.0)))
        it.later(dice.expovariate(1 / 20), knock)

    def look() -> None:
        it.measure()
        it.later(15, look)

    knock()
    look()
    it.run(86_400)

    assert len(tickets) > 3000
    assert len(it.sleeps) > 50
    waiting = [ticket for ticket in tickets if ticket not in it.granted and ticket not in it.refused]
    assert not any(told.kind == "pressure-helpless" for told in it.told)
    assert it.available >= keep * 0.8
    assert not {name for name, _ in it.sleeps} & set(names[1:5:2])
    assert len(waiting) == len(tickets) - len(it.granted) - len(it.refused)
    print(
        f"{len(tickets)} requests, {len(it.starts)} starts, {len(it.sleeps)} evictions, {len(it.refused)} refused in {time.process_time() - began:.1f} s"
    )


def test_what_the_configuration_says_of_its_memory_is_what_is_shown() -> None:
    """The size that decides whether a wake fits is the one that an operator sees."""
    story = Story(memory=AppMemory(size=18 << 20))
    assert 18 << 20 == story.app.snapshot(0.0).size

    story.app.spec = replace(story.app.spec, share=Share(memory=300 << 20))
    assert 300 << 20 == story.app.snapshot(0.0).size
