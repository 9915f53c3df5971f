"""The operator's desk: what reaches the instances past the state machine, and what it is told of them."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace

import pytest

from runtime.house import APP, ID, house
from torpor.core.model import AppSpec, Dependency, InstanceId, Lifecycle, NotifyProbe, Phase, Readiness
from torpor.errors import NotAllowed, UnknownApp
from torpor.providers.fake import Plan
from torpor.runtime.operator import Verb

pytestmark = pytest.mark.anyio

TWO = replace(APP, replicas=2)


async def test_a_signal_reaches_every_instance() -> None:
    """Each live replica gets it, in its current generation, and the journal tells of each."""
    async with house(TWO) as home:
        home.gate.knock("a test")
        await home.until(lambda: all(home.provider.alive(InstanceId("app", n)) for n in (0, 1)))
        await home.until(lambda: all(one.started for one in home.engine.fleet.apps["app"].instances))

        assert 2 == await home.desk.signal("app", signal.SIGUSR1)

        assert [(ID, 1, signal.SIGUSR1), (InstanceId("app", 1), 1, signal.SIGUSR1)] == home.provider.signals
        told = [event for event in home.desk.events(10) if event.kind == "signal"]
        assert [("app", "got SIGUSR1 from the operator"), ("app/1", "got SIGUSR1 from the operator")] == [
            (event.instance, event.text) for event in told
        ]


async def test_what_is_not_alive_gets_no_signal() -> None:
    """A sleeping app is named as such, an unknown one too; nothing is woken."""
    async with house() as home:
        for ask in (home.desk.signal("app", signal.SIGHUP), home.desk.reload("app")):
            with pytest.raises(NotAllowed, match="nothing of app is alive: it is asleep"):
                await ask
        with pytest.raises(UnknownApp):
            await home.desk.signal("ap", signal.SIGHUP)
        assert [] == home.provider.starts


async def test_a_reload_goes_the_way_that_the_app_names() -> None:
    """It reaches a live instance and is told of; without a way it is refused."""
    async with house() as home:
        home.provider.plans["app"] = Plan(reloads=True)
        await home.awake()
        assert 1 == await home.desk.reload("app")
        assert "reloaded" == home.provider.output(ID).tail(1)[0]
        assert "reloaded" == home.desk.events(1)[0].kind
    async with house() as home:
        await home.awake()
        with pytest.raises(NotAllowed, match="no way to reload"):
            await home.desk.reload("app")
        assert "reloaded" not in [event.kind for event in home.desk.events(10)]


async def test_the_steps_of_a_wake_begin_with_the_knock() -> None:
    """What happened before the last wake is left out."""
    async with house() as home:
        await home.awake()
        assert ["waking", "starting", "started", "ready"] == [
            event.kind for event in home.desk.wake_steps("app") if event.kind != "waiting"
        ]
        with pytest.raises(UnknownApp):
            home.desk.wake_steps("ap")


async def test_the_daemon_is_told_whether_apps_stay() -> None:
    """Only the operator's own word leaves apps running."""
    async with house() as home:
        home.desk.shut_down()
        home.desk.shut_down(keep_apps=True)
        assert [False, True] == home.shut_down


async def test_a_stop_that_is_overruled_does_not_wait_for_ever() -> None:
    """Somebody starts the app before it has stopped: whoever waits for the stop learns that it is ready again."""
    async with house() as home:
        await home.awake()
        home.desk.command(Verb.STOP, "app")
        stopped = asyncio.ensure_future(home.desk.settle(Verb.STOP, "app"))
        home.desk.command(Verb.START, "app")
        await home.until(lambda: [1, 2] == [launch.generation for launch in home.provider.starts])
        await home.ready()

        assert Phase.READY is (await stopped).phase


async def test_who_asks_does_not_wait_for_what_will_not_come() -> None:
    """An app that is kept running stays blocked while what it needs is down; whoever started it learns why."""
    needed = AppSpec("db", readiness=Readiness((NotifyProbe(),)))
    spec = replace(APP, lifecycle=Lifecycle(always_on=True), depends_on=(Dependency("db"),))
    async with asyncio.timeout(10), house(spec, needed) as home:
        home.desk.command(Verb.STOP, "db", force=True)
        await home.desk.settle(Verb.STOP, "db")
        home.desk.command(Verb.START, "app")
        snapshot = await home.desk.settle(Verb.START, "app")
        assert (Phase.BLOCKED, "needs db: stopped by the operator") == (
            snapshot.phase,
            str(snapshot.instances[0].reason),
        )

        home.desk.command(Verb.START, "db")
        started = asyncio.ensure_future(home.desk.settle(Verb.START, "app"))
        await home.until(lambda: home.provider.alive(InstanceId("db")))
        home.provider.notify(InstanceId("db"))
        await home.ready()
        assert Phase.READY is (await started).phase
