"""What a request gets from the gateway while no instance takes it: its rule's own answer, or that the app sleeps.

Laws:
1. Only a request that may wake an app ever begins a wake.  Where one is on its way already, or
   the app refuses to wake, a request that may not is treated like any other.
2. An app that refuses to wake says so itself: nobody may take its failure for its sleep.
"""

from __future__ import annotations

from torpor.core.admission import Decision
from torpor.core.model import Cause, Reason, Refusal
from torpor.gateway import replies
from torpor.gateway.request import RequestHead
from torpor.runtime.seam import Gate


class TurnedAway(Exception):
    """The request would begin a wake, and may not, or has an answer of its own meanwhile."""

    def __init__(self, reply: replies.Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def own_answer(gate: Gate, head: RequestHead, decision: Decision) -> replies.Reply | None:
    """What the request gets in the app's place; None: it may go on to the gate, in this very step.

    Wakes the app where the request may do so and is answered meanwhile.
    """
    if decision.answer is not None and gate.refusal() is None:
        if decision.wakes:
            gate.knock(head.knock(decision.rule))
        return replies.synthetic(decision.answer)
    if decision.wakes or not gate.would_wake():
        return None
    text = f"{gate.spec.name} is asleep, and {decision.why}."
    refused = Refusal(Reason(Cause.ASLEEP, text), replies.RETRY_ASLEEP)
    return replies.refusal(head, gate.spec.name, refused)
