"""Who goes with whom: apps that are woken with another one, and stay awake with it.

Laws of this file:

- It is directed, and holds along the whole way: who goes with one that goes with another goes with
  that one, too.  Ways may lead in circles, and nobody is its own companion.
- Names that nobody has lead nowhere: members of a group come and go.
- What leads from a group to its members is walked once for all that name it alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torpor.core.graph import closures, dependents
from torpor.core.model import AppSpec

GROUP = "group:"
"""What the name of a group begins with, where an app could be meant."""
MOST = 50
"""Apps that may go with one: each of them is looked at before another one of them falls asleep."""


class Company:
    """The answer for all apps of one configuration.  It never changes."""

    def __init__(self, specs: Iterable[AppSpec] = ()) -> None:
        specs = list(specs)
        ways = _ways(specs)
        self._with = _closures(ways, specs)
        self._led_by = _closures(dependents(ways), specs)

    def of(self, app: str) -> tuple[str, ...]:
        """Those that go with it, in the order of the configuration."""
        return tuple(name for name in self._with.get(app, ()) if name != app)

    def leaders(self, app: str) -> tuple[str, ...]:
        """Those with which it goes, in the order of the configuration."""
        return tuple(name for name in self._led_by.get(app, ()) if name != app)

    def leads(self, app: str) -> bool:
        """Whether any other goes with it."""
        return self._with.get(app, ()) not in ((), (app,))


def _ways(specs: Iterable[AppSpec]) -> dict[str, tuple[str, ...]]:
    """The graph of names; a group leads to its members, and is there only if somebody names it."""
    ways = {spec.name: spec.companions for spec in specs if spec.companions}
    named = {name for names in ways.values() for name in names if name.startswith(GROUP)}
    members: dict[str, list[str]] = {}
    for spec in specs:
        for group in named & {GROUP + each for each in spec.groups}:
            members.setdefault(group, []).append(spec.name)
    return {**ways, **{group: tuple(names) for group, names in members.items()}}


def _closures(ways: Mapping[str, tuple[str, ...]], specs: Iterable[AppSpec]) -> dict[str, tuple[str, ...]]:
    """Where the ways from each app lead; those that lead alike share one answer."""
    places = {spec.name: place for place, spec in enumerate(specs)}
    shared: dict[frozenset[str], tuple[str, ...]] = {}
    found = {}
    for name, reached in closures(ways).items():
        if name in places and reached:
            if reached not in shared:
                shared[reached] = tuple(sorted(reached & places.keys(), key=places.__getitem__))
            found[name] = shared[reached]
    return found
