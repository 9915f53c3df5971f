"""Histories of one app: what happened, and what was to be done about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.story import ID, Story
from torpor.core.instance import Instance
from torpor.core.messages import (
    Adopted,
    Announce,
    BecameReady,
    ClientLeft,
    CloseSocket,
    CloseUpgraded,
    ConnectRefused,
    DropStored,
    DropUpstream,
    EndAnnounced,
    Exited,
    ForgetInstance,
    FoundUnhealthy,
    Gone,
    InstanceInput,
    KillInstance,
    PageRequested,
    Pinged,
    ProbeInstance,
    Reboot,
    RestartRequested,
    ScaleRequested,
    SleepRequested,
    Started,
    StartInstance,
    StartRefused,
    StartRequested,
    StatusChanged,
    StopInstance,
    StopProblem,
    StopRequested,
    TimeExtended,
    Tracked,
    WakeRequested,
    WatchdogChanged,
    WatchdogTriggered,
    WatchInstance,
)
from torpor.core.model import (
    AppMemory,
    Backoff,
    Cause,
    Endpoint,
    ExitInfo,
    InstanceId,
    Lifecycle,
    OnStartTimeout,
    OnWatchdog,
    Phase,
    Restart,
    Route,
    StartLimit,
    Want,
)
from torpor.core.objections import objection


def test_many_requests_cause_one_start() -> None:
    """However many knock, one generation is started and all are granted in order."""
    story = Story()

    for ticket in range(500):
        story.arrive(ticket)
    story.become_ready()

    assert [StartInstance(ID, 1)] == story.all(StartInstance)
    assert list(range(500)) == [grant.ticket for grant in story.granted()]
    assert 500 == story.granted()[0].upstream.inflight


def test_a_client_that_leaves_does_not_cancel_the_wake() -> None:
    """The wake goes on for whoever comes next."""
    story = Story()
    story.arrive(1)

    story.tell(ClientLeft("app", 1))
    story.become_ready()

    assert Phase.READY is story.phase()
    assert [] == story.granted()


def test_a_page_wakes_and_holds_nobody() -> None:
    """A browser that got the waiting page causes a start but is no ticket."""
    story = Story()

    story.tell(PageRequested("app", "GET / from a browser"))

    assert [StartInstance(ID, 1)] == story.all(StartInstance)
    assert 0 == story.app.snapshot(story.now).waiting


def test_an_idle_app_goes_to_sleep_after_its_last_response() -> None:
    """The idle timeout runs from the end of the last response, not from its start."""
    story = Story(Lifecycle(idle_timeout=60.0)).awake()
    upstream = story.enter()
    story.wait(500.0)
    assert Phase.READY is story.phase()

    story.leave(upstream)
    story.wait(59.0)
    assert Phase.READY is story.phase()
    story.wait(1.5)

    assert Phase.STOPPING is story.phase()
    assert [StopInstance(ID, 1)] == story.all(StopInstance)
    story.exit(signal=15)
    assert Phase.ASLEEP is story.phase()
    assert 1 == len(story.all(DropUpstream))


def test_touch_keeps_it_awake() -> None:
    """Activity on a parked connection moves the idle deadline."""
    story = Story(Lifecycle(idle_timeout=60.0)).awake()
    upstream = story.enter()
    upstream.parked += 1
    story.leave(upstream)

    story.wait(50.0)
    upstream.last_active = story.now
    story.wait(55.0)

    assert Phase.READY is story.phase()


def test_being_tracked_keeps_it_awake() -> None:
    """Use past the gateway moves the idle deadline of every replica, though it has none of them counted."""
    story = Story(Lifecycle(idle_timeout=60.0)).awake()

    story.wait(50.0)
    story.tell(Tracked("app"))
    story.wait(55.0)
    assert Phase.READY is story.phase()
    story.wait(5.5)

    assert Phase.STOPPING is story.phase()


def test_an_app_without_a_port_is_tracked() -> None:
    """What no request can reach has an idle clock as well."""
    story = Story(Lifecycle(idle_timeout=60.0))
    story.tell(WakeRequested("app"), Started(ID, 1, None, 7), BecameReady(ID, 1))

    story.wait(50.0)
    story.tell(Tracked("app"))
    story.wait(55.0)

    assert Phase.READY is story.phase()


def test_being_tracked_wakes_nothing() -> None:
    """An app that sleeps goes on sleeping, and its next wake has a whole idle timeout."""
    story = Story(Lifecycle(idle_timeout=60.0))

    story.tell(Tracked("app"))

    assert Phase.ASLEEP is story.phase()
    assert [] == story.effects
    story.wait(100.0)
    story.awake()
    story.wait(59.0)
    assert Phase.READY is story.phase()


def test_parked_connections_are_closed_before_the_stop() -> None:
    """The stop signal waits until they have said good-bye, or the drain limit."""
    story = Story(Lifecycle(idle_timeout=60.0, drain_timeout=5.0)).awake()
    upstream = story.enter()
    upstream.parked += 1
    story.leave(upstream)

    story.wait(61.0)
    assert Phase.DRAINING is story.phase()
    assert [CloseUpgraded(upstream)] == story.all(CloseUpgraded)
    assert [] == story.all(StopInstance)
    story.wait(5.0)

    assert Phase.STOPPING is story.phase()


def test_a_request_while_draining_for_idleness_finds_it_ready() -> None:
    """Sleep is called off as long as no stop signal was sent."""
    story = Story(Lifecycle(idle_timeout=60.0)).awake()
    upstream = story.enter()
    upstream.parked += 1
    story.leave(upstream)
    story.wait(61.0)

    story.arrive(2)

    assert Phase.READY is story.phase()
    assert [2] == [grant.ticket for grant in story.granted()]


def test_a_request_while_stopping_gets_the_next_generation() -> None:
    """It waits until nothing of the old one is alive, then a new one is started for it."""
    story = Story(Lifecycle(idle_timeout=60.0)).awake()
    story.wait(61.0)

    story.arrive(2)
    assert [] == story.all(StartInstance)
    story.exit(signal=15)
    assert [StartInstance(ID, 2)] == story.all(StartInstance)
    story.become_ready()

    assert 2 == story.granted()[0].upstream.generation


def test_an_end_that_could_not_be_asked_for_is_known_until_it_is_asked_for_again() -> None:
    """It is beyond reach once its kill was not heard either, and for no longer than that is so."""
    story = Story(Lifecycle(stop_timeout=10.0)).awake()
    instance = story.app.instances[0]
    story.tell(SleepRequested("app"))

    story.tell(StopProblem(ID, 1, "its host is away"))
    assert ("its host is away", False) == (instance.unheard, instance.beyond_reach(story.now))
    story.wait(10.0)
    assert [KillInstance(ID, 1)] == story.all(KillInstance)
    assert instance.unheard is None
    story.tell(StopProblem(ID, 1, "its host is away"))
    assert instance.beyond_reach(story.now)
    assert "its host is away" == story.app.snapshot(story.now).instances[0].unheard

    story.exit(signal=9)
    assert (Phase.ASLEEP, None) == (story.phase(), instance.unheard)


def test_an_exit_while_starting_fails_all_waiters_at_once() -> None:
    """Nobody waits for the timeout when it is known that the start failed."""
    story = Story()
    story.arrive(1)
    story.arrive(2)
    story.come_alive()

    story.exit(3)

    assert [1, 2] == [refused.ticket for refused in story.refused()]
    refusal = story.refused()[0].refusal
    assert Cause.START_FAILED is refusal.reason.cause
    assert "exited with code 3" in refusal.reason.text
    assert refusal.retry_after is not None
    assert Phase.BACKOFF is story.phase()


def test_the_next_request_after_a_failed_start_waits_for_the_backoff() -> None:
    """It is held, and starts the next generation when the backoff is over."""
    story = Story()
    story.arrive(1)
    story.come_alive()
    story.exit(3)

    story.arrive(2)
    assert [1] == [refused.ticket for refused in story.refused()]
    story.wait(0.6)

    assert StartInstance(ID, 2) in story.effects


def test_without_a_request_a_failed_start_is_not_repeated() -> None:
    """An on-demand app that nobody wants goes back to sleep."""
    story = Story()
    story.arrive(1)
    story.come_alive()
    story.exit(3)

    story.wait(5.0)

    assert Phase.ASLEEP is story.phase()
    assert [StartInstance(ID, 1)] == story.all(StartInstance)


def test_a_start_that_cannot_begin_is_a_failed_start() -> None:
    """The provider's words reach the client."""
    story = Story()
    story.arrive(1)

    story.tell(StartRefused(ID, 1, "no such program: streamlit"))

    reason = story.refused()[0].refusal.reason
    assert ("could not be started", "no such program: streamlit") == (reason.text, reason.detail)


