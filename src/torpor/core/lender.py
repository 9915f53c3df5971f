"""Lends out the named budgets: who fits beside whom, and who goes so that another may come.

Laws of this file:

- Awake apps never use more of a budget than there is.
- Who waits for a budget gets it in the order in which they came, so nobody waits for ever.
- Nobody is cut off: who is busy takes no new requests, and goes once it has answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from torpor.core import budgets, pressure
from torpor.core.app import App
from torpor.core.budgets import Uses
from torpor.core.model import Cause, Reason
from torpor.core.pressure import Candidate
from torpor.core.sharing import Budget


class Lender:
    """What is left of each budget.  Owned by the steward."""

    def __init__(self) -> None:
        self._budgets: Mapping[str, Budget] = MappingProxyType({})
        self.users: list[App] = []
        """Apps that use any budget when they are awake, or have closed their door for one that does."""
        self._devices: Mapping[int, tuple[int, int]] = MappingProxyType({})

    def follow(self, apps: Iterable[App], named: Mapping[str, Budget]) -> None:
        """Other apps are there, or other budgets."""
        self._budgets = named
        self.users = [app for app in apps if app.spec.share.uses or app.door.yielding]

    def forget(self, app: App) -> None:
        """It was removed."""
        if app in self.users:
            self.users.remove(app)

    def measured(self, devices: Mapping[int, tuple[int, int]]) -> None:
        """GPUs were measured: all of their memory, and what others than our apps have taken of it."""
        self._devices = devices

    def short_of(self, app: App, ahead: Iterable[App]) -> Reason | None:
        """What the app waits for, those before it first; None: it fits."""
        needs = {name: amount for name, amount in app.uses.items() if name in self._budgets}
        for other in () if app.instances.staying else ahead:
            if shared := needs.keys() & other.uses.keys():
                return Reason(Cause.NO_BUDGET, f"waiting for {min(shared)}", f"{other.spec.name} comes first")
        for name, lacking in self.lacking(app).items():
            users = [other.spec.name for other in self._beside(app) if name in other.uses]
            free = budgets.amount_words(self._budgets[name], max(0, needs[name] - lacking))
            used = f", {', '.join(users)} using the rest" if users else ""
            awaited = f"waiting for {self._words({name: needs[name]})}"
            return Reason(Cause.NO_BUDGET, awaited, f"{free} free{used}")
        return None

    def lacking(self, app: App) -> dict[str, int]:
        """How much of which budget is too little for it beside the others."""
        used = budgets.total(other.taken for other in self._beside(app))
        free = {
            name: None if (limit := self._limit(budget)) is None else limit - used.get(name, 0)
            for name, budget in self._budgets.items()
        }
        return budgets.short(app.uses, free)

    def plan(self, app: App, candidates: Mapping[str, Candidate]) -> Sequence[Candidate] | Reason:
        """Who has to go so that it fits; or why that cannot be."""
        lacking = self.lacking(app)
        for name in lacking:
            limit = self._limit(self._budgets[name])
            if limit is not None and app.uses[name] > limit:
                there = budgets.amount_words(self._budgets[name], limit)
                needs = self._words({name: app.uses[name]})
                return Reason(Cause.NO_BUDGET, f"{app.spec.name} needs {needs}", f"there is only {there}")
        users = [_as_user(other, candidates[other.spec.name]) for other in self._beside(app)]
        uses = {other.spec.name: other.taken for other in self.users}
        plan = budgets.plan(lacking, pressure.victims(users), uses)
        if plan is not None:
            return plan
        kept = [f"{user.app} is {user.spared}" for user in users if user.spared is not None]
        needs = self._words({name: app.uses[name] for name in lacking})
        return Reason(Cause.NO_BUDGET, f"{app.spec.name} needs {needs}, which others keep", "; ".join(kept))

    def reason(self, victim: App, waiter: App) -> Reason:
        """Why the victim has to go, with the numbers."""
        uses, needs = self._words(victim.taken), self._words(waiter.uses)
        facts = f"{waiter.spec.name} needs {needs}; {victim.spec.name} uses {uses}"
        return Reason(Cause.EVICTED, "others need what it uses", facts)

    def _beside(self, app: App) -> list[App]:
        """The other apps that use budgets now."""
        return [other for other in self.users if other is not app and other.instances.alive]

    def _limit(self, budget: Budget) -> int | None:
        """What apps may use of it: of a GPU's memory not what others have taken.  None: nobody knows."""
        device = None if budget.device is None else self._devices.get(budget.device)
        if device is None:
            return budget.limit
        whole, others = device
        return (whole if budget.limit is None else min(whole, budget.limit)) - others

    def _words(self, uses: Uses) -> str:
        return " and ".join(
            f"{budgets.amount_words(self._budgets[name], amount)} of {name}" for name, amount in uses.items()
        )


def _as_user(app: App, it: Candidate) -> Candidate:
    """A user of a budget as one that might be ended for another: what starts has its turn, what goes has had it."""
    why = pressure.kept(app) or (it.spared if it.passed_over else None)
    busy = it.busy or app.instances.starting or it.welcome
    return replace(it, deeper=pressure.end(app.spec.lifecycle), busy=busy, spared=why)
