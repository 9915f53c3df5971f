"""The words in which a wake is told to whoever follows it, from the first knock to its verdict.

They are the idlewatcher's, so that what listens to one can listen to the other, and they fit
whatever an app is made of: `container_woke` says that its instance is alive.  The journal
knows more kinds of events than these; what is no part of a wake has no word here.

An attempt is what began with the last knock, or by itself after the last verdict.  A follower
sees the present attempt only: what went wrong in an earlier one is no news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from torpor.core.model import AppSnapshot, Dependency, Event, Phase


class Action(StrEnum):
    """What happened in a wake.  Stable words for programs."""

    STARTING = "starting"
    """Somebody knocked, or the next start begins."""
    WAKING_DEP = "waking_dep"
    """Something that it needs is waited for."""
    DEP_READY = "dep_ready"
    """That is there."""
    CONTAINER_WOKE = "container_woke"
    """It is alive."""
    WAITING_READY = "waiting_ready"
    """Its readiness is awaited."""
    READY = "ready"
    """It takes requests."""
    ERROR = "error"
    """Something went wrong; whether it is tried again is told by what follows."""
    NAPPING = "napping"
    """It sleeps."""


_ACTIONS: Mapping[str, Action] = {
    "waking": Action.STARTING,
    "starting": Action.STARTING,
    "resuming": Action.STARTING,
    "backoff": Action.STARTING,
    "waking-dep": Action.WAKING_DEP,
    "dep-ready": Action.DEP_READY,
    "adopted": Action.CONTAINER_WOKE,
    "started": Action.CONTAINER_WOKE,
    "waiting": Action.WAITING_READY,
    "unready": Action.WAITING_READY,
    "accepted": Action.WAITING_READY,
    "ready": Action.READY,
    "exited": Action.ERROR,
    "failed": Action.ERROR,
    "freeze-failed": Action.ERROR,
    "hook-failed": Action.ERROR,
    "lost": Action.ERROR,
    "start-failed": Action.ERROR,
    "unhealthy": Action.ERROR,
    "asleep": Action.NAPPING,
    "done": Action.NAPPING,
    "hibernated": Action.NAPPING,
    "paused": Action.NAPPING,
}
"""What the journal's kinds of events are in a wake."""

_OF_NEEDS = frozenset({Action.WAKING_DEP, Action.DEP_READY})
"""What is told to those, too, who wait for the app that waits."""

_VERDICTS = frozenset({Phase.READY, Phase.FAILED, Phase.DONE, Phase.ASLEEP, Phase.FROZEN})

_KNOCK = "waking"
"""The kind of event with which an attempt begins."""


@dataclass(frozen=True, slots=True)
class WakeEvent:
    """One event of a wake, as it goes over the wire."""

    seq: int
    """Rises from event to event; the `id` of the stream."""
    timestamp: float
    """Seconds since the epoch."""
    level: str
    """`info` or `error`."""
    category: str
    """The app that it happened to."""
    action: Action
    data: Mapping[str, object]
    """`message`, one sentence; `error`, the kind of trouble; `dependency`, whom it waits for, or waited."""


def action(event: Event) -> Action | None:
    """What an event is in a wake; None: nothing that belongs to one.  An end that was to be expected is no error."""
    return None if event.data.get("expected") else _ACTIONS.get(event.kind)


def wake_event(event: Event, message: str) -> WakeEvent:
    """The event in the words of a wake, which it must have one of, with a `message` fit for its reader."""
    word = action(event)
    assert word is not None
    data: dict[str, object] = {"message": message}
    if word is Action.ERROR:
        data["error"] = event.kind
    if word in _OF_NEEDS:
        data["dependency"] = event.data.get("dependency")
    level = "error" if word is Action.ERROR else "info"
    return WakeEvent(event.seq, event.at, level, event.app, word, data)


def is_over(app: AppSnapshot) -> bool:
    """Whether it has its verdict: nothing more comes of a wake without a new knock, or an operator."""
    waits = {Phase.FROZEN: bool(app.awaited), Phase.READY: app.yielding}
    return app.phase in _VERDICTS and not waits.get(app.phase, False)


def begins(event: Event) -> bool:
    """Whether a new attempt of its app begins with it, so that what was told before is over."""
    return event.kind == _KNOCK


def resumed(events: Sequence[Event], last_seen: int) -> int:
    """The number after which to go on: `last_seen`, or 0 where that is of another attempt, or another daemon."""
    return last_seen if events and events[0].seq <= last_seen <= events[-1].seq else 0


class Attempts:
    """The present attempts of apps to be ready, each with those of what it waits for."""

    def __init__(
        self,
        steps_of: Callable[[str], Sequence[Event]],
        needs_of: Callable[[str], Sequence[Dependency]],
    ) -> None:
        """`steps_of`: the events since an app's last knock, oldest first; `needs_of`: what it depends on."""
        self._steps_of = steps_of
        self._needs_of = needs_of

    def events(self, app: str) -> list[Event]:
        """All that is known of the app's present attempt, oldest first; nothing while there is none."""
        own = _attempt(self._steps_of(app))
        if not own:
            return []
        told = [
            event
            for name in self._awaited(app)
            for event in self._steps_of(name)
            if event.seq > own[0].seq and action(event) in _OF_NEEDS
        ]
        return sorted([*own, *told], key=lambda event: event.seq)

    def concerns(self, app: str, event: Event) -> bool:
        """Whether the event belongs to a wake of the app: it is its own, or tells of what it waits for."""
        word = action(event)
        return word is not None and (
            event.app == app or (word in _OF_NEEDS and event.app in self._awaited(app))
        )

    def _awaited(self, app: str) -> set[str]:
        """The apps that it waits for before it is started, directly or not."""
        found: set[str] = set()
        left = [app]
        while left:
            needs = {need.app for need in self._needs_of(left.pop()) if not need.optional} - found
            found |= needs
            left.extend(needs)
        return found


def _attempt(steps: Iterable[Event]) -> list[Event]:
    """Of an app's own events those of its present attempt.

    Nothing once it sleeps again after it was ready: there is no attempt then.  One that
    failed is told until the next begins, so that whoever comes late learns why.
    """
    found: list[Event] = []
    for event in steps:
        word = action(event)
        if word is None:
            continue
        if begins(event) or (found and action(found[-1]) is Action.READY):
            found = []
        if found or word is not Action.NAPPING:
            found.append(event)
    return found
