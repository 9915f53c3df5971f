"""What a wake is told in."""

from __future__ import annotations

from collections import defaultdict

import pytest

from torpor.core.model import AppSnapshot, AppSpec, Awaited, Condition, Dependency, Event, Phase, Want
from torpor.core.wake_events import Action, Attempts, action, is_over, resumed, wake_event


def _steps(*kinds: str, app: str = "web", first: int = 1) -> list[Event]:
    return [Event(seq, 0.0, app, kind, kind, app) for seq, kind in enumerate(kinds, first)]


def _attempt(*kinds: str) -> list[str]:
    steps = _steps(*kinds)
    return [event.kind for event in Attempts(lambda _: steps, lambda _: ()).events("web")]


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        ("waking starting started waiting ready", "waking starting started waiting ready"),
        ("waking start-failed stopping asleep", "waking start-failed asleep"),
        ("waking ready asleep", ""),
        ("waking ready draining hibernated", ""),
        ("waking ready exited backoff starting", "exited backoff starting"),
        ("waking start-failed failed waking starting", "waking starting"),
        ("signal want scaled", ""),
        ("asleep", ""),
    ],
)
def test_the_present_attempt(kinds: str, told: str) -> None:
    """It begins with a knock or after the last verdict, is over with a nap, and has no news of an earlier one."""
    assert told.split() == _attempt(*kinds.split())


def test_an_end_that_was_to_be_expected_is_no_error() -> None:
    """A job that ran to its end has not failed; a program that exited while it was used has."""
    ended = Event(1, 0.0, "job", "exited", "exited with code 0", "job", {"expected": True})
    crashed = Event(2, 0.0, "web", "exited", "exited with code 1", "web", {"expected": False})
    assert (None, Action.ERROR) == (action(ended), action(crashed))


def test_what_waits_for_an_optional_app_is_not_told() -> None:
    """Only what keeps an app waiting belongs to its wake."""
    steps = {"web": _steps("waking"), "cache": _steps("waking-dep", app="cache", first=2)}
    for optional, told in ((True, ["waking"]), (False, ["waking", "waking-dep"])):
        needs = defaultdict(list, web=[Dependency("cache", optional=optional)])
        attempts = Attempts(steps.__getitem__, needs.__getitem__)
        assert told == [event.kind for event in attempts.events("web")]
        assert (not optional) is attempts.concerns("web", steps["cache"][0])


def test_goes_on_only_within_the_attempt() -> None:
    """A number of an earlier attempt, or of one that nobody gave, means everything."""
    steps = _steps("waking", "ready", first=7)
    assert [0, 7, 8, 0] == [resumed(steps, seq) for seq in (6, 7, 8, 9)]
    assert 0 == resumed([], 7)


def test_names_whom_it_waits_for() -> None:
    """Whoever reads a stream learns the dependency's name without reading the sentence."""
    event = Event(3, 1.5, "web", "waking-dep", "waking db", "web", {"dependency": "db"})
    told = wake_event(event, "Waking db")
    assert (3, 1.5, "info", "web", Action.WAKING_DEP) == (
        told.seq, told.timestamp, told.level, told.category, told.action
    )  # fmt: skip
    assert {"message": "Waking db", "dependency": "db"} == told.data


def test_when_a_wake_has_its_verdict() -> None:
    """Not while it waits for others in its sleep, nor between two attempts; a replica that waits changes nothing."""
    waits = (Awaited("db", Condition.HEALTHY, 1.0),)
    found = {
        phase: [
            is_over(AppSnapshot("web", Want.AUTO, phase, 0, None, None, (), AppSpec("web"), awaited=awaited))
            for awaited in ((), waits)
        ]
        for phase in Phase
    }
    verdicts = {Phase.READY, Phase.FAILED, Phase.DONE, Phase.ASLEEP, Phase.FROZEN}
    assert {phase: [phase in verdicts, phase in verdicts - {Phase.FROZEN}] for phase in Phase} == found
