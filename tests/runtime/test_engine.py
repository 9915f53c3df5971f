"""The engine, its hands and its doors, over a provider without processes."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from runtime.house import APP, ID, house
from torpor.core.messages import Announce, ConnectRefused, Effect, ShutdownRequested
from torpor.core.model import (
    AppSpec,
    Cause,
    Event,
    ExecProbe,
    ExitInfo,
    InstanceId,
    Knock,
    Lifecycle,
    Liveness,
    LogProbe,
    OnStartTimeout,
    Phase,
    Readiness,
    TcpProbe,
)
from torpor.core.upstream import Upstream
from torpor.errors import NotAllowed, ProviderFailed, UnknownApp
from torpor.providers.base import HookFailed
from torpor.providers.fake import Plan
from torpor.runtime import clock
from torpor.runtime.operator import Verb
from torpor.runtime.seam import Refused

pytestmark = pytest.mark.anyio


async def test_a_request_wakes_and_is_granted() -> None:
    """Whoever waits gets a counted lease on the instance that was started for them."""
    async with house() as home:
        waiting = asyncio.create_task(home.gate.wait("GET /"))
        await home.ready()

        upstream = await waiting

        assert 1 == upstream.inflight
        assert upstream.endpoint.port == home.provider.starts[0].port
        home.gate.leave(upstream)
        assert 0 == upstream.inflight


async def test_the_hot_path_counts_and_repays() -> None:
    """`enter` on a ready app gives the same record at once, and `leave` is its activity."""
    async with house() as home:
        assert home.gate.enter() is None
        await home.awake()

        first, second = home.gate.enter(), home.gate.enter()

        assert first is not None
        assert first is second
        assert 2 == first.inflight
        before = first.last_active
        home.gate.leave(first)
        home.gate.leave(first)
        assert before <= first.last_active


async def test_a_client_that_leaves_gives_up_its_place() -> None:
    """Cancelling the wait takes the ticket back; the wake goes on."""
    async with house() as home:
        waiting = asyncio.create_task(home.gate.wait("GET /"))
        await home.until(lambda: home.gate.snapshot().waiting == 1)

        waiting.cancel()
        await asyncio.wait([waiting])

        assert 0 == home.gate.snapshot().waiting
        await home.ready()


async def test_a_client_that_leaves_in_the_moment_of_the_grant_repays() -> None:
    """A lease that was counted for a client that is just going is given back."""
    async with house() as home:
        waiting = asyncio.create_task(home.gate.wait("GET /"))
        await home.until(lambda: home.provider.alive(ID))

        def leave(event: Event) -> None:
            if event.kind == "ready":
                waiting.cancel()

        home.journal.subscribe(leave)
        home.provider.notify(ID)

        await asyncio.wait([waiting])

        await home.until(lambda: home.phase() is Phase.READY)
        assert 0 == home.gate.snapshot().instances[0].inflight


async def test_a_failed_start_refuses_with_its_reason() -> None:
    """The provider's words arrive at the door."""
    async with house() as home:
        home.provider.plans["app"] = Plan(refuse="no such program: nothing")

        with pytest.raises(Refused, match="no such program: nothing") as caught:
            await home.gate.wait("GET /")

        assert Cause.START_FAILED is caught.value.refusal.reason.cause


async def test_an_exit_while_starting_ends_the_probe_and_refuses() -> None:
    """Nothing goes on probing an instance that is gone."""
    async with house() as home:
        home.provider.plans["app"] = Plan(exit=ExitInfo(code=7))

        with pytest.raises(Refused, match="exited with code 7"):
            await home.gate.wait("GET /")

        await home.until(lambda: not home.actions._tasks)


async def test_a_stop_gives_up_the_start_before_it() -> None:
    """A stop that is decided while the provider still starts ends that, and nothing is started after it."""
    async with house() as home:
        home.provider.plans["app"] = Plan(hang=True)
        home.gate.knock("a test")
        await home.until(lambda: bool(home.provider.starts))

        home.desk.command(Verb.STOP, "app")
        await home.until(lambda: home.phase() is Phase.ASLEEP)
        home.provider.let_start(ID)
        await asyncio.sleep(0)

        assert not home.provider.alive(ID)
        assert "start-failed" not in {event.kind for event in home.journal.recent(100)}


async def test_a_start_that_takes_too_long_is_given_up() -> None:
    """`start_timeout` bounds whatever a provider does before the app runs."""
    async with house(replace(APP, lifecycle=Lifecycle(start_timeout=0.01))) as home:
        home.provider.plans["app"] = Plan(hang=True)
        home.gate.knock("a test")

        await home.until(lambda: home.phase() is Phase.BACKOFF)

        assert not home.provider.alive(ID)


