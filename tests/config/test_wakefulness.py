"""What keeps an app awake: each way to write it, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from torpor.config.load import load
from torpor.core.model import AppSpec, ExecProbe, HttpProbe, IdleQuestion
from torpor.core.schedule import Schedule, Window
from torpor.errors import ConfigInvalid

APP = "apps:\n  a:\n    command: x\n"
WEEKDAYS = frozenset(range(5))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def app_of(text: str) -> AppSpec:
    Path("t.yaml").write_text(text, encoding="utf-8")
    return load("t.yaml", {}).apps[0]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cpu_below: 5%", IdleQuestion(cpu_below=0.05)),
        ("cpu_below: 250%\n    cpu_window: 1m", IdleQuestion(cpu_below=2.5, cpu_window=60.0)),
        ("keep_awake_if: ./busy.sh --now", IdleQuestion(probe=ExecProbe(("./busy.sh", "--now")))),
        (
            "keep_awake_if: {exec: [./busy], timeout: 1s}",
            IdleQuestion(probe=ExecProbe(("./busy",)), timeout=1.0),
        ),
        ("keep_awake_if: {http: /busy}", IdleQuestion(probe=HttpProbe("/busy", ((200, 299),)))),
    ],
)
def test_each_way_to_ask(line: str, expected: IdleQuestion) -> None:
    """A share of CPU, a command, a path."""
    assert expected == app_of(f"{APP}    {line}\n").lifecycle.question


def test_a_path_that_is_asked_needs_a_port() -> None:
    """Who is asked by HTTP is told its port, though it has no route."""
    assert app_of(f"{APP}    keep_awake_if: {{http: /busy}}\n").listens


def test_a_schedule_has_windows_moments_and_a_zone() -> None:
    """One or a list of each; days and times in any case and with any blanks."""
    schedule = app_of(
        APP
        + """    min_uptime: 2m
    schedule:
      keep_warm: Mon-Fri  08:00-18:00
      allowed: [mon-fri, "sat 9:00-13:00", "22:00-06:00"]
      blackout: "00:00-00:30"
      wake_at: ["0 7  * * mon-fri"]
      timezone: Europe/Berlin
"""
    ).schedule

    assert schedule == Schedule(
        keep_warm=(Window("mon-fri 08:00-18:00", WEEKDAYS, 480, 1080),),
        allowed=(
            Window("mon-fri", WEEKDAYS),
            Window("sat 9:00-13:00", frozenset({5}), 540, 780),
            Window("22:00-06:00", begins=1320, ends=360),
        ),
        blackout=(Window("00:00-00:30", begins=0, ends=30),),
        wake_at=("0 7 * * mon-fri",),
        timezone="Europe/Berlin",
    )


PROBLEMS = {
    "cpu_below: 5": "t.yaml:4:16: apps.a.cpu_below: 5 needs a percent sign, e.g. 5%",
    "cpu_below: 0%": "t.yaml:4:16: apps.a.cpu_below: must be more than 0% and at most 100000%",
    "cpu_below: some": "t.yaml:4:16: apps.a.cpu_below: 'some' is no share; write it like 5% or 0.5%",
    "cpu_window: 5s": "t.yaml:4:17: apps.a.cpu_window: has no effect without `cpu_below`",
    "keep_awake_if: {timeout: 1s}": "t.yaml:4:20: apps.a.keep_awake_if: must name exactly one of `exec` and `http`",
    "keep_awake_if: {http: /a b}": "t.yaml:4:27: apps.a.keep_awake_if.http: a path is plain ASCII without blanks",
    "{idle_timeout: never, min_uptime: 1m}": "apps.a.min_uptime: has no effect: with `idle_timeout: never` it never sleeps",
    "{always_on: true, cpu_below: 5%}": "apps.a.cpu_below: has no effect: an app that is always_on never sleeps",
    "schedule: {keep_warm: monday}": "t.yaml:4:27: apps.a.schedule.keep_warm: 'monday' is no window; write days",
    "schedule: {keep_warm: ''}": "apps.a.schedule.keep_warm: '' is no window",
    "schedule: {keep_warm: []}": "apps.a.schedule.keep_warm: is empty; leave it out",
    "schedule: {keep_warm: [mon, '8:00-24:30']}": "keep_warm.1: '24:30' is no time of the day; they are from",
    "schedule: {keep_warm: '08:00-08:00'}": "begins when it ends; for whole days leave the times out",
    "schedule: {keep_warm: '24:00-08:00'}": "begins at 24:00; the next day begins at 00:00",
    "schedule: {keep_warm: mon, allowed: tue}": "'mon' is never: the app may not run at any of these times",
    "schedule: {blackout: mon-sun}": "blackout: leaves no time of the week at which the app may run",
    "schedule: {allowed: mon, blackout: sun-mon}": "leaves no time of the week at which the app may run",
    "schedule: {wake_at: 0 7 * *}": "wake_at: '0 7 * *' has 4 fields, not five",
    "schedule: {wake_at: 0 7 * * mun}": "wake_at: '0 7 * * mun' is nothing that cron knows: bad day-of-week",
    "schedule: {wake_at: 0 7 * * sun, allowed: mon-fri}": "is always at a time at which the app may not run",
    "schedule: {timezone: Europe/Berlim}": "'Europe/Berlim' is no time zone; they are named like Europe/Berlin (did you mean 'Europe/Berlin'?)",
    "schedule: {timezone: ../../etc/passwd}": "'../../etc/passwd' is no time zone",
    "{always_on: true, schedule: {allowed: mon}}": "and `always_on` exclude each other",
    "{always_on: true, schedule: {keep_warm: mon}}": "schedule: has no effect: an app that is always_on never sleeps",
}


@pytest.mark.parametrize("written", PROBLEMS)
def test_what_is_wrong_is_told_with_its_place(written: str) -> None:
    """Also what can never come true."""
    text = f"apps:\n  a: {{command: x, {written[1:]}\n" if written[0] == "{" else f"{APP}    {written}\n"

    with pytest.raises(ConfigInvalid) as caught:
        app_of(text)

    assert PROBLEMS[written] in " | ".join(map(str, caught.value.problems))
