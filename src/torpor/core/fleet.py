"""All apps: hands each input to its app, keeps what they hold of each other true, and knows who is due next.

One input runs to a fixed point: an app that begins to need its dependencies holds them,
one that needs them no more releases them, and a changed standing is told to those that
wait for it, until nothing changes any more.  Only then are the effects carried out.

Another configuration is one input like any other: it is taken over as a whole, and who holds
whom is put right before anybody decides by it.  A removed app stays until nothing of it is
alive and nobody needs it, its dependents before it; whatever comes for it then is refused.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace

from torpor.core import dependencies
from torpor.core.app import App
from torpor.core.companions import Company
from torpor.core.graph import levels
from torpor.core.messages import (
    Announce,
    AppInput,
    Applied,
    Effect,
    Forget,
    ForgetInstance,
    Input,
    MemoryMeasured,
    RefuseTicket,
    RequestArrived,
    ShutdownRequested,
)
from torpor.core.model import AppMemory, AppSpec, Cause, Phase, Reason, Refusal, Standing
from torpor.core.sharing import Sharing
from torpor.core.steward import Steward

_GOING = frozenset({Phase.DRAINING, Phase.STOPPING})
_UNKNOWN = Refusal(Reason(Cause.REMOVED, "removed from the configuration"), None)


class Fleet:
    """The apps by name, in the order of the configuration."""

    def __init__(
        self,
        specs: Iterable[AppSpec],
        memory: Mapping[str, AppMemory],
        now: float,
        sharing: Sharing | None = None,
    ) -> None:
        """`sharing`: how they share memory and budgets."""
        self._standings: dict[str, Standing] = {}
        self.apps: dict[str, App] = {}
        self.steward = Steward(self.apps, sharing or Sharing())
        for spec in specs:
            remembered = memory.get(spec.name, AppMemory())
            self.apps[spec.name] = App(spec, remembered, now, self._standings, self.steward)
        self.steward.follow(self.apps)
        self._standings.update({name: app.standing for name, app in self.apps.items()})
        self._dependents: dict[str, list[App]] = {}
        self._company = Company()
        self._leading: set[str] = set()
        """Apps that others go with, and that are in use."""
        self._booted = False
        self._connect()
        self._generations: dict[str, int] = {}
        """Of apps that were removed: one that comes back must not be taken for what it was."""
        self._holding: set[str] = set()
        self._closing = False
        # Entries are (deadline, name); one that its app no longer confirms is stale and dropped
        # when it comes up, so an input costs O(log n) however many apps there are.
        self._due: list[tuple[float, str]] = []
        self._queued: dict[str, float] = {}

    @property
    def alive(self) -> bool:
        """Whether something of any app may be alive."""
        return any(app.instances.alive for app in self.apps.values())

    def beyond_reach(self, now: float) -> bool:
        """Whether all that is to end could neither be asked to nor be killed.  What those need goes on, too."""
        going = [one for app in self.apps.values() for one in app.instances if one.phase in _GOING]
        return bool(going) and all(one.beyond_reach(now) for one in going)

    def handle(self, message: Input, now: float) -> list[Effect]:
        """Take one input and return everything that follows from it."""
        return self._decide(message, now) + self._share(now)

    def _decide(self, message: Input, now: float) -> list[Effect]:
        if isinstance(message, MemoryMeasured):
            return self.steward.measured(message, now)
        if isinstance(message, ShutdownRequested):
            return self._shut_down(now)
        if isinstance(message, Applied):
            return [] if self._closing else self._apply(message, now)
        if isinstance(message, AppInput):
            if message.app not in self.apps:
                return [RefuseTicket(message.ticket, _UNKNOWN)] if isinstance(message, RequestArrived) else []
            app = self.apps[message.app]
            return self._after(app, app.handle(message, now), now)
        if message.id.app not in self.apps:
            return []  # late news of an app that was removed
        app = self.apps[message.id.app]
        return self._after(app, app.report(message, now), now)

    def boot(self, now: float) -> list[Effect]:
        """Start what is to be kept running."""
        self._booted = True
        effects = [effect for app in self.apps.values() for effect in self._after(app, app.boot(now), now)]
        return effects + self._share(now)

    def deadline_reached(self, now: float) -> list[Effect]:
        """Do whatever is due at `now`, in all apps."""
        due = []
        while self._due and self._due[0][0] <= now:
            deadline, name = heapq.heappop(self._due)
            if self._queued.get(name) == deadline:
                del self._queued[name]
                due.append(self.apps[name])
        self.steward.deadline_reached(now)
        effects = [effect for app in due for effect in self._after(app, app.deadline_reached(now), now)]
        return effects + self._share(now)

    def next_deadline(self) -> float | None:
        """When something is due at the earliest."""
        while self._due and self._queued.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        due = [self._due[0][0]] if self._due else []
        if not self._closing and (shared := self.steward.next_deadline) is not None:
            due.append(shared)
        return min(due, default=None)

    def _share(self, now: float) -> list[Effect]:
        """Let the apps make room for each other, one step after the other."""
        effects: list[Effect] = []
        while not self._closing and (step := self.steward.step(now)) is not None:
            app, more = step
            effects += more if app is None else self._after(app, more, now)
        return effects

    def _shut_down(self, now: float) -> list[Effect]:
        """Stop everything, dependents before what they depend on."""
        self._closing = True
        effects = [effect for app in self.apps.values() for effect in app.close()]
        for app in list(
            self.apps.values()
        ):  # what is frozen needs again what it depends on, until it has ended
            effects += self._after(app, [], now)
        for app in list(self.apps.values()):
            if not app.held_by:
                effects += self._after(app, app.shut_down(now), now)
        return effects

    def _apply(self, message: Applied, now: float) -> list[Effect]:
        """Take another configuration over: first all is put in its place, then each app follows, dependents last."""
        company = self._company
        before = self._put_in_place(message, now)
        released, held = self._put_holds_right(before)
        followers = [
            app for name, app in self.apps.items() if company.leaders(name) != self._company.leaders(name)
        ]
        effects: list[Effect] = []
        graph = {name: [need.app for need in self.apps[name].spec.depends_on] for name in self.apps}
        # All of them change, the needed first, before anybody else acts upon it: what is about to be
        # renewed is nothing to start upon.
        changed: list[tuple[App, list[Effect]]] = []
        concerned: list[App] = []
        for name in (name for level in levels(graph) for name in level if name in before):
            app = self.apps[name]
            if before[name] != app.spec or app.leaving:
                changed.append((app, app.change(before[name], now, renewed=name in message.renewed)))
                concerned.append(app)
                if app.standing != self._standings[name]:
                    self._standings[name] = app.standing
                    concerned += self._dependents[name]
        for app, change in changed:
            effects += self._after(app, change, now)
        for app in dict.fromkeys(concerned):
            if app.spec.name in self.apps:
                effects += self._after(app, app.reconsider(now), now)
        for needed, name in released:
            if (other := self.apps.get(needed)) is not None:
                effects += self._after(other, other.release(name, now), now)
                if other.leaving and not other.held_by:
                    effects += self._after(other, other.shut_down(now), now)
        for needed, name in held:
            if name in self.apps[needed].held_by:  # it may need it no more by now
                need = next(need for need in self.apps[name].spec.depends_on if need.app == needed)
                hold = self.apps[needed].hold(name, need, now)
                effects += self._after(self.apps[needed], hold, now)
        for app in followers:
            effects += self._after(app, app.look_again(now), now)
        configured = [spec.name for spec in message.apps]
        for name in configured:
            if name not in before:
                effects += self._after(self.apps[name], self.apps[name].boot(now, "the configuration"), now)
        removed = [app for name, app in self.apps.items() if name not in configured and not app.leaving]
        for app in removed:
            effects += app.leave()
        for app in removed:
            if app.spec.name in self.apps:  # else it slept, and went with another one
                effects += self._after(app, [] if app.held_by else app.shut_down(now), now)
        return effects

    def _put_in_place(self, message: Applied, now: float) -> dict[str, AppSpec]:
        """Let every app have its new settings, and new ones be there; the earlier settings of the others."""
        before: dict[str, AppSpec] = {}
        apps: dict[str, App] = {}
        for spec in message.apps:
            app = self.apps.get(spec.name)
            if app is None:
                memory = AppMemory(generation=self._generations.pop(spec.name, 0))
                app = App(spec, memory, now, self._standings, self.steward)
            else:
                before[spec.name], app.spec = app.spec, spec
            if (hours := message.closed.get(spec.name)) is not None:
                app.hours = replace(app.hours, closed=hours.closed, until=hours.until)
            apps[spec.name] = app
        apps |= {name: app for name, app in self.apps.items() if name not in apps}
        self.apps = apps
        self.steward.follow(apps, message.sharing)
        self._standings.update({name: app.standing for name, app in apps.items() if name not in before})
        self._connect()
        return before

    def _put_holds_right(
        self, before: dict[str, AppSpec]
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Let who is awake hold what it needs now; who was let go of and by whom, and who is held anew."""
        released, held = [], []
        for name, spec in before.items():
            if name in self._holding:
                needed = {need.app for need in spec.depends_on}
                needs = {need.app for need in self.apps[name].spec.depends_on}
                released += [(other, name) for other in needed - needs]
                held += [(other, name) for other in needs - needed]
        for other, name in released:
            self.apps[other].held_by.discard(name)
        for name in self._holding & before.keys():
            for need in self.apps[name].spec.depends_on:
                self.apps[need.app].note_hold(name, need)
        return sorted(released), sorted(held)

    def _connect(self) -> None:
        """Note who needs whom, how long each has to wait for that, and who goes with whom."""
        patience = dependencies.patience({name: app.spec for name, app in self.apps.items()})
        for name, app in self.apps.items():
            app.patience = patience[name]
        self._dependents = {name: [] for name in self.apps}
        for app in self.apps.values():
            for needed in app.spec.depends_on:
                self._dependents[needed.app].append(app)
        self._company = Company(app.spec for app in self.apps.values())
        for name, app in self.apps.items():
            app.goes_with = tuple(self.apps[leader].instances for leader in self._company.leaders(name))
        leading = (name for name, app in self.apps.items() if app.instances.in_use)
        self._leading = {name for name in leading if self._company.leads(name)}

    def _forget(self, app: App) -> list[Effect]:
        """Let go of a removed app."""
        name = app.spec.name
        self._generations[name] = app.memory.generation
        del self.apps[name], self._standings[name], self._dependents[name]
        self.steward.forget(app)
        self._queued.pop(name, None)
        self._leading.discard(name)
        for needed in app.spec.depends_on:
            self._dependents[needed.app].remove(app)
        for other in self._company.of(name):
            if (companion := self.apps.get(other)) is not None:
                companion.goes_with = tuple(it for it in companion.goes_with if it is not app.instances)
        instances = [ForgetInstance(instance.id) for instance in app.instances]
        return [Announce(name, name, "removed", "removed"), *instances, Forget(name)]

    def _after(self, app: App, effects: list[Effect], now: float) -> list[Effect]:
        """Follow the consequences of a change in `app` until nothing changes any more."""
        changed = deque([app])
        while changed:
            app = changed.popleft()
            if app.spec.name not in self.apps:
                continue  # it was removed, and is gone
            for other, more in self._consequences(app, now):
                effects += more
                changed.append(other)
            self._queue(app)
            self.steward.note(app, now)
            if app.over and not app.held_by and not self._dependents[app.spec.name]:
                effects += self._forget(app)
                # It may have been the last that kept what it needed.
                changed.extend(self.apps[needed.app] for needed in app.spec.depends_on)
        return effects

    def _consequences(self, app: App, now: float) -> list[tuple[App, list[Effect]]]:
        name = app.spec.name
        followed = []
        if app.holding != (name in self._holding):
            self._holding ^= {name}
            for needed in app.spec.depends_on:
                other = self.apps[needed.app]
                if name in self._holding:
                    followed.append((other, other.hold(name, needed, now)))
                    followed += self._told(other, now)
                    continue
                followed.append((other, other.release(name, now)))
                if (self._closing or other.leaving) and not other.held_by:
                    followed.append((other, other.shut_down(now)))
        if self._company.leads(name) and app.instances.in_use != (name in self._leading):
            self._leading ^= {name}
            # Told first: who goes with it may need it, and begins by what it has come to be.
            followed += [*self._told(app, now), *self._lead(name, now)]
        if app.waits_in_vain:
            followed.append((app, app.reconsider(now)))
        return followed + self._told(app, now)

    def _lead(self, name: str, now: float) -> list[tuple[App, list[Effect]]]:
        """It begins to wake, and takes along who goes with it; or it does not keep those awake any more.

        What is taken on before the boot is no wake: who goes with it may be about to be taken on, too.
        """
        others = [self.apps[other] for other in self._company.of(name) if other in self.apps]
        if name not in self._leading:
            return [(other, other.look_again(now)) for other in others if other.instances.ready]
        if not self._booted or self._closing:
            return []
        followed = []
        for other in others:
            followed.append((other, other.go_along(name, now)))
            followed += self._told(other, now)
        # Who wakes for another one's sake takes nobody along: all that go with it do so already.
        woken = (other for other in others if other.instances.in_use)
        self._leading |= {other.spec.name for other in woken if self._company.leads(other.spec.name)}
        return followed

    def _told(self, app: App, now: float) -> list[tuple[App, list[Effect]]]:
        """Tell what an app has come to be to those that wait for it, or have done so in vain."""
        name = app.spec.name
        if (standing := app.standing) == self._standings[name]:
            return []
        self._standings[name] = standing
        return [
            (dependent, dependent.reconsider(now))
            for dependent in self._dependents[name]
            if dependent.concerned  # which `_holding` may not know yet of who begins to in this step
        ]

    def _queue(self, app: App) -> None:
        name, deadline = app.spec.name, app.next_deadline()
        if deadline is None:
            self._queued.pop(name, None)
        elif self._queued.get(name) != deadline:
            self._queued[name] = deadline
            heapq.heappush(self._due, (deadline, name))