def test_a_start_that_takes_too_long_is_ended() -> None:
    """After start_timeout whoever waits is refused, and the instance is stopped, then killed."""
    story = Story(Lifecycle(start_timeout=20.0, wake_timeout=60.0, stop_timeout=10.0))
    story.arrive(1)
    story.come_alive()

    story.wait(21.0)
    assert Cause.START_TIMEOUT is story.refused()[0].refusal.reason.cause
    assert [StopInstance(ID, 1)] == story.all(StopInstance)
    story.wait(12.5)

    assert [KillInstance(ID, 1)] * 2 == story.all(KillInstance)

    story.effects.clear()
    story.wait(600.0)
    assert 12 <= len(story.all(KillInstance)) <= 16, "ever more seldom, and at least once a minute"


def test_a_request_waits_no_longer_than_wake_timeout() -> None:
    """It is refused with the truth; the start goes on for the next one."""
    story = Story(Lifecycle(wake_timeout=30.0, start_timeout=120.0))
    story.arrive(1)
    story.come_alive()

    story.wait(30.0)

    assert Cause.WAKE_TIMEOUT is story.refused()[0].refusal.reason.cause
    assert Phase.STARTING is story.phase()


def test_a_full_waiting_room_refuses_one_more() -> None:
    """The bound on waiting requests holds; those inside keep their place."""
    story = Story(Lifecycle(max_waiting=2))

    for ticket in (1, 2, 3):
        story.arrive(ticket)
    story.become_ready()

    assert [3] == [refused.ticket for refused in story.refused()]
    assert Cause.ROOM_FULL is story.refused()[0].refusal.reason.cause
    assert [1, 2] == [grant.ticket for grant in story.granted()]


def test_stop_refuses_until_start() -> None:
    """`want: down` survives requests and wakes; only a start lifts it."""
    story = Story().awake()
    story.tell(StopRequested("app"))
    story.exit(signal=15)

    story.arrive(2)
    story.tell(WakeRequested("app"))
    assert Cause.DOWN is story.refused()[0].refusal.reason.cause
    assert story.refused()[0].refusal.retry_after is None
    assert Phase.ASLEEP is story.phase()
    story.tell(StartRequested("app"))

    assert Phase.STARTING is story.phase()
    assert Want.AUTO is story.app.want


def test_stop_wins_over_a_restart_in_progress() -> None:
    """Whoever waited for the next generation is told so."""
    story = Story().awake()
    story.tell(RestartRequested("app"))
    story.arrive(2)

    story.tell(StopRequested("app"))
    story.exit(signal=15)

    assert [2] == [refused.ticket for refused in story.refused()]
    assert Phase.ASLEEP is story.phase()
    assert [] == story.all(StartInstance)


