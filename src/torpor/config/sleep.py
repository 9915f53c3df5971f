"""How deep an app sleeps, and when: one word, or a ladder over how long nobody has asked for anything."""

from __future__ import annotations

import itertools

from msgspec import UNSET

from torpor.config import declarations as declared
from torpor.config.layers import Layers
from torpor.config.units import duration_text
from torpor.core.model import Lifecycle, Rung, Tier


def build_ladder(keys: Layers) -> tuple[Tier, float | None, tuple[Rung, ...]]:
    """How it sleeps at first, after how many seconds of idleness (None: never), and the deeper rungs.

    The age of the first rung is the app's `idle_timeout`: of the two ways to write it the nearer
    one holds.  What is wrong goes to the problems.
    """
    value, idle = keys.get("sleep", Lifecycle().tier), keys.get("idle_timeout", None)
    timeout = Lifecycle().idle_timeout if idle is None else idle.limit
    if isinstance(value, Tier):
        return value, timeout, ()
    rungs = _rungs(keys, value)
    if not rungs:
        if not keys.broken("sleep"):
            keys.report("sleep", "has no rung; name one at least, e.g. {pause: 5m, stop: 2h}")
        return Lifecycle().tier, timeout, ()
    if idle is not None and (nearer := _nearer(keys)) != "sleep":
        if nearer is None:
            first = f"`{rungs[0].tier.value}: {duration_text(rungs[0].after)}`"
            keys.report(
                "idle_timeout", f"says the same as the first rung of `sleep`, {first}; write one of them"
            )
        elif timeout is None:
            return rungs[0].tier, None, ()
        else:
            rungs[0] = Rung(rungs[0].tier, timeout)
    _check_order(keys, rungs)
    return rungs[0].tier, rungs[0].after, tuple(rungs[1:])


def _rungs(keys: Layers, value: declared.Sleep) -> list[Rung]:
    """The rungs in the order of their depth."""
    if value.stop is not UNSET and value.kill is not UNSET:
        keys.report("sleep", "says `stop` and `kill`, after which nothing is left; write one of them", "kill")
    found = ((tier, getattr(value, tier.value)) for tier in Tier)
    return [Rung(tier, float(after)) for tier, after in found if after is not UNSET]


def _nearer(keys: Layers) -> str | None:
    """Which of the two settings is written nearer to the app; None: both in one place."""
    ladder, idle = keys.find("sleep"), keys.find("idle_timeout")
    if ladder is idle or ladder is None or idle is None:
        return None
    return "sleep" if keys.layers.index(ladder) < keys.layers.index(idle) else "idle_timeout"


def _check_order(keys: Layers, rungs: list[Rung]) -> None:
    for earlier, later in itertools.pairwise(rungs):
        if later.after <= earlier.after and later.tier.depth > earlier.tier.depth:
            first = f"`{earlier.tier.value}` comes after {duration_text(earlier.after)}"
            keys.report("sleep", f"must be later than that: {first} and sleeps less deep", later.tier.value)
