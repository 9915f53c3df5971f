"""Another configuration while apps run: what is taken over in place, restarted, started and removed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from torpor.core.fleet import Fleet
from torpor.core.messages import (
    AdaptInstance,
    Applied,
    BecameReady,
    Effect,
    Exited,
    Forget,
    GrantTicket,
    Input,
    RefuseTicket,
    RequestArrived,
    ScaleRequested,
    ScheduleChanged,
    ShutdownRequested,
    SleepRequested,
    Started,
    StartInstance,
    StopInstance,
    StopRequested,
    Vacated,
    WatchInstance,
)
from torpor.core.model import (
    AppMemory,
    AppSpec,
    Cause,
    Dependency,
    Endpoint,
    ExitInfo,
    InstanceId,
    Lifecycle,
    Liveness,
    Phase,
    Restart,
    Route,
    StartLimit,
    TcpProbe,
    Want,
)
from torpor.core.schedule import Hours


class Story:
    """A fleet that gets other configurations, and everything that was to be done so far."""

    def __init__(self, *specs: AppSpec, memory: dict[str, AppMemory] | None = None) -> None:
        self.now = 0.0
        self.fleet = Fleet(specs, memory or {}, self.now)
        self.effects: list[Effect] = self.fleet.boot(self.now)

    def tell(self, *messages: Input) -> None:
        for message in messages:
            self.effects += self.fleet.handle(message, self.now)

    def apply(self, *specs: AppSpec, renewed: str = "") -> None:
        """Other settings hold.  What was to be done before is forgotten."""
        self.effects.clear()
        self.tell(Applied(specs, frozenset(renewed.split())))

    def knock(self, name: str, ticket: int = 1) -> None:
        self.tell(RequestArrived(name, ticket, "GET /"))

    def become_ready(self, name: str, replica: int = 0) -> None:
        id = InstanceId(name, replica)
        generation = self.generation(name, replica)
        self.tell(Started(id, generation, Endpoint("127.0.0.1", 1), 7), BecameReady(id, generation))

    def exit(self, name: str, replica: int = 0, code: int = 0) -> None:
        generation = self.generation(name, replica)
        self.tell(Exited(InstanceId(name, replica), generation, ExitInfo(code)))

    def generation(self, name: str, replica: int = 0) -> int:
        return next(
            i.generation for i in self.fleet.apps[name].instances if i.id == InstanceId(name, replica)
        )

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.fleet.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.effects += self.fleet.deadline_reached(self.now)
        self.now = end

    def phase(self, name: str) -> Phase:
        return self.fleet.apps[name].phase

    def started(self) -> list[str]:
        return [str(effect.id) for effect in self.effects if isinstance(effect, StartInstance)]

    def stopped(self) -> list[str]:
        return [str(effect.id) for effect in self.effects if isinstance(effect, StopInstance)]

    def refused(self) -> list[tuple[int, Cause]]:
        return [
            (effect.ticket, effect.refusal.reason.cause)
            for effect in self.effects
            if isinstance(effect, RefuseTicket)
        ]

    def granted(self) -> list[int]:
        return [effect.ticket for effect in self.effects if isinstance(effect, GrantTicket)]

    def forgotten(self) -> list[str]:
        return [effect.app for effect in self.effects if isinstance(effect, Forget)]


def _app(name: str, *needs: str, **lifecycle: object) -> AppSpec:
    return AppSpec(name, Lifecycle(**lifecycle), depends_on=tuple(map(Dependency, needs)))  # type: ignore[arg-type]


def test_the_hours_hold_before_anything_new_is_started() -> None:
    """What must run does not wake what may not run now, also where both come with the same configuration."""
    story = Story(_app("old"))
    closed = {name: Hours(closed="it does not run 02:00-04:00", until=60.0) for name in ("db", "old")}
    front, back = _app("web", "db", always_on=True), _app("api", "old", always_on=True)
    story.tell(Applied((front, back, _app("db"), _app("old")), closed=closed))

    assert ([], Phase.BLOCKED, Phase.BLOCKED) == (story.started(), story.phase("web"), story.phase("api"))
    story.tell(ScheduleChanged("db", closed["db"]), ScheduleChanged("db", Hours()))

    assert ["db"] == story.started()


def test_a_live_setting_holds_at_once_and_nothing_restarts() -> None:
    """A shorter idle time puts the running generation to sleep by the new clock."""
    story = Story(_app("web", idle_timeout=1000.0))
    story.knock("web")
    story.become_ready("web")
    upstream = story.fleet.apps["web"].instances[0].upstream
    assert upstream is not None
    upstream.inflight = 0

    story.apply(_app("web", idle_timeout=10.0))
    assert [] == story.started() + story.stopped()
    assert any(isinstance(effect, AdaptInstance) for effect in story.effects)
    story.wait(11.0)

    assert ["web"] == story.stopped()


def test_what_is_the_same_is_not_touched() -> None:
    """An app whose settings did not change hears nothing of it."""
    story = Story(_app("web", always_on=True), _app("other"))
    story.become_ready("web")

    story.apply(_app("web", always_on=True), _app("other", idle_timeout=1.0))

    assert [] == story.effects


def test_a_running_app_is_restarted_for_what_cannot_change_in_place() -> None:
    """It finishes what is in flight, and who comes meanwhile waits for the new generation."""
    story = Story(_app("web"))
    story.knock("web")
    story.become_ready("web")
    upstream = story.fleet.apps["web"].instances[0].upstream
    assert upstream is not None

    story.apply(_app("web", restart=Restart.ALWAYS), renewed="web")
    assert [] == story.stopped()
    story.knock("web", 2)
    upstream.inflight = 0
    story.tell(Vacated(upstream.id, upstream.generation))
    assert ["web"] == story.stopped()
    story.exit("web")
    story.become_ready("web")

    assert ["web"] == story.started()
    assert [2] == story.granted()
    assert [] == story.refused()


def test_what_sleeps_is_not_woken_by_a_change() -> None:
    """An app that sleeps is started by its next visitor, not by its new command."""
    story = Story(_app("web"))

    story.apply(_app("web", idle_timeout=5.0), renewed="web")

    assert [] == story.started()
    assert Phase.ASLEEP is story.phase("web")


def test_what_drains_with_old_settings_is_not_opened_again() -> None:
    """A visitor of an app on its way to sleep gets the new program, not the old one once more."""
    story = Story(_app("web", drain_timeout=3.0))
    story.knock("web")
    story.become_ready("web")
    story.tell(SleepRequested("web"))
    assert Phase.DRAINING is story.phase("web")

    story.apply(_app("web", drain_timeout=3.0, stop_timeout=9.0), renewed="web")
    story.knock("web", 2)
    assert [] == story.granted()
    story.wait(3.0)
    story.exit("web")
    story.become_ready("web")

    assert ["web"] == story.started()
    assert [2] == story.granted()


def test_what_failed_with_old_settings_is_tried_with_the_new_ones() -> None:
    """A corrected command does not wait for the end of a pause."""
    story = Story(_app("job", always_on=True))
    story.exit("job", code=1)
    assert Phase.BACKOFF is story.phase("job")

    story.apply(_app("job", always_on=True, stop_timeout=1.0), renewed="job")

    assert ["job"] == story.started()


@pytest.mark.parametrize("failures", [1, 5])
def test_a_replica_that_failed_with_old_settings_does_not_sleep_alone(failures: int) -> None:
    """The others are in use: it is tried with the new ones like what must run, also past the limit."""
    old = replace(_app("web", start_limit=StartLimit(failures=failures)), replicas=2)
    story = Story(old)
    story.knock("web")
    story.become_ready("web", 0)
    story.become_ready("web", 1)
    story.exit("web", 1, code=1)
    replica = story.fleet.apps["web"].instances[1]
    assert (Phase.FAILED if failures == 1 else Phase.BACKOFF) is replica.phase

    story.apply(replace(old, lifecycle=replace(old.lifecycle, stop_timeout=1.0)), renewed="web")

    assert "web/1" in story.started()


def test_a_failure_of_old_settings_is_not_what_it_sleeps_for_with_the_new_ones() -> None:
    """Neither is it said to have failed, nor does that count; what is not a failure stays as it was."""
    limit = StartLimit(failures=2)
    story = Story(_app("job", start_limit=limit, stop_timeout=9.0), _app("done"))
    for name, code in (("job", 1), ("done", 0)):
        story.knock(name)
        if not code:
            story.become_ready(name)
        story.exit(name, code=code)
        story.wait(1.0)
        assert Phase.ASLEEP is story.phase(name)
    job, done = (story.fleet.apps[name].instances[0] for name in ("job", "done"))
    before = [job.reason, done.reason]
    assert [Cause.START_FAILED, Cause.EXITED] == [reason and reason.cause for reason in before]

    story.apply(_app("job", start_limit=limit), _app("done", stop_timeout=1.0), renewed="job done")
    assert [None, before[1]] == [job.reason, done.reason]

    story.knock("job")
    story.exit("job", code=1)
    assert Phase.BACKOFF is story.phase("job")


def test_replicas_are_renewed_one_after_the_other() -> None:
    """Of two replicas one serves at any time."""
    old = replace(_app("web", always_on=True), replicas=2)
    story = Story(old)
    story.become_ready("web", 0)
    story.become_ready("web", 1)

    story.apply(replace(old, lifecycle=Lifecycle(always_on=True, stop_timeout=1.0)), renewed="web")
    assert ["web"] == story.stopped()
    story.exit("web", 0)
    story.become_ready("web", 0)
    assert ["web", "web/1"] == story.stopped()
    story.exit("web", 1)
    story.become_ready("web", 1)

    assert ["web", "web/1"] == story.started()


def test_a_changed_number_of_replicas_wins_over_an_earlier_scale() -> None:
    """The newer word holds; one that did not change leaves the operator's number alone."""
    one = _app("web", always_on=True)
    story = Story(one)
    story.tell(ScaleRequested("web", 3))
    story.apply(replace(one, lifecycle=Lifecycle(always_on=True, stop_timeout=1.0)))
    assert 3 == len(story.fleet.apps["web"].instances)

    story.apply(replace(one, replicas=2))

    assert 2 == sum(not instance.leaving for instance in story.fleet.apps["web"].instances)


