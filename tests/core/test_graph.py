"""Orders, closures and cycles of what needs what."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torpor.core.graph import closure, closures, cycles, dependents, levels

DIAMOND = {"web": ("api", "cache"), "api": ("db",), "cache": ("db",), "db": (), "alone": ()}


def test_each_level_needs_only_levels_before_it() -> None:
    """A diamond has three levels; the shared root stands once, and order within a level is the graph's."""
    assert [("db", "alone"), ("api", "cache"), ("web",)] == levels(DIAMOND)


def test_what_is_only_needed_has_a_level_too() -> None:
    """A name that is no key itself needs nothing and comes first."""
    assert [("b",), ("a",)] == levels({"a": ("b",)})


def test_the_closure_holds_the_roots_and_all_they_need() -> None:
    """Direct and indirect needs, and nothing else."""
    assert {"api", "db"} == closure(DIAMOND, ["api"])
    assert {"web", "api", "cache", "db"} == closure(DIAMOND, ["web"])
    assert frozenset() == closure(DIAMOND, [])


class Counting(dict[str, tuple[str, ...]]):
    """A graph that counts how often a name's needs are asked for."""

    asked = 0

    def get(self, name: str, default: object = None) -> tuple[str, ...]:
        self.asked += 1
        return super().get(name, default)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("ring", [False, True])
def test_no_way_is_walked_twice_for_all_closures(step: int, *, ring: bool) -> None:
    """Neither of a chain, from whichever end it is written down, nor of a ring."""
    names = [str(number) for number in range(500)][::step]
    graph = Counting({name: (str(int(name) + 1),) for name in names})
    if ring:
        graph["499"] = ("0",)

    found = closures(graph)

    assert (500, 500 if ring else 1) == (len(found["0"]), len(found["499"]))
    assert graph.asked < 5 * len(names)


def test_dependents_are_the_graph_turned_round() -> None:
    """For each name those that need it, in the order of the graph; twice needed is named once."""
    expected = {"web": (), "api": ("web",), "cache": ("web",), "db": ("api", "cache"), "alone": ()}
    assert expected == dependents(DIAMOND)
    assert {"a": (), "b": ("a",)} == dependents({"a": ("b", "b")})


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (DIAMOND, []),
        ({"a": ("a",)}, [("a", "a")]),
        ({"a": ("b",), "b": ("a",)}, [("a", "b", "a")]),
        ({"in": ("a",), "a": ("b",), "b": ("c",), "c": ("a", "out")}, [("a", "b", "c", "a")]),
        (
            {"a": ("b",), "b": ("a",), "c": ("d",), "d": ("c", "a")},
            [("a", "b", "a"), ("c", "d", "c")],
        ),
    ],
)
def test_a_cycle_is_told_with_its_path(graph: dict[str, tuple[str, ...]], expected: list[tuple[str]]) -> None:
    """The path begins and ends with the same name and leaves out what only leads there."""
    assert expected == cycles(graph)


def test_a_cycle_has_no_order() -> None:
    """Asking for the levels of a cycle tells its path."""
    with pytest.raises(ValueError, match="there is a cycle: a → b → a"):
        levels({"a": ("b",), "b": ("a",)})


def test_a_long_chain_is_no_problem() -> None:
    """Ten thousand in a row are handled without recursion."""
    chain = {str(n): (str(n + 1),) for n in range(10_000)}
    assert [] == cycles(chain)
    assert 10_001 == len(levels(chain)) == len(closure(chain, ["0"]))


NAMES = st.sampled_from("abcdefg")
GRAPHS = st.dictionaries(NAMES, st.lists(NAMES, max_size=4).map(tuple))


@given(GRAPHS)
def test_a_graph_has_either_an_order_or_cycles(graph: dict[str, tuple[str, ...]]) -> None:
    """Each cycle told is a walk along edges; without one, every need is on an earlier level."""
    found = cycles(graph)
    for path in found:
        assert path[0] == path[-1]
        assert all(after in graph[before] for before, after in pairwise(path))
    if found:
        with pytest.raises(ValueError, match="there is a cycle"):
            levels(graph)
        return
    level = {name: number for number, names in enumerate(levels(graph)) for name in names}
    assert all(level[needed] < level[name] for name, needs in graph.items() for needed in needs)
    assert set(level) == set(graph) | {needed for needs in graph.values() for needed in needs}


@given(GRAPHS, st.lists(NAMES))
def test_the_closure_is_closed_and_small(graph: dict[str, tuple[str, ...]], roots: list[str]) -> None:
    """Nothing in it needs something outside, and each that is no root is needed by one in it."""
    found = closure(graph, roots)
    assert set(roots) <= found
    assert all(needed in found for name in found for needed in graph.get(name, ()))
    assert all(any(name in graph.get(other, ()) for other in found) for name in found - set(roots))


@given(GRAPHS)
def test_all_closures_are_what_each_one_is(graph: dict[str, tuple[str, ...]]) -> None:
    """Of each name in it, whether it is a key or not."""
    names = {*graph, *(needed for needs in graph.values() for needed in needs)}
    assert {name: closure(graph, graph.get(name, ())) for name in names} == closures(graph)


@given(GRAPHS)
def test_turning_round_twice_changes_no_edge(graph: dict[str, tuple[str, ...]]) -> None:
    """The dependents of the dependents are the needs."""
    edges = {(name, needed) for name, needs in graph.items() for needed in needs}
    twice = dependents(dependents(graph))
    assert edges == {(name, needed) for name, needs in twice.items() for needed in needs}
