"""How deep an app sleeps, and when: what each way to write it means, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from torpor.config.load import load
from torpor.core.model import Lifecycle, Rung, Tier
from torpor.errors import ConfigInvalid

APP = "apps:\n  a:\n    command: x\n"
LADDER = "    sleep: {pause: 5m, hibernate: 15m, stop: 2h}\n"
DEEPER = (Rung(Tier.HIBERNATE, 900.0), Rung(Tier.STOP, 7200.0))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lifecycle_of(text: str) -> Lifecycle:
    Path("t.yaml").write_text(text)
    return load("t.yaml", {}).apps[0].lifecycle


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        lifecycle_of(text)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (APP, (Tier.STOP, 1800.0, ())),
        (APP + "    sleep: hibernate\n    idle_timeout: 10m\n", (Tier.HIBERNATE, 600.0, ())),
        (APP + "    sleep: pause\n    idle_timeout: never\n", (Tier.PAUSE, None, ())),
        (APP + LADDER, (Tier.PAUSE, 300.0, DEEPER)),
        (APP + "    sleep: {kill: 1h, pause: 1m}\n", (Tier.PAUSE, 60.0, (Rung(Tier.KILL, 3600.0),))),
        ("defaults:\n    idle_timeout: 1m\n" + APP + LADDER, (Tier.PAUSE, 300.0, DEEPER)),
        ("defaults:\n" + LADDER + APP + "    idle_timeout: 1m\n", (Tier.PAUSE, 60.0, DEEPER)),
        ("defaults:\n" + LADDER + APP + "    idle_timeout: never\n", (Tier.PAUSE, None, ())),
        ("defaults:\n" + LADDER + APP + "    sleep: pause\n", (Tier.PAUSE, 1800.0, ())),
    ],
)
def test_each_way_to_write_it(text: str, expected: tuple[Tier, float | None, tuple[Rung, ...]]) -> None:
    """One word goes with `idle_timeout`; a ladder has it as its first rung; the nearer one holds."""
    found = lifecycle_of(text)
    assert expected == (found.tier, found.idle_timeout, found.deeper)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sleep: {}", "sleep: has no rung; name one at least, e.g. {pause: 5m, stop: 2h}"),
        ("sleep: {stop: 1h, kill: 2h}", "sleep.kill: says `stop` and `kill`"),
        ("sleep: {pause: 5m, stop: 5m}", "sleep.stop: must be later than that: `pause` comes after 5m"),
        ("sleep: {pause: 0s}", "sleep.pause: must be longer than 0"),
        ("sleep: freeze", "sleep: "),
        (
            "idle_timeout: 1m\n    sleep: {pause: 5m}",
            "idle_timeout: says the same as the first rung of `sleep`",
        ),
        ("always_on: true\n    sleep: pause", "sleep: has no effect: an app that is always_on never sleeps"),
    ],
)
def test_what_is_wrong_with_it(text: str, words: str) -> None:
    """Each problem names its setting."""
    found = problems_of(APP + "    " + text + "\n")
    assert 1 == len(found), found
    assert words in found[0]


def test_an_inherited_ladder_must_fit_a_nearer_timeout() -> None:
    """A rung cannot come before one that sleeps less deep."""
    found = problems_of("defaults:\n" + LADDER + APP + "    idle_timeout: 1h\n")
    assert any("hibernate: must be later" in problem for problem in found), found