def test_sleep_is_not_stop() -> None:
    """After `sleep` the next request wakes it."""
    story = Story().awake()
    story.tell(SleepRequested("app"))
    story.exit(signal=15)
    assert Phase.ASLEEP is story.phase()

    story.arrive(2)

    assert Phase.STARTING is story.phase()


def test_restart_waits_for_what_is_in_flight() -> None:
    """The old generation finishes its requests; new ones wait for the next generation."""
    story = Story().awake()
    upstream = story.enter()

    story.tell(RestartRequested("app"))
    story.arrive(2)
    assert Phase.DRAINING is story.phase()
    assert [] == story.all(StopInstance)
    story.leave(upstream)
    story.exit(signal=15)
    story.become_ready()

    assert 2 == story.granted()[0].upstream.generation


def test_a_crash_of_a_stable_app_is_repaired_at_once() -> None:
    """The first retry of what had been stable has no delay."""
    story = Story(Lifecycle(stable_after=10.0)).awake()
    story.wait(11.0)

    story.exit(signal=11)
    story.wait(0.0)

    assert [StartInstance(ID, 2)] == story.all(StartInstance)
    assert 1 == story.app.snapshot(story.now).instances[0].restarts


def test_crashes_in_a_row_end_in_a_cool_off() -> None:
    """After the start limit requests are refused with the reason and a time, then it may try again."""
    limit = StartLimit(failures=3, window=60.0, cool_off=30.0)
    story = Story(Lifecycle(always_on=True, start_limit=limit))
    story.boot()
    for _ in range(3):
        story.come_alive()
        story.exit(1)
        story.wait(1.1)
    assert Phase.FAILED is story.phase()

    story.arrive(1)
    refusal = story.refused()[0].refusal
    assert Cause.FAILED is refusal.reason.cause
    assert "3 failures" in refusal.reason.text
    assert refusal.retry_after is not None
    assert 25.0 < refusal.retry_after <= 30.0
    story.wait(31.0)

    assert Phase.STARTING is story.phase()


def test_an_exit_with_leftovers_is_cleaned_before_anything_new() -> None:
    """A new generation waits until the descendants of the old one are gone."""
    story = Story().awake()

    story.exit(1, leftovers=True)
    story.wait(1.0)
    assert [StopInstance(ID, 1)] == story.all(StopInstance)
    assert [] == story.all(StartInstance)
    story.wait(10.0)
    assert [KillInstance(ID, 1)] == story.all(KillInstance)[:1]
    story.tell(Gone(ID, 1))
    story.wait(1.0)

    assert [StartInstance(ID, 2)] == story.all(StartInstance)


def test_a_clean_exit_of_an_always_on_app_is_done() -> None:
    """A one-shot that ends with 0 has done its work."""
    story = Story(Lifecycle(always_on=True))
    story.boot()
    story.become_ready()

    story.exit(0)

    assert Phase.DONE is story.phase()


def test_restart_no_leaves_a_failure_alone() -> None:
    """Without a restart policy an always-on app stays failed until an operator acts."""
    story = Story(Lifecycle(always_on=True, restart=Restart.NO))
    story.boot()
    story.become_ready()

    story.exit(1)

    assert Phase.FAILED is story.phase()
    assert story.app.next_deadline() is None


def test_a_refused_connection_closes_the_gate_until_proven_ready() -> None:
    """Requests wait while readiness is checked again; the generation stays."""
    story = Story().awake()

    story.tell(ConnectRefused(ID, 1))
    story.arrive(2)
    assert [ProbeInstance(ID, 1, refused=True)] == story.all(ProbeInstance)
    assert [] == story.granted()
    story.become_ready()

    assert [2] == [grant.ticket for grant in story.granted()]
    assert 1 == story.generation


def test_a_death_while_proving_readiness_is_a_crash() -> None:
    """Whoever waits is served by the next generation."""
    story = Story().awake()
    story.tell(ConnectRefused(ID, 1))
    story.arrive(2)

    story.exit(1)
    story.wait(1.0)
    story.become_ready()

    assert [2] == [grant.ticket for grant in story.granted()]
    assert 2 == story.generation


def test_an_always_on_app_neither_idles_nor_sleeps() -> None:
    """Idleness does not end it, and `sleep` is refused with the alternative."""
    story = Story(Lifecycle(always_on=True, idle_timeout=5.0))
    story.boot()
    story.become_ready()

    story.wait(1000.0)

    assert Phase.READY is story.phase()
    found = objection(story.app, SleepRequested("app"), story.now)
    assert found is not None
    assert "torpor stop app" in found[1]


def test_what_is_remembered_counts_on() -> None:
    """Generations and restarts go on where the last daemon left them, and the operator's wish holds."""
    memory = AppMemory(want=Want.DOWN, restarts=4, generation=9, wakes=(1.0, 3.0, 2.0))
    story = Story(memory=memory)

    story.arrive(1)
    assert Cause.DOWN is story.refused()[0].refusal.reason.cause
    story.tell(StartRequested("app"))

    assert [StartInstance(ID, 10)] == story.all(StartInstance)
    assert 2.0 == story.app.snapshot(story.now).eta
    assert 4 == story.app.memory.restarts


def test_wakes_are_measured() -> None:
    """The ETA is the median of the measured wakes."""
    story = Story()
    story.arrive(1)
    story.wait(2.5)
    story.become_ready()

    assert 2.5 == story.app.snapshot(story.now).eta


def test_shutdown_keeps_every_wish() -> None:
    """The daemon's end stops instances but is not an operator's stop."""
    story = Story().awake()

    effects = story.app.shut_down(story.now)

    assert StopInstance(ID, 1) in effects
    assert Want.AUTO is story.app.want
    assert story.app.memory.want is None


