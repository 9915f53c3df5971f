"""What the control side may ask of the running daemon.

The engine implements it; the control API translates HTTP into it.  All of it is
called on the engine's loop.  Nothing here ever wakes an app except `command` and,
for an app that is awake already, `scale`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from torpor.core.model import AppSnapshot, Event, InstanceId, Tier
from torpor.core.outlook import Outlook
from torpor.core.wakefulness import Clause
from torpor.providers.base import Output, Stats


class Verb(StrEnum):
    """What an operator can do to an app."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    WAKE = "wake"
    SLEEP = "sleep"


class Operator(Protocol):
    """The operator's side of the engine."""

    def snapshot(self) -> Sequence[AppSnapshot]:
        """All apps now, in the order of the configuration."""
        ...

    def app(self, name: str) -> AppSnapshot:
        """One app now.  Raises `UnknownApp` with near misses as hint."""
        ...

    def command(
        self,
        verb: Verb,
        app: str,
        by: str = "operator",
        *,
        force: bool = False,
        rolling: bool = False,
        tier: Tier | None = None,
    ) -> None:
        """Ask for it; returns once it is decided.  Raises `UnknownApp` or `NotAllowed`.

        `force`: stop it also if other apps need it.  `rolling`: restart one replica after
        the other, each only when the one before is ready again.  `tier`: how deep to sleep.
        """
        ...

    def scale(self, app: str, replicas: int) -> None:
        """Ask for that many replicas, at least one.  Raises `UnknownApp` or `NotAllowed`."""
        ...

    def track(self, app: str) -> None:
        """Count it as used now; wakes nothing.  Raises `UnknownApp`."""
        ...

    def pin(self, app: str, seconds: float | None = None) -> None:
        """Keep it awake, for that long or until `unpin`; one that sleeps is woken.

        Raises `UnknownApp` or `NotAllowed`.
        """
        ...

    def unpin(self, app: str) -> None:
        """Let it sleep again; no error where it is not pinned.  Raises `UnknownApp` or `NotAllowed`."""
        ...

    def clauses(self, app: str) -> tuple[Sequence[Clause], float]:
        """All that its falling asleep depends on, and the moment at which that is so.  Raises `UnknownApp`."""
        ...

    async def settle(self, verb: Verb, app: str) -> AppSnapshot:
        """Wait until what `verb` asked for has come true, or cannot any more.

        start, restart, wake: ready, or its attempt failed (the snapshot's phase and
        reason tell).  stop: nothing of it is alive.  sleep: it is asleep or frozen.  The caller owns the limit.
        Raises `UnknownApp`.
        """
        ...

    def prefer(self, app: str, priority: int, *, always_on: bool | None = None) -> None:
        """Let it have that priority, 1 to 100; `always_on`: keep it running, or not any more; None: as before.

        Raises `UnknownApp`, or `NotAllowed` for a priority that is none.
        """
        ...

    def outlook(self) -> Outlook:
        """Who would be put to sleep for memory now, and who would not.  Raises `NotMeasured`."""
        ...

    def check_memory(self) -> Outlook:
        """Measure memory, and put to sleep who has to be; what that was decided on.  Raises `NotMeasured`."""
        ...

    async def signal(self, app: str, number: int) -> int:
        """Send a signal to the main process of each of its instances; how many there were.

        Raises `UnknownApp`, `NotAllowed` where nothing of it is alive, or `ProviderFailed`.
        """
        ...

    async def reload(self, app: str) -> int:
        """Ask each of its instances to read its own configuration again; how many there were.

        Returns once those have done so that tell of it.  Raises `UnknownApp`, `NotAllowed`
        where nothing of it is alive or the app names no way to reload it, or `ProviderFailed`.
        """
        ...

    def stats(self, id: InstanceId) -> Stats | None:
        """What an instance uses now."""
        ...

    def outputs_of(self, app: str) -> Mapping[InstanceId, Output]:
        """The logs of all of its instances.  Raises `UnknownApp`."""
        ...

    def events(self, count: int, app: str | None = None) -> Sequence[Event]:
        """The last events, oldest first."""
        ...

    def wake_steps(self, app: str) -> Sequence[Event]:
        """The events since the app's last wake began, oldest first.  Raises `UnknownApp`."""
        ...

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with each event from now on; the result ends that."""
        ...

    def shut_down(self, *, keep_apps: bool = False) -> None:
        """Begin the daemon's orderly end.  Returns at once.

        `keep_apps`: leave the apps running, for the next daemon to adopt.
        """
        ...
