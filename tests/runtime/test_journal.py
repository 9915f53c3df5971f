"""The journal and the terminal's view of it."""

from __future__ import annotations

import io

from torpor.core.messages import Announce
from torpor.core.model import Cause, Event, Reason
from torpor.runtime.console import Console
from torpor.runtime.journal import KEPT, KEPT_OF_A_WAKE, KEPT_SINCE, Journal


def _announce(journal: Journal, kind: str, app: str = "app", text: str = "") -> None:
    journal.announce(Announce(app, app, kind, text or kind))


def test_steps_begin_with_the_wake() -> None:
    """A tab that comes late sees the steps of this wake, not of the last one."""
    journal = Journal()
    for kind in ("waking", "ready", "asleep", "waking", "waiting"):
        _announce(journal, kind)
    _announce(journal, "ready", app="other")

    assert ["waking", "waiting"] == [event.kind for event in journal.wake_steps("app")]


def test_it_keeps_a_bounded_number() -> None:
    """Neither all events nor one endless wake can make it grow."""
    journal = Journal()
    for _ in range(KEPT + 10):
        _announce(journal, "waiting")

    assert KEPT == len(journal.recent(KEPT * 2))
    assert KEPT_OF_A_WAKE == len(journal.wake_steps("app"))
    for _ in range(KEPT):
        _announce(journal, "ready")
    assert KEPT_OF_A_WAKE + KEPT_SINCE == len(journal.wake_steps("app"))


def test_a_wake_is_remembered_whatever_happens_afterwards() -> None:
    """Its beginning, and the steps that led to ready: signals and crashes displace only each other."""
    journal = Journal()
    steps = ["waking", "blocked", *["backoff", "starting"] * KEPT_OF_A_WAKE, "waiting", "ready"]
    for kind in [*steps, *["signal"] * KEPT_OF_A_WAKE, "exited"]:
        _announce(journal, kind)

    kept = [event.kind for event in journal.wake_steps("app")]
    assert steps[:25] == kept[:25]
    assert steps[-25:] == kept[25:50]
    assert ["signal"] * 24 + ["exited"] == kept[50:]


def test_numbers_rise_and_recent_filters() -> None:
    """Events are numbered without gaps, and one app's can be asked for."""
    journal = Journal()
    for app in ("a", "b", "a"):
        _announce(journal, "waking", app)

    assert [1, 3] == [event.seq for event in journal.recent(10, "a")]
    assert [2, 3] == [event.seq for event in journal.recent(2)]
    assert [] == journal.recent(0)


def test_a_reason_travels_with_its_event() -> None:
    """Programs find the cause, people the sentence."""
    journal = Journal()
    journal.announce(Announce("app", "app", "asleep", "asleep", Reason(Cause.IDLE, "nobody came")))

    assert {"cause": "idle", "reason": "nobody came"} == dict(journal.recent(1)[0].data)


def test_a_subscriber_may_leave_while_being_told() -> None:
    """Unsubscribing inside a callback disturbs nobody else."""
    journal = Journal()
    seen: list[Event] = []
    leave = journal.subscribe(lambda _event: leave())
    journal.subscribe(seen.append)

    _announce(journal, "waking")
    _announce(journal, "ready")

    assert ["waking", "ready"] == [event.kind for event in seen]


def test_the_terminal_is_told_what_matters_and_obeys_nothing() -> None:
    """Details are left out, and control sequences from an app's words are made harmless."""
    out = io.StringIO()
    journal = Journal()
    journal.subscribe(Console(out, colour=False).tell)

    _announce(journal, "starting")
    _announce(journal, "failed", text="bad \x1b[2J news")

    assert 1 == out.getvalue().count("\n")
    assert "bad \N{REPLACEMENT CHARACTER}[2J news" in out.getvalue()


def test_a_lost_terminal_is_no_error() -> None:
    """When its terminal is closed the daemon goes on in silence."""
    out = io.StringIO()
    console = Console(out, colour=False)
    out.close()

    console.say("nobody hears this")
    console.say("nor this")