def test_an_exit_of_unknown_status_counts_as_a_failure() -> None:
    """A process that was not our child may have failed, so it is restarted."""
    story = Story().awake()

    story.tell(Exited(ID, 1, ExitInfo()))

    assert Phase.BACKOFF is story.phase()


def test_what_outlived_the_daemon_goes_on() -> None:
    """An adopted instance keeps its generation, proves its readiness, and serves who waits."""
    story = Story(memory=AppMemory(generation=3))
    story.tell(Adopted(ID, 4, Endpoint("127.0.0.1", 8501), 7, age=100.0))
    story.arrive(1)
    assert [ProbeInstance(ID, 4, refused=False)] == story.all(ProbeInstance)
    assert [] == story.all(StartInstance)

    story.tell(BecameReady(ID, 4))

    assert [1] == [grant.ticket for grant in story.granted()]
    assert 100.0 == story.app.snapshot(story.now).instances[0].uptime


def test_what_is_no_process_goes_on_without_a_number() -> None:
    """A container may outlive the daemon, too, and has none that is known here."""
    story = Story()

    story.tell(Adopted(ID, 4, Endpoint("10.0.0.2", 80), None, age=100.0))

    assert "it goes on" in [event.text for event in story.all(Announce)]


def test_what_outlived_the_daemon_but_is_to_be_down_is_stopped() -> None:
    """The operator's last word holds over the daemon's death."""
    story = Story(memory=AppMemory(want=Want.DOWN))

    story.tell(Adopted(ID, 4, Endpoint("127.0.0.1", 8501), 7, age=100.0))

    assert [StopInstance(ID, 4)] == story.all(StopInstance)


def test_what_outlived_the_daemon_is_not_started_twice() -> None:
    """The boot of an always-on app finds the adopted instance in place."""
    story = Story(Lifecycle(always_on=True))
    story.tell(Adopted(ID, 4, None, 7, age=100.0))

    story.boot()
    story.tell(BecameReady(ID, 4))

    assert [] == story.all(StartInstance)
    assert Phase.READY is story.phase()


def _two(lifecycle: Lifecycle | None = None) -> tuple[Story, Instance, Instance]:
    """An app with two replicas, both ready, nothing in flight."""
    story = Story(lifecycle, replicas=2)
    story.arrive(1)
    for instance in story.app.instances:
        story.tell(Started(instance.id, 1, Endpoint("127.0.0.1", 8501 + instance.id.replica), 7))
        story.tell(BecameReady(instance.id, 1))
    story.leave(story.granted()[0].upstream)
    story.effects.clear()
    first, second = story.app.instances
    return story, first, second


def test_a_wake_starts_all_replicas_and_the_first_ready_one_serves() -> None:
    """Whoever waits is granted as soon as one of them is ready."""
    story = Story(replicas=2)
    story.arrive(1)
    first, second = (instance.id for instance in story.app.instances)
    assert [StartInstance(first, 1), StartInstance(second, 1)] == story.all(StartInstance)

    story.tell(Started(second, 1, Endpoint("127.0.0.1", 8502), 7), BecameReady(second, 1))

    assert [second] == [grant.upstream.id for grant in story.granted()]


def test_a_failed_replica_refuses_nobody_while_another_starts() -> None:
    """The waiting are refused only when none of the replicas can serve them."""
    story = Story(replicas=2)
    story.arrive(1)
    first, second = (instance.id for instance in story.app.instances)

    story.tell(StartRefused(first, 1, "no such program"))
    assert [] == story.refused()
    story.tell(StartRefused(second, 1, "no such program"))

    assert [1] == [refused.ticket for refused in story.refused()]


def test_requests_go_to_the_least_busy_replica_in_turns() -> None:
    """Equally busy replicas take turns; a busy one is spared."""
    story, first, second = _two()

    one, two = story.enter(), story.enter()
    assert {first.id, second.id} == {one.id, two.id}
    story.leave(two)

    assert two is story.enter()
    story.leave(two)
    story.wait(1.0)
    story.leave(one)
    assert two is story.enter()


def test_replicas_are_idle_together() -> None:
    """A request on one of them keeps the others awake."""
    story, _, _ = _two()
    upstream = story.enter()

    story.wait(5000.0)
    assert [Phase.READY] * 2 == [instance.phase for instance in story.app.instances]
    story.leave(upstream)
    story.wait(1801.0)

    assert [Phase.STOPPING] * 2 == [instance.phase for instance in story.app.instances]


def test_a_rolling_restart_goes_one_by_one() -> None:
    """The second replica is restarted only when the first is ready again; one always serves."""
    story, first, second = _two()

    story.tell(RestartRequested("app", rolling=True))
    assert [Phase.STOPPING, Phase.READY] == [first.phase, second.phase]
    story.tell(Exited(first.id, 1, ExitInfo(signal=15)))
    story.tell(Started(first.id, 2, Endpoint("127.0.0.1", 8501), 8), BecameReady(first.id, 2))
    assert [Phase.READY, Phase.STOPPING] == [first.phase, second.phase]
    story.tell(Exited(second.id, 1, ExitInfo(signal=15)))
    story.tell(Started(second.id, 2, Endpoint("127.0.0.1", 8502), 9), BecameReady(second.id, 2))

    assert [2, 2] == [first.generation, second.generation]
    assert story.app.settled


def test_a_rolling_restart_ends_at_the_first_failure() -> None:
    """The replicas that still work are left alone."""
    story, first, second = _two()
    story.tell(RestartRequested("app", rolling=True))
    story.tell(Exited(first.id, 1, ExitInfo(signal=15)))

    story.tell(StartRefused(first.id, 2, "a typing error"))

    assert [Phase.BACKOFF, Phase.READY] == [first.phase, second.phase]
    assert 1 == second.generation
    assert "app is backoff" == story.app.snapshot(story.now).roll_ended
    assert ["roll-ended"] == [event.kind for event in story.all(Announce) if event.kind == "roll-ended"]


