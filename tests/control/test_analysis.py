"""What made a boot or a wake slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.fakes import FakeOperator
from control.test_api import get, problem, serving
from torpor.control.analysis import Analysis, Link, analyse_boot, analyse_wake
from torpor.control.problems import NotFound
from torpor.core.model import Cause, Condition, Dependency, Phase, Reason


def wake(
    operator: FakeOperator, app: str, by: str, *, blocked: float = 0.0, starting: float | None = 1.0
) -> None:
    """An app is woken now, and is ready `blocked` + `starting` seconds later; None: it never is."""
    operator.announce(app, "waking", f"woken by {by}", after=0, by=by)
    if blocked:
        operator.announce(app, "blocked", "waiting", after=0)
    operator.announce(app, "starting", "starting", after=blocked)
    operator.announce(app, "started", "process 7 started", after=0)
    if starting is not None:
        operator.announce(app, "waiting", f"waiting for {app}'s port", after=0)
        operator.announce(app, "ready", "ready", after=starting, seconds=blocked + starting)


def shop(*, condition: Condition = Condition.HEALTHY) -> FakeOperator:
    """`web` needs `api` and `cache`, `api` needs `db`; beside them `lonely`.

    The invented clock goes on with each event, so they are told in the order of happening.
    """
    operator = FakeOperator()
    operator.add("web", needs=(Dependency("api"), Dependency("cache", optional=True)))
    operator.add("api", needs=(Dependency("db", condition), Dependency("cache")))
    operator.add("db")
    operator.add("cache")
    operator.add("lonely")
    say = operator.announce
    say("web", "waking", "woken by boot", after=0, by="boot")
    say("web", "blocked", "waiting for api", after=0)
    say("api", "waking", "woken by web", after=0, by="web, which needs it")
    say("api", "blocked", "waiting for db", after=0)
    for name in ("db", "cache"):
        say(name, "waking", "woken by api", after=0, by="api, which needs it")
        say(name, "starting", "starting", after=0)
        say(name, "started", "started", after=0)
    say("lonely", "waking", "woken by boot", after=0, by="boot")
    say("lonely", "starting", "starting", after=0)
    say("cache", "ready", "ready", after=0.5)
    say("lonely", "ready", "ready", after=1.0)
    say("db", "waiting", "waiting for the port", after=0)
    say("db", "ready", "ready", after=1.5)
    say("api", "starting", "starting", after=0)
    say("api", "ready", "ready", after=1.0)
    say("web", "starting", "starting", after=0)
    say("web", "ready", "ready", after=0.25)
    return operator


def boot(operator: FakeOperator) -> Analysis:
    return analyse_boot(operator.snapshot(), operator.wake_steps)


def test_the_chain_of_a_boot_is_what_waited_for_each_other() -> None:
    """From the last one down to the one for which nobody else is to blame, with its times."""
    found = boot(shop())
    assert ("boot", 4.25, "db") == (found.subject, found.took, found.slowest)
    expected = [("web", 4.0, 0.25, 4.25), ("api", 3.0, 1.0, 4.0), ("db", 0.0, 3.0, 3.0)]
    assert expected == [(link.app, link.blocked, link.starting, link.ready_at) for link in found.chain]
    assert "waiting for the port" == found.chain[-1].waited_for
    assert ["db", "lonely", "api", "cache", "web"] == [link.app for link in found.apps]


def test_the_condition_says_what_was_waited_for() -> None:
    """A dependency that only had to be started kept nobody waiting until it was ready."""
    found = boot(shop(condition=Condition.STARTED))
    assert ["web", "api", "cache"] == [link.app for link in found.chain]


def test_what_was_up_before_is_not_in_the_chain() -> None:
    """A wake waits only for what was not there yet."""
    operator = shop()
    wake(operator, "web", "GET / from 127.0.0.1", starting=2.0)
    found = analyse_wake("web", operator.snapshot(), operator.wake_steps)
    expected = Link("web", "ready", "GET / from 127.0.0.1", 0.0, 2.0, 2.0, 1, "waiting for web's port", None)
    assert ("web", 2.0, [expected], [expected]) == (found.subject, found.took, found.chain, found.apps)


def test_what_was_woken_again_since_is_not_in_the_chain() -> None:
    """A dependency that is restarted after the boot had no part in it."""
    operator = shop()
    operator.announce("lonely", "signal", "got SIGHUP from the operator")
    wake(operator, "api", "the operator", starting=7.0)
    found = boot(operator)
    assert (["web"], 4.25) == ([link.app for link in found.chain], found.took)
    assert {"web", "cache", "lonely"} == {link.app for link in found.apps}


def test_a_boot_that_hangs_names_whom_everybody_waits_for() -> None:
    """What is not ready is later than all that is: the chain leads there, with the reason."""
    operator = FakeOperator()
    reason = Reason(Cause.START_FAILED, "exited with code 3")
    operator.add("web", phase=Phase.BLOCKED, needs=(Dependency("quick"), Dependency("db")))
    operator.add("quick")
    operator.add("db", phase=Phase.BACKOFF, reason=reason)
    operator.announce("web", "waking", "woken by boot", by="boot")
    operator.announce("web", "blocked", "waiting for db")
    wake(operator, "quick", "web, which needs it")
    wake(operator, "db", "web, which needs it", starting=None)
    operator.announce("db", "starting", "starting")
    found = boot(operator)
    assert (None, "db") == (found.took, found.slowest)
    assert [("web", "blocked", None, None), ("db", "backoff", None, "exited with code 3")] == [
        (link.app, link.state, link.ready_at, link.reason) for link in found.chain
    ]
    assert [0, 2] == [link.attempts for link in found.chain]


def test_a_one_shot_counts_by_its_end() -> None:
    """Whoever needs it completed waited until it had exited."""
    operator = FakeOperator()
    operator.add("web", needs=(Dependency("migrate", Condition.COMPLETED_SUCCESSFULLY),))
    operator.add("migrate", phase=Phase.DONE)
    operator.announce("web", "waking", "woken by boot", by="boot")
    wake(operator, "migrate", "web, which needs it", starting=0.5)
    operator.announce("migrate", "exited", "exited with code 0", after=2.0)
    operator.announce("web", "starting", "starting", after=0)
    operator.announce("web", "ready", "ready", after=1.0)
    web, migrate = boot(operator).chain
    assert (("web", 2.5), ("migrate", 2.5, 2.5)) == (
        (web.app, web.blocked),
        (migrate.app, migrate.starting, migrate.ready_at),
    )


def test_replicas_are_no_further_attempts() -> None:
    """Each instance counts its own starts; the app is ready with its first one."""
    operator = FakeOperator()
    operator.add("web", replicas=2)
    operator.announce("web", "waking", "woken by boot", by="boot")
    for instance in ("web", "web/1", "web/1"):
        operator.announce("web", "starting", "starting", instance)
    operator.announce("web", "ready", "ready", "web/1")
    operator.announce("web", "ready", "ready", "web", after=9.0)
    (link,) = boot(operator).chain
    assert (2, 4.0) == (link.attempts, link.ready_at)


def test_a_clock_set_back_makes_nothing_negative() -> None:
    """Figures may be wrong then, but no nonsense."""
    operator = FakeOperator()
    operator.add("web")
    operator.announce("web", "waking", "woken by boot", by="boot")
    operator.announce("web", "starting", "starting", after=-3600)
    operator.announce("web", "ready", "ready", after=1.0)
    (link,) = boot(operator).chain
    assert (0.0, 1.0, 0.0) == (link.blocked, link.starting, link.ready_at)


def test_without_a_wake_there_is_nothing_to_analyse() -> None:
    """It is said what could be asked instead."""
    operator = FakeOperator()
    operator.add("web")
    with pytest.raises(NotFound, match="torpor started no app"):
        boot(operator)
    with pytest.raises(NotFound, match="web has not been woken"):
        analyse_wake("web", operator.snapshot(), operator.wake_steps)


@pytest.mark.anyio
async def test_the_address(tmp_path: Path) -> None:
    """`GET /analysis` tells of the boot, with `app` of that app; what is unknown is 404."""
    async with serving(tmp_path, "web") as (operator, client, _):
        assert "not-found" == (await problem(client, "GET", "analysis"))["code"]
        assert "unknown-app" == (await problem(client, "GET", "analysis", app="wep"))["code"]
        wake(operator, "web", "boot")
        found = await get(client, "analysis")
        assert ("boot", 1.0) == (found["subject"], found["took"])
        assert "web" == (await get(client, "analysis", app="web"))["subject"]