@pytest.mark.parametrize(
    "place",
    [{"port": 9000}, {"socket": "/run/web.sock"}, {"routes": (Route("web"), Route("ssh", app_port=22))}],
)
def test_what_listens_at_one_place_is_one_whatever_was_scaled(place: dict[str, Any]) -> None:
    """The others could not listen there: an operator's number holds only where there may be several."""
    one = _app("web", always_on=True)
    story = Story(one)
    story.tell(ScaleRequested("web", 3))

    story.apply(replace(one, **place))

    assert 1 == sum(not instance.leaving for instance in story.fleet.apps["web"].instances)


def test_what_becomes_always_on_is_started() -> None:
    """`always_on` starts it, but not against an operator's stop."""
    story = Story(_app("a"), _app("b"), memory={"b": AppMemory(Want.DOWN)})

    story.apply(_app("a", always_on=True), _app("b", always_on=True))

    assert ["a"] == story.started()


def test_who_waits_waits_by_the_new_limit() -> None:
    """A longer `wake_timeout` holds for those who wait already."""
    story = Story(_app("web", wake_timeout=5.0))
    story.knock("web")

    story.apply(_app("web", wake_timeout=60.0))
    story.wait(30.0)

    assert [] == story.refused()


def test_liveness_is_watched_anew() -> None:
    """Another liveness probe is taken up by what runs."""
    story = Story(_app("web", always_on=True))
    story.become_ready("web")

    story.apply(replace(_app("web", always_on=True), liveness=Liveness(TcpProbe())))

    assert [InstanceId("web")] == [e.id for e in story.effects if isinstance(e, WatchInstance)]


