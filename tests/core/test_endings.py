"""What follows an end: the rule, and the histories that it is there for."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from core.story import ID, Story
from torpor.core.endings import RULES, Ending, Sequel, sequel
from torpor.core.instance import Instance
from torpor.core.messages import (
    BecameReady,
    ConnectRefused,
    EndAnnounced,
    FoundUnhealthy,
    PageRequested,
    RestartRequested,
    StartInstance,
    StartRequested,
)
from torpor.core.model import InstanceId, Lifecycle, OnStartTimeout, Phase, Restart, StartLimit, Want

ENDS = list(product(Ending, Want, Restart, (False, True), (False, True)))


def _rule(ending: Ending, want: Want, restart: Restart, *, demand: bool, missed: bool) -> int:
    return next(
        number
        for number, rule in enumerate(RULES)
        if rule.fits(ending, want, restart, demand=demand, missed=missed)
    )


def test_every_end_has_a_sequel_and_every_rule_an_end() -> None:
    """The rule is total, and none of its lines is hidden behind those above it."""
    met = {
        _rule(ending, want, restart, demand=demand, missed=missed)
        for ending, want, restart, demand, missed in ENDS
    }

    assert set(range(len(RULES))) == met


@pytest.mark.parametrize(("ending", "want", "restart", "demand", "missed"), ENDS)
def test_whatever_ended_what_was_promised_follows(
    ending: Ending, want: Want, restart: Restart, *, demand: bool, missed: bool
) -> None:
    """What the documentation says of an end holds for every combination."""
    then = sequel(ending, want, restart, demand=demand, missed=missed)

    failed = ending in (Ending.CRASHED, Ending.UNHEALTHY, Ending.NEVER_READY)
    if want is Want.DOWN:
        assert Sequel.ASLEEP is then
    elif demand:
        assert then is (Sequel.RETRY if failed else Sequel.AGAIN)
    elif restart is Restart.NO and want is Want.UP and ending is not Ending.ASKED:
        assert then is (Sequel.FAILED if failed else Sequel.DONE)
    elif restart is Restart.ALWAYS and want is Want.UP and ending is not Ending.ASKED:
        assert Sequel.RETRY is then
    elif restart is Restart.NO and ending is not Ending.NEVER_READY:
        assert Sequel.ASLEEP is then
    elif ending is Ending.FINISHED and restart is Restart.ON_FAILURE and want is Want.AUTO:
        assert then is (Sequel.RETRY if missed else Sequel.ASLEEP)


@pytest.mark.parametrize("wish", [StartRequested, RestartRequested])
@pytest.mark.parametrize("ending", ["unhealthy", "never ready", "crashed", "finished"])
@pytest.mark.parametrize("restart", Restart)
@pytest.mark.parametrize("always_on", [False, True])
def test_an_operator_who_starts_what_is_ending_gets_a_clean_start(
    wish: type[StartRequested | RestartRequested], ending: str, restart: Restart, *, always_on: bool
) -> None:
    """`start` and `restart` are not lost on what is on its way out, whatever brought it there."""
    lifecycle = Lifecycle(
        start_timeout=5.0,
        start_limit=StartLimit(failures=1),
        restart=restart,
        always_on=always_on,
    )
    story = Story(lifecycle)
    story.tell(PageRequested("app", "a test"))
    story.come_alive()
    match ending:
        case "never ready":
            story.wait(5.0)
        case "unhealthy":
            story.tell(BecameReady(ID, 1), FoundUnhealthy(ID, 1, "no answer"))
        case _:
            story.tell(BecameReady(ID, 1), EndAnnounced(ID, 1))
    assert Phase.STOPPING is story.phase()

    story.tell(wish("app"))
    story.exit(1 if ending == "crashed" else 0)

    assert Phase.STARTING is story.phase()
    assert [] == story.app.instances[0].failures


@pytest.mark.parametrize("always_on", [False, True])
@pytest.mark.parametrize("restart", Restart)
def test_a_start_timeout_that_restarts_does_so_whatever_restart_says(
    restart: Restart, *, always_on: bool
) -> None:
    """`on_start_timeout: restart` and `restart` are two questions."""
    story = Story(
        Lifecycle(
            start_timeout=20.0,
            on_start_timeout=OnStartTimeout.RESTART,
            restart=restart,
            always_on=always_on,
        )
    )
    story.tell(PageRequested("app", "a test"))
    story.come_alive()

    story.wait(20.0)
    story.exit(signal=15)
    story.wait(1.0)

    assert Phase.STARTING is story.phase()
    assert 2 == len(story.all(StartInstance))


@pytest.mark.parametrize("restart", [Restart.NO, Restart.ON_FAILURE])
def test_a_request_that_meets_an_expected_end_starts_the_next_generation(restart: Restart) -> None:
    """Nothing has failed: neither a pause nor the start limit stands in its way."""
    story = Story(Lifecycle(restart=restart, start_limit=StartLimit(failures=1))).awake()

    story.tell(EndAnnounced(ID, 1))
    story.arrive(7)
    story.exit(0)
    story.become_ready()

    assert [7] == [grant.ticket for grant in story.granted()]
    assert 0 == story.app.snapshot(story.now).instances[0].restarts


def test_a_request_that_meets_a_crash_waits_for_the_pause() -> None:
    """It has failed, so it is counted, although somebody waits."""
    story = Story(Lifecycle(restart=Restart.NO, start_limit=StartLimit(failures=1))).awake()

    story.tell(EndAnnounced(ID, 1))
    story.arrive(7)
    story.exit(1)

    assert Phase.FAILED is story.phase()
    assert [7] == [refused.ticket for refused in story.refused()]


def test_a_finish_that_is_not_to_be_one_does_not_spin() -> None:
    """With `restart: always` an exit with 0 counts against the start limit."""
    limit = StartLimit(failures=3)
    story = Story(Lifecycle(restart=Restart.ALWAYS, always_on=True, start_limit=limit))
    story.boot()

    for _ in range(3):
        story.become_ready()
        story.exit(0)
        story.wait(2.0)

    assert Phase.FAILED is story.phase()


def test_what_is_ready_refuses_and_exits_does_not_spin() -> None:
    """An exit with 0 is no success where somebody was turned away just before."""
    story = Story(Lifecycle(start_limit=StartLimit(failures=3)))
    story.arrive(1)

    for generation in (1, 2, 3):
        story.become_ready()
        story.tell(ConnectRefused(ID, generation))
        story.arrive(1 + generation)
        story.exit(0)
        story.wait(2.0)

    assert Phase.FAILED is story.phase()
    assert 3 == len(story.all(StartInstance))


def test_who_waits_for_a_start_that_fails_for_good_is_told_no_time() -> None:
    """A `Retry-After` would be a lie: only an operator starts it again."""
    story = Story(Lifecycle(start_timeout=5.0, restart=Restart.NO, always_on=True))
    story.boot()
    story.arrive(3)
    story.come_alive()

    story.wait(5.0)
    story.exit(signal=15)

    assert [None] == [refused.refusal.retry_after for refused in story.refused()]
    assert Phase.FAILED is story.phase()
    assert story.app.next_deadline() is None


def test_what_crashed_together_does_not_come_back_together() -> None:
    """A thousand apps with like names, and the replicas of one, are spread over the whole jitter."""
    ids = [*(InstanceId(f"app{n:03d}") for n in range(1000)), *(InstanceId("web", n) for n in range(100))]
    instances = [Instance(id, Lifecycle(), 0.0, want=Want.AUTO) for id in ids]

    delays = sorted(instance.retry_delay() for instance in instances)

    assert len(delays) == len(set(delays))
    assert max(later - earlier for earlier, later in pairwise(delays)) < 0.001
