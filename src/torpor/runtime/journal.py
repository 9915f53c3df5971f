"""What happened, for people: the last events, and whoever wants the next ones."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import MappingProxyType

from torpor.core.messages import Announce
from torpor.core.model import Event

KEPT = 1000
"""Events that are kept of all apps together."""
KEPT_OF_A_WAKE = 50
"""Steps that are kept of one app's current or last wake: the first half, and the last before it was ready."""
KEPT_SINCE = 25
"""Steps that are kept of what happened to the app after that."""

WAKE_BEGINS = "waking"
"""The kind of event with which the steps of a wake begin."""
_WAKE_ENDS = "ready"


class _Wake:
    """The steps of one app's wake.  What made it slow is still known however much happens afterwards."""

    def __init__(self) -> None:
        self._first: list[Event] = []
        self._last: deque[Event] = deque(maxlen=KEPT_OF_A_WAKE - KEPT_OF_A_WAKE // 2)
        self._since: deque[Event] = deque(maxlen=KEPT_SINCE)
        self._over = False

    def add(self, event: Event) -> None:
        """The next thing that happened."""
        if self._over:
            self._since.append(event)
        elif len(self._first) < KEPT_OF_A_WAKE // 2:
            self._first.append(event)
        else:
            self._last.append(event)
        self._over = self._over or event.kind == _WAKE_ENDS

    def steps(self) -> tuple[Event, ...]:
        """What is kept, oldest first."""
        return (*self._first, *self._last, *self._since)


class Journal:
    """Stamps events, keeps the last ones, and hands each to the subscribers."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._wakes: dict[str, _Wake] = {}
        self._subscribers: dict[int, Callable[[Event], None]] = {}
        self._seq = itertools.count(1)
        self._keys = itertools.count()

    def announce(self, announcement: Announce) -> None:
        """Record it and tell the subscribers."""
        data = dict(announcement.data)
        if announcement.reason is not None:
            data["cause"] = str(announcement.reason.cause)
            data["reason"] = str(announcement.reason)
        event = Event(
            seq=next(self._seq),
            at=time.time(),
            app=announcement.app,
            kind=announcement.kind,
            text=announcement.text,
            instance=announcement.instance,
            data=MappingProxyType(data),
            detail=announcement.detail,
        )
        self._events.append(event)
        if event.kind == WAKE_BEGINS or event.app not in self._wakes:
            self._wakes[event.app] = _Wake()
        self._wakes[event.app].add(event)
        for callback in tuple(self._subscribers.values()):
            callback(event)

    def forget(self, app: str) -> None:
        """Keep no steps of a wake for an app that is gone; its events stay."""
        self._wakes.pop(app, None)

    def recent(self, count: int, app: str | None = None) -> Sequence[Event]:
        """The last `count` events (of one app), oldest first."""
        events = [event for event in self._events if app is None or event.app == app]
        return events[-count:] if count > 0 else []

    def wake_steps(self, app: str) -> Sequence[Event]:
        """The events since the app's last wake began, oldest first."""
        wake = self._wakes.get(app)
        return () if wake is None else wake.steps()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with each event from now on; the result ends that."""
        key = next(self._keys)
        self._subscribers[key] = callback

        def unsubscribe() -> None:
            self._subscribers.pop(key, None)

        return unsubscribe

    async def wait_until(self, app: str, fact: Callable[[], bool]) -> None:
        """Return once `fact()` holds, which may change with each event of the app."""
        changed = asyncio.Event()
        unsubscribe = self.subscribe(lambda event: changed.set() if event.app == app else None)
        try:
            while not fact():
                changed.clear()
                await changed.wait()
        finally:
            unsubscribe()