async def test_what_ignores_its_stop_signal_is_killed() -> None:
    """After stop_timeout the force comes by itself."""
    async with house(replace(APP, lifecycle=Lifecycle(stop_timeout=0.01))) as home:
        home.provider.plans["app"] = Plan(obeys=False)
        await home.awake()

        home.desk.command(Verb.SLEEP, "app")
        await home.desk.settle(Verb.SLEEP, "app")

        assert [(ID, 1)] == home.provider.kills


async def test_a_stop_that_cannot_be_carried_out_is_reported() -> None:
    """The operator learns what the provider said."""
    async with house() as home:
        await home.awake()
        home.provider.plans["app"] = Plan()
        home.provider._lives[ID].plan = Plan(stop_problem="the disk is on fire")

        home.desk.command(Verb.STOP, "app")

        said = await home.event("stop-problem")
        assert ("could not be ended", "the disk is on fire") == (said.text, said.detail)


async def test_what_answers_in_place_of_who_has_ended_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that somebody else answered opens no gate."""
    async with house(replace(APP, readiness=Readiness((ExecProbe(("check",)),)))) as home:
        home.provider.probe_answer = True

        async def looked(id: InstanceId) -> None:
            home.provider.exit(id, ExitInfo(code=1))

        monkeypatch.setattr(home.provider, "ensure_end_noticed", looked)
        home.desk.command(Verb.WAKE, "app")
        await home.event("exited")

        assert "ready" not in [event.kind for event in home.journal.recent(100)]


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.SLEEP])
async def test_nobody_waits_for_the_end_of_a_guest_whose_host_is_away(verb: Verb) -> None:
    """Whoever asked learns at once that it was in vain so far; it ends once the host is back."""
    guest = replace(APP, guest=True, lifecycle=Lifecycle(stop_timeout=0.05))
    async with house(guest) as home:
        await home.awake()
        home.provider._lives[ID].plan = Plan(stop_problem="the host is away")

        home.desk.command(verb, "app")
        after = await home.desk.settle(verb, "app")

        assert (Phase.STOPPING, "the host is away") == (after.phase, after.instances[0].unheard)
        await home.until(lambda: home.engine.fleet.beyond_reach(clock.now()))
        home.provider._lives[ID].plan = Plan()
        await home.until(lambda: home.phase() is Phase.ASLEEP)
        assert home.desk.app("app").instances[0].unheard is None
        assert not home.engine.fleet.beyond_reach(clock.now())


async def test_the_idle_deadline_needs_no_poll() -> None:
    """An app that nobody uses goes to sleep at its deadline, by the engine's one timer."""
    async with house(replace(APP, lifecycle=Lifecycle(idle_timeout=0.05))) as home:
        await home.awake()

        await home.until(lambda: home.phase() is Phase.ASLEEP)

        assert "asleep: no request for 50 ms" == (await home.event("asleep")).text


async def test_a_parked_connection_is_told_to_close_and_acknowledges() -> None:
    """Sleep waits for parked connections, which the gateway closes on request."""
    async with house() as home:
        await home.awake()
        upstream = home.gate.enter()
        assert upstream is not None
        home.gate.park(upstream)
        home.gate.leave(upstream)
        assert (0, 1) == (upstream.inflight, upstream.parked)

        home.desk.command(Verb.SLEEP, "app")
        assert [upstream] == home.listener.closed
        assert [] == home.provider.stops
        home.gate.unpark(upstream)
        await home.desk.settle(Verb.SLEEP, "app")

        assert [upstream] == home.listener.dropped


async def test_a_lease_that_does_not_count_is_no_activity_but_holds_up_a_stop() -> None:
    """Its end leaves the idle clock alone, and is what a sleep that has begun waits for."""
    async with house() as home:
        await home.awake()
        upstream = home.gate.enter()
        assert upstream is not None
        before = upstream.last_active
        home.gate.discount(upstream)
        home.desk.command(Verb.SLEEP, "app")
        assert [] == home.provider.stops

        home.gate.leave_discounted(upstream)
        await home.until(lambda: bool(home.provider.stops))  # long before drain_timeout
        await home.desk.settle(Verb.SLEEP, "app")

        assert (0, 0, before) == (upstream.inflight, upstream.discounted, upstream.last_active)


async def test_too_few_bytes_are_no_activity() -> None:
    """Under min_bytes neither the end of a request nor a message on a socket is, until enough has passed."""
    async with house(replace(APP, lifecycle=Lifecycle(min_bytes=1500))) as home:
        await home.awake()
        upstream = home.gate.enter()
        assert upstream is not None
        assert upstream.volume is not None
        before = upstream.last_active = upstream.last_active - 10.0
        upstream.volume.passed += 1499
        home.gate.touch(upstream)
        home.gate.leave(upstream)
        assert before == upstream.last_active

        upstream.volume.passed += 1
        home.gate.touch(upstream)
        assert before < upstream.last_active


