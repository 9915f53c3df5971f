"""Who needs whom: pure functions over a graph of names.

A graph maps each name to the names that it needs.  A name that is needed but is no
key needs nothing itself.  Order in, order out: results follow the order of the
graph, so that the same configuration always gives the same answer.  Nothing
recurses; a chain may be as long as it likes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

Graph = Mapping[str, Sequence[str]]


def levels(graph: Graph) -> list[tuple[str, ...]]:
    """The names in the order of starting: each level needs only levels before it.

    The reverse is the order of stopping.  Raises `ValueError` with the path of a
    cycle, if there is one.
    """
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as error:
        raise ValueError(f"there is a cycle: {' → '.join(cycles(graph)[0])}") from error
    place = {name: position for position, name in enumerate(_names(graph))}
    found: list[tuple[str, ...]] = []
    while sorter.is_active():
        level = sorter.get_ready()
        sorter.done(*level)
        found.append(tuple(sorted(level, key=place.__getitem__)))
    return found


def closure(graph: Graph, roots: Iterable[str]) -> frozenset[str]:
    """The roots and everything that they need, directly or not.

    Of `dependents(graph)`: the roots and everything that would miss them.
    """
    found = set(roots)
    left = list(found)
    while left:
        new = set(graph.get(left.pop(), ())) - found
        found |= new
        left.extend(new)
    return frozenset(found)


def closures(graph: Graph) -> dict[str, frozenset[str]]:
    """Of each name all that it needs, directly or not: itself too, where a way leads back to it.

    No way is walked twice, and equal answers are one.
    """
    found: dict[str, frozenset[str]] = {}
    once: dict[frozenset[str], frozenset[str]] = {}
    for root in graph:
        # Whoever is come to last needs the least: those before it take over its answer.
        for name in reversed(_newly_met(graph, root, found)):
            answer = _needed(graph, name, found)
            found[name] = once.setdefault(answer, answer)
    return found


def _newly_met(graph: Graph, root: str, known: Mapping[str, object]) -> list[str]:
    """The root and all that it needs, in the order in which one comes to them; nothing that is known."""
    met = {} if root in known else {root: None}
    left = deque(met)
    while left:
        new = [name for name in graph.get(left.popleft(), ()) if name not in met and name not in known]
        met |= dict.fromkeys(new)
        left.extend(new)
    return list(met)


def _needed(graph: Graph, name: str, known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """All that a name needs, on from what is known by the answer for that."""
    found = set(graph.get(name, ()))
    left = list(found)
    while left:
        needed = left.pop()
        if needed in known:
            found |= known[needed]
        else:
            new = set(graph.get(needed, ())) - found
            found |= new
            left.extend(new)
    return frozenset(found)


def dependents(graph: Graph) -> dict[str, tuple[str, ...]]:
    """The graph turned round: for each name those that need it directly."""
    found: dict[str, dict[str, None]] = {name: {} for name in _names(graph)}
    for name, needs in graph.items():
        for needed in needs:
            found[needed][name] = None
    return {name: tuple(each) for name, each in found.items()}


def cycles(graph: Graph) -> list[tuple[str, ...]]:
    """Ways that come back to their first name, which stands at both ends: `("a", "b", "a")`.

    Empty exactly if there is no cycle.  Of the cycles that close at the same name only
    one is told: there can be more of them than anybody could read.
    """
    found: dict[str, tuple[str, ...]] = {}
    finished: set[str] = set()
    for root in graph:
        if root in finished:
            continue
        path: dict[str, Iterator[str]] = {root: iter(graph[root])}
        while path:
            name, needs = next(reversed(path.items()))
            needed = next(needs, None)
            if needed is None:
                del path[name]
                finished.add(name)
            elif needed in path:
                names = list(path)
                found.setdefault(needed, (*names[names.index(needed) :], needed))
            elif needed not in finished:
                path[needed] = iter(graph.get(needed, ()))
    return list(found.values())


def _names(graph: Graph) -> dict[str, None]:
    """All names: the keys, then those that are only needed."""
    return dict.fromkeys([*graph, *(needed for needs in graph.values() for needed in needs)])
