"""How an app is, for programs: the document of `/_torpor/status` and of the stream's `state` event."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from torpor.core.model import Awaited
from torpor.gateway.waiting import view
from torpor.gateway.waiting.text import LOG_LINES, log_lines
from torpor.runtime.seam import Gate, Seam

_FAILURES = frozenset({"failed", "backoff"})


@dataclass(frozen=True, slots=True)
class Status:
    """A look at an app as it goes over the wire.  Durations in seconds; see `view.View`."""

    app: str
    title: str
    state: str
    reason: str
    final: bool
    retry: float | None
    elapsed: float | None
    eta: float | None
    awaited: tuple[Awaited, ...]
    gives_up_in: float | None
    logs: tuple[str, ...]

    def encode(self) -> bytes:
        """As JSON on a single line."""
        return msgspec.json.encode(self)


def status(seam: Seam, app: str) -> Status:
    """How `app` is now.  Never wakes it.  Raises `UnknownApp`."""
    gate = seam.gate(app)
    now = view.present(gate.snapshot())
    return Status(
        app=app,
        title=gate.spec.loading_page.title or app,
        state=now.state,
        reason=now.reason,
        final=now.final,
        retry=_rounded(now.retry),
        elapsed=_rounded(now.elapsed),
        eta=_rounded(now.eta),
        awaited=tuple(replace(one, seconds=round(one.seconds, 3)) for one in now.awaited),
        gives_up_in=_rounded(now.gives_up_in),
        logs=failure_lines(seam, gate, now),
    )


def failure_lines(seam: Seam, gate: Gate, now: view.View) -> tuple[str, ...]:
    """The app's last words, if it failed and its owner lets strangers read them."""
    if now.state not in _FAILURES or not gate.spec.loading_page.show_logs:
        return ()
    return log_lines(seam.last_lines(gate.spec.name, LOG_LINES))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
