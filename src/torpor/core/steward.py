"""Shares memory and budgets among the apps of a fleet: who waits for room, and who makes room.

Laws of this file:

- What must not sleep is not touched: what is always on, needed by others, starting, or busy
  (but for `evict_busy`, and for memory only).
- Each wait here has an end: a victim's deadline, a measurement's, and the start's own.

The fleet asks for one step after the other (`step`) until there is none; each is carried
through the apps before the next is decided.  `Lender` knows of budgets, `Reliever` of memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import takewhile

from torpor.core import policy, pressure
from torpor.core.app import App
from torpor.core.lender import Lender
from torpor.core.messages import Announce, Effect, MeasureMemory, MemoryMeasured, SleepRequested
from torpor.core.model import Cause, Loss, Reason
from torpor.core.outlook import Outlook, outlook
from torpor.core.pressure import Candidate
from torpor.core.reliever import Reliever
from torpor.core.sharing import Sharing

PASS_OVER = 60.0
"""Seconds for which an app that could not be put to sleep is left alone."""
RETRY = 5.0
"""Seconds until there may be room where there was none."""
ANSWER = 10.0
"""Seconds that a measurement may take."""

Step = tuple[App | None, list[Effect]]
"""An app that has changed, and what is to be done."""


class Steward:
    """Owned by the fleet, and asked by its apps (`Room`)."""

    def __init__(self, apps: Mapping[str, App], sharing: Sharing) -> None:
        self._apps = apps
        self._sharing = sharing
        self._lender = Lender()
        self._reliever = Reliever()
        self._measured_at = 0.0
        self._asked_until: float | None = None
        """Until when the answer to a measurement must have come."""
        self._alive: dict[str, App] = {}
        self._starting: dict[str, App] = {}
        self._line: dict[str, float] = {}
        """Who waits for room, since when, in order."""
        self._lost: dict[str, Loss] = {}
        """Those among them for whom there is no hope."""
        self._passed: dict[str, float] = {}
        """Who could not be put to sleep, and until when it is left alone."""
        self._welcome: float | None = None
        """When the first app that has been left alone because nobody has used it yet, is not any more."""

    # --- what happens --------------------------------------------------------

    def follow(self, apps: Mapping[str, App], sharing: Sharing | None = None) -> None:
        """Other apps are there, or other rules hold."""
        self._apps = apps
        self._sharing = sharing or self._sharing
        self._lender.follow(apps.values(), self._sharing.budgets)
        self._reliever.rules = self._sharing.memory
        self._reliever.victim = self._asked_until = None
        self._reliever.shallow &= apps.keys()
        self._lost.clear()
        self._alive = {name: app for name, app in apps.items() if app.instances.alive}
        self._starting = {name: app for name, app in apps.items() if app.instances.starting}
        self._line = {name: since for name, since in self._line.items() if name in apps}
        self._passed = {name: until for name, until in self._passed.items() if name in apps}

    def forget(self, app: App) -> None:
        """It was removed, and nothing of it is alive."""
        for names in (self._alive, self._starting, self._line, self._lost, self._passed):
            names.pop(app.spec.name, None)
        self._lender.forget(app)

    def measured(self, facts: MemoryMeasured, now: float) -> list[Effect]:
        """Memory was measured."""
        self._reliever.facts, self._measured_at, self._asked_until = facts, now, None
        self._lender.measured(facts.devices)
        self._lost = {name: it for name, it in self._lost.items() if it.reason.cause is not Cause.NO_MEMORY}
        known = (name for name in facts.sizes if name in self._apps)
        return [effect for name in known for effect in self._apps[name].note_size(facts.sizes[name])]

    def note(self, app: App, now: float) -> None:
        """Something of that app has changed: maybe it waits for room now, or not any more."""
        name = app.spec.name
        for there, group in ((app.instances.alive, self._alive), (app.instances.starting, self._starting)):
            if there:
                group[name] = app
            else:
                group.pop(name, None)
        if app.instances.tier is None:
            self._reliever.shallow.discard(name)  # the next time there may be room in swap
        if app.in_line and name in self._apps:
            self._line.setdefault(name, now)
        else:
            self._line.pop(name, None)
            self._lost.pop(name, None)

    def deadline_reached(self, now: float) -> None:
        """What was waited for has not come, or may be tried again."""
        self._passed = {name: until for name, until in self._passed.items() if until > now}
        for name in [name for name, it in self._lost.items() if it.retry_at is None or it.retry_at <= now]:
            del self._lost[name]
            self._line[name] = now  # it keeps its place, but what was measured before is old
        if self._asked_until is not None and self._asked_until <= now:
            self._asked_until = None

    @property
    def next_deadline(self) -> float | None:
        """When something is due at the earliest."""
        due = [it.retry_at for it in self._lost.values()]
        due += [*self._passed.values(), self._asked_until, self._welcome, self._reliever.deadline]
        return min((at for at in due if at is not None), default=None)

    # --- what apps ask (`Room`) ----------------------------------------------

    def missing(self, app: str) -> Reason | None:
        """What it waits for; None: there is room for it."""
        found = self._apps.get(app)
        if found is None or found.instances.frozen:
            return None
        short = self._short_of_budget(found)
        return self._short_of_memory(found) if short is None and not found.instances.staying else short

    def lost(self, app: str) -> Loss | None:
        """Why there will be no room for it by itself."""
        return self._lost.get(app)

    def _short_of_budget(self, app: App) -> Reason | None:
        if not app.spec.share.uses:
            return None
        before = takewhile(lambda name: name != app.spec.name, self._line)
        return self._lender.short_of(app, [self._apps[name] for name in before if name not in self._lost])

    def _short_of_memory(self, app: App) -> Reason | None:
        if not self._reliever.active:
            return None
        return self._reliever.short_of(app, self._reliever.promised(self._starting.values(), app))

    # --- what follows --------------------------------------------------------

    def step(self, now: float) -> Step | None:
        """The next thing to do; None: there is nothing for now."""
        self._welcome = None
        return self._admit(now) or self._make_way(now) or self._relieve(now)

    def _admit(self, now: float) -> Step | None:
        """Let the first one start for whom there is room by now."""
        for name in self._line:
            app = self._apps[name]
            if app.waits_for_room and self.missing(name) is None:
                self._lost.pop(name, None)
                return app, app.reconsider(now)
        return None

    def _make_way(self, now: float) -> Step | None:
        """For who is first to wait for a budget: let the idle go, and close the door of the busy."""
        claimed: set[str] = set()
        wanted: set[str] = set()
        for name in self._line:
            app = self._apps[name]
            if name in self._lost or not app.waits_for_room or app.uses.keys() & claimed:
                continue
            claimed |= app.uses.keys()
            plan = self._lender.plan(app, self._candidates(now, self._lender.users)) if app.uses else ()
            if isinstance(plan, Reason):
                return self._give_up(app, plan, now)
            wanted |= {victim.app for victim in plan}
            for victim in plan:
                if (step := self._let_go(victim, app, now)) is not None:
                    return step
        for other in self._lender.users:
            if other.door.yielding and other.spec.name not in wanted and not other.instances.going:
                return other, other.keep_room()
        return None

    def _let_go(self, victim: Candidate, waiter: App, now: float) -> Step | None:
        """See to it that a user gives back what it uses; None: that is under way."""
        other = self._apps[victim.app]
        if other.instances.going:
            return None
        if not victim.busy:
            why = self._lender.reason(other, waiter)
            data = {"for": waiter.spec.name, "uses": other.taken, "needs": waiter.uses}
            return self._put_to_sleep(victim, why, data, now)
        if other.door.open and not victim.welcome:
            other.door.yield_room()
            return other, []
        return None

    def _relieve(self, now: float) -> Step | None:
        """For who is first to wait for memory, or for what is to stay free: put the next one to sleep."""
        reliever = self._reliever
        if not reliever.active or reliever.facts is None:
            return None
        if (victim := reliever.victim) is not None:
            if (sleeps := reliever.ended(self._apps.get(victim.app), now)) is None:
                return None
            if not sleeps:
                self._passed[victim.app] = now + PASS_OVER
            return self._measure(now)
        waiter = next((self._apps[name] for name in self._line if self._waits_for_memory(name)), None)
        if waiter is not None and self._measured_at < self._line[waiter.spec.name]:
            return self._measure(now)
        if self._asked_until is not None:
            return None
        if (news := reliever.change()) is not None:
            return None, [news]
        available, keep = reliever.facts.available, reliever.keep
        needed = (
            0 if waiter is None else reliever.promised(self._starting.values(), waiter) + (waiter.size or 0)
        )
        if (short := keep + needed - available) <= 0:
            return None
        candidates = self._candidates(now, self._alive.values(), reliever.facts).values()
        victims, passing = pressure.victims(candidates), [it for it in candidates if it.passing]
        gain = sum(victim.size for victim in victims) + sum(self._size(it) for it in passing)
        if waiter is not None and (why := reliever.hopeless(waiter, short, gain)) is not None:
            return self._give_up(waiter, why, now)
        if not victims and passing:
            return None  # they will be ready, or gone, and then it is decided
        if not victims:
            return None if (news := reliever.helpless()) is None else (None, [news])
        lifecycle = self._apps[victims[0].app].spec.lifecycle
        reliever.begin(victims[0], lifecycle.drain_timeout + lifecycle.stop_timeout, now)
        data = {
            "available": available,
            "keep_free": keep,
            "needed": needed,
            "for": waiter and waiter.spec.name,
        }
        return self._put_to_sleep(victims[0], reliever.reason(waiter), data, now)

    def _waits_for_memory(self, name: str) -> bool:
        app = self._apps[name]
        return name not in self._lost and app.waits_for_room and self._short_of_memory(app) is not None

    def _size(self, it: Candidate) -> int:
        """What it takes, or will once it is ready."""
        return max(it.size, self._apps[it.app].size or 0)

    def _measure(self, now: float) -> Step | None:
        if self._asked_until is not None:
            return None
        self._asked_until = now + ANSWER
        return None, [MeasureMemory()]

    # --- who may sleep -------------------------------------------------------

    def outlook(self, facts: MemoryMeasured, now: float) -> Outlook:
        """What would be done for memory if this were measured now."""
        candidates = self._candidates(now, self._alive.values(), facts)
        return outlook(facts, self._sharing.memory.reserve(facts.total), candidates.values())

    def _candidates(
        self, now: float, apps: Iterable[App], facts: MemoryMeasured | None = None
    ) -> dict[str, Candidate]:
        """Those of them of which something is alive, as victims."""
        found = {}
        for app in apps:
            if not app.instances.alive:
                continue
            name = app.spec.name
            size = 0 if facts is None else facts.sizes.get(name, 0)
            swap = 0 if facts is None or name in self._reliever.shallow else facts.swap_free
            it = pressure.candidate(app, size, now, swap_free=swap)
            if self._passed.get(name, now) > now:
                it = replace(it, passed_over=True, spared=it.spared or "not to be put to sleep a moment ago")
            if it.welcome and (until := pressure.welcome_until(app)) is not None:
                self._welcome = min(until, self._welcome or until)
            found[name] = it
        return found

    def _give_up(self, app: App, why: Reason, now: float) -> Step:
        """There is no room for it, and none to be made: tell whoever waits."""
        name = app.spec.name
        self._lost[name] = Loss(name, why, now + RETRY)
        if not app.instances.demanded:
            return app, []  # nobody asks any more, and it was told when somebody did
        said = Announce(
            name, name, "no-room", why.text, why, {"uses": app.uses, "size": app.size}, why.detail
        )
        return app, [said, *app.reconsider(now)]

    def _put_to_sleep(self, victim: Candidate, why: Reason, data: Mapping[str, object], now: float) -> Step:
        app, name = self._apps[victim.app], victim.app
        idle = "busy" if victim.busy else f"idle for {policy.span(victim.idle)}"
        facts = f"priority {victim.priority}, {idle}"
        if victim.size:
            facts = f"{policy.volume(victim.size)}, {facts}"
        text = f"{why.text}; so {name} is put to sleep ({victim.deeper})"
        numbers = {
            "size": victim.size,
            "priority": victim.priority,
            "idle": victim.idle,
            "tier": victim.deeper,
        }
        told = Announce(name, name, "evicting", text, why, {**data, **numbers}, f"{why.detail}; {facts}")
        effects = [told, *app.handle(SleepRequested(name, victim.deeper, why), now)]
        if app.instances.alive and not (app.instances.going or app.instances.freezing):
            self._passed[name] = now + PASS_OVER
        return app, effects
