"""Whether an app may fall asleep: by which clauses, and that what is shown is what decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.story import ID, Story
from torpor.core.messages import (
    Announce,
    Answered,
    AskWhetherIdle,
    BecameReady,
    PinRequested,
    PriorityRequested,
    Remember,
    RestartRequested,
    ScheduleChanged,
    SleepRequested,
    Started,
    StartInstance,
    StartRequested,
    StopInstance,
    StopRequested,
    ThawInstance,
    UnpinRequested,
)
from torpor.core.model import (
    AppMemory,
    Cause,
    Endpoint,
    IdleQuestion,
    InstanceId,
    Lifecycle,
    Phase,
    Pin,
    Tier,
    Want,
)
from torpor.core.schedule import Hours, Schedule, Window

IDLE = Lifecycle(idle_timeout=60.0)
ASKS = Lifecycle(idle_timeout=60.0, question=IdleQuestion(cpu_below=0.05))


def answer(story: Story, *, keeps_awake: bool, text: str = "is at work") -> None:
    story.tell(Answered(ID, story.generation, keeps_awake, text))


def keeping(story: Story) -> list[str]:
    return [clause.name for clause in story.app.instances.clauses(story.now) if clause.keeps_awake]


def asked(story: Story) -> int:
    return len(story.all(AskWhetherIdle))


def test_the_clauses_say_what_the_deadline_decides() -> None:
    """An instance falls asleep in the very step in which no clause keeps it awake any more."""
    story = Story(Lifecycle(idle_timeout=60.0, min_uptime=100.0)).awake()

    assert ["min-uptime", "idle"] == keeping(story)
    story.wait(99.0)
    assert (Phase.READY, ["min-uptime"]) == (story.phase(), keeping(story))
    story.wait(1.0)
    assert (Phase.STOPPING, []) == (story.phase(), keeping(story))


def test_a_request_in_flight_is_a_clause_without_an_end() -> None:
    """Nobody knows when it ends, so nobody is told when the app will sleep."""
    story = Story(IDLE).awake()
    story.enter()

    (requests,) = [clause for clause in story.app.instances.clauses(story.now) if clause.keeps_awake]

    assert ("requests", "1 request in flight", None) == (requests.name, requests.text, requests.until)
    assert story.app.snapshot(story.now).instances[0].idle_in is None
    story.wait(1000.0)
    assert story.phase() is Phase.READY


def test_a_socket_that_does_not_count_is_told_and_keeps_nobody_awake() -> None:
    """A parked connection is among the clauses, so that nobody wonders, but lets the app sleep."""
    story = Story(IDLE).awake()
    upstream = story.enter()
    upstream.parked += 1
    story.leave(upstream)

    names = {clause.name: clause.keeps_awake for clause in story.app.instances.clauses(story.now)}

    assert {"sockets": False, "idle": True} == names


class TestPins:
    """An operator's word that an app stays awake."""

    def test_a_pin_wakes_and_keeps_awake_until_it_is_over(self) -> None:
        """An expired pin is a deadline of the core: the app, idle for long enough, sleeps at once."""
        story = Story(IDLE)
        story.tell(PinRequested("app", 600.0))
        story.become_ready()

        story.wait(599.0)
        assert (Phase.READY, True, ["pinned"]) == (story.phase(), story.app.pinned, keeping(story))
        story.wait(1.0)
        assert (Phase.STOPPING, False) == (story.phase(), story.app.pinned)

    def test_a_pinned_app_does_not_take_a_wish_to_sleep(self) -> None:
        """Neither an operator nor a shortage puts it to sleep before it is unpinned."""
        story = Story(IDLE).awake()
        story.tell(PinRequested("app"), SleepRequested("app"))
        assert story.phase() is Phase.READY

        story.tell(UnpinRequested("app"), SleepRequested("app"))

        assert story.phase() is Phase.STOPPING

    def test_a_pinned_app_that_crashes_is_started_again(self) -> None:
        """Whatever ends by itself while it is pinned comes back, though nobody asks for it."""
        story = Story(IDLE).awake()
        story.tell(PinRequested("app"))

        story.exit(1)
        story.wait(5.0)

        assert 1 == len(story.all(StartInstance))

    def test_a_pin_wakes_what_is_frozen(self) -> None:
        """It goes on where it was, and stays awake."""
        story = Story(Lifecycle(idle_timeout=60.0, tier=Tier.PAUSE)).awake()
        story.wait(60.0)
        assert story.phase() is Phase.FROZEN

        story.tell(PinRequested("app"))

        assert 1 == len(story.all(ThawInstance))
        story.tell(BecameReady(ID, story.generation))
        assert (Phase.READY, ["pinned", "idle"]) == (story.phase(), keeping(story))

    def test_a_stop_ends_a_pin(self) -> None:
        """The later word of an operator holds: what was stopped is not pinned when it is started again."""
        story = Story(IDLE).awake()
        story.tell(PinRequested("app"), StopRequested("app"))

        assert (False, Want.DOWN) == (story.app.pinned, story.app.want)
        story.tell(PinRequested("app"))
        assert not story.app.pinned

    def test_a_pin_is_remembered(self) -> None:
        """The next daemon wakes what is pinned; a pin that has ended meanwhile is none."""
        story = Story(IDLE)
        story.tell(PinRequested("app", 100.0))
        assert Pin(100.0) == story.app.memory.pin
        assert story.all(Remember)

        restarted = Story(IDLE, story.app.memory)
        restarted.boot()
        late = Story(IDLE, AppMemory(pin=Pin(-1.0)))
        late.boot()

        assert (1, 0) == (len(restarted.all(StartInstance)), len(late.all(StartInstance)))