async def test_the_gate_tells_whether_a_request_would_begin_a_wake() -> None:
    """It would while the app sleeps, not once it is on its way, and not where it is refused."""
    async with house() as home:
        assert (True, None) == (home.gate.would_wake(), home.gate.refusal())
        home.gate.knock("a test")
        assert not home.gate.would_wake()
        await home.ready()
        assert not home.gate.would_wake()
        home.desk.command(Verb.STOP, "app")
        await home.desk.settle(Verb.STOP, "app")
        assert not home.gate.would_wake()
        refusal = home.gate.refusal()
        assert refusal is not None
        assert Cause.DOWN is refusal.reason.cause


async def test_a_wake_tells_who_caused_it_field_by_field() -> None:
    """In the event, and in what is known of the app until its next wake."""
    knock = Knock("GET", "/x", "192.0.2.7", "curl/8", "rules.0")
    async with house() as home:
        home.gate.knock(knock)
        woken = await home.event("waking")
        await home.ready()

        assert "woken by GET /x from 192.0.2.7" == woken.text
        told = {
            "by": str(knock),
            "address": "192.0.2.7",
            "user_agent": "curl/8",
            "path": "/x",
            "method": "GET",
        }
        assert {**told, "rule": "rules.0", "generation": 0} == dict(woken.data)
        assert knock == home.gate.snapshot().instances[0].woken_by


async def test_a_refused_connection_leads_to_new_probes() -> None:
    """The door closes until the instance takes connections again."""
    async with house() as home:
        await home.awake()
        upstream = home.gate.enter()
        assert upstream is not None

        home.gate.connect_refused(upstream)
        assert home.gate.enter() is None
        with socket.create_server((upstream.endpoint.host, upstream.endpoint.port)):
            await home.until(lambda: home.phase() is Phase.READY)

        assert upstream is home.gate.enter()


async def test_inputs_posted_meanwhile_wait_their_turn() -> None:
    """An effect that posts does not see, nor cause, a half-done decision."""
    async with house() as home:
        order: list[str] = []
        perform = home.engine._perform

        def nosy(effect: Effect) -> None:
            if isinstance(effect, Announce):
                order.append(effect.kind)
                if effect.kind == "waking":
                    home.engine.post(ConnectRefused(ID, 99))
                    order.append("posted")
            perform(effect)

        home.engine._perform = nosy
        home.gate.knock("a test")

        assert ["waking", "posted", "starting"] == order


async def test_an_effect_that_fails_does_not_swallow_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """One broken effect is reported; the verdicts behind it are delivered all the same."""
    async with house() as home:
        perform = home.engine._perform

        def broken(effect: Effect) -> None:
            if isinstance(effect, Announce) and effect.kind == "ready":
                raise OSError("no more ink")
            perform(effect)

        home.engine._perform = broken
        waiting = asyncio.create_task(home.gate.wait("GET /"))
        await home.until(lambda: home.provider.alive(ID))
        home.provider.notify(ID)

        assert isinstance(await waiting, Upstream)
        assert "no more ink" in caplog.text


async def test_shutdown_refuses_and_stops() -> None:
    """Waiting requests are told, and nothing is alive in the end."""
    async with house() as home:
        waiting = asyncio.create_task(home.gate.wait("GET /"))
        await home.until(lambda: home.provider.alive(ID))

        home.engine.post(ShutdownRequested())

        with pytest.raises(Refused) as caught:
            await waiting
        assert Cause.SHUTDOWN is caught.value.refusal.reason.cause
        await home.until(lambda: not home.engine.fleet.alive)


@pytest.mark.parametrize("verb", [Verb.START, Verb.WAKE, Verb.RESTART])
async def test_settle_waits_until_it_is_ready(verb: Verb) -> None:
    """An operator's start, wake or restart has come true when the app is ready."""
    async with house() as home:
        home.provider.plans["app"] = Plan(notify=True)

        home.desk.command(verb, "app")
        snapshot = await home.desk.settle(verb, "app")

        assert Phase.READY is snapshot.phase
        assert 1 == snapshot.instances[0].generation


async def test_settle_returns_when_it_cannot_come_true() -> None:
    """A start that failed is settled too; the snapshot has the reason."""
    async with house() as home:
        home.provider.plans["app"] = Plan(refuse="no such program")

        home.desk.command(Verb.START, "app")
        snapshot = await home.desk.settle(Verb.START, "app")

        assert Phase.BACKOFF is snapshot.phase
        assert "could not be started: no such program" == str(snapshot.instances[0].reason)


