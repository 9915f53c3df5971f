"""How an app sleeps frozen: going there, deeper, and back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.story import ID, Story
from torpor.core.messages import (
    Adopted,
    Announce,
    BecameReady,
    CloseUpgraded,
    DropUpstream,
    FoundUnhealthy,
    FreezeFailed,
    FreezeInstance,
    Froze,
    KillInstance,
    RestartRequested,
    SleepRequested,
    StartInstance,
    StopInstance,
    StopRequested,
    ThawInstance,
    WakeRequested,
)
from torpor.core.model import AppMemory, Cause, Endpoint, Lifecycle, Phase, Reason, Rung, Tier

MINUTE = 60.0
LADDER = Lifecycle(
    idle_timeout=5 * MINUTE,
    tier=Tier.PAUSE,
    deeper=(Rung(Tier.HIBERNATE, 15 * MINUTE), Rung(Tier.STOP, 120 * MINUTE)),
)


def froze(story: Story, tier: Tier, note: str | None = None) -> None:
    story.tell(Froze(ID, story.generation, tier, 300 << 20, 11 << 20, note))


def paused(lifecycle: Lifecycle = LADDER) -> Story:
    """Skip to: it was awake, and has just been paused for idleness."""
    story = Story(lifecycle).awake()
    story.wait(5 * MINUTE)
    froze(story, Tier.PAUSE)
    return story


def state(story: Story) -> str:
    return story.app.snapshot(story.now).state


def test_the_ladder_goes_by_idle_age() -> None:
    """Each rung comes at its own age, counted from the last request, and deepens what is there."""
    story = paused()
    assert ("paused", 10 * MINUTE) == (state(story), story.app.snapshot(story.now).instances[0].deeper_in)

    story.wait(10 * MINUTE)
    froze(story, Tier.HIBERNATE)
    assert [Tier.PAUSE, Tier.HIBERNATE] == [effect.tier for effect in story.all(FreezeInstance)]
    assert "hibernated" == state(story)
    assert not story.all(StopInstance)

    story.wait(105 * MINUTE)
    assert (Phase.STOPPING, 1) == (story.phase(), len(story.all(StopInstance)))
    story.exit(0)
    assert "asleep" == state(story)


def test_a_wake_goes_on_where_it_was_frozen() -> None:
    """The generation and its connections stay; whoever waits gets in; the wake counts for its tier alone."""
    story = paused()
    upstream = story.app.instances[0].upstream
    story.effects.clear()

    story.arrive(2)
    assert (Phase.STARTING, 1) == (story.phase(), len(story.all(ThawInstance)))
    story.wait(0.004)
    story.tell(BecameReady(ID, story.generation))

    assert [upstream] == [grant.upstream for grant in story.granted()]
    assert not story.all(StartInstance)
    assert not story.all(DropUpstream)
    memory = story.app.memory
    assert ((0.0,), (0.004,)) == (memory.wakes, tuple(round(one, 6) for one in memory.thaws[Tier.PAUSE]))


def test_the_usual_wake_is_that_of_how_it_sleeps() -> None:
    """A visitor of a paused app is not told how long a cold start takes."""
    story = Story(LADDER, AppMemory(wakes=(3.0,), thaws={Tier.PAUSE: (0.002,)}))
    assert 3.0 == story.app.snapshot(0.0).eta
    story.awake().wait(5 * MINUTE)
    froze(story, Tier.PAUSE)
    assert 0.002 == story.app.snapshot(story.now).eta


def test_upgraded_connections_stay_open_over_a_freeze() -> None:
    """They are closed by a stop; a pause keeps them, and data on one may wake it."""
    story = Story(LADDER).awake()
    upstream = story.enter()
    upstream.parked += 1
    story.leave(upstream)
    story.wait(5 * MINUTE)
    assert Phase.FROZEN is story.phase()
    assert not story.all(CloseUpgraded)
    assert upstream.frozen
    assert not upstream.open


def test_what_answers_somebody_is_not_frozen() -> None:
    """An operator's sleep waits for it, closes what is upgraded, and then lets it go on rather than hang a client."""
    story = Story(LADDER).awake()
    upstream = story.enter()
    story.tell(SleepRequested("app"))
    assert Phase.DRAINING is story.phase()
    story.wait(LADDER.drain_timeout)
    assert 1 == len(story.all(CloseUpgraded))
    story.wait(2.0)
    assert Phase.READY is story.phase()
    assert "busy" in [event.kind for event in story.all(Announce)]
    story.leave(upstream)
    assert not story.all(FreezeInstance)


@pytest.mark.parametrize(
    ("tier", "effect"),
    [(Tier.HIBERNATE, FreezeInstance), (Tier.STOP, StopInstance), (Tier.KILL, KillInstance)],
)
def test_an_operator_may_choose_deeper(tier: Tier, effect: type) -> None:
    """What is paused goes there at once."""
    story = paused()
    story.effects.clear()
    story.tell(SleepRequested("app", tier))
    assert 1 == len(story.all(effect))


