"""Named budgets: who fits beside whom.  Functions of values, silent and without effect.

An app uses its share from its start until nothing of it is alive: pausing frees neither the
memory of a GPU nor a slot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torpor.core import policy
from torpor.core.pressure import Candidate
from torpor.core.sharing import Budget

Uses = Mapping[str, int]
"""How much of which budget."""


def total(uses: Iterable[Uses]) -> dict[str, int]:
    """The sum of them."""
    found: dict[str, int] = {}
    for one in uses:
        for budget, amount in one.items():
            found[budget] = found.get(budget, 0) + amount
    return found


def short(needs: Uses, free: Mapping[str, int | None]) -> dict[str, int]:
    """What is missing of which budget.  A budget whose size nobody knows has no limit."""
    return {
        budget: amount - there
        for budget, amount in needs.items()
        if (there := free.get(budget)) is not None and amount > there
    }


def plan(missing: Uses, users: Sequence[Candidate], uses: Mapping[str, Uses]) -> list[Candidate] | None:
    """The first of `users` whose end gives back what is missing, and none too many; None: all do not suffice."""
    chosen: list[Candidate] = []
    left = dict(missing)
    for user in users:
        if not left:
            break
        mine = uses[user.app]
        if left.keys() & mine.keys():
            chosen.append(user)
            left = _less(left, mine)
    if left:
        return None
    for user in list(chosen):  # one that came early may be of no use beside a larger one
        others = total(uses[other.app] for other in chosen if other is not user)
        if not _less(missing, others):
            chosen.remove(user)
    return chosen


def amount_words(budget: Budget, amount: int) -> str:
    """An amount in the budget's unit."""
    return policy.volume(amount) if budget.sized else str(amount)


def _less(missing: Uses, given: Uses) -> dict[str, int]:
    left = {budget: amount - given.get(budget, 0) for budget, amount in missing.items()}
    return {budget: amount for budget, amount in left.items() if amount > 0}
