"""What Torpor asks of a host of guests: of a container engine, Proxmox VE, systemd, or commands.

A driver translates; it remembers nothing of instances and decides nothing.  `GuestProvider`
makes of any driver a provider, and holds there, once for all of them, what is not easy:
generations, exactly one exit each, starts and stops by others, adoption, re-synchronising.

Laws for every driver:

1. `status` is the truth.  A notice only says that it is time to ask for it, and may come too often.
2. Which run of a guest is meant is told by `Status.run`: it differs after every start, by whomever,
   and is the same for every daemon that asks.
3. Nothing blocks the loop, every call to the host has a limit of time, and a cancelled call harms nothing.
4. What the host says wrong is `ProviderFailed` (or `StartFailed`, from `start`), in words that
   name the guest and the host and say what to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from torpor.config.guests import GuestSpec
from torpor.core.model import Endpoint, ExitInfo


class State(StrEnum):
    """What a guest is at this moment."""

    RUNNING = "running"
    PAUSED = "paused"
    """Alive, and frozen."""
    STOPPED = "stopped"
    """Not alive: never started, or ended."""
    CHANGING = "changing"
    """On its way from one to another; a notice comes when it is there."""
    MISSING = "missing"
    """The host knows no such guest."""


class Health(StrEnum):
    """What the host's own check of a guest's health says."""

    UNCHECKED = "unchecked"
    """There is no such check."""
    PENDING = "pending"
    """It has not come to a result yet."""
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Stream(StrEnum):
    """What a piece of output was written to."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True)
class Status:
    """What a guest is at this moment."""

    state: State
    run: str | None = None
    """Which run of it this is, or was the last one: another after each start; None: it never ran."""
    endpoint: Endpoint | None = None
    """Where it is reached, as its spec says or its host knows; None: nowhere, or it is not known yet."""
    pid: int | None = None
    """Its main process on this machine, if it is one of this machine's."""
    age: float = 0.0
    """Seconds since this run began."""
    health: Health = Health.UNCHECKED
    note: str = ""
    """What else the host says of it: why it is not healthy, or ended."""
    exit: ExitInfo = field(default_factory=ExitInfo)
    """How the last run ended; means something while STOPPED."""
    by_hand: bool = False
    """Whether somebody asked for that end, as far as the host can tell."""
    unreachable: str = ""
    """Why there is no way to it while it runs, where waiting does not change that."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something may have changed: ask for the status."""

    name: str | None = None
    """Of which guest; None: of any, because some news may have been missed."""
    by_hand: bool = False
    """Somebody, maybe Torpor, has just asked the host to end it, and it is ended."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a guest uses."""

    rss: int
    """Resident bytes, as the host counts them."""
    cpu: float | None
    """CPU seconds since its start; None: its host counts none."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of what a guest wrote."""

    data: bytes
    """Whole lines, with their ends, where the host tells lines apart."""
    stream: Stream
    cursor: str
    """Where to go on after it: what `logs` takes as `after`.  Ordered within a run."""


class Driver(Protocol):
    """A host of guests."""

    @property
    def title(self) -> str:
        """The host, for people: `the Docker Engine at unix:///var/run/docker.sock`."""
        ...

    @property
    def noun(self) -> str:
        """What it calls a guest: `container`, `unit`."""
        ...

    @property
    def lends_addresses(self) -> bool:
        """Whether it may give the address of a guest to another one once that has ended."""
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...

    async def status(self, guest: GuestSpec) -> Status:
        """What it is now.  Raises `ProviderFailed` where that cannot be found out."""
        ...

    async def start(self, guest: GuestSpec) -> None:
        """Start what is STOPPED; returns once the host says that it was started.

        What is RUNNING already is no error.  Raises `StartFailed`.
        """
        ...

    async def stop(self, guest: GuestSpec) -> None:
        """Ask it to end, in its own way or by the spec's `stop_signal`; returns when the host was asked.

        Only `kill` ends it by force: no limit of the host's own may do that.  No error for
        what is STOPPED or MISSING.  What is PAUSED is resumed for it.  Raises `ProviderFailed`.
        """
        ...

    async def kill(self, guest: GuestSpec) -> None:
        """End it by force, paused or not, also while a `stop` is under way.  No error as for `stop`."""
        ...

    async def pause(self, guest: GuestSpec) -> None:
        """Freeze it; returns when it is.  No error for what is PAUSED.  Raises `NotAllowed` where it cannot be."""
        ...

    async def resume(self, guest: GuestSpec) -> None:
        """Let it go on; returns when it does.  No error for what is not PAUSED."""
        ...

    async def signal(self, guest: GuestSpec, number: int) -> None:
        """Send its main process a signal.  Raises `NotAllowed` where guests of this kind take none."""
        ...

    async def execute(self, guest: GuestSpec, command: tuple[str, ...], timeout: float) -> ExitInfo | None:
        """Run a command inside, or beside it; None: not ended within `timeout` seconds, and given up.

        Raises `NotAllowed` where that is not possible, and `ProviderFailed`.
        """
        ...

    async def usage(self, guest: GuestSpec) -> Usage | None:
        """What it uses now; None: not known."""
        ...

    def logs(self, guest: GuestSpec, run: str, after: str | None) -> AsyncIterator[Piece]:
        """What this run has written after the cursor `after` (None: from its beginning), and writes from now on.

        Ends when the run has ended and all was told.  Raises `ProviderFailed` if it breaks off.
        Ends at once where the host keeps no output.
        """
        ...

    def watch(self, guests: Callable[[], Collection[GuestSpec]]) -> AsyncIterator[Notice]:
        """News of these guests (and maybe of others), as they come.

        The first one is `Notice()`, once no later change can be missed.  Raises
        `ProviderFailed` when it breaks off; it is then called again after a pause.
        Whoever has to poll asks `guests` for whom.
        """
        ...
