"""Histories of apps that need each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from torpor.core.fleet import Fleet
from torpor.core.messages import (
    Announce,
    Applied,
    BecameReady,
    Effect,
    Exited,
    Froze,
    GrantTicket,
    InstanceInput,
    RefuseTicket,
    RequestArrived,
    RestartRequested,
    ScaleRequested,
    ShutdownRequested,
    SleepRequested,
    Started,
    StartInstance,
    StartRefused,
    StartRequested,
    StopInstance,
    StopProblem,
    StopRequested,
    WakeRequested,
    Wish,
)
from torpor.core.model import (
    AppMemory,
    AppSpec,
    Awaited,
    Cause,
    Condition,
    Dependency,
    Endpoint,
    ExitInfo,
    InstanceId,
    Lifecycle,
    Phase,
    Restart,
    StartLimit,
    Tier,
    Want,
)
from torpor.core.objections import objection


class Story:
    """A fleet, a clock in the teller's hand, and everything that was to be done so far."""

    def __init__(self, *specs: AppSpec, memory: Mapping[str, AppMemory] | None = None) -> None:
        self.now = 0.0
        self.fleet = Fleet(specs, memory or {}, self.now)
        self.effects: list[Effect] = self.fleet.boot(self.now)

    def knock(self, name: str, ticket: int = 1) -> None:
        self._take(self.fleet.handle(RequestArrived(name, ticket, "GET /"), self.now))

    def tell(self, message: Wish | ShutdownRequested) -> None:
        self._take(self.fleet.handle(message, self.now))

    def scale(self, name: str, replicas: int) -> None:
        self._take(self.fleet.handle(ScaleRequested(name, replicas), self.now))

    def tell_of(self, message: InstanceInput) -> None:
        self._take(self.fleet.handle(message, self.now))

    def come_alive(self, name: str) -> None:
        id = InstanceId(name)
        generation = self.fleet.apps[name].instances[0].generation
        self._take(self.fleet.handle(Started(id, generation, Endpoint("127.0.0.1", 1), 7), self.now))

    def become_ready(self, name: str) -> None:
        self.come_alive(name)
        generation = self.fleet.apps[name].instances[0].generation
        self._take(self.fleet.handle(BecameReady(InstanceId(name), generation), self.now))

    def exit(self, name: str, code: int = 0) -> None:
        generation = self.fleet.apps[name].instances[0].generation
        self._take(self.fleet.handle(Exited(InstanceId(name), generation, ExitInfo(code)), self.now))

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.fleet.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self._take(self.fleet.deadline_reached(self.now))
        self.now = end

    def phase(self, name: str) -> Phase:
        return self.fleet.apps[name].phase

    def reason(self, name: str) -> str:
        return str(self.fleet.apps[name].instances[0].reason)

    def started(self) -> list[str]:
        return [effect.id.app for effect in self.effects if isinstance(effect, StartInstance)]

    def stopped(self) -> list[str]:
        return [effect.id.app for effect in self.effects if isinstance(effect, StopInstance)]

    def refused(self) -> list[RefuseTicket]:
        return [effect for effect in self.effects if isinstance(effect, RefuseTicket)]

    def _take(self, effects: list[Effect]) -> None:
        self.effects.extend(effects)


def _app(name: str, *needs: Dependency | str, **lifecycle: object) -> AppSpec:
    needed = tuple(need if isinstance(need, Dependency) else Dependency(need) for need in needs)
    return AppSpec(name, Lifecycle(**lifecycle), depends_on=needed)  # type: ignore[arg-type]


def test_a_wake_starts_the_whole_closure_in_order() -> None:
    """What is needed is ready before what needs it is started."""
    story = Story(_app("web", "api"), _app("api", "db"), _app("db"))

    story.knock("web")
    assert ["db"] == story.started()
    assert Phase.BLOCKED is story.phase("web")
    story.become_ready("db")
    assert ["db", "api"] == story.started()
    story.become_ready("api")
    story.become_ready("web")

    assert ["db", "api", "web"] == story.started()
    assert [1] == [effect.ticket for effect in story.effects if isinstance(effect, GrantTicket)]


