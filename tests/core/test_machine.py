"""The table of an instance's moves."""

from __future__ import annotations

import pytest

from torpor.core.instance import DeadlineReached, Instance
from torpor.core.machine import TABLE, step, table
from torpor.core.messages import (
    AppInput,
    BecameReady,
    ClientLeft,
    FleetInput,
    InstanceInput,
    PageRequested,
    PinRequested,
    PriorityRequested,
    RequestArrived,
    ScaleRequested,
    ScheduleChanged,
    Tracked,
    UnpinRequested,
)
from torpor.core.model import InstanceId, Lifecycle, Phase, Want

ADDRESSED_TO_THE_APP = {
    RequestArrived,
    PageRequested,
    ClientLeft,
    Tracked,
    ScaleRequested,
    PriorityRequested,
    PinRequested,
    UnpinRequested,
    ScheduleChanged,
}


def test_the_table_is_total() -> None:
    """Every phase has a cell for every input that can reach an instance, and for nothing else."""
    inputs = {
        *AppInput.__args__,
        *FleetInput.__args__,
        *InstanceInput.__args__,
        DeadlineReached,
    } - ADDRESSED_TO_THE_APP

    assert set(Phase) == set(TABLE)
    for row in TABLE.values():
        assert inputs == set(row)


def test_every_move_says_what_it_does() -> None:
    """The drawn table has a sentence in every cell."""
    rows = list(table())

    assert len(TABLE) * len(TABLE[Phase.READY]) == len(rows)
    assert [] == [row for row in rows if not row[3].endswith(".")]


@pytest.mark.parametrize("phase", Phase)
def test_a_report_of_an_older_generation_changes_nothing(phase: Phase) -> None:
    """Late news of a generation that is over is dropped in every phase."""
    instance = Instance(InstanceId("app"), Lifecycle(), 0.0, want=Want.AUTO)
    instance.phase, instance.generation = phase, 5

    outcomes = step(instance, BecameReady(InstanceId("app"), 4), 1.0)

    assert [] == outcomes
    assert phase is instance.phase
