"""Apps that go with others: who is taken along, who stays awake with whom, and when all sleep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_fleet import Story
from torpor.core import pressure
from torpor.core.companions import GROUP, Company
from torpor.core.messages import (
    Adopted,
    Announce,
    Answered,
    Applied,
    AskWhetherIdle,
    Froze,
    PinRequested,
    SleepRequested,
    StopRequested,
    Thawed,
    ThawInstance,
    UnpinRequested,
    WakeRequested,
)
from torpor.core.model import (
    AppSpec,
    Condition,
    Dependency,
    Endpoint,
    IdleQuestion,
    InstanceId,
    Lifecycle,
    Phase,
    Restart,
    Tier,
)
from torpor.core.schedule import Hours


def app(name: str, *companions: str, idle: float | None = 60.0, **more: object) -> AppSpec:
    lifecycle = more.pop("lifecycle", Lifecycle(idle_timeout=idle))
    return AppSpec(name, lifecycle, companions=companions, **more)  # type: ignore[arg-type]


def shop(name: str, idle: float = 60.0) -> AppSpec:
    """A member of a group that wakes together."""
    return app(name, f"{GROUP}shop", idle=idle, groups=frozenset({"shop"}))


def awake(*specs: AppSpec) -> Story:
    """A request has woken the first one, and is over; all that it took along are ready."""
    story = Story(*specs)
    story.knock(specs[0].name)
    for name in dict.fromkeys(story.started()):
        story.become_ready(name)
    for instance in story.fleet.apps[specs[0].name].instances:
        assert instance.upstream is not None
        instance.upstream.inflight -= 1
    story.effects.clear()
    return story


def use(story: Story, name: str) -> None:
    """A request comes and is over at once."""
    upstream = story.fleet.apps[name].enter()
    assert upstream is not None
    upstream.inflight -= 1
    upstream.last_active = story.now


def phases(story: Story) -> dict[str, Phase]:
    return {name: one.phase for name, one in story.fleet.apps.items()}


def companions(story: Story, name: str) -> tuple[bool, str, float | None]:
    """The clause about its company."""
    clauses = story.fleet.apps[name].instances.clauses(story.now)
    (found,) = [clause for clause in clauses if clause.name == "companions"]
    return found.keeps_awake, found.text, found.until


# --- who goes with whom ---


def test_who_goes_with_whom_follows_the_whole_way() -> None:
    """Along apps and groups, in circles too, but never to itself nor to names that nobody has."""
    company = Company(
        [
            app("a", "b", "nobody"),
            app("b", "group:g", "group:none"),
            app("c", "a", groups=frozenset({"g"})),
            app("d", groups=frozenset({"g", "h"})),
            app("e", "e"),
        ]
    )

    assert ("b", "c", "d") == company.of("a")
    assert ("a", "c", "d") == company.of("b")
    assert ("a", "b", "c") == company.leaders("d")
    assert () == company.of("d") == company.of("e") == company.of("nobody")
    assert [True, False, False] == [company.leads(name) for name in ("a", "d", "e")]


# --- waking ---


def test_a_request_wakes_all_that_go_with_its_app_and_waits_for_none() -> None:
    """They are started in the same step; the request is answered once its own app is ready."""
    story = Story(app("web", "api", "jobs"), app("api"), app("jobs"), app("other"))

    story.knock("web")

    assert ["web", "api", "jobs"] == story.started()
    assert "woken by web, with which it goes" in [getattr(it, "text", "") for it in story.effects]
    story.become_ready("web")
    assert Phase.READY is story.phase("web")
    assert Phase.STARTING is story.phase("api")


def test_a_company_is_not_turned_round() -> None:
    """Who is a companion takes nobody along unless it says so itself."""
    story = Story(app("web", "api"), app("api"))

    story.knock("api")

    assert ["api"] == story.started()


def test_a_circle_wakes_each_once_from_any_of_its_members() -> None:
    """A wake that is another one's consequence has no consequences of its own."""
    for name in ("a", "b", "c"):
        story = Story(shop("a"), shop("b"), shop("c"))
        story.knock(name)
        assert ["a", "b", "c"] == sorted(story.started())


def test_an_operator_and_a_need_wake_company_as_well() -> None:
    """Whatever the reason is."""
    story = Story(app("db", "cache"), app("cache"), app("web", depends_on=(Dependency("db"),)))
    story.tell(WakeRequested("web"))
    assert ["db", "cache"] == story.started()

    story = Story(app("db", "cache"), app("cache"))
    story.tell(WakeRequested("db"))
    assert ["db", "cache"] == story.started()