def test_a_diamond_starts_the_shared_one_once() -> None:
    """Two paths to one dependency are one start and two holds."""
    story = Story(_app("top", "left", "right"), _app("left", "db"), _app("right", "db"), _app("db"))

    story.knock("top")
    story.become_ready("db")
    story.become_ready("left")
    story.become_ready("right")

    assert ["db", "left", "right", "top"] == story.started()
    assert {"left", "right"} == story.fleet.apps["db"].held_by


def test_what_is_needed_side_by_side_is_started_side_by_side() -> None:
    """Neither middle of a diamond waits for the other, and the first that is ready starts nothing yet."""
    story = Story(_app("top", "left", "right"), _app("left", "db"), _app("right", "db"), _app("db"))
    story.knock("top")
    story.become_ready("db")

    assert ["db", "left", "right"] == story.started()
    assert Phase.STARTING is story.phase("left") is story.phase("right")
    story.become_ready("right")

    assert ["db", "left", "right"] == story.started()
    assert "waiting for left to be ready" == story.reason("top")


def test_many_dependents_wake_one_dependency_once() -> None:
    """However many apps want it at the same moment, it is started once, and all of them follow."""
    names = [f"web{number}" for number in range(20)]
    story = Story(*(_app(name, "db") for name in names), _app("db"))
    for ticket, name in enumerate(names):
        story.knock(name, ticket)

    assert ["db"] == story.started()
    story.become_ready("db")

    assert ["db", *names] == story.started()
    assert set(names) == story.fleet.apps["db"].held_by


def test_what_several_need_sleeps_after_the_last_of_them() -> None:
    """The sleep of one dependent stops nothing that another one needs; a chain sleeps from its end."""
    story = Story(_app("web", "api"), _app("job", "db"), _app("api", "db"), _app("db"))
    story.knock("web")
    story.knock("job", 2)
    for name in ("db", "api", "job", "web"):
        story.become_ready(name)
        for app in story.fleet.apps.values():
            if (upstream := app.instances[0].upstream) is not None:
                upstream.inflight = 0

    story.tell(SleepRequested("web"))
    story.exit("web")
    story.tell(SleepRequested("api"))
    story.exit("api")
    story.wait(1700.0)
    assert (Phase.READY, {"job"}) == (story.phase("db"), story.fleet.apps["db"].held_by)

    story.tell(SleepRequested("job"))
    story.exit("job")
    story.wait(1801.0)
    assert ["web", "api", "job", "db"] == story.stopped()


def test_a_long_chain_is_waited_for() -> None:
    """Who waits does so as long as what it needs may take, one after the other, and then gives up."""
    story = Story(
        _app("web", "api", start_timeout=10.0),
        _app("api", "db", "mail", start_timeout=20.0),
        _app("db", start_timeout=100.0),
        _app("mail", start_timeout=50.0),
    )
    story.knock("web")
    web, api = story.fleet.apps["web"], story.fleet.apps["api"]
    assert (130.0, 120.0) == (web.snapshot(0.0).gives_up_in, api.snapshot(0.0).gives_up_in)
    story.wait(49.0)
    story.become_ready("mail")
    story.wait(50.0)
    story.become_ready("db")
    story.wait(19.0)
    story.become_ready("api")

    assert Phase.STARTING is story.phase("web")
    assert 10.0 == web.snapshot(story.now).gives_up_in
    story.become_ready("web")
    assert None is web.snapshot(story.now).gives_up_in


def test_a_request_that_waits_no_longer_is_told_what_for() -> None:
    """`wake_timeout` is the patience of one request: the wake goes on, and its client learns what holds it up."""
    story = Story(_app("web", "db", wake_timeout=5.0), _app("db"))
    story.knock("web")
    story.wait(5.0)

    (refused,) = story.refused()
    assert "web was not ready within 5 s (waiting for db to be ready)" == refused.refusal.reason.text
    assert Phase.BLOCKED is story.phase("web")


