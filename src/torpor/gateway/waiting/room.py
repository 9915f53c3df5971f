"""The waiting room: what a visitor sees while an app wakes, or when it cannot.

Laws of this file:

- Nothing here wakes an app or counts as activity.  Whoever serves the page has knocked before.
- A visitor learns only about apps that the host of the request leads to.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs

from torpor.core.model import AppSpec, Cause, Refusal
from torpor.core.wake_events import Attempts
from torpor.errors import UnknownApp
from torpor.gateway.replies import Reply, Streaming, problem, refusal
from torpor.gateway.request import RequestHead
from torpor.gateway.waiting import view
from torpor.gateway.waiting.events import HEADERS, PING_SECONDS, WakeEvents
from torpor.gateway.waiting.page import EVENTS, STATUS, waiting_page
from torpor.gateway.waiting.status import failure_lines, status
from torpor.gateway.waiting.text import LOG_LINES
from torpor.runtime.seam import Gate, Seam

_FAILURES = frozenset({Cause.START_FAILED, Cause.START_TIMEOUT, Cause.EXITED, Cause.FAILED})
"""Causes that the app's last words may explain."""


class WaitingRoom:
    """Makes the waiting page and answers everything below `/_torpor/`."""

    def __init__(self, seam: Seam, *, ping_seconds: float = PING_SECONDS) -> None:
        self._seam = seam
        self._attempts = Attempts(seam.wake_steps, lambda app: seam.gate(app).spec.depends_on)
        self._events = WakeEvents(seam, self._attempts, ping_seconds=ping_seconds)

    def page(self, gate: Gate, head: RequestHead, refused: Refusal | None = None) -> Reply:
        """The page for a browser that has knocked at `gate`; `refused` is what the knock returned.

        Always a 503 with `Retry-After`: nothing may take it for the app's own answer.
        """
        snapshot = gate.snapshot()
        now = view.arriving(snapshot, refused)
        # What is known is of an earlier attempt where the knock begins another one, or was refused for good.
        past = now.state == "down" or (refused is None and view.wakes_anew(snapshot))
        events = [] if past else self._attempts.events(gate.spec.name)
        steps = [view.step(event) for event in events[-view.STEPS :]]
        return waiting_page(gate.spec, now, steps, failure_lines(self._seam, gate, now), target=head.target)

    def refused(self, gate: Gate, head: RequestHead, verdict: Refusal) -> Reply:
        """The core's verdict, with what the app wrote last where visitors may see that."""
        spec = gate.spec
        shown = spec.loading_page.show_logs and verdict.reason.cause in _FAILURES
        lines = self._seam.last_lines(spec.name, LOG_LINES) if shown else ()
        return refusal(head, spec.name, verdict, lines)

    def respond(self, head: RequestHead, app: str | None, stream: Streaming) -> Reply | None:
        """The answer to a request below `/_torpor/`; None: it is being given on `stream`.

        `app` is where the host and path of the request lead.  Apps behind a path prefix
        are not found that way, so a page of theirs names its app in the query.
        """
        if head.method not in (b"GET", b"HEAD"):
            refused = problem(head, "method-not-allowed", "Only GET and HEAD are answered here.")
            return replace(refused, headers=(*refused.headers, ("Allow", "GET, HEAD")))
        try:
            if head.path == STATUS:
                return self._status(self._meant(head, app))
            if head.path == EVENTS:
                return self._follow(head, self._meant(head, app), stream)
        except UnknownApp as unknown:
            return problem(head, "not-found", str(unknown))
        return problem(head, "not-found", f"Torpor has nothing at {head.path}.")

    def close(self) -> None:
        """End everything that is still open here."""
        self._events.close()

    def _status(self, app: str) -> Reply:
        headers = (
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Torpor", "status"),
        )
        return Reply(200, headers, status(self._seam, app).encode())

    def _follow(self, head: RequestHead, app: str, stream: Streaming) -> Reply | None:
        self._seam.gate(app)
        if head.method == b"HEAD":
            return Reply(200, HEADERS, b"")
        if self._events.full(app):
            return problem(
                head, "too-many-streams", f"Too many browsers follow {app} already.", app=app, retry_after=5.0
            )
        self._events.open(app, _last_id(head), stream)
        return None

    def _meant(self, head: RequestHead, app: str | None) -> str:
        """The app that the request asks about.  Raises `UnknownApp`."""
        named = _named(head.query)
        if named is None:
            if app is None:
                raise UnknownApp(f"No app is configured for host {head.host}.")
            return app
        for spec in self._seam.specs():
            if spec.name == named and (spec.name == app or _leads_from(head.host, spec)):
                return spec.name
        raise UnknownApp(f"Host {head.host} leads to no app of that name.")


def _named(query: str) -> str | None:
    """The value of `app` in a query; None where it is not named."""
    try:
        return parse_qs(query, max_num_fields=8)["app"][0]
    except (KeyError, ValueError):
        return None


def _leads_from(host: str, spec: AppSpec) -> bool:
    """Whether a visitor of `host` may meet this app."""
    return any(
        route.host is None
        or route.host == host
        or (route.host.startswith("*.") and host.endswith(route.host[1:]))
        or (route.host.endswith(".*") and host.startswith(route.host[:-1]))
        for route in spec.routes
    )


def _last_id(head: RequestHead) -> int:
    """The number of the last step that the browser has, 0 where it says nothing sensible."""
    sent = head.get(b"last-event-id") or b""
    return int(sent) if sent.isdigit() and len(sent) < 19 else 0
