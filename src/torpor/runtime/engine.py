"""The owner of all lifecycle state: one inbox, one fleet, one timer.

`post` takes an input, lets the core decide, and has the effects carried out before it
returns.  What is posted meanwhile waits its turn, so no decision sees a half-done one.
Everything here runs on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable

from torpor.core.fleet import Fleet
from torpor.core.messages import Adopted, Effect, Input
from torpor.runtime import clock

log = logging.getLogger(__name__)

Perform = Callable[[Effect], None]


class Engine:
    """Runs the fleet.  `perform` carries out one effect; it may post, and must not raise."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._perform: Perform = _nobody
        self._inbox: deque[Callable[[float], Iterable[Effect]]] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._armed: float | None = None

    def open(
        self, perform: Perform, adopted: Iterable[Adopted] = (), looks: Iterable[Callable[[], None]] = ()
    ) -> None:
        """Begin: `perform` carries out effects from now on.

        What outlived the daemon before is taken on first, then `looks` look around, and what must run is started.
        """
        self._perform = perform
        for message in adopted:
            self.post(message)
        for look in looks:
            look()
        self._take(self.fleet.boot)

    def post(self, message: Input) -> None:
        """Hand in an input."""
        self._take(lambda now: self.fleet.handle(message, now))

    def close(self) -> None:
        """End: no timer fires any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._armed = None

    def _take(self, decision: Callable[[float], Iterable[Effect]]) -> None:
        self._inbox.append(decision)
        if self._busy:
            return
        self._busy = True
        try:
            while self._inbox:
                for effect in self._inbox.popleft()(clock.now()):
                    self._carry_out(effect)
        finally:
            self._busy = False
        self._arm()

    def _carry_out(self, effect: Effect) -> None:
        try:
            self._perform(effect)
        except Exception:
            # One effect that cannot be carried out must not swallow the ones behind it:
            # a lost verdict would leave a client hanging for ever.
            log.exception("could not carry out %r", effect)

    def _arm(self) -> None:
        deadline = self.fleet.next_deadline()
        if deadline == self._armed:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed = deadline
        if deadline is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, deadline - clock.now()), self._deadline_reached, deadline)

    def _deadline_reached(self, deadline: float) -> None:
        self._timer = self._armed = None
        # The loop's timer has millisecond grain and may be early by part of one.
        self._take(lambda now: self.fleet.deadline_reached(max(now, deadline)))


def _nobody(effect: Effect) -> None:
    raise RuntimeError(f"the engine is not open yet: {effect!r}")