def test_a_wait_is_bounded_by_the_chain() -> None:
    """What does not come within its time, however often it is tried again, is told with that time."""
    story = Story(
        _app("web", "db", start_timeout=10.0), _app("db", start_timeout=60.0, restart=Restart.ALWAYS)
    )
    story.knock("web")
    for _ in range(2):
        story.wait(25.0)
        story.exit("db", 1)
    story.wait(11.0)

    assert Phase.ASLEEP is story.phase("web")
    assert "gave up after 1m of waiting for db to be ready" == story.reason("web")


def test_what_may_take_for_ever_is_waited_for_so_long() -> None:
    """A dependency without a limit sets none for its dependent."""
    story = Story(_app("web", "db"), _app("db", start_timeout=None))
    story.knock("web")
    story.wait(1e6)

    assert (Phase.BLOCKED, None) == (story.phase("web"), story.fleet.apps["web"].snapshot(1e6).gives_up_in)


def test_a_new_configuration_sets_the_bound_anew() -> None:
    """The limits of what is needed are those that hold when the wait begins."""
    web, db = _app("web", "db", start_timeout=10.0), _app("db", start_timeout=60.0)
    story = Story(web, db)
    slower = replace(db, lifecycle=replace(db.lifecycle, start_timeout=300.0))
    story.fleet.handle(Applied((web, slower)), story.now)
    story.knock("web")

    assert 310.0 == story.fleet.apps["web"].snapshot(story.now).gives_up_in


def test_who_waits_says_for_whom_and_how_long() -> None:
    """Each dependency that is awaited is told when the wait begins, and once it is there."""
    story = Story(
        _app("web", Dependency("db", Condition.STARTED), "api", Dependency("cache", optional=True)),
        _app("api"),
        _app("db"),
        _app("cache"),
    )
    story.knock("web")
    story.wait(2.0)
    assert (
        Awaited("db", Condition.STARTED, 2.0),
        Awaited("api", Condition.HEALTHY, 2.0),
    ) == story.fleet.apps["web"].snapshot(story.now).awaited
    story.come_alive("db")
    assert ["api"] == [one.app for one in story.fleet.apps["web"].snapshot(story.now).awaited]
    story.become_ready("api")

    assert () == story.fleet.apps["web"].snapshot(story.now).awaited
    told = [one for one in story.effects if isinstance(one, Announce) and one.app == "web"]
    assert [
        "woken by GET /",
        "waiting for db to be started, api to be ready",
        "waking db",
        "waking api",
        "found db started",
        "waiting for api to be ready",
        "found api ready",
        "starting generation 1",
    ] == [one.text for one in told]
    assert [("waking-dep", "db"), ("waking-dep", "api"), ("dep-ready", "db"), ("dep-ready", "api")] == [
        (one.kind, one.data["dependency"]) for one in told if "dependency" in one.data
    ]


def test_a_loss_is_told_once_with_its_own_reason() -> None:
    """Up to the visitor of the app at the end of the chain; what did not come is not said to be there."""
    limit = StartLimit(failures=1, cool_off=60.0)
    story = Story(_app("web", "api"), _app("api", "db"), _app("db", start_limit=limit))
    story.knock("web")
    story.exit("db", 3)

    told = [(one.app, one.kind, one.text) for one in story.effects if isinstance(one, Announce)]
    root = story.reason("db")
    assert root.startswith("exited with code 3 before it was ready")
    assert [("api", "lost", f"needs db: {root}"), ("web", "lost", f"needs api: needs db: {root}")] == [
        one for one in told if one[1] == "lost"
    ]
    assert "dep-ready" not in [kind for _, kind, _ in told]
    assert [f"needs api: needs db: {root}"] == [one.refusal.reason.text for one in story.refused()]
    assert () == story.fleet.apps["web"].snapshot(story.now).awaited