def test_a_companion_has_what_it_needs_woken_too() -> None:
    """It is woken as by any request."""
    story = Story(app("web", "api"), app("api", depends_on=(Dependency("db"),)), app("db"))

    story.knock("web")

    assert ["web", "db"] == story.started()
    assert Phase.BLOCKED is story.phase("api")


@pytest.mark.parametrize("order", [("seed", "web"), ("web", "seed")])
@pytest.mark.parametrize("leader", ["seed", "front"])
def test_what_wakes_again_is_not_complete_for_who_wakes_along(leader: str, order: tuple[str, str]) -> None:
    """It is waited for until it has ended once more, whichever of them is woken first."""
    seed = app("seed", "web", lifecycle=Lifecycle(restart=Restart.NO))
    needs = Dependency("seed", Condition.COMPLETED), Dependency("db", Condition.HEALTHY)
    apps = {"seed": seed, "web": app("web", depends_on=needs)}
    story = Story(*(apps[name] for name in order), app("db"), app("front", *order))
    story.knock("seed")
    story.tell(SleepRequested("web"))
    story.become_ready("seed")
    story.exit("seed")
    story.effects.clear()

    story.knock(leader)

    assert "web" not in story.started()
    assert Phase.BLOCKED is story.phase("web")
    awaited = story.fleet.apps["web"].snapshot(story.now).awaited
    assert ["db", "seed"] == sorted(one.app for one in awaited)


def test_who_may_not_wake_is_left_alone() -> None:
    """Down, out of its hours: the others wake all the same, and whoever goes with those, too."""
    story = Story(app("web", "api", "jobs"), app("api", "cache"), app("jobs"), app("cache"))
    story.tell(StopRequested("api"))
    story.fleet.apps["jobs"].hours = Hours(closed="it runs only by night")

    story.knock("web")

    assert ["web", "cache"] == story.started()


def test_who_is_woken_in_vain_is_woken_once() -> None:
    """Not again by each of those that wake along."""
    needy = replace(shop("c"), depends_on=(Dependency("db"),))
    story = Story(shop("a"), shop("b"), needy, shop("d"), app("db"))
    story.tell(StopRequested("db"))
    story.effects.clear()

    story.knock("a")

    said = [it.app for it in story.effects if isinstance(it, Announce) and it.kind == "waking"]
    assert ["a", "b", "c", "d"] == sorted(said)
    assert Phase.ASLEEP is story.phase("c")


def test_who_is_awake_already_has_not_been_used() -> None:
    """A wake of its leader is no use of it: both sleep when the leader is idle for long enough."""
    story = awake(app("api"), app("web", "api", idle=10.0))
    story.wait(30.0)

    story.knock("web")

    assert 0.0 == story.fleet.apps["api"].instances[0].last_active()


def test_what_is_frozen_goes_on() -> None:
    """A companion that sleeps less deep is only thawed."""
    story = awake(app("web", "api"), app("api", lifecycle=Lifecycle(idle_timeout=60.0, tier=Tier.PAUSE)))
    story.wait(60.0)
    story.tell_of(Froze(InstanceId("api"), 1, Tier.PAUSE, 1, 1))
    assert Phase.FROZEN is story.phase("api")
    story.exit("web")
    story.effects.clear()

    story.knock("web")

    assert ["api"] == [it.id.app for it in story.effects if isinstance(it, ThawInstance)]


def test_a_companion_that_needs_what_is_thawed_does_not_wait_for_it() -> None:
    """It goes on in this very step, whichever of them is taken along first."""
    need = (Dependency("db", Condition.STARTED),)
    frozen = app("db", lifecycle=Lifecycle(tier=Tier.PAUSE))
    for specs in ((app("api", depends_on=need), frozen), (frozen, app("api", depends_on=need))):
        story = awake(app("web", "api", "db"), *specs)
        for name in ("web", "api"):
            if Phase.READY is not story.phase(name):
                story.become_ready(name)
            story.tell(SleepRequested(name))
            story.exit(name)
        story.tell(SleepRequested("db"))
        story.tell_of(Froze(InstanceId("db"), 1, Tier.PAUSE, 1, 1))
        assert Phase.FROZEN is story.phase("db")
        story.effects.clear()

        story.knock("web")

        assert ["api", "web"] == sorted(story.started())
        assert () == story.fleet.apps["api"].snapshot(story.now).awaited


def test_others_who_let_it_go_on_wake_its_company() -> None:
    """A guest has doors besides ours."""
    story = awake(app("web", "api", guest=True, lifecycle=Lifecycle(tier=Tier.PAUSE)), app("api"))
    story.tell(SleepRequested("web"))
    story.tell(SleepRequested("api"))
    story.exit("api")
    story.tell_of(Froze(InstanceId("web"), 1, Tier.PAUSE, 1, 1))
    story.effects.clear()

    story.tell_of(Thawed(InstanceId("web"), 1))

    assert ["api"] == story.started()


