"""Keeps memory free: puts one app after the other to sleep until there is enough.

Laws of this file:

- After each victim memory is measured again, and it ends as soon as enough is free.
- What cannot be put to sleep is passed over for a while.
- Every decision tells the numbers it was made on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torpor.core import policy
from torpor.core.app import App
from torpor.core.messages import DAEMON, Announce, MemoryMeasured
from torpor.core.model import Cause, Reason, Tier
from torpor.core.pressure import Candidate
from torpor.core.sharing import Admission, MemoryRules

PATIENCE = 10.0
"""Seconds that a victim gets beyond its own drain and stop times."""


@dataclass(frozen=True, slots=True)
class Victim:
    """An app that is being put to sleep for its memory."""

    app: str
    tier: Tier
    deadline: float


class Reliever:
    """What is known of memory, and who is put to sleep for it.  Owned by the steward."""

    def __init__(self) -> None:
        self.rules = MemoryRules()
        self.facts: MemoryMeasured | None = None
        self.victim: Victim | None = None
        self.shallow: set[str] = set()
        """Who could not be hibernated when it was to be, until it is awake again."""
        self._short = False
        self._helpless = False

    @property
    def active(self) -> bool:
        """Whether anybody sleeps for memory at all."""
        return self.rules.keep_free is not None and self.facts is not None

    @property
    def keep(self) -> int:
        """Bytes that are to stay free."""
        assert self.facts is not None
        return self.rules.reserve(self.facts.total)

    @property
    def deadline(self) -> float | None:
        """Until when the victim must sleep."""
        return None if self.victim is None else self.victim.deadline

    def size(self, app: str) -> int:
        """Bytes that it takes now."""
        return 0 if self.facts is None else self.facts.sizes.get(app, 0)

    def promised(self, starting: Iterable[App], besides: App) -> int:
        """Bytes that the other apps that are starting will take beyond what was measured of them."""
        others = (app for app in starting if app is not besides)
        return sum(max(0, (app.size or 0) - self.size(app.spec.name)) for app in others)

    def short_of(self, app: App, promised: int) -> Reason | None:
        """What a wake waits for; None: it fits, or nobody minds."""
        if not self.active or self.rules.admission is Admission.ALLOW or app.size is None:
            return None
        assert self.facts is not None
        if app.size + self.keep + promised <= self.facts.available:
            return None
        return Reason(Cause.NO_MEMORY, f"waiting for {policy.volume(app.size)} of memory", self._numbers())

    def hopeless(self, app: App, short: int, gain: int) -> Reason | None:
        """Why there will be no memory for a wake; None: there may be.  `gain`: what all that may sleep take."""
        size = policy.volume(app.size or 0)
        text = f"not enough memory: {app.spec.name} takes {size}"
        if self.rules.admission is Admission.REFUSE:
            return Reason(Cause.NO_MEMORY, text, self._numbers())
        if gain >= short:
            return None
        others = (
            f"others that may sleep take {policy.volume(gain)}" if gain else "no other app may sleep for it"
        )
        return Reason(Cause.NO_MEMORY, text, f"{self._numbers()}, and {others}")

    def begin(self, victim: Candidate, lifecycle_limit: float, now: float) -> None:
        """It is put to sleep, which takes it so many seconds at most."""
        self.victim = Victim(victim.app, victim.deeper, now + lifecycle_limit + PATIENCE)

    def ended(self, app: App | None, now: float) -> bool | None:
        """Whether the victim sleeps now; None: that goes on.  Afterwards there is none."""
        assert self.victim is not None
        victim, late = self.victim, now >= self.victim.deadline
        if app is not None and (app.instances.going or app.instances.freezing) and not late:
            return None
        self.victim = None
        if app is None or not app.instances.alive:
            return True
        if app.instances.tier is None or late:
            return False
        if app.instances.tier.depth < victim.tier.depth:
            self.shallow.add(victim.app)
        return True

    # --- words ---------------------------------------------------------------

    def reason(self, waiter: App | None) -> Reason:
        """Why somebody has to sleep, with the numbers."""
        facts = self._numbers()
        if waiter is not None:
            facts += f", {waiter.spec.name} needs {policy.volume(waiter.size or 0)}"
        return Reason(Cause.EVICTED, "memory is short", facts)

    def change(self) -> Announce | None:
        """The news that memory is short now, or not any more; None: it is as before."""
        assert self.facts is not None
        short = self.facts.available < self.keep
        if short == self._short:
            return None
        self._short, self._helpless = short, False
        kind, words = (
            ("pressure", "memory is short") if short else ("pressure-over", "memory is not short any more")
        )
        return self._announce(kind, f"{words}: {self._numbers()}")

    def helpless(self) -> Announce | None:
        """The news that nobody is left who could sleep; None: that was told."""
        if self._helpless:
            return None
        self._helpless = True
        return self._announce(
            "pressure-helpless", f"memory is short, and no app may be put to sleep: {self._numbers()}"
        )

    def _numbers(self) -> str:
        assert self.facts is not None
        available, keep = policy.volume(self.facts.available), policy.volume(self.keep)
        return f"{available} available, {keep} are to stay free"

    def _announce(self, kind: str, text: str) -> Announce:
        assert self.facts is not None
        data = {"available": self.facts.available, "keep_free": self.keep}
        return Announce(DAEMON, DAEMON, kind, text, None, data)