def test_a_loss_is_not_what_it_sleeps_for_once_that_has_come() -> None:
    """Whoever looks reads of it until then, and no longer; other reasons to sleep stay."""
    story = Story(
        _app("web", "db"),
        _app("db", start_limit=StartLimit(failures=1, cool_off=60.0)),
    )
    story.knock("web")
    story.exit("db", 3)
    story.wait(60.0)
    assert (Phase.ASLEEP, Phase.ASLEEP) == (story.phase("web"), story.phase("db"))
    assert "needs db: exited with code 3" in story.reason("web")

    story.tell(WakeRequested("db"))
    assert "needs db: exited with code 3" in story.reason("web")
    story.become_ready("db")
    assert story.fleet.apps["web"].instances[0].reason is None

    story.knock("web", 2)
    story.become_ready("web")
    story.tell(SleepRequested("web"))
    story.exit("web")
    story.tell(SleepRequested("db"))
    story.exit("db")
    story.tell(WakeRequested("db"))
    story.become_ready("db")
    assert "put to sleep by the operator" == story.reason("web")


def test_what_sleeps_frozen_waits_for_others_within_the_same_bound() -> None:
    """It is told what it waits for like any other, and sleeps on when that does not come."""
    story = Story(
        _app("web", "db", start_timeout=10.0, wake_timeout=100.0),
        _app("db", start_timeout=60.0, restart=Restart.ALWAYS),
    )
    story.knock("web")
    story.become_ready("db")
    story.become_ready("web")
    web = story.fleet.apps["web"]
    assert web.instances[0].upstream is not None
    web.instances[0].upstream.inflight = 0
    story.tell(SleepRequested("web", Tier.PAUSE))
    story.tell_of(Froze(InstanceId("web"), 1, Tier.PAUSE, 0, 0))
    story.tell(SleepRequested("db"))
    story.exit("db")

    story.knock("web", 2)
    snapshot = web.snapshot(story.now)
    assert (Phase.FROZEN, ("db",), 70.0) == (
        snapshot.phase,
        tuple(one.app for one in snapshot.awaited),
        snapshot.gives_up_in,
    )
    story.wait(59.0)
    story.exit("db", 1)
    story.wait(1.0)

    assert ["gave up after 1m of waiting for db to be ready"] == [
        one.refusal.reason.text for one in story.refused()
    ]
    snapshot = web.snapshot(story.now)
    assert (Phase.FROZEN, (), None) == (snapshot.phase, snapshot.awaited, snapshot.gives_up_in)


def test_what_is_held_does_not_sleep() -> None:
    """A dependency outlives its own idle timeout, and the timeout begins when it is let go."""
    story = Story(_app("web", "db", idle_timeout=100.0), _app("db", idle_timeout=10.0))
    story.knock("web")
    story.become_ready("db")
    story.become_ready("web")
    upstream = story.fleet.apps["web"].instances[0].upstream
    assert upstream is not None
    upstream.inflight -= 1

    story.wait(99.0)
    assert Phase.READY is story.phase("db")
    story.wait(1.5)
    assert ["web"] == story.stopped()
    story.exit("web")
    story.wait(9.0)
    assert Phase.READY is story.phase("db")
    story.wait(1.5)

    assert ["web", "db"] == story.stopped()


def test_started_is_enough_where_it_says_so() -> None:
    """The condition `started` waits for life, not for readiness."""
    story = Story(_app("web", Dependency("db", Condition.STARTED)), _app("db"))

    story.knock("web")
    story.come_alive("db")

    assert ["db", "web"] == story.started()


def test_a_migration_runs_to_its_end_first_and_once() -> None:
    """`completed_successfully` waits for exit code 0; the next wake does not repeat it."""
    story = Story(_app("web", Dependency("migrate", Condition.COMPLETED_SUCCESSFULLY)), _app("migrate"))
    story.knock("web")
    story.become_ready("migrate")
    assert ["migrate"] == story.started()

    story.exit("migrate", 0)
    assert ["migrate", "web"] == story.started()
    story.become_ready("web")
    story.exit("web", 0)
    story.knock("web", 2)

    assert ["migrate", "web", "web"] == story.started()


def test_an_optional_dependency_is_neither_awaited_nor_missed() -> None:
    """It is woken along, and its dependent starts at once."""
    story = Story(_app("web", Dependency("cache", optional=True)), _app("cache"))

    story.knock("web")

    assert {"cache", "web"} == set(story.started())


