"""The state machine of an instance: the table of phase × input → move.

Laws of this file:

- The table is total: what is ignored is written out as `ignore`, and there is no
  rule about a phase outside it.
- A report of an older generation changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torpor.core.instance import DeadlineReached, Instance, Outcome
from torpor.core.messages import (
    Adopted,
    BecameReady,
    ConnectRefused,
    DependenciesMet,
    DependencyLost,
    Exited,
    Gone,
    Released,
    RestartRequested,
    SleepRequested,
    Started,
    StartRefused,
    StartRequested,
    StopProblem,
    StopRequested,
    Vacated,
    WakeRequested,
)
from torpor.core.model import Phase

Move = Callable[[Instance, Any], None]

# One row per phase, one column per input.  Read a cell as: in this phase, on this input, do that.
TABLE: Mapping[Phase, Mapping[type, Move]] = {
    Phase.ASLEEP: {
        WakeRequested: Instance.wake,
        SleepRequested: Instance.ignore,
        StartRequested: Instance.start_fresh,
        StopRequested: Instance.ignore,
        RestartRequested: Instance.start_fresh,
        DependenciesMet: Instance.ignore,
        DependencyLost: Instance.ignore,
        Released: Instance.ignore,
        Adopted: Instance.adopt,
        Started: Instance.ignore,
        StartRefused: Instance.ignore,
        BecameReady: Instance.ignore,
        Exited: Instance.ignore,
        Gone: Instance.ignore,
        ConnectRefused: Instance.ignore,
        Vacated: Instance.ignore,
        StopProblem: Instance.ignore,
        DeadlineReached: Instance.ignore,
    },
    Phase.BLOCKED: {
        WakeRequested: Instance.ignore,
        SleepRequested: Instance.give_up,
        StartRequested: Instance.ignore,
        StopRequested: Instance.give_up,
        RestartRequested: Instance.ignore,
        DependenciesMet: Instance.unblock,
        DependencyLost: Instance.lose_dependency,
        Released: Instance.ignore,
        Adopted: Instance.ignore,
        Started: Instance.ignore,
        StartRefused: Instance.ignore,
        BecameReady: Instance.ignore,
        Exited: Instance.ignore,
        Gone: Instance.ignore,
        ConnectRefused: Instance.ignore,
        Vacated: Instance.ignore,
        StopProblem: Instance.ignore,
        DeadlineReached: Instance.blocked_late,
    },
    Phase.STARTING: {
        WakeRequested: Instance.ignore,
        SleepRequested: Instance.abandon_for_sleep,
        StartRequested: Instance.ignore,
        StopRequested: Instance.abandon_for_down,
        RestartRequested: Instance.start_over,
        DependenciesMet: Instance.ignore,
        DependencyLost: Instance.ignore,
        Released: Instance.ignore,
        Adopted: Instance.ignore,
        Started: Instance.note_started,
        StartRefused: Instance.start_refused,
        BecameReady: Instance.open,
        Exited: Instance.start_exited,
        Gone: Instance.ignore,
        ConnectRefused: Instance.ignore,
        Vacated: Instance.ignore,
        StopProblem: Instance.ignore,
        DeadlineReached: Instance.start_late,
    },
    Phase.READY: {
        WakeRequested: Instance.touch,
        SleepRequested: Instance.drain_for_sleep,
        StartRequested: Instance.touch,
        StopRequested: Instance.drain_for_down,
        RestartRequested: Instance.drain_for_restart,
        DependenciesMet: Instance.ignore,
        DependencyLost: Instance.ignore,
        Released: Instance.released,
        Adopted: Instance.ignore,
        Started: Instance.ignore,
        StartRefused: Instance.ignore,
        BecameReady: Instance.ignore,
        Exited: Instance.crashed,
        Gone: Instance.ignore,
        ConnectRefused: Instance.prove_again,
        Vacated: Instance.ignore,
        StopProblem: Instance.ignore,
        DeadlineReached: Instance.ready_due,
    },
    Phase.DRAINING: {
        WakeRequested: Instance.reopen,
        SleepRequested: Instance.want_no_more,
        StartRequested: Instance.reopen,
        StopRequested: Instance.want_no_more,
        RestartRequested: Instance.want_again,
        DependenciesMet: Instance.ignore,
        DependencyLost: Instance.ignore,
        Released: Instance.ignore,
        Adopted: Instance.ignore,
        Started: Instance.ignore,
        StartRefused: Instance.ignore,
        BecameReady: Instance.ignore,
        Exited: Instance.ended,
        Gone: Instance.ignore,
        ConnectRefused: Instance.ignore,
        Vacated: Instance.stop_when_vacant,
        StopProblem: Instance.ignore,
        DeadlineReached: Instance.drain_late,
    },
    Phase.STOPPING: {
        WakeRequested: Instance.want_again,
        SleepRequested: Instance.want_no_more,
        StartRequested: Instance.want_again,
        StopRequested: Instance.want_no_more,
        RestartRequested: Instance.want_again,
        DependenciesMet: Instance.ignore,
        DependencyLost: Instance.ignore,
        Released: Instance.ignore,
        Adopted: Instance.ignore,
        Started: Instance.note_started,
        StartRefused: Instance.gone,
        BecameReady: Instance.ignore,
        Exited: Instance.ended,
        Gone: Instance.gone,
        ConnectRefused: Instance.ignore,
        Vacated: Instance.ignore,
        StopProblem: Instance.note_stop_problem,
        DeadlineReached: Instance.kill,
    },
    Phase.BACKOFF: {
        WakeRequested: Instance.want_again,
        SleepRequested: Instance.give_up,
        StartRequested: Instance.start_fresh,
        StopRequested: Instance.give_up,
        RestartRequested: Instance.start_fresh,
        DependenciesMet: Instance.ignore,
        DependencyLost: Instance.ignore,
        Released: Instance.ignore,
        Adopted: Instance.ignore,
        Started: Instance.ignore,
        StartRefused: Instance.ignore,
        BecameReady: Instance.ignore,
        Exited: Instance.ignore,
        Gone: Instance.ignore,
        ConnectRefused: Instance.ignore,
        Vacated: Instance.ignore,
        StopProblem: Instance.ignore,
        DeadlineReached: Instance.retry,
    },
    Phase.FAILED: {
        WakeRequested: Instance.ignore,
        SleepRequested: Instance.give_up,
        StartRequested: Instance.start_fresh,
        StopRequested: Instance.give_up,
        RestartRequested: Instance.start_fresh,
        DependenciesMet: Instance.ignore,
        DependencyLost: Instance.ignore,
        Released: Instance.ignore,
        Adopted: Instance.ignore,
        Started: Instance.ignore,
        StartRefused: Instance.ignore,
        BecameReady: Instance.ignore,
        Exited: Instance.ignore,
        Gone: Instance.ignore,
        ConnectRefused: Instance.ignore,
        Vacated: Instance.ignore,
        StopProblem: Instance.ignore,
        DeadlineReached: Instance.cool_off_over,
    },
    Phase.DONE: {
        WakeRequested: Instance.wake,
        SleepRequested: Instance.give_up,
        StartRequested: Instance.start_fresh,
        StopRequested: Instance.give_up,
        RestartRequested: Instance.start_fresh,
        DependenciesMet: Instance.ignore,
        DependencyLost: Instance.ignore,
        Released: Instance.ignore,
        Adopted: Instance.ignore,
        Started: Instance.ignore,
        StartRefused: Instance.ignore,
        BecameReady: Instance.ignore,
        Exited: Instance.ignore,
        Gone: Instance.ignore,
        ConnectRefused: Instance.ignore,
        Vacated: Instance.ignore,
        StopProblem: Instance.ignore,
        DeadlineReached: Instance.ignore,
    },
}


def step(instance: Instance, message: object, now: float) -> list[Outcome]:
    """Hand one input to an instance at `now` and return what is to be done about it."""
    if getattr(message, "generation", instance.generation) != instance.generation:
        return []
    instance.now = now
    instance.out = []
    TABLE[instance.phase][type(message)](instance, message)
    return instance.out


def table() -> Iterator[tuple[str, str, str, str]]:
    """The rows (phase, input, move, what the move does), for the documentation."""
    for phase, row in TABLE.items():
        for message, move in row.items():
            name = move.__name__.replace("_", " ")
            yield phase.value, message.__name__, name, (move.__doc__ or "").strip()
