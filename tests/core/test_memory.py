"""What a daemon that died had seen counts for the one after it."""

from __future__ import annotations

import pytest

from core.story import ID, Story
from torpor.core.fleet import Fleet
from torpor.core.messages import Adopted, BecameReady, Exited, PinRequested, StartInstance, StopInstance
from torpor.core.model import (
    AppMemory,
    AppSpec,
    Condition,
    Dependency,
    Endpoint,
    ExitInfo,
    Lifecycle,
    Phase,
    Restart,
    StartLimit,
)

ONE_SHOT = Lifecycle(always_on=True, restart=Restart.NO)


def ended(lifecycle: Lifecycle, code: int) -> Story:
    """An app that was started at boot and has ended by itself."""
    story = Story(lifecycle)
    story.boot()
    story.become_ready()
    story.exit(code)
    return story


def after_a_crash(story: Story) -> Story:
    """The same app under the next daemon, a moment later."""
    later = Story(story.app.spec.lifecycle, story.app.memory)
    later.now = story.now + 1.0
    later.boot()
    return later


@pytest.mark.parametrize(("code", "phase"), [(0, Phase.DONE), (3, Phase.FAILED)])
def test_what_has_run_to_its_end_does_not_run_again(code: int, phase: Phase) -> None:
    """A crash of the daemon is no boot: done stays done, and failed for good stays failed."""
    story = ended(ONE_SHOT, code)
    assert phase is story.phase()

    later = after_a_crash(story)

    assert phase is later.phase()
    assert [] == later.all(StartInstance)
    assert story.app.standing == later.app.standing


@pytest.mark.parametrize(
    ("restart", "code", "phase"),
    [
        (Restart.NO, 0, Phase.ASLEEP),
        (Restart.NO, 3, Phase.ASLEEP),
        (Restart.ON_FAILURE, 0, Phase.ASLEEP),
        (Restart.ON_FAILURE, 3, Phase.STARTING),
    ],
)
def test_a_pin_does_not_repeat_what_has_ended(restart: Restart, code: int, phase: Phase) -> None:
    """A job that a pin has started, and that has run to its end, is not run again because the daemon crashed."""
    story = Story(Lifecycle(restart=restart))
    story.tell(PinRequested("app", None))
    story.become_ready()
    story.exit(code)

    assert phase is after_a_crash(story).phase()


def test_what_is_to_be_restarted_is() -> None:
    """An app that waited for its next attempt gets it."""
    story = ended(Lifecycle(always_on=True, restart=Restart.ALWAYS), 0)
    assert Phase.BACKOFF is story.phase()

    later = after_a_crash(story)

    assert Phase.STARTING is later.phase()


def test_after_an_orderly_end_everything_runs_again() -> None:
    """`down` and `up` are a boot, whatever the machine did."""
    story = ended(ONE_SHOT, 0)
    story.app.close()

    later = after_a_crash(story)

    assert Phase.STARTING is later.phase()


def test_a_migration_is_not_repeated_for_its_dependents() -> None:
    """Whoever needs that something has completed finds it so."""
    specs = (
        AppSpec("api", Lifecycle(always_on=True), depends_on=(Dependency("migrate", Condition.COMPLETED),)),
        AppSpec("migrate", Lifecycle(restart=Restart.NO)),
    )
    memory = AppMemory(completed=ended(ONE_SHOT, 0).app.memory.completed)

    effects = Fleet(specs, {"migrate": memory}, 0.0).boot(0.0)

    assert ["api"] == [effect.id.app for effect in effects if isinstance(effect, StartInstance)]


def test_failures_are_counted_on() -> None:
    """The start limit holds over a crash of the daemon, for as long as its window lasts."""
    limit = StartLimit(failures=2, window=60.0, cool_off=60.0)
    story = ended(Lifecycle(always_on=True, restart=Restart.ALWAYS, start_limit=limit), 1)

    later = after_a_crash(story)
    later.become_ready()
    later.exit(1)

    assert Phase.FAILED is later.phase()


def test_what_has_changed_meanwhile_is_started_anew() -> None:
    """A survivor that was born with other settings is ended, and a generation with the new ones follows."""
    story = Story()
    story.tell(Adopted(ID, 4, Endpoint("127.0.0.1", 8501), 7, age=100.0, changed=("command", "user")))

    assert [StopInstance(ID, 4)] == story.all(StopInstance)
    assert "command, user" in str(story.app.snapshot(0.0).instances[0].reason)

    story.tell(Exited(ID, 4, ExitInfo(signal=15)))

    assert [StartInstance(ID, 5)] == story.all(StartInstance)


def test_words_and_watchdog_of_a_survivor_go_on() -> None:
    """What it said to the daemon before is shown, and the interval that it asked for holds."""
    story = Story(Lifecycle(watchdog=60.0))
    story.tell(Adopted(ID, 4, None, 7, age=100.0, status="busy", watchdog=0.7), BecameReady(ID, 4))
    assert "busy" == story.app.snapshot(0.0).instances[0].status

    story.wait(1.0)

    assert [StopInstance(ID, 4)] == story.all(StopInstance)
