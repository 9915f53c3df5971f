"""Which part of the daemon carries out which effect."""

from __future__ import annotations

from collections.abc import Callable

from torpor.config.settings import Settings
from torpor.core.messages import (
    Announce,
    CloseUpgraded,
    DropUpstream,
    Effect,
    Forget,
    GrantTicket,
    MeasureMemory,
    Reboot,
    RefuseTicket,
    Remember,
)
from torpor.runtime.actions import Actions
from torpor.runtime.gate import LocalSeam
from torpor.runtime.journal import Journal
from torpor.runtime.memory import MemoryWatch
from torpor.runtime.reboot import Rebooter
from torpor.runtime.state import StateFile


class Dispatch:
    """Hands each effect on, at once and in the order in which they were decided."""

    def __init__(
        self,
        *,
        actions: Actions,
        seam: LocalSeam,
        journal: Journal,
        state: StateFile,
        memory: MemoryWatch,
        settings: Callable[[], Settings],
    ) -> None:
        """`settings`: those that hold now."""
        self._actions = actions
        self._seam = seam
        self._journal = journal
        self._state = state
        self._memory = memory
        self._settings = settings
        self._rebooter = Rebooter()

    def perform(self, effect: Effect) -> None:
        """Begin to carry it out."""
        match effect:
            case GrantTicket() | RefuseTicket() | CloseUpgraded() | DropUpstream():
                self._seam.perform(effect)
            case Announce():
                self._journal.announce(effect)
            case Remember(app=app):
                self._state.remember(app)
            case Forget(app=app):
                self._seam.forget(app)
                self._journal.forget(app)
                self._state.remember(app)
            case MeasureMemory():
                self._memory.measure()
            case Reboot(app=app, text=text):
                self._rebooter.reboot(self._settings(), app, text)
            case _:
                self._actions.perform(effect)