def test_only_a_wake_takes_along_and_not_each_request() -> None:
    """Who was put to sleep while its leader is in use sleeps on; the next wake takes it along again."""
    story = awake(app("web", "api"), app("api"))
    story.tell(SleepRequested("api"))
    story.exit("api")
    use(story, "web")
    story.knock("web", 2)
    assert Phase.ASLEEP is story.phase("api")

    story.tell(SleepRequested("web"))
    story.exit("web")
    story.knock("web", 3)

    assert Phase.STARTING is story.phase("api")


def test_a_crash_and_its_retry_are_no_wake() -> None:
    """It was to be awake all the time."""
    story = awake(app("web", "api"), app("api"))
    story.tell(SleepRequested("api"))
    story.exit("api")
    story.exit("web", 3)
    assert Phase.BACKOFF is story.phase("web")

    story.wait(5.0)

    assert Phase.STARTING is story.phase("web")
    assert Phase.ASLEEP is story.phase("api")


def test_what_the_daemon_before_left_alive_is_no_wake() -> None:
    """A companion may be about to be taken on as well: started by then, it would live twice."""
    story = Story()
    story.fleet = type(story.fleet)([shop("a"), shop("b")], {}, 0.0)
    for name in ("a", "b"):
        story.tell_of(Adopted(InstanceId(name), 4, Endpoint("127.0.0.1", 1), 7, 100.0))
    story._take(story.fleet.boot(0.0))

    assert [] == story.started()
    assert {"a": Phase.STARTING, "b": Phase.STARTING} == phases(story)


def test_what_is_always_on_takes_its_company_along_at_boot() -> None:
    """And keeps it awake for good."""
    story = Story(app("web", "api", lifecycle=Lifecycle(always_on=True)), app("api"))
    assert ["web", "api"] == story.started()
    story.become_ready("web")
    story.become_ready("api")

    story.wait(10_000.0)

    assert Phase.READY is story.phase("api")
    assert (True, "with web", None) == companions(story, "api")


# --- staying awake ---


def test_use_of_one_keeps_its_company_awake_and_they_fall_asleep_together() -> None:
    """In the very step in which the last one is idle for long enough."""
    story = awake(shop("a"), shop("b"), shop("c"))
    story.wait(50.0)
    use(story, "b")
    assert (True, "with a, b", 110.0) == companions(story, "c")

    story.wait(59.0)
    assert {Phase.READY} == set(phases(story).values())
    story.wait(1.0)
    assert {Phase.STOPPING} == set(phases(story).values())


def test_company_of_which_each_has_its_own_idle_time_waits_for_the_longest() -> None:
    """A leader keeps awake as long as it would be itself, a companion keeps nobody awake."""
    story = awake(app("web", "api", idle=600.0), app("api", idle=10.0))
    story.wait(599.0)
    assert {"web": Phase.READY, "api": Phase.READY} == phases(story)
    story.wait(1.0)
    assert {"web": Phase.STOPPING, "api": Phase.STOPPING} == phases(story)

    story = awake(app("web", "api", idle=10.0), app("api", idle=600.0))
    story.wait(10.0)
    assert {"web": Phase.STOPPING, "api": Phase.READY} == phases(story)


def test_a_request_in_flight_keeps_the_company_awake() -> None:
    """However long it takes; nobody is asked about it on its way."""
    story = awake(shop("a"), shop("b"))
    upstream = story.fleet.apps["a"].enter()
    assert upstream is not None

    story.wait(5_000.0)
    assert {Phase.READY} == set(phases(story).values())
    upstream.inflight, upstream.last_active = 0, story.now
    story.wait(120.0)
    assert {Phase.STOPPING} == set(phases(story).values())


def test_a_leader_that_wakes_keeps_its_company_awake() -> None:
    """Who has come first does not leave before the other one is there."""
    story = Story(app("web", "api", lifecycle=Lifecycle(start_timeout=None)), app("api", idle=5.0))
    story.knock("web")
    story.become_ready("api")

    story.wait(1_000.0)

    assert {"web": Phase.STARTING, "api": Phase.READY} == phases(story)


def test_who_is_put_to_sleep_or_crashes_for_good_keeps_nobody_awake() -> None:
    """They may sleep at once."""
    for wish in (SleepRequested("web"), StopRequested("web")):
        story = awake(app("web", "api"), app("api", idle=10.0))
        story.wait(30.0)
        assert Phase.READY is story.phase("api")

        story.tell(wish)
        story.wait(0.0)

        assert Phase.STOPPING is story.phase("api")


