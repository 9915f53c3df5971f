"""What an app asks before it is started: whether there is room for it beside the others."""

from __future__ import annotations

from typing import Protocol

from torpor.core.model import Loss, Reason


class Room(Protocol):
    """Answers for the app of that name.  Silent, and the same until something changes."""

    def missing(self, app: str) -> Reason | None:
        """What it waits for; None: it may be started now."""
        ...

    def lost(self, app: str) -> Loss | None:
        """Why there will be no room by itself; None: there may be."""
        ...


class Unlimited:
    """Room for everybody."""

    def missing(self, _app: str) -> Reason | None:
        """Nothing."""
        return None

    def lost(self, _app: str) -> Loss | None:
        """Nothing."""
        return None
