"""What there is to say about an app that is not serving: one look at it, in words and numbers.

Laws of this file:

- It is pure: everything comes from the snapshot, the refusal and the events.
- What it says is fit for a stranger's eyes: no addresses of other visitors, no
  output of the app, one clean line per sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

from torpor.core.model import (
    AppSnapshot,
    Awaited,
    Cause,
    Event,
    InstanceSnapshot,
    Phase,
    Reason,
    Refusal,
    Want,
)
from torpor.core.policy import span
from torpor.core.wake_events import Action, action
from torpor.gateway.waiting import text

REFRESH = 2.0
"""Seconds between two reloads of a page whose browser runs no script."""
RETRY_AFTER_LIMIT = 600.0
"""The longest `Retry-After` while a wake is in progress, in seconds."""
RETRY_ASLEEP = 0.5
"""Seconds until a page that watched its app go back to sleep knocks again."""
RETRY_FAILED = 2.0
"""Seconds until a page that watched a start fail knocks again: enough to read why."""
PATIENCE = 60.0
"""`Retry-After` where only an operator can change the verdict, in seconds."""
STEPS = 40
"""How many of the last steps are shown."""

_STATES = {
    Phase.ASLEEP: "asleep",
    Phase.FROZEN: "asleep",
    Phase.BLOCKED: "blocked",
    Phase.STARTING: "starting",
    Phase.READY: "ready",
    Phase.DRAINING: "stopping",
    Phase.STOPPING: "stopping",
    Phase.BACKOFF: "backoff",
    Phase.FAILED: "failed",
    Phase.DONE: "asleep",
}
_SENTENCES = {
    "blocked": "Waiting for what it needs",
    "starting": "Waking up",
    "ready": "Ready",
    "stopping": "The previous run is still stopping",
    "backoff": "Restarting",
    "failed": "It could not be started",
    "down": "Stopped",
    "asleep": "Asleep",
}
_STEP_TEXTS = {
    "waking": "Woken up",  # its text names the client who knocked, which is nobody else's business
    "starting": "Starting",
    "started": "Started, not ready yet",
    "adopted": "It runs already",
}
_TURN = "Others are waiting for what it uses. It is its turn again after them"
_ON_PURPOSE = frozenset({Cause.OPERATOR, Cause.DOWN, Cause.REMOVED, Cause.SCHEDULE})
_BY_ACCIDENT = frozenset(
    {
        Cause.START_FAILED,
        Cause.START_TIMEOUT,
        Cause.EXITED,
        Cause.DEPENDENCY,
        Cause.UNHEALTHY,
        Cause.NO_MEMORY,
        Cause.NO_BUDGET,
    }
)


@dataclass(frozen=True, slots=True)
class View:
    """One look at an app.  Durations in seconds."""

    state: str
    """blocked, starting, ready, stopping, backoff, failed, down or asleep."""
    reason: str
    """One sentence that says what is going on, or what went wrong."""
    final: bool
    """Whether nothing will change any more without a new request or an operator."""
    retry: float | None
    """When to load the page again by itself; None while the wake goes on, and where it is pointless."""
    elapsed: float | None
    """Since the wake began; None while there is none."""
    eta: float | None
    """What a wake usually takes; None before the first one."""
    cause: str
    """The code for programs: `waking`, or the cause of the refusal."""
    awaited: tuple[Awaited, ...] = ()
    """The apps that it waits for before it is started."""
    gives_up_in: float | None = None
    """Until the wake is over at the latest, ready or not; None: nobody knows."""

    @property
    def sentence(self) -> str:
        """The reason for a page that cannot count down."""
        if self.state == "backoff" and self.retry is not None:
            return self.reason.replace("Restarting", f"Restarting in {about(self.retry)}", 1)
        return self.reason

    @property
    def refresh(self) -> float | None:
        """When a browser without script should load the page again; None: not by itself."""
        return self.retry if self.final else REFRESH

    @property
    def retry_after(self) -> int:
        """For the `Retry-After` header: when a new request is likely to be served."""
        if self.final:
            wait = PATIENCE if self.retry is None else self.retry
        elif self.retry is not None:
            wait = self.retry
        else:
            wait = min(RETRY_AFTER_LIMIT, (self.eta or REFRESH) - (self.elapsed or 0.0))
        return max(1, -int(-wait // 1))


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a wake, as a visitor sees it.  `at` is wall-clock seconds since the epoch."""

    seq: int
    failed: bool
    text: str
    at: float