class TestSchedules:
    """What the clock on the wall says of an app."""

    def test_it_is_woken_when_it_is_to_be_warm_and_does_not_sleep(self) -> None:
        """It is woken once, stays awake as long as the window lasts, and then sleeps as it is idle."""
        story = Story(IDLE)
        story.tell(ScheduleChanged("app", Hours(warm="08:00-18:00", until=1000.0)))
        story.become_ready()

        story.wait(999.0)
        assert (Phase.READY, ["schedule"]) == (story.phase(), keeping(story))
        story.tell(ScheduleChanged("app", Hours()))
        story.wait(0.0)
        assert story.phase() is Phase.STOPPING

    def test_a_late_word_of_the_clock_neither_ends_a_window_nor_spins(self) -> None:
        """A window ends when the calendar says so, not when it was foretold."""
        story = Story(IDLE)
        story.tell(ScheduleChanged("app", Hours(warm="08:00-18:00", until=100.0)))
        story.become_ready()

        story.wait(500.0)

        assert story.phase() is Phase.READY
        assert story.app.next_deadline() is None

    def test_out_of_its_hours_it_is_stopped_and_refuses_with_the_time_of_opening(self) -> None:
        """Requests learn why, and when to come again."""
        story = Story(IDLE).awake()
        story.wait(7.0)
        story.tell(ScheduleChanged("app", Hours(closed="it runs only 08:00-18:00", until=story.now + 50.0)))
        assert 1 == len(story.all(StopInstance))
        story.exit(0)

        story.arrive(7)

        (refused,) = story.refused()
        assert (Cause.SCHEDULE, 50.0) == (refused.refusal.reason.cause, refused.refusal.retry_after)
        for wish in (StartRequested("app"), RestartRequested("app")):
            story.tell(wish)
        assert story.phase() is Phase.ASLEEP

    def test_a_pin_is_stronger_than_the_hours(self) -> None:
        """An operator may have it awake out of its hours; without the pin it is put to sleep."""
        story = Story(IDLE)
        story.tell(ScheduleChanged("app", Hours(closed="it runs only 08:00-18:00")))
        story.tell(PinRequested("app", 100.0))
        story.become_ready()

        story.wait(99.0)
        assert story.phase() is Phase.READY
        story.wait(1.0)
        assert story.phase() is Phase.STOPPING
        assert "it runs only 08:00-18:00" in [event.text for event in story.all(Announce)]

    def test_who_waits_when_it_closes_is_refused(self) -> None:
        """A start that is under way is given up, and whoever waits for it learns why."""
        story = Story(IDLE)
        story.arrive(1)

        story.tell(ScheduleChanged("app", Hours(closed="it does not run 02:00-04:00", until=story.now + 9.0)))

        assert [(1, Cause.SCHEDULE, 9.0)] == [
            (one.ticket, one.refusal.reason.cause, one.refusal.retry_after) for one in story.refused()
        ]

    def test_what_has_hours_cannot_be_always_on(self) -> None:
        """The configuration excludes it, and so it does for an operator; who said so before there were hours is overruled."""
        hours = Schedule(allowed=(Window("08:00-18:00", begins=480, ends=1080),))
        story = Story(IDLE)
        free = story.app.spec
        limited = replace(free, schedule=hours)
        story.app.spec = limited

        story.tell(PriorityRequested("app", 50, always_on=True))
        assert (Want.AUTO, Phase.ASLEEP) == (story.app.want, story.phase())

        story.app.spec = free
        story.tell(PriorityRequested("app", 50, always_on=True))
        story.become_ready()
        story.app.spec = limited
        story.app.change(free, story.now, renewed=False)
        story.tell(ScheduleChanged("app", Hours(closed="it runs only 08:00-18:00", until=story.now + 9.0)))
        story.exit(0)
        assert (Want.AUTO, Phase.ASLEEP) == (story.app.want, story.phase())

        story.app.spec = free
        story.app.change(limited, story.now, renewed=False)
        assert (Want.UP, Phase.STARTING) == (story.app.want, story.phase())


