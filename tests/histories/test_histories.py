"""Random histories: thousands of hostile worlds, and proof that they would notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from histories.world import LawBroken, World
from torpor.core import app as app_module
from torpor.core import (
    dependencies,
    exits,
    grounds,
    machine,
    moves,
    outside,
    pressure,
    scaling,
    transitions,
    wakefulness,
)
from torpor.core.fleet import Fleet
from torpor.core.instance import DeadlineReached, Instance
from torpor.core.lender import Lender
from torpor.core.messages import (
    Adopted,
    Applied,
    BecameReady,
    DependencyLost,
    Effect,
    EndUnasked,
    Exited,
    Froze,
    StartRequested,
    WakeRequested,
)
from torpor.core.model import Phase, Refusal
from torpor.core.replicas import Replicas
from torpor.core.waiting_room import WaitingRoom
from torpor.core.wakefulness import Grounds

HISTORIES = 1000
BLOCKS = 25
"""Of so many histories each that one is far from a test's time limit, however busy the machine."""
STEPS = 80


@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.slow
def test_no_history_breaks_a_law(block: int) -> None:
    """Whatever the world does, in whatever order, the laws hold after every single step."""
    size = HISTORIES // BLOCKS
    for seed in range(block * size, (block + 1) * size):
        world = World(seed)
        try:
            world.run(STEPS)
        except LawBroken as broken:
            history = "\n".join(world.trace[-40:])
            pytest.fail(f"seed {seed}: {broken}\n{history}")


def _never_kill(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.STOPPING, DeadlineReached, moves.ignore)


def _forget_the_start_deadline(patch: pytest.MonkeyPatch) -> None:
    enter = Instance.enter

    def without(self: Instance, phase: Phase, limit: float | None) -> None:
        enter(self, phase, None if phase is Phase.STARTING else limit)

    patch.setattr(Instance, "enter", without)


def _start_beside_the_living(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.STOPPING, WakeRequested, moves.wake)


def _finish_despite_leftovers(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.STOPPING, Exited, exits.gone)


def _forget_who_waits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WaitingRoom, "grant", lambda _self, _enter: [])


def _leave_the_gate_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Instance, "close_gate", lambda _self: None)


def _ignore_an_exit(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.READY, Exited, moves.ignore)


def _believe_old_news(patch: pytest.MonkeyPatch) -> None:
    def gullible(instance: Instance, message: object, now: float) -> list[object]:
        instance.now = now
        instance.out = []
        machine.TABLE[instance.phase][type(message)](instance, message)
        return list(instance.out)

    patch.setattr(app_module, "step", gullible)


def _wake_what_is_to_be_down(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(app_module.App, "refusal", lambda _self, _now: None)


def _ready_again_while_stopping(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.STOPPING, BecameReady, moves.open_gate)


def _start_before_the_needed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dependencies, "missing", lambda _needed, _standings: None)


def _hold_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(app_module.App, "hold", lambda _self, _by, _need, _now: [])


def _sleep_although_held(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Grounds, "hold", False)
    patch.setattr(wakefulness, "_of_its_app", lambda _it, _now: ())


def _sleep_unasked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(wakefulness, "_asked", lambda _it, _now, last: None)


def _wait_for_an_answer_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        wakefulness, "look_again", lambda found, now: None if found[-1].name == "question" else now + 1.0
    )


def _run_out_of_hours(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(grounds, "keep_closed", lambda _app, _now: None)


def _give_up_although_held(patch: pytest.MonkeyPatch) -> None:
    stay_blocked = transitions.stay_blocked

    def give_up(it: Instance, refusal: Refusal) -> None:
        it.held = False
        stay_blocked(it, refusal)

    patch.setattr(transitions, "stay_blocked", give_up)


def _leave_new_replicas_asleep(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(scaling, "wanted", lambda _app: False)


def _sleep_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Instance, "accompanied", False)


def _stop_all_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Fleet, "_shut_down", lambda self, now: [e for app in self.apps.values() for e in app.shut_down(now)]
    )


def _overlook_survivors(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.ASLEEP, Adopted, moves.ignore)


def _forget_the_wishes(patch: pytest.MonkeyPatch) -> None:
    remember = vars(app_module.App)["memory"].fget
    patch.setattr(app_module.App, "memory", property(lambda self: replace(remember(self), want=None)))


def _do_not_forgive_what_is_ending(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.STOPPING, StartRequested, moves.want_again)


def _let_removed_apps_wait(patch: pytest.MonkeyPatch) -> None:
    def leave(self: app_module.App) -> list[object]:
        self.leaving = True
        return []

    patch.setattr(app_module.App, "leave", leave)