@pytest.mark.parametrize("code", [0, 1])
def test_a_rolling_restart_starts_what_does_not_run(code: int) -> None:
    """A replica that sleeps, or rests between two attempts, gets its new generation when its turn comes."""
    story, first, second = _two()
    story.tell(Exited(first.id, 1, ExitInfo(code=code)))

    story.tell(RestartRequested("app", rolling=True))
    assert [Phase.STARTING, Phase.READY] == [first.phase, second.phase]
    story.tell(Started(first.id, 2, Endpoint("127.0.0.1", 8501), 8), BecameReady(first.id, 2))
    story.tell(Exited(second.id, 1, ExitInfo(signal=15)))
    story.tell(Started(second.id, 2, Endpoint("127.0.0.1", 8502), 9), BecameReady(second.id, 2))

    assert [2, 2] == [first.generation, second.generation]
    assert story.app.settled
    assert story.app.snapshot(story.now).roll_ended is None


def test_a_rolling_restart_leaves_out_who_leaves() -> None:
    """A replica that is one too many neither gets a turn nor ends the whole."""
    story, first, second = _two()
    story.tell(RestartRequested("app", rolling=True))

    story.tell(ScaleRequested("app", 1), Exited(second.id, 1, ExitInfo(signal=15)))
    story.tell(Exited(first.id, 1, ExitInfo(signal=15)))
    story.tell(Started(first.id, 2, Endpoint("127.0.0.1", 8501), 8), BecameReady(first.id, 2))

    assert story.app.settled
    assert [] == [event for event in story.all(Announce) if event.kind == "roll-ended"]


@pytest.mark.parametrize("wish", [StopRequested("app"), SleepRequested("app")])
def test_who_ends_it_ends_its_rolling_restart(wish: StopRequested | SleepRequested) -> None:
    """Nothing is started by a restart that was asked for before."""
    story, first, second = _two()
    story.tell(RestartRequested("app", rolling=True))

    story.tell(wish)
    for instance in (first, second):
        story.tell(Exited(instance.id, 1, ExitInfo(signal=15)))

    assert [Phase.ASLEEP] * 2 == [first.phase, second.phase]
    ended = story.app.snapshot(story.now).roll_ended
    assert ended is not None
    assert "it was" in ended


def test_a_rolling_restart_gives_sockets_the_drain_time() -> None:
    """Upgraded connections are closed at the drain limit, and the stop follows their end."""
    story = Story(Lifecycle(drain_timeout=30.0)).awake()
    upstream = story.enter()
    upstream.parked += 1
    story.leave(upstream)

    story.tell(RestartRequested("app", rolling=True))
    story.wait(29.0)
    assert [] == story.all(CloseUpgraded)
    story.wait(1.5)
    assert [CloseUpgraded(upstream)] == story.all(CloseUpgraded)
    assert [] == story.all(StopInstance)
    story.wait(2.0)

    assert [StopInstance(ID, 1)] == story.all(StopInstance)


def test_scaling_up_starts_what_is_missing() -> None:
    """A running app gets its new replicas at once, a sleeping one at its next wake."""
    story = Story().awake()

    story.tell(ScaleRequested("app", 3))

    assert [1, 2] == [effect.id.replica for effect in story.all(StartInstance)]
    assert 3 == story.app.memory.replicas


def test_scaling_down_drains_and_forgets_the_last_ones() -> None:
    """Superfluous replicas end like any other, and are gone from the list then."""
    story, first, second = _two()

    story.tell(ScaleRequested("app", 1))
    assert [StopInstance(second.id, 1)] == story.all(StopInstance)
    assert [] == story.all(ForgetInstance)
    story.tell(Exited(second.id, 1, ExitInfo(signal=15)))

    assert [first] == story.app.instances
    assert Phase.READY is first.phase
    assert [ForgetInstance(second.id)] == story.all(ForgetInstance)


def test_scaling_up_again_keeps_who_was_to_leave() -> None:
    """A replica that has not ended yet gets its place back: numbers stay below the number of replicas."""
    story, _, second = _two()
    story.tell(ScaleRequested("app", 1))

    story.tell(ScaleRequested("app", 3))
    story.tell(Exited(second.id, 1, ExitInfo(signal=15)))

    assert [0, 1, 2] == [instance.id.replica for instance in story.app.instances]
    started = [(effect.id.replica, effect.generation) for effect in story.all(StartInstance)]
    assert [(2, 2), (1, 2)] == started
    story.tell(ScaleRequested("app", 2))
    assert [2] == [instance.id.replica for instance in story.app.instances if instance.leaving]


def test_scaling_down_refuses_nobody_whom_another_replica_will_serve() -> None:
    """Whoever waits goes on waiting for those that stay, also if these are not alive at the moment."""
    story = Story(replicas=2)
    story.arrive(1)
    story.tell(Exited(ID, 1, ExitInfo(code=1)))
    assert [Phase.BACKOFF, Phase.STARTING] == [instance.phase for instance in story.app.instances]

    story.tell(ScaleRequested("app", 1))
    story.wait(1.0)
    story.become_ready()

    assert [] == story.refused()
    assert [ID] == [grant.upstream.id for grant in story.granted()]