def test_what_is_only_optional_may_be_stopped() -> None:
    """It is kept awake, and an operator who stops it or puts it to sleep meets no objection."""
    story = Story(
        _app("web", Dependency("cache", optional=True), always_on=True), _app("cache", idle_timeout=5.0)
    )
    for name in ("cache", "web"):
        story.become_ready(name)
    story.wait(100.0)
    assert Phase.READY is story.phase("cache")

    story.tell(SleepRequested("cache"))

    assert ["cache"] == story.stopped()


def test_sleep_has_no_force_to_offer() -> None:
    """Who wants to put to sleep what others need is not told to stop it by force."""
    story = Story(_app("web", "db", always_on=True), _app("db"))
    story.become_ready("db")

    found = objection(story.fleet.apps["db"], SleepRequested("db"), story.now)

    assert ("db is needed by web", "they have to sleep or be stopped first") == found


def test_a_roll_ends_at_what_will_not_come() -> None:
    """A replica that is blocked by a loss is not waited for."""
    spec = replace(_app("web", "db"), replicas=2)
    story = Story(spec, _app("db"))
    story.knock("web")
    story.become_ready("db")
    for number in (0, 1):
        story.tell_of(Started(InstanceId("web", number), 1, Endpoint("127.0.0.1", 1), 7))
        story.tell_of(BecameReady(InstanceId("web", number), 1))
    web = story.fleet.apps["web"]
    assert web.instances[0].upstream is not None
    web.instances[0].upstream.inflight = 0
    story.tell(StopRequested("db", force=True))

    story.tell(RestartRequested("web", rolling=True))
    story.exit("web")

    assert web.settled
    assert "needs db: stopped by the operator" == story.reason("web")
    assert Phase.READY is web.instances[1].phase


def test_a_failed_root_is_told_to_whoever_waits() -> None:
    """The reason of the root reaches the client of the app at the other end."""
    limit = StartLimit(failures=1, cool_off=60.0)
    story = Story(_app("web", "db"), AppSpec("db", Lifecycle(start_limit=limit)))
    story.knock("web")
    story.come_alive("db")

    story.exit("db", 3)

    refusal = story.refused()[0].refusal
    assert Cause.DEPENDENCY is refusal.reason.cause
    assert "needs db: exited with code 3" in refusal.reason.text
    assert Phase.ASLEEP is story.phase("web")


def test_what_must_run_recovers_with_its_root() -> None:
    """An always-on dependent stays blocked with the reason, and starts when the root is back."""
    limit = StartLimit(failures=1, cool_off=60.0)
    story = Story(_app("worker", "db", always_on=True), AppSpec("db", Lifecycle(start_limit=limit)))
    story.come_alive("db")
    story.exit("db", 3)
    assert Phase.BLOCKED is story.phase("worker")

    story.wait(61.0)
    story.become_ready("db")

    assert ["db", "db", "worker"] == story.started()


def test_a_chain_recovers_with_its_root() -> None:
    """What is needed waits with those who need it, on demand or not, and starts when its own root is back."""
    down = {"db": AppMemory(want=Want.DOWN)}
    story = Story(_app("worker", "api", always_on=True), _app("api", "db"), _app("db"), memory=down)
    assert [Phase.BLOCKED] * 2 == [story.phase("worker"), story.phase("api")]
    assert "needs api: needs db: stopped by the operator" == story.reason("worker")

    story.tell(StartRequested("db"))
    assert "waiting for api to be ready" == story.reason("worker")
    for name in ("db", "api", "worker"):
        story.become_ready(name)

    assert ["db", "api", "worker"] == story.started()


def test_a_chain_refuses_at_once_and_lets_go() -> None:
    """The client at its end learns of the root, and when to come back; nobody holds anything afterwards."""
    limit = StartLimit(failures=1, cool_off=60.0)
    story = Story(_app("web", "api"), _app("api", "db"), _app("db", start_limit=limit))
    story.knock("web")
    story.come_alive("db")

    story.exit("db", 3)
    story.wait(20.0)
    story.knock("web", 2)

    assert all(
        "needs api: needs db: exited with code 3" in str(one.refusal.reason) for one in story.refused()
    )
    assert [60.0, 40.0] == [one.refusal.retry_after for one in story.refused()]
    assert [Phase.ASLEEP] * 2 == [story.phase("web"), story.phase("api")]