def arriving(snapshot: AppSnapshot, refusal: Refusal | None) -> View:
    """The look for a visitor who has just knocked; `refusal` is the answer to the knock."""
    view = present(snapshot)
    if refusal is not None:
        return _refused(view, refusal)
    if wakes_anew(snapshot):
        return View("starting", _SENTENCES["starting"], False, None, 0.0, snapshot.eta, "waking")
    return view


def wakes_anew(snapshot: AppSnapshot) -> bool:
    """Whether it still sleeps, and wakes as soon as the knock is through."""
    sleeps = snapshot.phase in {Phase.ASLEEP, Phase.FROZEN, Phase.DONE} and not snapshot.awaited
    return sleeps and snapshot.want is not Want.DOWN


def present(snapshot: AppSnapshot) -> View:
    """The look at an app as it is, for somebody who watches and does not knock."""
    instance = _speaker(snapshot)
    waits_frozen = snapshot.phase is Phase.FROZEN and bool(snapshot.awaited)
    state = "blocked" if waits_frozen else _STATES[snapshot.phase]
    if snapshot.want is Want.DOWN and state != "ready":
        state = "down"
    reason = instance.reason if instance else None
    retry_in = instance.retry_in if instance else None
    said = _say(state, None if waits_frozen else reason)  # its reason is why it fell asleep
    eta = snapshot.eta
    if snapshot.yielding and state == "ready":
        return View("blocked", _TURN, False, None, snapshot.waking_for or 0.0, eta, "waking")
    match state:
        case "ready":
            return View(state, said, True, 0.0, snapshot.waking_for, eta, "waking")
        case "failed":
            return View(state, said, True, retry_in, None, eta, Cause.FAILED)
        case "down":
            return View(state, said, True, None, None, eta, Cause.DOWN)
        case "asleep" if reason is not None and reason.cause in _BY_ACCIDENT:
            # The attempt failed and nobody who waits has asked for another one yet.
            return View("failed", said, True, RETRY_FAILED, None, eta, reason.cause)
        case "asleep":
            on_purpose = reason is not None and reason.cause in _ON_PURPOSE
            return View(state, said, True, None if on_purpose else RETRY_ASLEEP, None, eta, Cause.ASLEEP)
        case "backoff":
            return View(state, said, False, retry_in, None, eta, "waking")
        case _:
            begun, left = snapshot.waking_for or 0.0, snapshot.gives_up_in
            return View(state, said, False, None, begun, eta, "waking", snapshot.awaited, left)


def step(event: Event) -> Step:
    """What a visitor sees of an event."""
    said = _STEP_TEXTS.get(event.kind) or text.sentence(event.text) or event.kind
    return Step(event.seq, action(event) is Action.ERROR, _capital(said), event.at)


def about(seconds: float) -> str:
    """A duration without false precision: `3 s`, `2m10s`."""
    return span(max(1.0, float(round(seconds))))


def _refused(view: View, refusal: Refusal) -> View:
    cause = refusal.reason.cause
    state = "down" if cause in (Cause.DOWN, Cause.SHUTDOWN, Cause.SCHEDULE) else "failed"
    said = _capital(text.sentence(refusal.reason.text)) or _SENTENCES[state]
    return View(state, said, True, refusal.retry_after, None, view.eta, cause)


def _speaker(snapshot: AppSnapshot) -> InstanceSnapshot | None:
    """The instance that gave the app its phase."""
    return next((instance for instance in snapshot.instances if instance.phase is snapshot.phase), None)


def _say(state: str, reason: Reason | None) -> str:
    why = text.sentence(reason.text) if reason else ""
    if why and state == "backoff":
        return f"Restarting: {why}"
    if why and state in {"blocked", "failed", "down", "asleep"}:
        return _capital(why)
    return _SENTENCES[state]


def _capital(said: str) -> str:
    return said[:1].upper() + said[1:]