def test_a_failed_replica_refuses_nobody_while_another_is_to_start() -> None:
    """A replica that has still to end before its new generation counts like one that starts."""
    story, first, second = _two()
    story.tell(RestartRequested("app"))
    story.arrive(2)
    story.tell(Exited(first.id, 1, ExitInfo(signal=15)))

    story.tell(StartRefused(first.id, 2, "no such program"))
    assert [] == story.refused()
    story.tell(Exited(second.id, 1, ExitInfo(signal=15)))
    story.tell(StartRefused(second.id, 2, "no such program"))

    assert [2] == [refused.ticket for refused in story.refused()]


@pytest.mark.parametrize(("code", "finished"), [(0, True), (1, False)])
def test_what_has_done_its_work_says_so(code: int, finished: bool) -> None:
    """An expected end is told apart from any other sleep, until an operator or a start changes that."""
    story = Story(Lifecycle(restart=Restart.NO)).awake()
    assert not story.app.snapshot(story.now).instances[0].finished

    story.exit(code)
    assert finished is story.app.snapshot(story.now).instances[0].finished
    story.arrive(2)

    assert not story.app.snapshot(story.now).instances[0].finished


def test_the_replica_that_failed_last_is_the_one_in_trouble() -> None:
    """Its words explain what went wrong, and the first one's do where nothing did."""
    story, first, second = _two()
    assert first is story.app.instances.troubled

    story.tell(Exited(second.id, 1, ExitInfo(code=1)))

    assert second is story.app.instances.troubled


@pytest.mark.parametrize("restart", list(Restart))
def test_no_replica_sleeps_alone(restart: Restart) -> None:
    """One that ended by itself, however that was, is started again as long as others serve, if `restart` lets it."""
    story, _, second = _two(Lifecycle(restart=restart))

    story.tell(Exited(second.id, 1, ExitInfo(code=0)))
    story.wait(5.0)

    if restart is Restart.NO:
        assert Phase.ASLEEP is second.phase
    else:
        assert StartInstance(second.id, 2) in story.all(StartInstance)


@pytest.mark.parametrize("restart", [Restart.ON_FAILURE, Restart.NO])
def test_a_replica_whose_start_failed_is_tried_again_beside_others(restart: Restart) -> None:
    """Also after the cool-off: what serves is to serve with all its replicas."""
    limit = StartLimit(failures=2, cool_off=60.0)
    story, first, _ = _two(Lifecycle(restart=restart, start_limit=limit, idle_timeout=None))
    story.tell(RestartRequested("app", rolling=True))
    story.tell(Exited(first.id, 1, ExitInfo(signal=15)))
    story.tell(StartRefused(first.id, 2, "no such program"))

    story.wait(5.0)
    assert StartInstance(first.id, 3) in story.all(StartInstance)
    story.tell(StartRefused(first.id, 3, "no such program"))
    assert Phase.FAILED is first.phase
    story.wait(60.0)

    assert StartInstance(first.id, 4) in story.all(StartInstance)


def test_what_outlived_the_daemon_is_joined_by_its_other_replicas() -> None:
    """A replica that was not alive at the moment of the daemon's death is started by the next one."""
    story = Story(replicas=2)
    story.tell(Adopted(ID, 4, Endpoint("127.0.0.1", 8501), 7, age=100.0))

    story.boot()

    assert [InstanceId("app", 1)] == [effect.id for effect in story.all(StartInstance)]


def test_who_is_to_stay_after_all_drains_no_more() -> None:
    """A replica that still serves its last request is ready again at once."""
    story, first, second = _two()
    upstreams = [story.enter(), story.enter()]
    story.tell(ScaleRequested("app", 1))
    assert Phase.DRAINING is second.phase

    story.tell(ScaleRequested("app", 2))

    assert [Phase.READY] * 2 == [first.phase, second.phase]
    for upstream in upstreams:
        story.leave(upstream)
    assert [] == story.all(StopInstance)


def test_what_has_left_counts_on() -> None:
    """The app's restarts do not become fewer, and a number that is used again gets a new generation."""
    story, _, second = _two()
    story.tell(Exited(second.id, 1, ExitInfo(code=1)))
    story.wait(5.0)
    story.tell(Started(second.id, 2, Endpoint("127.0.0.1", 8502), 7), BecameReady(second.id, 2))
    story.tell(ScaleRequested("app", 1))
    story.tell(Exited(second.id, 2, ExitInfo(signal=15)))
    assert [1, 2] == [story.app.memory.restarts, story.app.memory.generation]

    story.tell(ScaleRequested("app", 2))

    assert StartInstance(second.id, 3) in story.all(StartInstance)


def test_replicas_are_started_while_nothing_is_alive() -> None:
    """What is to run, or is about to, gets its new replicas also in a pause between two attempts."""
    story = Story(Lifecycle(always_on=True, start_limit=StartLimit(failures=1)))
    story.boot()
    story.tell(StartRefused(ID, 1, "no such program"))
    assert Phase.FAILED is story.phase()

    story.tell(ScaleRequested("app", 2))

    assert [0, 1] == [effect.id.replica for effect in story.all(StartInstance)]


def test_replicas_of_what_goes_to_sleep_sleep_too() -> None:
    """Scaling wakes nobody."""
    story = Story().awake()
    story.tell(SleepRequested("app"))

    story.tell(ScaleRequested("app", 2))
    story.exit(signal=15)

    assert [] == story.all(StartInstance)
    assert [Phase.ASLEEP] * 2 == [instance.phase for instance in story.app.instances]