def test_what_never_sleeps_by_itself_says_so_in_a_sentence() -> None:
    """`torpor why` puts the text behind `it is`."""
    story = Story(Lifecycle(idle_timeout=None)).awake()

    assert ["never asleep by itself (idle_timeout: never)"] == [
        one.text for one in story.app.instances.clauses(story.now)
    ]


class TestQuestions:
    """What only the world can tell."""

    def test_the_world_is_asked_when_nothing_else_keeps_it_awake(self) -> None:
        """Not before; and a no puts it to sleep at once."""
        story = Story(ASKS).awake()
        story.wait(59.0)
        assert 0 == asked(story)

        story.wait(1.0)
        assert (1, Phase.READY, ["question"]) == (asked(story), story.phase(), keeping(story))
        answer(story, keeps_awake=False, text="uses 0 % of a core")

        assert story.phase() is Phase.STOPPING
        reason = story.app.instances[0].reason
        assert reason is not None
        assert ("no request for 1m", "uses 0 % of a core") == (reason.text, reason.detail)

    def test_a_yes_keeps_it_awake_until_it_is_asked_again(self) -> None:
        """After a pause it is asked afresh, as often as it takes."""
        story = Story(ASKS).awake()
        story.wait(60.0)
        for times in range(1, 4):
            assert times == asked(story)
            answer(story, keeps_awake=True)
            story.wait(59.0)
            assert times == asked(story)
            story.wait(1.0)

        answer(story, keeps_awake=False)
        assert story.phase() is Phase.STOPPING

    def test_no_answer_is_a_yes(self) -> None:
        """The question has a deadline; what is not known keeps it awake, and it is asked again."""
        story = Story(ASKS).awake()
        story.wait(60.0 + 15.0)

        assert (1, Phase.READY) == (asked(story), story.phase())
        (clause,) = [one for one in story.app.instances.clauses(story.now) if one.keeps_awake]
        assert "no answer within 15 s" == clause.text
        story.wait(60.0)
        assert 2 == asked(story)

    def test_a_request_makes_the_answer_moot(self) -> None:
        """Who was used since it was asked is not put to sleep by the answer."""
        story = Story(ASKS).awake()
        story.wait(60.0)
        upstream = story.enter()
        story.wait(1.0)
        story.leave(upstream)
        story.wait(9.0)

        answer(story, keeps_awake=False)

        assert (Phase.READY, ["idle"]) == (story.phase(), keeping(story))
        story.wait(51.0)
        assert 2 == asked(story)

    def test_late_answers_are_nobodys(self) -> None:
        """An answer that nobody waits for changes nothing."""
        story = Story(ASKS).awake()

        answer(story, keeps_awake=False)
        story.wait(59.0)

        assert story.phase() is Phase.READY

    @pytest.mark.parametrize("busy_first", [True, False])
    def test_replicas_sleep_together_or_not_at_all(self, busy_first: bool) -> None:
        """One that is at work keeps the others awake; they go together once it has done its work."""
        story = Story(ASKS, replicas=2)
        story.arrive(1)
        for replica in (0, 1):
            ready(story, replica)
        story.leave(story.granted()[0].upstream)
        story.wait(60.0)
        assert 2 == asked(story)

        for replica in (0, 1) if busy_first else (1, 0):
            said = Answered(InstanceId("app", replica), story.generation, replica == 0, "is asked")
            story.tell(said)
        story.wait(0.0)
        assert [Phase.READY] * 2 == [one.phase for one in story.app.instances]

        story.wait(60.0)
        for replica in (0, 1):
            story.tell(Answered(InstanceId("app", replica), story.generation, False, "is asked"))
        story.wait(0.0)
        assert [Phase.STOPPING] * 2 == [one.phase for one in story.app.instances]


def ready(story: Story, replica: int) -> None:
    id = InstanceId("app", replica)
    story.tell(Started(id, story.generation, Endpoint("127.0.0.1", 8501 + replica), 7))
    story.tell(BecameReady(id, story.generation))