def test_who_comes_while_it_is_blocked_is_refused_at_once() -> None:
    """Neither a request nor a wake waits for what will not come."""
    down = {"db": AppMemory(want=Want.DOWN)}
    story = Story(_app("worker", "db", always_on=True), _app("db"), memory=down)

    story.knock("worker")
    found = objection(story.fleet.apps["worker"], WakeRequested("worker"), story.now)

    assert ["needs db: stopped by the operator"] == [str(one.refusal.reason) for one in story.refused()]
    assert found == (
        "worker will not wake: needs db: stopped by the operator",
        "`torpor start db` first",
    )


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        (Condition.COMPLETED_SUCCESSFULLY, 1),
        (Condition.HEALTHY, 0),
    ],
)
def test_an_end_that_was_not_the_awaited_one_is_told(condition: Condition, code: int) -> None:
    """What ended by itself and is not restarted will not come; whoever waits for more learns so at once."""
    once = _app("once", restart=Restart.NO)
    story = Story(_app("web", Dependency("once", condition), "db"), once, _app("db"))
    story.knock("web")
    story.become_ready("once")

    story.exit("once", code)

    assert [f"needs once: exited with code {code}"] == [str(one.refusal.reason) for one in story.refused()]
    assert [None] == [one.refusal.retry_after for one in story.refused()]
    story.knock("web", 2)
    assert 2 == story.started().count("once")


def test_what_must_run_recovers_when_a_one_shot_is_repeated() -> None:
    """An always-on dependent of a migration that failed stays blocked until the migration has succeeded."""
    migrated = Dependency("migrate", Condition.COMPLETED_SUCCESSFULLY)
    story = Story(_app("api", migrated, always_on=True), _app("migrate", restart=Restart.NO))
    story.become_ready("migrate")
    story.exit("migrate", 1)
    story.wait(300.0)
    assert (Phase.BLOCKED, "needs migrate: exited with code 1") == (story.phase("api"), story.reason("api"))

    story.tell(StartRequested("migrate"))
    story.become_ready("migrate")
    story.exit("migrate", 0)

    assert ["migrate", "migrate", "api"] == story.started()


def test_another_who_needs_what_has_ended_tries_it_again() -> None:
    """A dependent that comes later is not told of an end that its own coming undoes."""
    migrated = Dependency("migrate", Condition.COMPLETED_SUCCESSFULLY)
    story = Story(
        _app("api", migrated, always_on=True), _app("web", migrated), _app("migrate", restart=Restart.NO)
    )
    story.become_ready("migrate")
    story.exit("migrate", 1)

    story.knock("web")
    assert [] == story.refused()
    story.become_ready("migrate")
    story.exit("migrate", 0)

    assert {"migrate", "api", "web"} == set(story.started())


def test_what_is_blocked_gets_all_its_replicas() -> None:
    """New replicas wait for the dependency along with the others."""
    story = Story(_app("web", "db", always_on=True), _app("db"))

    story.scale("web", 3)
    story.become_ready("db")

    assert ["db", "web", "web", "web"] == story.started()


def test_replicas_that_are_blocked_refuse_together() -> None:
    """A loss is told to whoever waits for an app of several replicas, and a replica that leaves refuses nobody."""
    spec = replace(_app("web", "db", always_on=True), replicas=2)
    story = Story(spec, _app("db"))
    story.knock("web")
    story.scale("web", 1)
    story.scale("web", 2)
    assert [] == story.refused()

    story.tell(StopRequested("db", force=True))

    assert ["needs db: stopped by the operator"] == [str(one.refusal.reason) for one in story.refused()]


