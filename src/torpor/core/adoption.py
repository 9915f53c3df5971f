"""Moves for what an earlier daemon left: an instance that outlived it, or the memory of one that has run to its end."""

from __future__ import annotations

from torpor.core import policy, transitions
from torpor.core.endings import Ending
from torpor.core.instance import Instance
from torpor.core.messages import Adopted, EndRemembered, ProbeInstance
from torpor.core.model import Cause, Phase, Reason, Tier, Want
from torpor.core.upstream import Upstream


def adopt(it: Instance, message: Adopted) -> None:
    """It outlived the daemon that started it: take it on, once its readiness is proven."""
    it.endpoint = message.endpoint
    it.started_at = it.now - message.age
    it.reason = None
    it.completed = None
    it.ending = Ending.ASKED
    it.was_stable = message.age >= it.lifecycle.stable_after
    who = "it" if message.pid is None else f"process {message.pid}"
    it.say("adopted", f"{who} goes on", pid=message.pid)
    if it.want is Want.DOWN:
        it.reason = Reason(Cause.DOWN, "stopped by the operator")
        transitions.stop(it)
        return
    it.status = message.status
    it.watch_interval = message.watchdog or it.lifecycle.watchdog
    it.frozen = message.frozen
    if message.changed:
        text = f"started anew: while no daemon ran, there was a change of {', '.join(message.changed)}"
        it.reason = Reason(Cause.OPERATOR, text)
        it.say("outdated", text)
        transitions.stop(it)
        it.demand = message.frozen is None
        return
    if message.frozen is not None:
        _adopt_frozen(it, message.frozen)
        return
    it.demand = True
    it.enter(Phase.STARTING, it.lifecycle.start_timeout)
    it.out.append(ProbeInstance(it.id, it.generation, refused=False))


def remember_end(it: Instance, message: EndRemembered) -> None:
    """What a daemon before this one saw it do counts: what has run to its end does not run again."""
    it.completed = message.info
    expected = policy.succeeded(it.lifecycle, message.info)
    transitions.ended_by_itself(it, message.info, expected=expected)
    transitions.rest(it)


def _adopt_frozen(it: Instance, tier: Tier) -> None:
    """It outlived its daemon in its sleep, and sleeps on."""
    it.tier = tier
    it.was_ready = True
    if it.endpoint is not None:
        it.upstream = Upstream(it.id, it.generation, it.endpoint, it.now)
        it.upstream.open = False
        it.upstream.frozen = True
    it.enter(Phase.FROZEN, None)
    it.deadline = it.frozen_deadline()
