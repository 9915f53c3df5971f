"""May an instance fall asleep now?  One list of clauses, by which it is decided and explained.

Laws of this file:

- It falls asleep by itself only while no clause keeps it awake; `torpor why` shows the same list.
- It is pure, and asked at deadlines and when somebody looks: never on the way of a request.
- What takes a look at the world (CPU time, a command) is asked last, when nothing else keeps
  it awake, and what cannot be found out keeps it awake.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torpor.core import policy
from torpor.core.model import Phase, Pin, Want
from torpor.core.schedule import ANY_HOURS, Hours

if TYPE_CHECKING:
    from torpor.core.instance import Instance
    from torpor.core.replicas import Replicas

ASKING = "being asked whether it may sleep"
"""What is said of a question that has no answer yet."""
LONGEST_PAUSE = 60.0
"""Seconds until what stays awake because of an answer is asked again, at most."""
_NAMED = 3
"""Apps of one kind that a clause names at most."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One of the things that an app's sleep depends on."""

    name: str
    """A stable code for programs."""
    text: str
    """How it is now, for people."""
    keeps_awake: bool
    until: float | None = None
    """When it lets the app sleep if nothing happens; None: not by itself, or nobody knows."""
    look: float | None = None
    """When it has to be looked at again; None: whatever changes it is told."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What keeps all instances of an app awake, whatever they do."""

    needed_by: tuple[str, ...] = ()
    """Apps that need it now."""
    pin: Pin | None = None
    hours: Hours = ANY_HOURS
    goes_with: tuple[Replicas, ...] = ()
    """Those of the apps whose companion it is, as they are when they are looked at."""

    @property
    def hold(self) -> bool:
        """Whether there is anything."""
        return bool(self.needed_by) or self.pin is not None or self.hours.warm is not None

    @property
    def closed(self) -> str | None:
        """Why it is not to run now, whoever starts it; None: it may."""
        return None if self.needed_by or self.pin is not None else self.hours.closed


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question put to the world, and what came of it."""

    asked_at: float
    answered_at: float | None = None
    keeps_awake: bool = True
    text: str = ""

    def answer(self, now: float, text: str, *, keeps_awake: bool) -> Inquiry:
        """The same with its answer."""
        return replace(self, answered_at=now, text=text, keeps_awake=keeps_awake)


def clauses(it: Instance, now: float) -> tuple[Clause, ...]:
    """All that its falling asleep at `now` depends on.  It is to be READY."""
    found = [*_of_its_own(it, now), *_of_its_company(it, now)]
    if (asked := _asked(it, now, last=not awake(found))) is not None:
        found.append(asked)
    return tuple(found)


def awake(found: Iterable[Clause]) -> bool:
    """Whether anything keeps it awake."""
    return any(clause.keeps_awake for clause in found)


def sleeps_at(found: Iterable[Clause], now: float) -> float | None:
    """When it would fall asleep if nothing happened; None: not by itself, or nobody knows."""
    ends = [clause.until for clause in found if clause.keeps_awake]
    return None if None in ends else max((end for end in ends if end is not None), default=now)


def look_again(found: Iterable[Clause], now: float) -> float | None:
    """The earliest moment at which it may fall asleep without a word to anybody before; None: there is none."""
    looks = [clause.look for clause in found if clause.keeps_awake]
    return None if None in looks else max((look for look in looks if look is not None), default=now)


def is_to_be_asked(it: Instance, found: Iterable[Clause]) -> bool:
    """Whether the only thing that keeps it awake is that nobody has asked yet."""
    return it.inquiry is None and [clause.name for clause in found if clause.keeps_awake] == ["question"]


def last_active(it: Instance) -> float:
    """When its app, all replicas together, was used last."""
    active = [peer.upstream.last_active for peer in it.peers if peer.upstream is not None]
    return max(*(peer.tracked_at for peer in it.peers), max(active, default=it.phase_since))


def at_work(it: Instance, now: float) -> str | None:
    """Why it may be at work although nobody uses it; None: it is known not to be, or that is of no interest."""
    if it.lifecycle.question is None or it.lifecycle.idle_timeout is None or it.phase is not Phase.READY:
        return None  # nobody ever asks
    heard = _heard(it, now)
    fresh = heard.look is not None and now < heard.look
    if fresh and not heard.keeps_awake:
        return None
    return heard.text if fresh else "not asked yet"


def _of_its_own(it: Instance, now: float) -> Iterable[Clause]:
    """What holds whoever goes with whom: two that keep each other awake would never sleep."""
    yield from _of_its_app(it, now)
    yield from _of_its_use(it, now)


def _of_its_app(it: Instance, now: float) -> Iterable[Clause]:
    grounds = it.grounds
    if it.want is Want.UP:
        yield Clause("wanted", "always on", keeps_awake=True)
    if grounds.needed_by:
        yield Clause("needed", f"by {', '.join(grounds.needed_by)}", keeps_awake=True)
    if (pin := grounds.pin) is not None:
        text = "until `torpor unpin`" if pin.until is None else f"for another {policy.span(pin.until - now)}"
        yield Clause("pinned", text, keeps_awake=True, until=pin.until)
    if grounds.hours.warm is not None:
        yield Clause(
            "schedule", f"kept warm {grounds.hours.warm}", keeps_awake=True, until=grounds.hours.until
        )


def _of_its_use(it: Instance, now: float) -> Iterable[Clause]:
    """What it does itself, and has done."""
    timeout, least = it.lifecycle.idle_timeout, it.lifecycle.min_uptime
    upstreams = [peer.upstream for peer in it.peers if peer.upstream is not None]
    discounted, parked = sum(one.discounted for one in upstreams), sum(one.parked for one in upstreams)
    inflight = sum(one.inflight for one in upstreams) - discounted
    if inflight:
        # Nobody tells when the last one ends.  If that is right now, it is idle a whole timeout later:
        # that is early enough.
        look = None if timeout is None else now + timeout
        yield Clause("requests", f"{_number(inflight, 'request')} in flight", keeps_awake=True, look=look)
    if discounted:
        text = f"{_number(discounted, 'request')} in flight that do not count"
        yield Clause("requests", text, keeps_awake=False)
    if parked:
        yield Clause("sockets", f"{_number(parked, 'open socket')}, which count only by their data", False)
    if least:
        end = max(peer.phase_since for peer in it.peers if peer.phase is Phase.READY) + least
        text = f"ready for {policy.span(max(0.0, now - end + least))} of at least {policy.span(least)}"
        yield Clause("min-uptime", text, keeps_awake=now < end, until=end, look=end)
    if timeout is None:
        yield Clause("idle", "never asleep by itself (idle_timeout: never)", keeps_awake=True)
    elif not inflight:
        end = last_active(it) + timeout
        text = f"idle for {policy.span(max(0.0, now - end + timeout))} of {policy.span(timeout)}"
        if it.lifecycle.min_bytes:
            text += f"; fewer than {it.lifecycle.min_bytes} bytes are no use of it"
        yield Clause("idle", text, keeps_awake=now < end, until=end, look=end)


def _of_its_company(it: Instance, now: float) -> Iterable[Clause]:
    """Whether one that it goes with would stay awake.  When that one begins to sleep, this one is told."""
    if not (leaders := it.grounds.goes_with):
        return
    found = {str(them[0].id.app): list(_keeps_company(them, now)) for them in leaders}
    names = [name for name, keeping in found.items() if keeping]
    if not names:
        yield Clause("companions", "nobody that it goes with is in use", keeps_awake=False)
        return
    keeping = [clause for each in found.values() for clause in each]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    text = f"with {', '.join(names[:_NAMED])}{more}"
    until, look = sleeps_at(keeping, now), look_again(keeping, now)
    yield Clause("companions", text, keeps_awake=True, until=until, look=look)


def _keeps_company(them: Replicas, now: float) -> Iterable[Clause]:
    """What keeps an app awake of its own accord."""
    if any(one.demand for one in them):
        yield Clause("waking", "it wakes", keeps_awake=True)
    ready = [one for one in them if one.phase is Phase.READY]
    if not ready:
        return
    yield from (clause for clause in _of_its_own(ready[0], now) if clause.keeps_awake)
    for one in ready:
        # A question that nobody has put yet keeps nobody else awake: each of two would wait for the other's.
        if one.lifecycle.question is not None:
            heard = _heard(one, now)
            if heard.keeps_awake and heard.look is not None and now < heard.look:
                yield heard


def _asked(it: Instance, now: float, *, last: bool) -> Clause | None:
    """What the world has to say; `last`: nothing else keeps it awake."""
    question = it.lifecycle.question
    if question is None:
        return None
    if not last:
        return Clause("question", "asked once nothing else keeps it awake", keeps_awake=False)
    mine = _heard(it, now)
    if not mine.keeps_awake:
        # The replicas of an app are idle together or not at all.
        others = (peer for peer in it.peers if peer is not it and peer.phase is Phase.READY)
        for other in others:
            heard = _heard(other, now)
            if heard.keeps_awake:
                # Once it is heard, it says so to all; this is for the case that it never is.
                look = heard.look if heard.look is not None and heard.look > now else now + question.limit
                return replace(heard, text=f"{other.id}: {heard.text}", look=look)
    return mine


def _heard(it: Instance, now: float) -> Clause:
    """What is known of one replica."""
    inquiry, question = it.inquiry, it.lifecycle.question
    assert question is not None
    if inquiry is None or inquiry.asked_at < last_active(it):  # it was used since: that answer is moot
        return Clause("question", ASKING, keeps_awake=True, look=now)
    if inquiry.answered_at is None:
        end = inquiry.asked_at + question.limit
        return Clause("question", ASKING, keeps_awake=True, look=end)
    end = inquiry.answered_at + pause(it)
    return Clause("question", inquiry.text, inquiry.keeps_awake, look=end)


def pause(it: Instance) -> float:
    """Seconds from an answer to the next question."""
    timeout = it.lifecycle.idle_timeout
    return LONGEST_PAUSE if timeout is None else min(timeout, LONGEST_PAUSE)


def _number(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