def test_who_is_paused_by_hand_takes_the_ladder_from_there() -> None:
    """The first rung is one of it, where the app sleeps less deep than that."""
    story = Story(replace(LADDER, idle_timeout=15 * MINUTE, tier=Tier.HIBERNATE, deeper=LADDER.deeper[1:]))
    story.awake()
    story.tell(SleepRequested("app", Tier.PAUSE))
    froze(story, Tier.PAUSE)
    assert Tier.HIBERNATE is story.app.snapshot(story.now).instances[0].deeper
    story.wait(15 * MINUTE)
    assert [Tier.PAUSE, Tier.HIBERNATE] == [effect.tier for effect in story.all(FreezeInstance)]


def test_new_settings_hold_for_who_is_frozen() -> None:
    """What is to be stopped when it is idle does not stay paused."""
    story = paused()
    story.configure(Lifecycle(idle_timeout=20 * MINUTE))
    story.wait(15 * MINUTE)
    assert Phase.STOPPING is story.phase()


def test_nothing_makes_it_sleep_less_deep() -> None:
    """A pause of what is hibernated changes nothing."""
    story = paused()
    story.tell(SleepRequested("app", Tier.HIBERNATE))
    froze(story, Tier.HIBERNATE)
    story.effects.clear()
    story.tell(SleepRequested("app", Tier.PAUSE))
    assert [] == story.effects
    assert "hibernated" == state(story)


def test_a_machine_without_swap_pauses_and_then_stops() -> None:
    """Hibernation that is not possible counts as tried: the next rung is the one after it."""
    story = paused()
    story.wait(10 * MINUTE)
    froze(story, Tier.PAUSE, "no swap")
    assert "paused" == state(story)
    assert any("no swap" in event.detail for event in story.all(Announce))
    assert "no swap" == story.app.snapshot(story.now).instances[0].shallow
    story.wait(105 * MINUTE)
    assert 2 == len(story.all(FreezeInstance))
    assert Phase.STOPPING is story.phase()


def test_a_freeze_that_fails_is_a_stop() -> None:
    """It is to sleep, so it sleeps; the reason is told."""
    story = Story(LADDER).awake()
    story.wait(5 * MINUTE)
    story.tell(FreezeFailed(ID, story.generation, "no such cgroup"))
    assert Phase.STOPPING is story.phase()


def test_a_freeze_that_nobody_reports_is_a_stop() -> None:
    """It owns a deadline."""
    story = Story(LADDER).awake()
    story.wait(7 * MINUTE)
    assert Phase.STOPPING is story.phase()


def test_a_thaw_that_fails_is_a_failure() -> None:
    """Who waits is served by the next generation."""
    story = paused()
    story.arrive(2)
    story.tell(FoundUnhealthy(ID, story.generation, "cannot go on"))
    story.exit(signal=9)
    story.wait(1.0)
    story.become_ready()
    assert (2, [2]) == (story.generation, [grant.ticket for grant in story.granted()])


def test_an_end_in_sleep_is_no_failure() -> None:
    """The kernel may have needed its memory: the next request starts it afresh, at once."""
    story = paused()
    story.exit(signal=9)
    instance = story.app.snapshot(story.now).instances[0]
    assert ("asleep", 0) == (instance.state, instance.restarts)
    assert instance.reason is not None
    assert "killed by signal 9 in its sleep" == instance.reason.text
    story.arrive(2)
    assert Phase.STARTING is story.phase()


def test_stop_and_restart_reach_what_is_frozen() -> None:
    """One ends it for good, the other for a new generation."""
    story = paused()
    story.tell(StopRequested("app"))
    story.exit(0)
    assert Phase.ASLEEP is story.phase()

    story = paused()
    story.tell(RestartRequested("app"))
    story.exit(0)
    assert (Phase.STARTING, 2) == (story.phase(), story.generation)


def test_a_stop_while_it_drains_for_a_pause_is_a_stop() -> None:
    """What is to be down is not kept frozen."""
    story = Story(LADDER).awake()
    upstream = story.enter()
    story.tell(SleepRequested("app"), StopRequested("app"))
    story.leave(upstream)
    assert not story.all(FreezeInstance)
    assert Phase.STOPPING is story.phase()


def test_what_was_frozen_sleeps_on_under_the_next_daemon() -> None:
    """It is neither probed nor woken, and the ladder goes on."""
    story = Story(LADDER)
    story.app.instances[0].generation = 4
    story.tell(
        Adopted(ID, 4, Endpoint("127.0.0.1", 8501), 7, age=9.0, frozen=Tier.PAUSE),
    )
    story.boot()
    assert "paused" == state(story)
    story.tell(WakeRequested("app"))
    assert 1 == len(story.all(ThawInstance))


def test_what_is_short_of_memory_says_so() -> None:
    """The reason of a sleep is that of who asked for it."""
    story = Story(LADDER).awake()
    story.tell(SleepRequested("app", Tier.STOP, Reason(Cause.IDLE, "memory is short")))
    story.exit(0)
    assert "memory is short" == str(story.app.snapshot(story.now).instances[0].reason)


def test_what_could_not_be_hibernated_may_be_asked_to_again() -> None:
    """It is paused because there was no swap: once there is some, an operator's word hibernates it."""
    story = paused(replace(LADDER, tier=Tier.HIBERNATE, deeper=()))
    assert "paused" == state(story)

    story.tell(SleepRequested("app", Tier.HIBERNATE))
    froze(story, Tier.HIBERNATE)

    assert [Tier.HIBERNATE, Tier.HIBERNATE] == [effect.tier for effect in story.all(FreezeInstance)]
    assert "hibernated" == state(story)