def test_a_pin_keeps_the_company_awake_until_it_is_over() -> None:
    """Grounds that end without a deadline are told by the sleep that follows."""
    story = awake(shop("a"), shop("b"))
    story.tell(PinRequested("a"))
    story.wait(1_000.0)
    assert (True, "with a", None) == companions(story, "b")

    story.tell(UnpinRequested("a"))
    story.wait(0.0)

    assert {Phase.STOPPING} == set(phases(story).values())


def test_an_operator_puts_a_companion_to_sleep() -> None:
    """Company is no need: nobody is in the way of that."""
    story = awake(app("web", "api"), app("api"))

    story.tell(SleepRequested("api"))

    assert {"web": Phase.READY, "api": Phase.STOPPING} == phases(story)


def test_two_that_are_asked_whether_they_are_at_work_do_not_wait_for_each_other() -> None:
    """Each is asked; as long as one is at work, both stay awake."""
    asks = Lifecycle(idle_timeout=60.0, question=IdleQuestion(cpu_below=0.1))
    specs = [replace(shop(name), lifecycle=asks) for name in ("a", "b")]
    story = awake(*specs)
    story.wait(60.0)
    assert ["a"] == [it.id.app for it in story.effects if isinstance(it, AskWhetherIdle)]
    story.tell_of(Answered(InstanceId("a"), 1, keeps_awake=True, text="at work"))
    story.wait(59.0)
    assert {Phase.READY} == set(phases(story).values())

    for name in ("a", "b", "a", "b"):
        story.wait(60.0)
        if Phase.READY is story.phase(name):
            story.tell_of(Answered(InstanceId(name), 1, keeps_awake=False, text="idle"))
    story.wait(1.0)

    assert {Phase.STOPPING} == set(phases(story).values())


def test_a_companion_is_as_busy_as_those_it_goes_with() -> None:
    """It would be the first to be put to sleep for others: nobody ever asks it anything by us."""
    story = awake(app("web", "api"), app("api"))
    story.now = 50.0
    upstream = story.fleet.apps["web"].enter()
    assert upstream is not None

    it = pressure.candidate(story.fleet.apps["api"], 100, story.now, swap_free=0)
    assert (True, 0.0, "busy: 1 in flight") == (it.busy, it.idle, it.spared)

    upstream.inflight, upstream.last_active = 0, story.now
    it = pressure.candidate(story.fleet.apps["api"], 100, story.now + 3.0, swap_free=0)
    assert (False, 3.0) == (it.busy, it.idle)


def test_a_companion_that_is_frozen_is_not_busy() -> None:
    """An operator has put it to sleep: it serves nobody, and may sleep deeper."""
    lifecycle = Lifecycle(tier=Tier.PAUSE, drain_timeout=0.0)
    story = awake(app("web", "api"), app("api", lifecycle=lifecycle))
    assert story.fleet.apps["web"].enter() is not None
    story.tell(SleepRequested("api"))
    story.tell_of(Froze(InstanceId("api"), 1, Tier.PAUSE, 300, 300))

    it = pressure.candidate(story.fleet.apps["api"], 100, story.now, swap_free=0)

    assert (Tier.PAUSE, False, None) == (it.tier, it.busy, it.spared)


# --- another configuration ---


def test_another_company_holds_at_once() -> None:
    """Who is let go of may sleep; who is new stays awake with its leader."""
    others = app("api", idle=20.0), app("jobs", idle=20.0)
    story = awake(app("web", "api"), *others)
    story.tell(WakeRequested("jobs"))
    story.become_ready("jobs")
    story.wait(15.0)

    story._take(story.fleet.handle(Applied((app("web", "jobs"), *others)), story.now))
    story.wait(10.0)

    assert {"web": Phase.READY, "api": Phase.STOPPING, "jobs": Phase.READY} == phases(story)


def test_a_leader_that_is_removed_keeps_nobody_awake() -> None:
    """And a companion that is removed is missed by nobody."""
    story = awake(app("web", "api"), app("api", idle=10.0))
    story.wait(30.0)

    story._take(story.fleet.handle(Applied((app("api", idle=10.0),)), story.now))
    story.wait(0.0)

    assert Phase.STOPPING is story.phase("api")


def test_a_companion_that_is_removed_is_not_woken() -> None:
    """Its name leads nowhere from then on."""
    story = awake(app("web", "api"), app("api"))
    story._take(story.fleet.handle(Applied((app("web", "api"),)), story.now))
    story.exit("api")
    story.tell(SleepRequested("web"))
    story.exit("web")
    story.effects.clear()

    story.knock("web")

    assert ["web"] == story.started()