async def test_a_start_that_fails_says_what_to_do() -> None:
    """A hint is of use where the failure is told, and it is told in one line."""
    async with house() as home:
        home.provider.plans["app"] = Plan(refuse="no such program", hint="install it")

        home.desk.command(Verb.START, "app")
        snapshot = await home.desk.settle(Verb.START, "app")

        assert "could not be started: no such program; install it" == str(snapshot.instances[0].reason)


async def test_the_desk_explains_what_it_refuses() -> None:
    """Unknown names come with a near miss, forbidden wishes with what to do instead."""
    async with house() as home:
        with pytest.raises(UnknownApp) as unknown:
            home.desk.app("ap")
        assert "did you mean 'app'?" == unknown.value.hint

        home.desk.command(Verb.STOP, "app")
        with pytest.raises(NotAllowed, match="stopped by the operator") as refused:
            home.desk.command(Verb.WAKE, "app")
        assert "`torpor start app` starts it all the same" == refused.value.hint


async def test_changes_that_must_last_are_announced_as_such() -> None:
    """A new generation and a new wish are both written down."""
    async with house() as home:
        await home.awake()
        written = len(home.remembered)
        assert written > 0

        home.desk.command(Verb.STOP, "app")

        assert len(home.remembered) > written


@pytest.mark.parametrize(
    ("spec", "listens"),
    [
        (APP, True),
        (replace(APP, routes=(), port=None, readiness=Readiness((TcpProbe(),))), True),
        (replace(APP, routes=(), readiness=Readiness(()), liveness=Liveness(TcpProbe())), True),
        (replace(APP, routes=(), port=None, readiness=Readiness(())), False),
    ],
    ids=["routed", "probed", "watched", "worker"],
)
async def test_a_port_is_allotted_to_what_listens(spec: AppSpec, *, listens: bool) -> None:
    """An app that is routed to or probed at a port gets one; a worker gets none."""
    async with house(spec) as home:
        home.gate.knock("a test")
        await home.until(lambda: bool(home.provider.starts))

        assert listens is (home.provider.starts[0].port is not None)


async def test_a_liveness_probe_that_fails_ends_the_instance() -> None:
    """After as many failures in a row as it may have, it is ended and started again."""
    liveness = Liveness(ExecProbe(("check",)), interval=0.001, failures=2)
    async with house(replace(APP, liveness=liveness)) as home:
        home.provider.plans["app"] = Plan(notify=True)
        home.gate.knock("a test")
        await home.until(lambda: home.phase() is Phase.READY)

        home.provider.probe_answer = False

        assert "is not healthy: exec check failed 2 times" == str(await home.event("unhealthy"))
        await home.until(lambda: len(home.provider.starts) > 1)


async def test_an_app_that_is_taken_for_ready_is_not_asked_for_ever() -> None:
    """With `on_start_timeout: accept` its probes end when the gate opens, like those that hold."""
    lifecycle = Lifecycle(start_timeout=0.05, on_start_timeout=OnStartTimeout.ACCEPT)
    readiness = Readiness((LogProbe("never said"),))
    async with house(replace(APP, lifecycle=lifecycle, readiness=readiness)) as home:
        home.gate.knock("a test")
        await home.until(lambda: home.provider.output(ID).followed)

        await home.until(lambda: home.phase() is Phase.READY)

        await home.until(lambda: not home.provider.output(ID).followed)


async def test_a_program_without_probes_is_ready_when_it_is_started() -> None:
    """One that ends at once has been ready and has finished; whether is not left to chance."""
    spec = replace(APP, routes=(), readiness=Readiness(()), lifecycle=Lifecycle(always_on=True))
    async with house(spec) as home:
        home.provider.plans["app"] = Plan(exit=ExitInfo(code=0))
        home.desk.command(Verb.RESTART, "app")

        await home.until(lambda: home.phase() is Phase.DONE)

        assert "failed" not in [event.kind for event in home.journal.recent(100)]


async def test_a_host_that_fails_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By an event, which whoever reads the daemon's log sees, too."""
    async with house() as home:

        async def start(_launch: object) -> None:
            raise ProviderFailed("nothing answers for the engine")

        monkeypatch.setattr(home.provider, "start", start)
        home.desk.command(Verb.WAKE, "app")

        assert "nothing answers for the engine" == (await home.event("start-failed")).detail
        assert [] == caplog.records


async def test_a_hook_that_failed_is_an_event_of_its_app(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever looks at the app finds it, once; nothing else follows."""
    async with house() as home:
        await home.awake()

        home.actions.report(HookFailed(ID, 1, "pre_stop ended with exit code 1"))

        event = await home.event("hook-failed")
        assert ("app", "pre_stop ended with exit code 1") == (event.app, event.detail)
        assert [] == caplog.records
        assert Phase.READY is home.phase()