def test_a_new_app_is_started_if_it_is_always_on() -> None:
    """What is new and to be kept running runs; what is new and on demand waits for its visitor."""
    story = Story(_app("old"))

    story.apply(_app("on", always_on=True), _app("old"), _app("lazy"))

    assert ["on"] == story.started()
    assert ["on", "old", "lazy"] == list(story.fleet.apps)


def test_a_new_need_is_held_and_an_old_one_released() -> None:
    """An app that is awake holds what it needs now, and what it needs no more may sleep."""
    story = Story(_app("web", "db", always_on=True), _app("db", idle_timeout=5.0), _app("cache"))
    story.become_ready("db")
    story.become_ready("web")

    story.apply(_app("web", "cache", always_on=True), _app("db", idle_timeout=5.0), _app("cache"))
    assert ["cache"] == story.started()
    story.become_ready("cache")
    story.wait(6.0)

    assert ["db"] == story.stopped()
    assert {"web"} == story.fleet.apps["cache"].held_by
    assert Phase.READY is story.phase("web")


def test_a_blocked_app_starts_when_it_no_longer_needs_what_it_waits_for() -> None:
    """The new needs decide."""
    story = Story(_app("web", "db", always_on=True), _app("db"))
    assert Phase.BLOCKED is story.phase("web")

    story.apply(_app("web", always_on=True), _app("db"))

    assert ["web"] == story.started()


