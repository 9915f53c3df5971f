"""The doorman: answers those who ask before they pass a request on to an app themselves.

Laws:
1. 204 says that the app is ready, at the address in `X-Torpor-Upstream`.  Any other answer is what the visitor is to
   get, and never a success: that would let the request pass to where nobody is.
2. A question counts as a request does at the gateway: by the same rules it wakes the app and begins its idle clock
   anew.  When the request ends nobody tells, so the clock runs from the question on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torpor.core.admission import Admission, Decision
from torpor.core.model import Cause, Reason, Refusal, Route
from torpor.core.routing import ConfusingPath
from torpor.errors import UnknownApp
from torpor.gateway.classify import is_navigation
from torpor.gateway.fields import Malformed
from torpor.gateway.question import asked_about
from torpor.gateway.reach import no_way
from torpor.gateway.replies import RETRY_ASLEEP, Reply, problem
from torpor.gateway.request import RequestHead
from torpor.gateway.turned_away import own_answer
from torpor.gateway.waiting.room import WaitingRoom
from torpor.runtime.dial import NoWay, way_to
from torpor.runtime.seam import Gate, Refused, Seam

if TYPE_CHECKING:
    from torpor.gateway.gateway import Door

Answer = tuple[int, Sequence[tuple[str, str]], bytes]
"""Status, header fields and body."""
Routed = Callable[[str, bytes], "Door | None"]
"""The door that a host name and a raw path lead to.  Raises `ConfusingPath`."""


class Doorman:
    """Lets requests pass to apps that are awake."""

    def __init__(self, seam: Seam, waiting: WaitingRoom, routed: Routed) -> None:
        self._seam = seam
        self._waiting = waiting
        self._routed = routed

    async def ask(self, question: RequestHead, app: str | None = None) -> Reply:
        """Whether the visitor's request may pass to `app`, or to the app of its host; held until that is clear.

        Held for the app's `wake_timeout` at most.  Cancelling gives up the place.
        """
        try:
            visit = asked_about(question)
            gate, admission, port = self._meant(visit) if app is None else self._named(app)
        except Malformed as malformed:
            return problem(question, malformed.cause, malformed.text)
        except UnknownApp as unknown:
            return problem(question, "not-found", str(unknown))
        decision = admission.decide(visit, navigation=is_navigation(visit))
        upstream = gate.enter()
        if upstream is None:
            if (reply := self._asleep(gate, visit, decision)) is not None:
                return reply
            try:
                upstream = await gate.wait(visit.knock(decision.rule))
            except Refused as refused:
                return self._waiting.refused(gate, visit, refused.refusal)
        if decision.counts:
            gate.leave(upstream)
        else:
            gate.discount(upstream)
            gate.leave_discounted(upstream)
        try:
            address = way_to(upstream.endpoint, port)
        except NoWay as nowhere:
            return self._waiting.refused(gate, visit, no_way(gate.spec.name, nowhere))
        headers = (
            ("X-Torpor", "ready"),
            ("Cache-Control", "no-store"),
            ("X-Torpor-App", gate.spec.name),
            ("X-Torpor-Upstream", str(address)),
        )
        return Reply(204, headers, b"")

    async def answer(self, app: str | None, fields: Sequence[tuple[bytes, bytes]]) -> Answer:
        """As `ask`, for those who know of requests only their header fields (names in lower case)."""
        question = RequestHead(b"GET", b"/", "", "/", tuple(fields), (1, 1), "this machine", "http")
        reply = await self.ask(question, app)
        return reply.status, reply.headers, reply.body

    def _named(self, app: str) -> tuple[Gate, Admission, int | None]:
        """By its name an app has no route, and so its main port and only rules of its own.  Raises `UnknownApp`."""
        gate = self._seam.gate(app)
        return gate, Admission(gate.spec, Route(None)), None

    def _meant(self, visit: RequestHead) -> tuple[Gate, Admission, int | None]:
        """Raises `Malformed` where no route fits."""
        try:
            door = self._routed(visit.host, visit.path.encode("latin-1"))
        except ConfusingPath:
            raise Malformed("bad-request", "The path has dot segments.") from None
        if door is None:
            raise Malformed("unknown-host", f"No app is routed at {visit.path} of the host {visit.host}.")
        return door.gate, door.admission, door.pool.port

    def _asleep(self, gate: Gate, visit: RequestHead, decision: Decision) -> Reply | None:
        """What to say at once to the visitor of an app that is not ready; None: hold the question."""
        if (own := own_answer(gate, visit, decision)) is not None:
            if own.status >= 300:
                return own
            text = f"{gate.spec.name} is asleep, and {decision.why}."
            return self._waiting.refused(gate, visit, Refusal(Reason(Cause.ASLEEP, text), RETRY_ASLEEP))
        if gate.spec.loading_page.enabled and is_navigation(visit):
            return self._waiting.page(gate, visit, gate.knock(visit.knock(decision.rule)))
        return None
