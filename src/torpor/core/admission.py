"""What a request means for its app: whether it wakes it, whether it keeps it awake, what it gets meanwhile.

Laws of this file:

- One function, `Admission.decide`, answers all of it, with the name of the setting that decided.
- The nearest word wins: the rules of the route, then those of the app, then its short forms
  (`ignore_bots`, `wake_paths`, `wake_on`).  Of several rules the first that meets the request decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from torpor.core.bots import known_bot
from torpor.core.model import AppSpec, Route, WakeOn
from torpor.core.rules import Answer, Glob, Rule, Visit, agent

FAVICON = Rule("favicon", (Glob("/favicon.ico"),), wakes=False, answer=Answer(204))
"""Browsers ask for it by themselves: no reason to wake anything."""

THIS = "this request does not wake it"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a request means for its app."""

    rule: str
    """The name of what decided: a rule's, or a setting's."""
    wakes: bool = True
    counts: bool = True
    answer: Answer | None = None
    why: str = THIS
    """Why it does not wake the app, for whoever asked.  It betrays nothing of the configuration."""


def _decided(rule: Rule) -> tuple[Rule, Decision]:
    return rule, Decision(rule.name, rule.wakes, rule.counts, rule.answer)


_LAST = (_decided(FAVICON),)
_ANYWHERE = Decision("wake_on")
_AT_ITS_PATHS = Decision("wake_paths")
"""A thousand apps without rules share these."""


class Admission:
    """The rules of one route.  Immutable."""

    __slots__ = ("_by_navigation", "_default", "_ignores_bots", "_paths", "_rules", "discounts")

    def __init__(self, app: AppSpec, route: Route) -> None:
        rules = (*route.rules, *app.rules)
        self._rules = (*map(_decided, rules), *_LAST) if rules else _LAST
        self._ignores_bots = app.ignore_bots
        self._paths = app.wake_paths
        self._by_navigation = app.wake_on is WakeOn.NAVIGATION
        self._default = _AT_ITS_PATHS if app.wake_paths else _ANYWHERE
        self.discounts = app.ignore_bots or any(not rule.counts for rule in rules)
        """Whether some requests do not count: only then an app that is awake has to ask."""

    def decide(self, visit: Visit, *, navigation: bool) -> Decision:
        """What this request means.  `navigation`: a browser loads a page to show."""
        for rule, decision in self._rules:
            if rule.meets(visit):
                return decision
        if self._ignores_bots and (bot := known_bot(agent(visit))) is not None:
            return Decision(f"ignore_bots ({bot})", wakes=False, counts=False)
        if self._paths and not any(path.meets(visit.path) for path in self._paths):
            return Decision("wake_paths", wakes=False, why="this address does not wake it")
        if self._by_navigation and not navigation:
            return Decision("wake_on", wakes=False, why="only opening its page wakes it")
        return self._default