def _forget_the_living(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(app_module.App, "over", property(lambda self: self.leaving))


def _keep_the_old_holds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Fleet, "_put_holds_right", lambda _self, _before: ([], []))


def _freeze_the_busy(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transitions, "rest_when_vacant", lambda it: transitions.deepen(it, it.tier))


def _send_requests_to_the_frozen(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.FROZEN, WakeRequested, lambda it, _message: transitions.open_gate(it))


def _overlook_an_end_in_sleep(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.FROZEN, Exited, moves.ignore)


def _wait_for_a_freeze_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Instance, "frozen_deadline", lambda _self: None)
    _cell(patch, Phase.FROZEN, DeadlineReached, moves.ignore)


def _wait_in_sleep_for_what_is_lost(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.FROZEN, DependencyLost, moves.ignore)
    _cell(patch, Phase.FROZEN, DeadlineReached, moves.ignore)


def _renew_everybody(patch: pytest.MonkeyPatch) -> None:
    apply = Fleet._apply

    def zealous(self: Fleet, message: Applied, now: float) -> list[Effect]:
        effects = apply(self, message, now)
        for app in self.apps.values():
            effects += app.change(app.spec, now, renewed=True)
        return effects

    patch.setattr(Fleet, "_apply", zealous)


def _overdraw_budgets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lender, "short_of", lambda _self, _app, _ahead: None)


def _put_anybody_to_sleep(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pressure, "kept", lambda _app: None)


def _cut_off_the_busy(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Replicas, "inflight", 0)


def _never_open_the_door_again(patch: pytest.MonkeyPatch) -> None:
    def keep_room(self: app_module.App) -> list[Effect]:
        self.door.yielding = False
        return []

    patch.setattr(app_module.App, "keep_room", keep_room)


def _overlook_who_was_ended_by_others(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outside, "ended_outside", lambda _it, message: message.by_hand)


def _go_on_what_others_froze(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.READY, Froze, moves.ignore)


def _end_whoever_runs(patch: pytest.MonkeyPatch) -> None:
    _cell(patch, Phase.READY, Froze, lambda it, _message: it.out.append(EndUnasked(it.id)))


def _cell(patch: pytest.MonkeyPatch, phase: Phase, message: type, move: Callable[..., None]) -> None:
    patch.setitem(machine.TABLE[phase], message, move)


_BEGINNING: dict[Callable[[pytest.MonkeyPatch], None], int] = {
    _give_up_although_held: 200,
    _let_removed_apps_wait: 700,
}
"""The seed to begin with, for what few histories show: the time is spent on those that may."""


@pytest.mark.parametrize(
    "sabotage",
    [
        _never_kill,
        _forget_the_start_deadline,
        _start_beside_the_living,
        _finish_despite_leftovers,
        _forget_who_waits,
        _leave_the_gate_open,
        _ignore_an_exit,
        _believe_old_news,
        _wake_what_is_to_be_down,
        _ready_again_while_stopping,
        _start_before_the_needed,
        _hold_nobody,
        _sleep_although_held,
        _sleep_unasked,
        _wait_for_an_answer_for_ever,
        _run_out_of_hours,
        _give_up_although_held,
        _sleep_alone,
        _leave_new_replicas_asleep,
        _stop_all_at_once,
        _overlook_survivors,
        _forget_the_wishes,
        _do_not_forgive_what_is_ending,
        _let_removed_apps_wait,
        _forget_the_living,
        _keep_the_old_holds,
        _renew_everybody,
        _overdraw_budgets,
        _put_anybody_to_sleep,
        _cut_off_the_busy,
        _never_open_the_door_again,
        _freeze_the_busy,
        _send_requests_to_the_frozen,
        _overlook_an_end_in_sleep,
        _wait_for_a_freeze_for_ever,
        _wait_in_sleep_for_what_is_lost,
        _overlook_who_was_ended_by_others,
        _go_on_what_others_froze,
        _end_whoever_runs,
    ],
)
@pytest.mark.slow
def test_a_broken_core_is_noticed(sabotage: Callable[[pytest.MonkeyPatch], None]) -> None:
    """Each way of breaking the core on purpose breaks a law within some histories."""
    with pytest.MonkeyPatch.context() as patch:
        sabotage(patch)
        first = _BEGINNING.get(sabotage, 0)
        for seed in range(first, first + 1500):
            try:
                World(seed).run(STEPS)
            except (LawBroken, AssertionError, KeyError, ValueError):
                return
    pytest.fail("1,500 histories noticed nothing")
