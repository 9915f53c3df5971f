"""Which part of the daemon carries out which effect."""

from __future__ import annotations

from collections.abc import Callable

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


class Dispatch:
    """Hands each effect on, at once and in the order in which they were decided."""

    def __init__(
        self,
        actions: Actions,
        seam: LocalSeam,
        journal: Journal,
        *,
        remember: Callable[[str], None],
        measure: Callable[[], None],
        reboot: Callable[[str, str], None],
    ) -> None:
        """`remember` writes down what is known of an app, `measure` all memory; `reboot` for an app, and why."""
        self._actions = actions
        self._seam = seam
        self._journal = journal
        self._remember = remember
        self._measure = measure
        self._reboot = reboot

    def perform(self, effect: Effect) -> None:
        """Begin to carry it out."""
        match effect:
            case GrantTicket() | RefuseTicket() | CloseUpgraded() | DropUpstream():
                self._seam.perform(effect)
            case Announce():
                self._journal.announce(effect)
            case Remember(app=app):
                self._remember(app)
            case Forget(app=app):
                self._seam.forget(app)
                self._journal.forget(app)
                self._remember(app)
            case MeasureMemory():
                self._measure()
            case Reboot(app=app, text=text):
                self._reboot(app, text)
            case _:
                self._actions.perform(effect)
