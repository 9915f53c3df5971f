"""Histories of apps that need each other."""

from __future__ import annotations

from torpor.core.fleet import Fleet
from torpor.core.messages import (
    BecameReady,
    Effect,
    Exited,
    GrantTicket,
    RefuseTicket,
    RequestArrived,
    ShutdownRequested,
    SleepRequested,
    Started,
    StartInstance,
    StartRequested,
    StopInstance,
    StopRequested,
)
from torpor.core.model import (
    AppSpec,
    Cause,
    Condition,
    Dependency,
    Endpoint,
    ExitInfo,
    InstanceId,
    Lifecycle,
    Phase,
    StartLimit,
)


class Story:
    """A fleet, a clock in the teller's hand, and everything that was to be done so far."""

    def __init__(self, *specs: AppSpec) -> None:
        self.now = 0.0
        self.fleet = Fleet(specs, {}, self.now)
        self.effects: list[Effect] = self.fleet.boot(self.now)

    def knock(self, name: str, ticket: int = 1) -> None:
        self._take(self.fleet.handle(RequestArrived(name, ticket, "GET /"), self.now))

    def tell(self, message: StopRequested | StartRequested | SleepRequested | ShutdownRequested) -> None:
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

    objection = story.fleet.apps["db"].objection(StopRequested("db"), story.now)
    assert objection is not None
    assert "db is needed by web" == objection[0]
    story.tell(StopRequested("db"))
    assert [] == story.stopped()
    story.tell(StopRequested("db", force=True))

    assert ["db"] == story.stopped()


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
