"""Who is put to sleep for others, and in which order: functions of facts, silent and without effect.

The rule, in the words of `order`: who sleeps already sleeps deeper first, the less deep before
the deeper; then those that are idle are put to sleep; those that are busy come last, and only
where their configuration says so.  Among equals the lowest priority goes first, then whoever
has been idle longest, then the largest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torpor.core.model import Lifecycle, Phase, Tier, Want

if TYPE_CHECKING:
    from torpor.core.app import App

WELCOME = 5.0
"""Seconds for which a woken app is not put to sleep for others before anybody has used it: the
waiting page needs a moment to become the app."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An app of which something is alive, as one that might be put to sleep."""

    app: str
    priority: int
    idle: float
    """Seconds since it was used last."""
    size: int
    """Bytes."""
    tier: Tier | None
    """How deep it sleeps; None: it is awake."""
    deeper: Tier
    """How it would sleep."""
    busy: bool = False
    """Whether it answers somebody, or may be at work otherwise, as its configuration says."""
    welcome: bool = False
    """Whether it has just been woken, and nobody has used it yet."""
    passing: bool = False
    """Whether it is spared only as long as it is on its way: starting, or going to sleep."""
    passed_over: bool = False
    """Whether it could not be put to sleep of late."""
    spared: str | None = None
    """Why it is not put to sleep for others; None: it may be."""


def order(it: Candidate) -> tuple[bool, bool, int, int, float, int]:
    """Whose turn comes first."""
    depth = 0 if it.tier is None else it.tier.depth
    return it.busy, it.tier is None, depth, it.priority, -it.idle, -it.size


def victims(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that may be put to sleep, whose turn is first in front."""
    return sorted((it for it in candidates if it.spared is None), key=order)


def enough(candidates: Iterable[Candidate], short: int) -> list[Candidate]:
    """The first of them that together take `short` bytes, or all of them if that is not enough."""
    chosen = []
    for it in candidates:
        if short <= 0:
            break
        chosen.append(it)
        short -= it.size
    return chosen


def candidate(app: App, size: int, now: float, *, swap_free: int) -> Candidate:
    """The app as a candidate for the sake of memory."""
    them = app.instances
    # While it is awake, a companion serves past us those that it goes with: it is as busy, and as idle, as they are.
    company = [them, *(others for others in app.goes_with if them.ready and others.ready)]
    requests = sum(others.inflight for others in company)
    work, until = them.at_work(now), welcome_until(app)
    welcome = until is not None and now < until
    it = Candidate(
        app=app.spec.name,
        priority=app.priority,
        idle=0.0 if requests else min(others.idle_for(now) for others in company),
        size=size,
        tier=them.tier,
        deeper=relief(app.spec.lifecycle, them.tier, swap=swap_free > size),
        busy=requests > 0 or work is not None,
        welcome=welcome,
        passing=kept(app) is None and (welcome or them.starting or them.going or them.freezing),
        spared=spared(app) or ("just woken" if welcome else None),
    )
    if it.busy and it.spared is None:
        if not app.spec.share.evict_busy:
            return replace(
                it, spared=f"busy: {requests} in flight" if requests else f"may be at work: {work}"
            )
        return replace(it, deeper=end(app.spec.lifecycle))  # what is frozen would leave them hanging
    return it


def kept(app: App) -> str | None:
    """Why an app is never put to sleep for others; None: it may be, some time."""
    if app.want is Want.UP:
        return "always on"
    if app.held_by:
        return f"needed by {', '.join(sorted(app.held_by))}"
    if app.pinned:
        return "pinned"
    if app.hours.warm is not None:
        return f"kept warm {app.hours.warm}"
    return None


def spared(app: App) -> str | None:
    """Why an app is not put to sleep for others now; None: it may be."""
    if (why := kept(app)) is not None:
        return why
    if app.instances.starting or app.instances.demanded:
        return "starting"
    if app.instances.going or app.instances.freezing:
        return "going to sleep already"
    return None


def welcome_until(app: App) -> float | None:
    """Until when a woken app that nobody has used yet is left alone; None: somebody has."""
    ready = [one for one in app.instances if one.phase is Phase.READY and one.upstream is not None]
    if not ready or any(one.used for one in ready):
        return None
    return max(one.phase_since for one in ready) + WELCOME


def relief(lifecycle: Lifecycle, tier: Tier | None, *, swap: bool) -> Tier:
    """How an app that sleeps that deep is to sleep so that memory is free.

    It is hibernated if its configuration knows that and `swap` has room for it, else ended.
    """
    tiers = {lifecycle.tier, *(rung.tier for rung in lifecycle.deeper)}
    if Tier.HIBERNATE in tiers and swap and tier is not Tier.HIBERNATE:
        return Tier.HIBERNATE
    return end(lifecycle)


def end(lifecycle: Lifecycle) -> Tier:
    """How an app is ended for good."""
    last = lifecycle.deeper[-1].tier if lifecycle.deeper else lifecycle.tier
    return Tier.KILL if last is Tier.KILL else Tier.STOP
