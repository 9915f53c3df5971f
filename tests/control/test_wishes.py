"""Force, rolling restarts, scaling, signals and reloads through the API."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from control.fakes import FakeOutput
from control.test_api import get, post, problem, serving
from torpor.core.model import Cause, Condition, Dependency, Phase, Reason, Want

pytestmark = pytest.mark.anyio


async def test_what_others_need_is_stopped_by_force_only(tmp_path: Path) -> None:
    """Without `force` 409 with the names of those who need it; with it the stop goes through."""
    async with serving(tmp_path) as (operator, client, _):
        operator.add("db", held_by=("api", "web"))
        refusal = await problem(client, "POST", "apps", "db", "stop")
        assert (409, "db is needed by api, web") == (refusal["status"], refusal["detail"])
        assert "asleep" == (await post(client, "apps", "db", "stop", force="true"))["app"]["state"]
    assert ["db"] == operator.forced


async def test_tracking_begins_the_idle_clock_anew(tmp_path: Path) -> None:
    """The answer tells until when the app stays awake; an app that nobody knows is a 404."""
    async with serving(tmp_path, "web") as (operator, client, _):
        outcome = await post(client, "apps", "web", "track")
        assert (True, 1800.0, []) == (outcome["done"], outcome["app"]["idle_in"], operator.commands)
        assert 404 == (await problem(client, "POST", "apps", "wep", "track"))["status"]


@pytest.mark.parametrize("verb", ["stop", "sleep"])
async def test_a_wish_that_was_overruled_is_no_success(tmp_path: Path, verb: str) -> None:
    """Somebody wanted the app awake again meanwhile: whoever waited for its end gets 409."""
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.overruled.add("web")
        refusal = await problem(client, "POST", "apps", "web", verb)
    expected = f"web is ready: somebody wanted it awake after this {verb}"
    assert (409, expected) == (refusal["status"], refusal["detail"])


@pytest.mark.parametrize(("verb", "option"), [("start", "force"), ("sleep", "force"), ("stop", "rolling")])
async def test_an_option_of_another_verb_is_refused(tmp_path: Path, verb: str, option: str) -> None:
    """Rather than ignored: whoever asked meant something by it."""
    async with serving(tmp_path, "web") as (operator, client, _):
        refusal = await problem(client, "POST", "apps", "web", verb, **{option: "true"})
    assert (400, []) == (refusal["status"], operator.commands)


async def test_a_rolling_restart_succeeds_with_every_replica(tmp_path: Path) -> None:
    """It fails where one replica fails, although the app as a whole is ready."""
    async with serving(tmp_path) as (operator, client, _):
        operator.add("web", replicas=2)
        assert (await post(client, "apps", "web", "restart", rolling="true"))["done"]
        operator.broken.add("web")
        refusal = await problem(client, "POST", "apps", "web", "restart", rolling="true")
    assert "web/1 did not become ready: exited with code 1 before it was ready" == refusal["detail"]
    assert "ready" == refusal["app"]["state"]
    assert ["web", "web"] == operator.rolled


async def test_a_roll_that_ended_early_is_no_success(tmp_path: Path) -> None:
    """Even if the replica that ended it has recovered by then: the others were not replaced."""
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.apps["web"] = replace(operator.app("web"), roll_ended="web/1 is backoff")
        refusal = await problem(client, "POST", "apps", "web", "restart", rolling="true")
    expected = "the rolling restart of web did not reach every replica: web/1 is backoff"
    assert (503, expected) == (refusal["status"], refusal["detail"])


@pytest.mark.parametrize("verb", ["start", "restart", "wake"])
@pytest.mark.parametrize("phase", [Phase.BACKOFF, Phase.ASLEEP])
async def test_a_start_succeeds_with_every_replica(tmp_path: Path, verb: str, phase: Phase) -> None:
    """One that failed, or sleeps, beside others that are ready is told, with its own last words."""
    async with serving(tmp_path) as (operator, client, _):
        operator.add("web", replicas=2)
        reason = Reason(Cause.START_FAILED, "exited with code 7 before it was ready")
        operator.lame["web"] = (1, phase, reason)
        operator.outputs["web/1"] = FakeOutput(["I am replica 1"])
        refusal = await problem(client, "POST", "apps", "web", verb)
    assert (503, f"web/1 did not become ready: {reason}") == (refusal["status"], refusal["detail"])
    assert ["I am replica 1"] == refusal["output"]


async def test_a_one_shot_that_succeeded_is_a_success(tmp_path: Path) -> None:
    """It sleeps again already, having done what it was started for; one that failed is told."""
    async with serving(tmp_path, "once") as (operator, client, _):
        operator.lame["once"] = (0, Phase.ASLEEP, Reason(Cause.EXITED, "exited with code 0"))
        operator.finished.add("once")
        assert (await post(client, "apps", "once", "start"))["done"]
        operator.finished.clear()
        refusal = await problem(client, "POST", "apps", "once", "start")
    assert (503, "once did not become ready: exited with code 0") == (refusal["status"], refusal["detail"])


async def test_the_hint_names_the_root(tmp_path: Path) -> None:
    """Of a chain that does not come up the app at its end is the one to start."""
    async with serving(tmp_path) as (operator, client, _):
        operator.add("db", phase=Phase.ASLEEP, want=Want.DOWN)
        because = Reason(Cause.DEPENDENCY, "needs db: stopped by the operator")
        operator.add("api", phase=Phase.ASLEEP, reason=because, needs=[Dependency("db")])
        operator.add("web", needs=[Dependency("api")])
        operator.lame["web"] = (0, Phase.BLOCKED, Reason(Cause.DEPENDENCY, f"needs api: {because}"))
        refusal = await problem(client, "POST", "apps", "web", "start")
    assert ("`torpor start db` first", True) == (refusal["hint"], "needs api: needs db" in refusal["detail"])


async def test_scaling_answers_with_the_instances(tmp_path: Path) -> None:
    """The document has as many as were asked for."""
    async with serving(tmp_path, "web") as (_, client, _server):
        outcome = await post(client, "apps", "web", "scale", replicas=3)
        assert ("scale", 3, True) == (outcome["verb"], outcome["replicas"], outcome["done"])
        assert ["web", "web/1", "web/2"] == [one["id"] for one in outcome["app"]["instances"]]
        assert not (await post(client, "apps", "web", "scale", replicas=2, wait="false"))["done"]


async def test_scaling_tells_of_a_replica_that_fails(tmp_path: Path) -> None:
    """503 with its name and its reason."""
    async with serving(tmp_path, "web") as (operator, client, _):
        operator.broken.add("web")
        refusal = await problem(client, "POST", "apps", "web", "scale", replicas=2)
    assert (503, "web/1 did not become ready: no such program") == (refusal["status"], refusal["detail"])


@pytest.mark.parametrize(
    ("wish", "params", "status", "words"),
    [
        ("scale", {}, 400, "replicas is missing"),
        ("scale", {"replicas": "many"}, 400, "is not a whole number"),
        ("scale", {"replicas": "-1"}, 400, "is not a whole number"),
        ("scale", {"replicas": "0"}, 409, "cannot have 0 replicas"),
        ("scale", {"replicas": "9" * 5000}, 409, "cannot have 9999"),
        ("signal", {}, 400, "signal is missing"),
        ("signal", {"signal": "HUPP"}, 400, "did you mean 'HUP'?"),
        ("signal", {"signal": "0"}, 400, "0 is no signal"),
        ("signal", {"signal": "9" * 5000}, 400, "is no signal"),
    ],
)
async def test_a_wish_that_makes_no_sense(
    tmp_path: Path, wish: str, params: dict[str, str], status: int, words: str
) -> None:
    """It is refused in words, and nothing is done."""
    async with serving(tmp_path, "web") as (operator, client, _):
        refusal = await problem(client, "POST", "apps", "web", wish, **params)
        assert status == refusal["status"]
        assert words in refusal["detail"]
        assert 1 == len(operator.app("web").instances)
    assert [] == operator.told


@pytest.mark.parametrize("name", ["HUP", "sighup", "1"])
async def test_a_signal_by_name_or_number(tmp_path: Path, name: str) -> None:
    """However it is written, every instance gets it."""
    async with serving(tmp_path) as (operator, client, _):
        operator.add("web", replicas=2)
        outcome = await post(client, "apps", "web", "signal", signal=name)
    assert (2, signal.SIGHUP) == (outcome["reached"], outcome["signal"])
    assert [("web", signal.SIGHUP)] == operator.told


async def test_a_reload(tmp_path: Path) -> None:
    """The app is told; one without a way to be reloaded, or asleep, is a conflict with a hint."""
    async with serving(tmp_path, "web", "fixed") as (operator, client, _):
        operator.add("lazy", phase=Phase.ASLEEP)
        operator.broken.add("fixed")
        assert 1 == (await post(client, "apps", "web", "reload"))["reached"]
        refusal = await problem(client, "POST", "apps", "fixed", "reload")
        assert (409, "set reload_signal or reload_command") == (refusal["status"], refusal["hint"])
        assert "it is asleep" in (await problem(client, "POST", "apps", "lazy", "reload"))["detail"]
    assert [("web", "reload")] == operator.told


@pytest.mark.parametrize("keep", [False, True])
async def test_the_daemon_may_end_without_its_apps(tmp_path: Path, *, keep: bool) -> None:
    """Only on request."""
    async with serving(tmp_path, "web") as (operator, client, _):
        await post(client, "shutdown", **({"keep_apps": "true"} if keep else {}))
    assert (1, keep) == (operator.shutdowns, operator.keeps_apps)


async def test_an_app_tells_of_its_surroundings(tmp_path: Path) -> None:
    """What it needs, who needs it, its own words, and each instance, in the list and alone."""
    async with serving(tmp_path) as (operator, client, _):
        needs = (Dependency("db"), Dependency("cache", Condition.STARTED, optional=True))
        operator.add("api", needs=needs, held_by=("web",), status="42 jobs", replicas=2)
        (listed,) = await get(client, "apps")
        alone = await get(client, "apps", "api")
    for document in (listed, alone):
        assert [
            {"app": "db", "condition": "healthy", "optional": False},
            {"app": "cache", "condition": "started", "optional": True},
        ] == document["depends_on"]
        assert (["web"], "42 jobs") == (document["held_by"], document["status"])
        assert [("api", 4242, 3), ("api/1", 4242, 3)] == [
            (one["id"], one["pid"], one["generation"]) for one in document["instances"]
        ]