def test_a_removed_app_refuses_who_waits_and_is_forgotten_when_it_is_gone() -> None:
    """Its waiting requests learn why; while it ends it is still there, then nothing of it is."""
    story = Story(_app("web", stop_timeout=5.0))
    story.knock("web")

    story.apply()
    assert [(1, Cause.REMOVED)] == story.refused()
    assert ["web"] == story.stopped()
    assert [] == story.forgotten()
    story.exit("web")

    assert ["web"] == story.forgotten()
    assert {} == story.fleet.apps


def test_dependents_end_before_what_they_need_when_both_are_removed() -> None:
    """As at a shutdown."""
    story = Story(_app("web", "db", always_on=True), _app("db"))
    story.become_ready("db")
    story.become_ready("web")

    story.apply()
    assert ["web"] == story.stopped()
    story.exit("web")
    assert ["web", "db"] == story.stopped()
    story.exit("db")

    assert ["web", "db"] == story.forgotten()


def test_an_app_that_is_back_before_it_was_gone_runs_again() -> None:
    """Never two generations at once: the new one begins when the old one has ended."""
    story = Story(_app("job", always_on=True))
    story.become_ready("job")
    story.apply()
    assert Phase.STOPPING is story.phase("job")

    story.apply(_app("job", always_on=True))
    assert [] == story.started()
    story.exit("job")

    assert ["job"] == story.started()


def test_a_name_that_comes_back_goes_on_with_its_generations() -> None:
    """Late news of the app that had this name must not be taken for news of the new one."""
    story = Story(_app("job", always_on=True))
    story.become_ready("job")
    story.apply()
    story.exit("job")

    story.apply(_app("job", always_on=True))

    assert 2 == story.generation("job")


def test_a_request_for_an_app_that_is_gone_gets_its_verdict() -> None:
    """Nobody waits for what nobody knows; late news of it is dropped."""
    story = Story()

    story.knock("web")
    story.tell(Vacated(InstanceId("web"), 1), StopRequested("web"))

    assert [(1, Cause.REMOVED)] == story.refused()


def test_nothing_is_applied_during_a_shutdown() -> None:
    """What goes down stays what it was."""
    story = Story(_app("web"))
    story.tell(ShutdownRequested())

    story.apply(_app("other", always_on=True))

    assert [] == story.effects
    assert ["web"] == list(story.fleet.apps)
