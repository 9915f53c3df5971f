"""What others do to a guest where it lives: start it, end it, freeze it, let it go on."""

from __future__ import annotations

import pytest

from core.story import ID, Story
from torpor.core.messages import (
    Announce,
    BecameReady,
    EndUnasked,
    Exited,
    FoundRunning,
    FreezeInstance,
    Froze,
    HostReturned,
    ScheduleChanged,
    StartInstance,
    StartRefused,
    StopRequested,
    Thawed,
    ThawInstance,
)
from torpor.core.model import (
    Backoff,
    Cause,
    ExitInfo,
    Lifecycle,
    ManualStop,
    OnExternalStart,
    Phase,
    Restart,
    StartLimit,
    Tier,
    Want,
)
from torpor.core.schedule import Hours

FOUND = FoundRunning(ID, "somebody has started it")


def stopped_by_hand(lifecycle: Lifecycle, *, awake: bool = True) -> Story:
    story = Story(lifecycle)
    if awake:
        story.awake()
    else:
        story.arrive(1)
        story.come_alive()
    story.tell(Exited(ID, story.generation, ExitInfo(signal=15), by_hand=True))
    return story


def kinds(story: Story) -> list[str]:
    return [event.kind for event in story.all(Announce)]


@pytest.mark.parametrize(
    ("policy", "phase", "unasked"),
    [
        (OnExternalStart.ADOPT, Phase.STARTING, 0),
        (OnExternalStart.STOP, Phase.ASLEEP, 1),
        (OnExternalStart.IGNORE, Phase.ASLEEP, 0),
    ],
)
def test_what_others_start_is_treated_as_configured(
    policy: OnExternalStart, phase: Phase, unasked: int
) -> None:
    """It is taken on like any wake, ended, or left alone."""
    story = Story(Lifecycle(on_external_start=policy))
    story.tell(FOUND)
    assert (phase, unasked) == (story.phase(), len(story.all(EndUnasked)))


def test_what_an_earlier_daemon_started_is_taken_on_whatever_is_configured() -> None:
    """Its host did not answer when this daemon came up: nobody else has started it."""
    story = Story(Lifecycle(on_external_start=OnExternalStart.STOP))
    story.tell(FoundRunning(ID, "runs since before", ours=True))
    assert (Phase.STARTING, 0) == (story.phase(), len(story.all(EndUnasked)))


def test_what_others_started_serves_and_sleeps_like_anything_else() -> None:
    """It becomes idle in its time, and its start tells nothing of how long a wake takes."""
    story = Story(Lifecycle(idle_timeout=60.0))
    story.tell(FOUND)
    story.become_ready()
    assert story.app.memory.wakes == ()
    story.wait(60.0)
    assert Phase.STOPPING is story.phase()


def test_what_is_to_be_down_is_not_taken_on() -> None:
    """The operator said so; whoever starts it elsewhere is told of by an event."""
    story = Story()
    story.tell(StopRequested("app"), FOUND)
    assert (Phase.ASLEEP, "unasked") == (story.phase(), kinds(story)[-1])
    assert not story.all(EndUnasked)


def test_nothing_is_taken_on_out_of_its_hours() -> None:
    """What others start then is told of; what they let go on is frozen again."""
    story = Story(Lifecycle(idle_timeout=60.0, tier=Tier.PAUSE)).awake()
    story.wait(60.0)
    story.tell(Froze(ID, story.generation, Tier.PAUSE, 1 << 20, 1 << 20))
    story.tell(ScheduleChanged("app", Hours(closed="it runs only 08:00-18:00")))
    story.exit(0)
    story.tell(FOUND)
    assert (Phase.ASLEEP, "unasked") == (story.phase(), kinds(story)[-1])
    story.tell(ScheduleChanged("app", Hours()), FOUND)
    assert Phase.STARTING is story.phase()


def host_is_away(story: Story, times: int) -> Story:
    """Its starts fail for that, one after the other."""
    for _ in range(times):
        story.tell(StartRefused(ID, story.generation, "nothing answers"))
        story.wait(0.6)
    return story


def test_what_must_run_is_soon_tried_again_once_its_host_is_back() -> None:
    """The cool-off was for a failure that was none of its own; the failures before count no more either."""
    story = Story(Lifecycle(always_on=True, start_limit=StartLimit(failures=2, cool_off=60.0)))
    story.boot()
    host_is_away(story, 1)
    host_is_away(story, 1)
    assert Phase.FAILED is story.phase()

    story.tell(HostReturned(ID))
    story.wait(0.6)
    assert Phase.STARTING is story.phase()
    host_is_away(story, 1)
    assert Phase.STARTING is story.phase()


def test_what_must_run_and_is_not_to_be_restarted_is_started_once_its_host_is_back() -> None:
    """That would be its first start: an engine may come up after Torpor when the machine boots."""
    story = Story(Lifecycle(always_on=True, restart=Restart.NO))
    story.boot()
    host_is_away(story, 1)
    assert (Phase.FAILED, None) == (story.phase(), story.app.next_deadline())

    story.tell(HostReturned(ID))
    story.wait(0.6)
    assert Phase.STARTING is story.phase()
    story.become_ready()
    story.exit(1)
    assert (Phase.FAILED, None) == (story.phase(), story.app.next_deadline())


def test_whoever_waits_for_the_next_attempt_waits_no_longer_than_its_host_is_away() -> None:
    """A pause that has grown long is cut short."""
    story = Story(Lifecycle(backoff=Backoff(initial=0.5, factor=100.0)))
    story.arrive(1)
    host_is_away(story, 1)
    story.arrive(2)
    host_is_away(story, 1)
    story.arrive(3)
    assert Phase.BACKOFF is story.phase()

    story.tell(HostReturned(ID))
    story.wait(0.5)
    story.become_ready()
    assert [3] == [grant.ticket for grant in story.granted()]


