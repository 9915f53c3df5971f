"""The door of one app: where its requests go in, and where they wait before it.

Laws of this file:

- A request is admitted and counted in the same step (`enter`).
- Nobody waits while it is open.
- An app whose room others wait for keeps its door shut: who comes then, comes again when it has made room.
"""

from __future__ import annotations

from collections.abc import Iterable

from torpor.core.instance import Instance
from torpor.core.messages import Effect
from torpor.core.model import AppSpec, Caller, Phase
from torpor.core.upstream import Upstream
from torpor.core.volume import Volume
from torpor.core.waiting_room import WaitingRoom


class Door:
    """Of one app.  Owned by its `App`."""

    __slots__ = ("_knocked", "_open", "_volume", "waiting", "yielding")

    def __init__(self, spec: AppSpec) -> None:
        self._open: list[Upstream] = []
        self._volume = _volume_of(spec)
        self.waiting = WaitingRoom()
        self.yielding = False
        """Whether it takes no new requests, because others wait for what the app uses."""
        self._knocked: Caller | None = None
        """Who wanted its page meanwhile."""

    # --- the hot path --------------------------------------------------------

    def enter(self) -> Upstream | None:
        """Claim a lease on the least busy ready instance; None if there is none."""
        candidates = self._open
        if not candidates:
            return None
        upstream = candidates[0] if len(candidates) == 1 else min(candidates, key=_load)
        upstream.inflight += 1
        return upstream

    # --- who may go through --------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether it takes requests now."""
        return bool(self._open)

    def lead_to(self, upstream: Upstream) -> list[Effect]:
        """One more takes requests: whoever waits goes in."""
        upstream.volume = self._volume
        if self._volume is not None and not self._open:
            self._volume.passed = 0
        self._open.append(upstream)
        return self.waiting.grant(self.enter)

    def shut(self, upstream: Upstream) -> None:
        """That one takes requests no more."""
        self._open.remove(upstream)

    def weigh(self, spec: AppSpec, instances: Iterable[Instance]) -> None:
        """Weigh by the settings that hold now what passes at the instances that serve."""
        self._volume = _volume_of(spec)
        for instance in instances:
            if instance.upstream is not None:
                instance.upstream.volume = self._volume

    # --- for the sake of others ----------------------------------------------

    def yield_room(self) -> None:
        """Take no new requests: others wait for what the app uses.  Those that come wait their turn."""
        self.yielding = True
        for upstream in self._open:
            upstream.open = False
        self._open.clear()

    def keep_room(self, instances: Iterable[Instance]) -> list[Effect]:
        """Nobody waits for it any more: take requests again."""
        self.yielding, self._knocked = False, None
        self._open += [
            one.upstream
            for one in instances
            if one.phase is Phase.READY and one.upstream is not None and not one.upstream.open
        ]
        for upstream in self._open:
            upstream.open = True
        return self.waiting.grant(self.enter) if self._open else []

    def knocked(self, by: Caller) -> None:
        """Somebody wants its page while it yields."""
        self._knocked = by

    @property
    def missed(self) -> bool:
        """Whether somebody has come while it yields."""
        return self.yielding and (bool(self.waiting) or self._knocked is not None)

    def yielded(self) -> Caller | None:
        """It has made room: who has come for it meanwhile; None: nobody."""
        by = (self._knocked or "whoever waits") if self.missed else None
        self.yielding, self._knocked = False, None
        return by


def _volume_of(spec: AppSpec) -> Volume | None:
    """What weighs the bytes of such an app; None where every request keeps it awake."""
    return Volume(spec.lifecycle.min_bytes) if spec.lifecycle.min_bytes else None


def _load(upstream: Upstream) -> tuple[int, float]:
    return upstream.inflight, upstream.last_active  # equally busy ones take turns
