"""The doorman: answers those who ask before they pass a request on to an app themselves.

Laws:
1. 204 says that the app is ready, at the address in `X-Torpor-Upstream`.  Any other answer is what the visitor is to get.
2. A question counts as a request does at the gateway: it wakes, and it begins the idle clock anew.  When the request
   ends nobody tells, so the clock runs from the question on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torpor.core.model import Cause, Reason, Refusal, WakeOn
from torpor.core.routing import ConfusingPath
from torpor.errors import UnknownApp
from torpor.gateway.classify import is_navigation
from torpor.gateway.fields import Malformed
from torpor.gateway.question import asked_about
from torpor.gateway.replies import Reply, problem
from torpor.gateway.request import RequestHead
from torpor.gateway.waiting.room import WaitingRoom
from torpor.runtime.seam import Gate, Refused, Seam

Answer = tuple[int, Sequence[tuple[str, str]], bytes]
"""Status, header fields and body."""
Routed = Callable[[str, bytes], Gate | None]
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
            gate = self._meant(visit) if app is None else self._seam.gate(app)
        except Malformed as malformed:
            return problem(question, malformed.cause, malformed.text)
        except UnknownApp as unknown:
            return problem(question, "not-found", str(unknown))
        upstream = gate.enter()
        if upstream is None:
            if (reply := self._asleep(gate, visit)) is not None:
                return reply
            try:
                upstream = await gate.wait(visit.by)
            except Refused as refused:
                return self._waiting.refused(gate, visit, refused.refusal)
        address = str(upstream.endpoint)
        gate.leave(upstream)
        headers = (
            ("X-Torpor", "ready"),
            ("Cache-Control", "no-store"),
            ("X-Torpor-App", gate.spec.name),
            ("X-Torpor-Upstream", address),
        )
        return Reply(204, headers, b"")

    async def answer(self, app: str | None, fields: Sequence[tuple[bytes, bytes]]) -> Answer:
        """As `ask`, for those who know of requests only their header fields (names in lower case)."""
        question = RequestHead(b"GET", b"/", "", "/", tuple(fields), (1, 1), "this machine", "http")
        reply = await self.ask(question, app)
        return reply.status, reply.headers, reply.body

    def _meant(self, visit: RequestHead) -> Gate:
        """Raises `Malformed` where no route fits."""
        try:
            gate = self._routed(visit.host, visit.path.encode("latin-1"))
        except ConfusingPath:
            raise Malformed("bad-request", "The path has dot segments.") from None
        if gate is None:
            raise Malformed("unknown-host", f"No app is routed at {visit.path} of the host {visit.host}.")
        return gate

    def _asleep(self, gate: Gate, visit: RequestHead) -> Reply | None:
        """What to say at once to the visitor of an app that is not ready; None: hold the question."""
        spec, navigation = gate.spec, is_navigation(visit)
        if navigation and spec.loading_page.enabled:
            return self._waiting.page(gate, visit, gate.knock(visit.by))
        # Browsers ask for the icon by themselves: no reason to wake anything.
        if visit.path == "/favicon.ico" or (spec.wake_on is WakeOn.NAVIGATION and not navigation):
            text = f"{spec.name} is asleep and is only woken by opening its page."
            return self._waiting.refused(gate, visit, Refusal(Reason(Cause.ASLEEP, text), 30.0))
        return None