@pytest.mark.parametrize("limit", [1, 2])
def test_what_nobody_wants_may_be_woken_at_once_when_its_host_is_back(limit: int) -> None:
    """Whether it had failed or slept by then; and it is said no more that it cannot be started."""
    story = Story(Lifecycle(start_limit=StartLimit(failures=limit)))
    story.arrive(1)
    host_is_away(story, 1)
    assert (Phase.FAILED if limit == 1 else Phase.ASLEEP) is story.phase()

    story.tell(HostReturned(ID))
    assert Phase.ASLEEP is story.phase()
    assert story.app.snapshot(story.now).instances[0].reason is None
    story.arrive(2)
    assert Phase.STARTING is story.phase()


def test_a_start_that_failed_for_its_host_does_not_count_once_that_is_back() -> None:
    """It slept already when its host came back: of two failures in a row that was none."""
    story = Story(Lifecycle(start_limit=StartLimit(failures=2)))
    story.arrive(1)
    host_is_away(story, 1)
    story.tell(HostReturned(ID))
    story.arrive(2)
    story.tell(StartRefused(ID, story.generation, "no such image"))
    assert Phase.BACKOFF is story.phase()


def test_a_host_that_restarts_it_by_itself_ends_the_pause() -> None:
    """While it waits for its next attempt it is taken as it comes; its failures still count."""
    story = Story(Lifecycle(backoff=Backoff(initial=30.0), start_limit=StartLimit(failures=2))).awake()
    story.exit(1)
    assert Phase.BACKOFF is story.phase()
    story.tell(FOUND)
    story.become_ready()
    story.exit(1)
    assert Phase.FAILED is story.phase()


@pytest.mark.parametrize("awake", [True, False])
@pytest.mark.parametrize("always_on", [True, False])
def test_a_stop_by_hand_is_respected_until_the_next_wake(*, awake: bool, always_on: bool) -> None:
    """Nothing is restarted, whoever waits learns why, and the next request starts it."""
    story = stopped_by_hand(Lifecycle(restart=Restart.ALWAYS, always_on=always_on), awake=awake)
    assert (Phase.ASLEEP, 0 if awake else 1) == (story.phase(), len(story.refused()))
    story.wait(1000.0)
    assert Phase.ASLEEP is story.phase()
    story.arrive(2)
    assert Phase.STARTING is story.phase()


def test_a_stop_by_hand_may_be_for_good() -> None:
    """It is down then, until an operator starts it."""
    story = stopped_by_hand(Lifecycle(respect_manual_stop=ManualStop.ALWAYS))
    assert (Phase.ASLEEP, Want.DOWN) == (story.phase(), story.app.want)
    story.arrive(2)
    assert [Cause.DOWN] == [refusal.refusal.reason.cause for refusal in story.refused()]


def test_a_stop_by_hand_may_count_as_a_crash() -> None:
    """Then it is restarted like anything that ends by itself."""
    story = stopped_by_hand(Lifecycle(respect_manual_stop=ManualStop.NEVER))
    assert Phase.BACKOFF is story.phase()


def test_an_old_stop_by_hand_changes_nothing() -> None:
    """Of a generation that is over."""
    story = Story(Lifecycle(respect_manual_stop=ManualStop.ALWAYS)).awake()
    story.tell(Exited(ID, story.generation - 1, ExitInfo(signal=15), by_hand=True))
    assert (Phase.READY, Want.AUTO) == (story.phase(), story.app.want)


def test_what_others_freeze_sleeps_until_somebody_knocks() -> None:
    """No request goes to it; the next one lets it go on."""
    story = Story(Lifecycle(idle_timeout=None)).awake()
    upstream = story.app.instances[0].upstream
    story.tell(Froze(ID, story.generation, Tier.PAUSE, 1 << 20, 1 << 20))
    assert "paused" == story.app.snapshot(story.now).state
    assert story.app.enter() is None
    story.arrive(2)
    assert 1 == len(story.all(ThawInstance))
    story.tell(BecameReady(ID, story.generation))
    assert [upstream] == [grant.upstream for grant in story.granted()]


def test_what_others_let_go_on_is_ready_again() -> None:
    """Torpor had paused it; its gate opens once it has been resumed here, too."""
    story = Story(Lifecycle(idle_timeout=60.0, tier=Tier.PAUSE)).awake()
    story.wait(60.0)
    story.tell(Froze(ID, story.generation, Tier.PAUSE, 1 << 20, 1 << 20))
    story.tell(Thawed(ID, story.generation))
    story.tell(BecameReady(ID, story.generation))
    assert (Phase.READY, 1) == (story.phase(), len(story.all(ThawInstance)))
    assert not story.all(StartInstance)


def test_who_starts_it_alone_freezes_it_again() -> None:
    """With `on_external_start: stop` nobody else is to wake it, by a thaw as little as by a start."""
    story = Story(
        Lifecycle(idle_timeout=60.0, tier=Tier.PAUSE, on_external_start=OnExternalStart.STOP)
    ).awake()
    story.wait(60.0)
    story.tell(Froze(ID, story.generation, Tier.PAUSE, 1 << 20, 1 << 20))
    story.tell(Thawed(ID, story.generation))
    assert (Phase.FROZEN, 2) == (story.phase(), len(story.all(FreezeInstance)))
