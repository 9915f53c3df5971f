"""How an instance comes to its end, and the one rule for what follows it.

Laws of this file:

- The rule is total: every combination of ending, want, restart and demand is met by a line.
- The first line that fits holds; nothing else decides what becomes of an instance that has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from torpor.core.model import Restart, Want


class Ending(StrEnum):
    """What brought an instance to its end."""

    ASKED = "asked to end"
    """An operator, or nobody's need of it."""
    FINISHED = "finished"
    """It ended by itself, with one of its `exit_codes`."""
    CRASHED = "crashed"
    """It ended by itself in any other way."""
    UNHEALTHY = "unhealthy"
    """It was ended, because it did not do its work."""
    NEVER_READY = "never ready"
    """Its start has failed."""


class Sequel(StrEnum):
    """What follows an end."""

    AGAIN = "start again"
    """The next generation begins at once: nothing has failed."""
    RETRY = "retry"
    """A failure.  The next generation begins after the pause that the failures so far ask for."""
    PAUSE = "pause"
    """A failure.  After the pause it is started if somebody wants it by then, and else sleeps."""
    DONE = "done"
    """It has done its work."""
    FAILED = "failed"
    """For good: an operator has to act."""
    ASLEEP = "asleep"
    """Until somebody knocks, or an operator starts what is to be down."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of the rule.  An empty tuple, or None, fits whatever it is."""

    then: Sequel
    ending: tuple[Ending, ...] = ()
    want: tuple[Want, ...] = ()
    restart: tuple[Restart, ...] = ()
    demand: bool | None = None
    missed: bool | None = None

    def fits(self, ending: Ending, want: Want, restart: Restart, *, demand: bool, missed: bool) -> bool:
        """Whether it speaks of that end."""
        return (
            (not self.ending or ending in self.ending)
            and (not self.want or want in self.want)
            and (not self.restart or restart in self.restart)
            and (self.demand is None or demand is self.demand)
            and (self.missed is None or missed is self.missed)
        )


_UNFAILED = (Ending.ASKED, Ending.FINISHED)
_FAILED = (Ending.CRASHED, Ending.UNHEALTHY, Ending.NEVER_READY)
_RESTARTED = (Restart.ALWAYS, Restart.ON_FAILURE)

RULES = (
    Rule(Sequel.ASLEEP, want=(Want.DOWN,)),
    Rule(Sequel.AGAIN, _UNFAILED, demand=True),
    Rule(Sequel.ASLEEP, (Ending.ASKED,)),
    Rule(Sequel.RETRY, (Ending.FINISHED,), restart=(Restart.ALWAYS,)),
    Rule(Sequel.DONE, (Ending.FINISHED,), (Want.UP,)),
    Rule(Sequel.RETRY, (Ending.FINISHED,), restart=(Restart.ON_FAILURE,), missed=True),
    Rule(Sequel.ASLEEP, (Ending.FINISHED,)),
    Rule(Sequel.RETRY, _FAILED, demand=True),
    Rule(Sequel.PAUSE, (Ending.NEVER_READY,), (Want.AUTO,)),
    Rule(Sequel.RETRY, _FAILED, restart=_RESTARTED),
    Rule(Sequel.FAILED, _FAILED, (Want.UP,)),
    Rule(Sequel.ASLEEP, _FAILED),
)
"""The rule, top down.  A `restart: always` that finishes counts as a failure: it must not spin."""


def sequel(ending: Ending, want: Want, restart: Restart, *, demand: bool, missed: bool = False) -> Sequel:
    """What follows that end.

    `demand`: somebody has asked for the next generation meanwhile.  `missed`: it took requests,
    and other replicas still do.
    """
    return next(rule.then for rule in RULES if rule.fits(ending, want, restart, demand=demand, missed=missed))
