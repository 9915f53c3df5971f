"""What one app needs before it may be started: the apps it depends on, and room.

Laws of this file:

- The apps come first: while one is missing nobody asks whether there is room.
- Each app that it begins to wait for is told of once, and so is its coming.
"""

from __future__ import annotations

from collections.abc import Mapping

from torpor.core import dependencies
from torpor.core.messages import Announce, Effect
from torpor.core.model import AppSpec, Awaited, Loss, Reason, Standing
from torpor.core.room import Room, Unlimited


class Needs:
    """Of one app.  Owned by its `App`, which lets it know the settings that hold."""

    __slots__ = ("_awaited", "_room", "_standings")

    def __init__(self, standings: Mapping[str, Standing], room: Room | None) -> None:
        """`standings`: what all apps are at the moment; the fleet keeps it true.  `room`: who may start."""
        self._standings = standings
        self._room = Unlimited() if room is None else room
        self._awaited: dict[str, float] = {}
        """Since when it waits for which apps before it is started."""

    def met(self, spec: AppSpec) -> bool:
        """Whether all apps that it needs are there."""
        return not dependencies.unmet(spec.depends_on, self._standings)

    def missing(self, spec: AppSpec) -> Reason | None:
        """What it waits for before it may be started; None: nothing."""
        missing = dependencies.missing(spec.depends_on, self._standings)
        return self._room.missing(spec.name) if missing is None else missing

    def lost(self, spec: AppSpec) -> Loss | None:
        """What it needs and cannot get for now."""
        return dependencies.lost(spec.depends_on, self._standings) or self._room.lost(spec.name)

    def __bool__(self) -> bool:
        """Whether it waits for an app."""
        return bool(self._awaited)

    def note(self, spec: AppSpec, now: float, *, waits: bool) -> list[Effect]:
        """Tell which apps it begins to wait for, and which of them have come; `waits`: whether it waits at all."""
        if not waits and not self._awaited:
            return []
        effects: list[Effect] = []
        missing = {need.app for need in dependencies.unmet(spec.depends_on, self._standings)}
        for need in spec.depends_on:
            data = {"dependency": need.app, "condition": need.condition.value}
            if waits and need.app in missing and need.app not in self._awaited:
                self._awaited[need.app] = now
                effects.append(_said(spec, "waking-dep", f"waking {need.app}", data))
            elif need.app in self._awaited and need.app not in missing:
                text = f"found {need.app} {dependencies.WORDS[need.condition]}"
                effects.append(_said(spec, "dep-ready", text, data))
        self._awaited = {name: since for name, since in self._awaited.items() if waits and name in missing}
        return effects

    def awaited(self, spec: AppSpec, now: float) -> tuple[Awaited, ...]:
        """The apps that it waits for."""
        needs = (need for need in spec.depends_on if need.app in self._awaited)
        return tuple(Awaited(need.app, need.condition, now - self._awaited[need.app]) for need in needs)


def _said(spec: AppSpec, kind: str, text: str, data: Mapping[str, object]) -> Announce:
    return Announce(spec.name, spec.name, kind, text, None, data)
