"""Why an app is as it is, in plain words: the document of `torpor why`.

It is pure: everything comes from one snapshot, the clauses by which the core decides, and what
the journal and the log still know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import msgspec

from torpor.core import wakefulness
from torpor.core.model import (
    FAILURES,
    AppSnapshot,
    AppSpec,
    Cause,
    Event,
    InstanceSnapshot,
    Phase,
    Tier,
    WakeOn,
    Want,
)
from torpor.core.policy import span
from torpor.core.wakefulness import Clause

LOG_LINES = 5
"""Lines of its log that come with an app that failed."""
_SLEEPS = {Tier.PAUSE: "paused", Tier.HIBERNATE: "hibernated", Tier.STOP: "stopped", Tier.KILL: "killed"}
_PATHS = 3
"""Paths that wake an app of which its `next` names no more."""
TROUBLED = frozenset({Phase.BACKOFF, Phase.FAILED})


@dataclass(frozen=True, slots=True)
class Account:
    """All that is known of an app at one moment."""

    app: AppSnapshot
    clauses: tuple[Clause, ...]
    at: float
    """The moment, on the clock of the clauses."""
    events: Sequence[Event]
    """Its last ones, oldest first."""
    wake: Sequence[Event]
    """Those since its last wake began."""
    output: Sequence[str]
    """The last lines of its log."""


class ClauseDocument(msgspec.Struct, frozen=True):
    """One of the things that its sleep depends on."""

    name: str
    text: str
    keeps_awake: bool
    left: float | None
    """Seconds until it lets the app sleep if nothing happens; null: nobody knows."""


class HappenedDocument(msgspec.Struct, frozen=True):
    """Something that happened."""

    at: float
    kind: str
    text: str


class WhyDocument(msgspec.Struct, frozen=True):
    """Why an app is as it is."""

    name: str
    state: str
    want: str
    state_age: float
    summary: str
    cause: str | None
    reason: str | None
    clauses: list[ClauseDocument]
    """What its falling asleep depends on; empty while it is not ready."""
    sleeps_in: float | None
    deeper_in: float | None
    """Until it sleeps deeper, if it does."""
    retry_in: float | None
    pinned: bool
    pinned_for: float | None
    closed: str | None
    """Why its schedule lets it not run now."""
    closed_for: float | None
    woken_by: str | None
    woken_at: float | None
    last_event: HappenedDocument | None
    last_exit: HappenedDocument | None
    output: list[str]
    """The last lines of its log, where it failed."""
    next: list[str]
    """What will happen."""
    advice: list[str]
    """What an operator can do."""


def why_document(account: Account) -> WhyDocument:
    """The document of `GET /apps/{name}/why`."""
    app, shown = account.app, _shown(account.app)
    reason = shown.reason
    sleeps_at = wakefulness.sleeps_at(account.clauses, account.at) if account.clauses else None
    waking = next((event for event in account.wake if event.kind == "waking"), None)
    exits = [event for event in account.events if event.kind == "exited"]
    closed = None if app.pinned else app.hours.closed
    failed = app.phase in TROUBLED or (reason is not None and reason.cause in FAILURES)
    return WhyDocument(
        name=app.name,
        state=app.state,
        want=app.want.value,
        state_age=round(shown.phase_age, 3),
        summary=f"{app.name} is {_summary(account, shown)}",
        cause=None if reason is None else reason.cause.value,
        reason=None if reason is None else str(reason),
        clauses=[_clause(clause, account.at) for clause in account.clauses],
        sleeps_in=_left(sleeps_at, account.at),
        deeper_in=_round(shown.deeper_in),
        retry_in=_round(shown.retry_in),
        pinned=app.pinned,
        pinned_for=_round(app.pinned_for),
        closed=closed,
        closed_for=_round(app.hours.until) if closed is not None else None,
        woken_by=None if waking is None else str(waking.data.get("by", "")) or None,
        woken_at=None if waking is None else waking.at,
        last_event=_happened(account.events[-1:]),
        last_exit=_happened(exits[-1:]),
        output=list(account.output) if failed else [],
        next=list(_next(account, shown, sleeps_at)),
        advice=list(_advice(account, shown)),
    )


# --- sentences -----------------------------------------------------------------

_WHILE_AWAKE = {
    "wanted": "it is {}",
    "needed": "it is needed {}",
    "pinned": "it is pinned {}",
    "schedule": "it is {}",
    "requests": "{}",
    "companions": "it stays {}",
    "min-uptime": "it is {}",
    "idle": "it is {}",
    "question": "{}",
}
"""How the clause that keeps an app awake stands in a sentence."""


def clause_words(clause: Clause) -> str:
    """What keeps an app awake, as a sentence of its own."""
    return _WHILE_AWAKE.get(clause.name, "{}").format(clause.text)


_SLOWLY = frozenset({"idle", "min-uptime"})
"""Clauses that only time has to settle: whatever else keeps it awake is worth more words."""


def _summary(account: Account, shown: InstanceSnapshot) -> str:
    """What comes after `NAME is`."""
    app, reason = account.app, shown.reason
    because = f": {reason}" if reason is not None else ""
    match app.phase:
        case Phase.READY:
            return _awake(account.clauses)
        case Phase.ASLEEP if app.want is Want.DOWN:
            return "stopped, and requests are refused"
        case Phase.ASLEEP if app.hours.closed is not None and not app.pinned:
            return f"asleep, and may not run now: {app.hours.closed}"
        case Phase.FROZEN:
            return f"{app.state}{because}"
        case Phase.STARTING:
            return f"starting, for {span(max(0.001, shown.phase_age))} now{because}"
        case Phase.BACKOFF:
            return f"waiting for its next attempt{because}"
        case Phase.DONE:
            return f"done: it has ended as it should{because}"
        case _:
            return f"{app.phase.value}{because}"


def _awake(clauses: Iterable[Clause]) -> str:
    keeping = sorted(
        (clause for clause in clauses if clause.keeps_awake), key=lambda clause: clause.name in _SLOWLY
    )
    if not keeping:
        return "awake, and about to fall asleep"
    return "awake: " + "; ".join(map(clause_words, keeping[:2]))


def _next(account: Account, shown: InstanceSnapshot, sleeps_at: float | None) -> Iterator[str]:
    """What will happen if nobody does anything, and what a request would bring about."""
    app = account.app
    wake = "" if app.eta is None else f"; that usually takes {span(app.eta)}"
    match app.phase:
        case Phase.READY if sleeps_at is not None and sleeps_at > account.at:
            yield f"it falls asleep in {span(sleeps_at - account.at)} unless someone comes"
        case Phase.READY if (again := _asked_again(account)) is not None:
            yield again
        case Phase.READY if account.clauses and sleeps_at is None:
            yield "it does not fall asleep as long as that is so"
        case Phase.ASLEEP | Phase.FROZEN | Phase.DONE if app.want is Want.DOWN:
            pass
        case Phase.ASLEEP if app.hours.closed is not None and not app.pinned:
            when = "" if app.hours.until is None else f" for another {span(app.hours.until)}"
            yield f"requests are refused{when}"
        case Phase.ASLEEP | Phase.FROZEN | Phase.DONE:
            yield f"{_waker(app.spec)}{wake}"
    if shown.shallow is not None:
        yield f"it does not sleep deeper: {shown.shallow}"
    if shown.deeper is not None and shown.deeper_in is not None:
        yield f"it is {_SLEEPS[shown.deeper]} in {span(shown.deeper_in)} unless someone comes"
    if app.gives_up_in is not None:
        yield f"it is given up in {span(app.gives_up_in)} if it is not ready by then"
    if shown.retry_in is not None:
        what = "the next attempt" if app.phase is Phase.BACKOFF else "requests are refused; the next attempt"
        yield f"{what} comes in {span(shown.retry_in)}" + (
            "" if app.phase is Phase.BACKOFF else " at the earliest"
        )


def _waker(spec: AppSpec) -> str:
    """What wakes it."""
    if not (spec.routes or spec.streams):
        return f"no route leads to it; `torpor wake {spec.name}` wakes it"
    if not spec.routes:
        return "the next connection wakes it"
    who = "the next page load" if spec.wake_on is WakeOn.NAVIGATION else "the next request"
    if spec.wake_paths:
        named = map(str, spec.wake_paths[:_PATHS])
        who += f" to {', '.join(named)}{' …' if len(spec.wake_paths) > _PATHS else ''}"
    rules = chain(spec.rules, *(route.rules for route in spec.routes))
    picky = spec.ignore_bots or any(not rule.wakes for rule in rules)
    also = ", as does a connection to its streams" if spec.streams else ""
    return f"{who} wakes it{', unless it is one that its rules except' if picky else ''}{also}"


def _asked_again(account: Account) -> str | None:
    """When more is known of what alone keeps it awake: the answer to a question."""
    keeping = [clause for clause in account.clauses if clause.keeps_awake]
    if len(keeping) != 1 or keeping[0].name != "question" or keeping[0].look is None:
        return None
    left = span(max(0.001, keeping[0].look - account.at))
    if keeping[0].text == wakefulness.ASKING:
        return f"without an answer within {left} it stays awake, and is asked again"
    return f"it is asked again in {left}"


def _advice(account: Account, shown: InstanceSnapshot) -> Iterator[str]:
    """What an operator can do about it."""
    app, name = account.app, account.app.name
    keeping = {clause.name for clause in account.clauses if clause.keeps_awake}
    if app.want is Want.DOWN:
        yield f"`torpor start {name}` lets requests wake it again"
    elif app.phase is Phase.ASLEEP and app.hours.closed is not None and not app.pinned:
        yield f"`torpor pin --for 1h {name}` wakes it all the same"
    elif app.phase is Phase.FAILED:
        yield f"`torpor start {name}` tries at once"
    if app.pinned:
        yield f"`torpor unpin {name}` lets it sleep again"
    elif app.phase is Phase.READY and "wanted" in keeping:
        yield f"`torpor stop {name}` stops it; its configuration says `always_on`"
    elif app.phase is Phase.READY and "needed" not in keeping:
        yield f"`torpor sleep {name}` puts it to sleep now; `torpor pin {name}` keeps it awake"
    for user in app.held_by if app.phase is Phase.READY else ():
        yield f"`torpor why {user}` tells why that needs it"
    if app.phase is Phase.BLOCKED or (shown.reason is not None and shown.reason.cause is Cause.DEPENDENCY):
        for needed in app.spec.depends_on:
            yield f"`torpor why {needed.app}` tells what that is waiting for"
    if shown.reason is not None and shown.reason.cause is Cause.NO_MEMORY:
        yield "`torpor check memory --dry-run` tells who takes how much, and who may be put to sleep"
    if app.phase in TROUBLED or (shown.reason is not None and shown.reason.cause in FAILURES):
        yield f"`torpor logs {name}` has all that it wrote"


# --- helpers -------------------------------------------------------------------


def _shown(app: AppSnapshot) -> InstanceSnapshot:
    """Its most useful instance."""
    return next(one for one in app.instances if one.phase is app.phase)


def _clause(clause: Clause, at: float) -> ClauseDocument:
    left = _left(clause.until, at) if clause.keeps_awake else None
    return ClauseDocument(clause.name, clause.text, clause.keeps_awake, left)


def _happened(events: Sequence[Event]) -> HappenedDocument | None:
    return None if not events else HappenedDocument(events[0].at, events[0].kind, str(events[0]))


def _left(until: float | None, at: float) -> float | None:
    return None if until is None else _round(max(0.0, until - at))


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