@pytest.mark.parametrize("replicas", [0, -1, 101])
def test_a_senseless_number_of_replicas_is_objected_to(replicas: int) -> None:
    """The operator learns which numbers make sense, and nothing changes."""
    story = Story().awake()

    found = objection(story.app, ScaleRequested("app", replicas), story.now)
    story.tell(ScaleRequested("app", replicas))

    assert found is not None
    assert "1 to 100" in found[1]
    assert 1 == len(story.app.instances)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({"port": 9000}, "fixed port 9000"),
        ({"socket": "/run/app.sock"}, "listens at /run/app.sock"),
        ({"routes": (Route("ssh", app_port=2222),)}, "fixed port 2222"),
        ({"guest": True}, "exists once"),
    ],
)
def test_replicas_that_could_not_listen_are_objected_to(place: dict[str, Any], told: str) -> None:
    """The operator learns where only one of them can."""
    story = Story().awake()
    story.app.spec = replace(story.app.spec, **place)

    found = objection(story.app, ScaleRequested("app", 2), story.now)

    assert found is not None
    assert told in found[0]
    assert objection(story.app, ScaleRequested("app", 1), story.now) is None


def test_a_missed_heartbeat_is_a_failure() -> None:
    """Without a sign of life it is ended and started again as after a crash."""
    story = Story(Lifecycle(watchdog=30.0, idle_timeout=None)).awake()
    story.wait(20.0)
    story.tell(Pinged(ID, 1))
    story.wait(29.0)
    assert Phase.READY is story.phase()

    story.wait(1.5)
    assert [StopInstance(ID, 1)] == story.all(StopInstance)
    story.exit(0)
    story.wait(1.0)

    assert [StartInstance(ID, 2)] == story.all(StartInstance)


def test_the_watchdog_may_only_report() -> None:
    """`ignore` says so each time and leaves it running."""
    story = Story(Lifecycle(watchdog=30.0, idle_timeout=None, on_watchdog=OnWatchdog.IGNORE)).awake()

    story.wait(61.0)

    assert Phase.READY is story.phase()
    assert 2 == [event.kind for event in story.all(Announce)].count("unhealthy")


@pytest.mark.parametrize(
    ("on_watchdog", "phase"),
    [
        (OnWatchdog.RESTART, Phase.STOPPING),
        (OnWatchdog.IGNORE, Phase.READY),
        (OnWatchdog.REBOOT, Phase.STOPPING),
    ],
)
def test_an_app_may_trigger_its_own_watchdog(on_watchdog: OnWatchdog, phase: Phase) -> None:
    """WATCHDOG=trigger does what a missed sign of life would do, with a watchdog or without."""
    story = Story(Lifecycle(on_watchdog=on_watchdog)).awake()

    story.tell(WatchdogTriggered(ID, 1))

    assert phase is story.phase()
    assert ["unhealthy"] == [event.kind for event in story.all(Announce)][:1]
    assert (on_watchdog is OnWatchdog.REBOOT) == bool(story.all(Reboot))


@pytest.mark.parametrize("message", [WatchdogTriggered(ID, 1), FoundUnhealthy(ID, 1, "too fat")])
@pytest.mark.parametrize(("always_on", "phase"), [(False, Phase.BACKOFF), (True, Phase.FAILED)])
def test_what_is_unhealthy_before_it_is_ready_has_failed_to_start(
    message: InstanceInput, phase: Phase, *, always_on: bool
) -> None:
    """Whoever waits learns so at once, and `restart: no` holds as for any failed start."""
    story = Story(Lifecycle(always_on=always_on, restart=Restart.NO))
    story.arrive(1)
    story.come_alive()

    story.tell(message)
    assert [1] == [refused.ticket for refused in story.refused()]
    assert [StopInstance(ID, 1)] == story.all(StopInstance)
    story.exit(signal=15)

    assert phase is story.phase()


@pytest.mark.parametrize("on_watchdog", list(OnWatchdog))
def test_what_an_app_triggers_before_it_is_ready(on_watchdog: OnWatchdog) -> None:
    """`on_watchdog` decides then, too: READY=1 may have been said just before, and not be counted yet."""
    story = Story(Lifecycle(on_watchdog=on_watchdog))
    story.arrive(1)
    story.come_alive()

    story.tell(WatchdogTriggered(ID, 1))
    ignored = on_watchdog is OnWatchdog.IGNORE
    assert (Phase.STARTING if ignored else Phase.STOPPING) is story.phase()
    assert ignored == (not story.refused())
    assert (on_watchdog is OnWatchdog.REBOOT) == bool(story.all(Reboot))


def test_an_app_may_change_its_own_watchdog() -> None:
    """WATCHDOG_USEC counts from the moment in which it came."""
    story = Story(Lifecycle(watchdog=30.0, idle_timeout=None)).awake()

    story.tell(WatchdogChanged(ID, 1, 5.0))
    story.wait(6.0)

    assert Phase.STOPPING is story.phase()


def test_a_failed_liveness_probe_is_a_failure() -> None:
    """Its reason is shown, and the restart policy `no` is honoured."""
    story = Story(Lifecycle(restart=Restart.NO)).awake()

    story.tell(FoundUnhealthy(ID, 1, "http /healthz failed 3 times"))
    story.exit(signal=15)

    assert Phase.ASLEEP is story.phase()
    assert "is not healthy: http /healthz failed 3 times" == str(
        story.app.snapshot(story.now).instances[0].reason
    )


def test_more_time_is_granted_to_who_asks() -> None:
    """EXTEND_TIMEOUT_USEC moves the deadline of a start, and never makes it shorter."""
    story = Story(Lifecycle(start_timeout=20.0))
    story.tell(PageRequested("app", "a test"))
    story.come_alive()
    story.wait(15.0)

    story.tell(TimeExtended(ID, 1, 1.0), TimeExtended(ID, 1, 30.0))
    story.wait(29.0)

    assert Phase.STARTING is story.phase()