def test_a_replica_that_had_given_up_is_woken_by_the_next_that_is_ready() -> None:
    """Replicas that began to wait at different times give up at different times, but serve together."""
    spec = replace(_app("web", "db", start_timeout=100.0), replicas=2)
    story = Story(spec, _app("db", restart=Restart.ALWAYS, start_timeout=100.0))
    story.knock("web")
    story.become_ready("db")
    first, second = story.fleet.apps["web"].instances
    for instance in (first, second):
        story.tell_of(Started(instance.id, 1, Endpoint("127.0.0.1", 1), 7))
        story.tell_of(BecameReady(instance.id, 1))
    story.exit("db", 1)
    story.tell_of(Exited(second.id, 1, ExitInfo(1)))
    story.wait(30.0)
    story.tell_of(Exited(first.id, 1, ExitInfo(1)))
    story.wait(80.0)
    assert [Phase.BLOCKED, Phase.ASLEEP] == [first.phase, second.phase]

    story.exit("db", 1)
    story.wait(1.5)
    story.become_ready("db")
    story.become_ready("web")

    assert [Phase.READY, Phase.STARTING] == [first.phase, second.phase]


def test_the_first_retry_of_several_replicas_counts() -> None:
    """Clients are told when the next replica is tried again, not when the first in the list is."""
    limit = StartLimit(failures=1, cool_off=60.0)
    spec = AppSpec("db", Lifecycle(always_on=True, start_limit=limit), replicas=2)
    story = Story(_app("web", "db"), spec)
    second = InstanceId("db", 1)
    story.tell_of(StartRefused(second, 1, "no such program"))
    story.wait(20.0)
    story.tell_of(StartRefused(InstanceId("db"), 1, "no such program"))

    story.knock("db")
    story.knock("web", 2)

    assert [40.0, 40.0] == [one.refusal.retry_after for one in story.refused()]


def test_a_dependency_that_is_down_refuses_at_once() -> None:
    """Nobody waits for what an operator has stopped."""
    story = Story(_app("web", "db"), _app("db"))
    story.tell(StopRequested("db"))

    story.knock("web")

    assert "needs db: stopped by the operator" == story.refused()[0].refusal.reason.text


def test_what_others_hold_is_stopped_by_force_only() -> None:
    """The objection names the holders; with force it is stopped all the same."""
    story = Story(_app("web", "db"), _app("db"))
    story.knock("web")
    story.become_ready("db")
    story.become_ready("web")

    found = objection(story.fleet.apps["db"], StopRequested("db"), story.now)
    assert found is not None
    assert "db is needed by web" == found[0]
    story.tell(StopRequested("db"))
    assert [] == story.stopped()
    story.tell(StopRequested("db", force=True))

    assert ["db"] == story.stopped()


def test_a_fleet_is_beyond_reach_when_all_that_is_to_end_are() -> None:
    """Whoever still may end is waited for; what those need that cannot goes on, and is not."""
    story = Story(_app("far", "db"), _app("other"), _app("db"))
    story.knock("far")
    for name in ("db", "far"):
        story.become_ready(name)
    story.knock("other")
    story.become_ready("other")
    assert not story.fleet.beyond_reach(story.now)
    story.tell(ShutdownRequested())
    story.wait(60.0)

    for name in ("far", "other"):
        assert not story.fleet.beyond_reach(story.now)
        story.tell_of(StopProblem(InstanceId(name), 1, "its host is away"))
    assert story.fleet.beyond_reach(story.now)
    assert Phase.READY is story.phase("db")


def test_shutdown_goes_from_the_top_down() -> None:
    """A dependency is told to end only after its dependents are gone."""
    story = Story(_app("web", "api"), _app("api", "db"), _app("db"))
    story.knock("web")
    for name in ("db", "api", "web"):
        story.become_ready(name)
    for app in story.fleet.apps.values():
        upstream = app.instances[0].upstream
        if upstream is not None:
            upstream.inflight = 0

    story.tell(ShutdownRequested())
    assert ["web"] == story.stopped()
    story.exit("web")
    assert ["web", "api"] == story.stopped()
    story.exit("api")
    story.exit("db")

    assert ["web", "api", "db"] == story.stopped()
    assert not story.fleet.alive