@pytest.mark.parametrize(
    ("policy", "phase", "starts"),
    [
        (OnStartTimeout.FAIL, Phase.ASLEEP, 1),
        (OnStartTimeout.ACCEPT, Phase.READY, 1),
        (OnStartTimeout.RESTART, Phase.STARTING, 2),
        (OnStartTimeout.REBOOT, Phase.ASLEEP, 1),
    ],
)
def test_what_a_start_timeout_does(policy: OnStartTimeout, phase: Phase, starts: int) -> None:
    """Each policy does what its name says; only `reboot` asks for a reboot."""
    story = Story(Lifecycle(start_timeout=20.0, on_start_timeout=policy))
    story.tell(PageRequested("app", "a test"))
    story.come_alive()

    story.wait(20.0)
    if story.phase() is Phase.STOPPING:
        story.exit(signal=15)
    story.wait(1.0)

    assert phase is story.phase()
    assert starts == len(story.all(StartInstance))
    assert (policy is OnStartTimeout.REBOOT) == bool(story.all(Reboot))


def test_an_announced_end_is_an_end_of_its_own() -> None:
    """STOPPING=1 closes the gate at once; the restart policy decides on the exit that follows."""
    story = Story(Lifecycle(restart=Restart.ALWAYS)).awake()

    story.tell(EndAnnounced(ID, 1))
    assert story.app.enter() is None
    assert [] == story.all(StopInstance)
    story.exit(0)
    story.wait(1.0)

    assert [StartInstance(ID, 2)] == story.all(StartInstance)


def test_its_own_words_are_shown_until_it_ends() -> None:
    """STATUS is what it is doing; what does nothing any more has nothing to say."""
    story = Story(Lifecycle(always_on=True, backoff=Backoff(initial=600.0, max=600.0)))
    story.boot()
    story.become_ready()
    story.tell(StatusChanged(ID, 1, "3 jobs in the queue"))
    assert "3 jobs in the queue" == story.app.snapshot(story.now).instances[0].status

    story.exit(1)

    assert Phase.BACKOFF is story.phase()
    assert story.app.snapshot(story.now).instances[0].status is None


@pytest.mark.parametrize(
    ("ready", "reason"),
    [
        (True, "exited with code 1: Address already in use"),
        (False, "exited with code 1 before it was ready: Address already in use"),
    ],
)
def test_its_own_word_on_why_it_failed_outlives_it(reason: str, *, ready: bool) -> None:
    """ERRNO is told with the exit that follows it, and forgotten with it."""
    story = Story()
    story.tell(PageRequested("app", "a test"))
    story.come_alive()
    if ready:
        story.become_ready()
    story.tell(StatusChanged(ID, 1, "binding: Address already in use", "Address already in use"))

    story.exit(1)
    assert reason == str(story.app.snapshot(story.now).instances[0].reason)
    story.tell(StartRequested("app"))
    story.become_ready()
    story.exit(1)

    assert "exited with code 1" == str(story.app.snapshot(story.now).instances[0].reason)


def test_an_expected_exit_code_is_no_failure() -> None:
    """`exit_codes` lists what counts as a success."""
    story = Story(Lifecycle(exit_codes=(0, 3))).awake()

    story.exit(3)

    assert Phase.ASLEEP is story.phase()


def test_it_is_watched_from_readiness_on() -> None:
    """Each time that it becomes ready, the probes for that end and those for its liveness begin."""
    story = Story()

    story.arrive(1)
    story.become_ready()

    assert [WatchInstance(ID, 1)] == story.all(WatchInstance)


@pytest.mark.parametrize("asleep", [False, True])
def test_what_stays_down_is_forgotten(asleep: bool) -> None:
    """Nothing is kept for the next generation of what an operator stopped; what only sleeps comes back."""
    story = Story().awake()
    if asleep:
        story.tell(SleepRequested("app"))
        story.exit(0)
        assert [] == story.all(DropStored)
        story.tell(StopRequested("app"))
    else:
        story.tell(StopRequested("app"))
        assert [] == story.all(DropStored)
        story.exit(0)
    assert [DropStored(ID)] == story.all(DropStored)


def test_a_socket_is_open_as_long_as_something_is_to_come() -> None:
    """Over a restart and the pause before another attempt; not in a sleep, nor once nothing follows."""
    story = Story(Lifecycle(restart=Restart.ON_FAILURE)).awake()
    story.tell(RestartRequested("app"))
    story.exit(0)
    story.become_ready()
    story.exit(1)
    assert (Phase.BACKOFF, []) == (story.phase(), story.all(CloseSocket))
    story.wait(1)
    story.become_ready()
    story.tell(SleepRequested("app"))
    assert [] == story.all(CloseSocket)
    story.exit(0)
    assert (Phase.ASLEEP, [CloseSocket(ID)]) == (story.phase(), story.all(CloseSocket))


@pytest.mark.parametrize(("code", "phase"), [(0, Phase.DONE), (1, Phase.FAILED)])
def test_nobody_queues_up_for_what_is_over(code: int, phase: Phase) -> None:
    """It has done what it was there for, or is not to be restarted: its socket is closed."""
    story = Story(Lifecycle(restart=Restart.NO, always_on=True)).awake()
    story.exit(code)
    assert (phase, [CloseSocket(ID)]) == (story.phase(), story.all(CloseSocket))


def test_a_replica_too_many_is_forgotten() -> None:
    """What was kept for it would never be given back."""
    story = Story(replicas=2)

    story.tell(ScaleRequested("app", 1))

    assert [DropStored(InstanceId("app", 1))] == story.all(DropStored)


def test_a_start_without_limit_is_waited_for() -> None:
    """It has no deadline, and does not mind being asked for more time."""
    story = Story(Lifecycle(start_timeout=None))
    story.arrive(1)
    story.come_alive()
    story.tell(TimeExtended(ID, 1, 5.0))
    story.wait(1e9)
    assert Phase.STARTING is story.phase()
    story.tell(BecameReady(ID, 1))
    assert Phase.READY is story.phase()
