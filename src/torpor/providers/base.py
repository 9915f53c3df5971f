"""The provider protocol: the only way in which Torpor touches what it supervises.

Laws for every provider (``tests/contract`` runs them against each one):

1. It reports facts by calling `report` on the engine's loop, and decides nothing.
2. Each fact carries the generation that it is about.
3. After `start` or `adopt` returned, and not before, exactly one `Exited` follows some day; with
   `leftovers` exactly one `Gone` follows that.  After `start` raised, nothing follows and
   nothing of the attempt is alive.
4. `stop` and `kill` reach the whole instance, descendants included, and nothing else.
   They return when the request was made, not when the instance is gone, and are
   no error for a generation that is gone already.
5. Nothing blocks the loop.
6. An instance is frozen as a whole or not at all, and the daemon after this one finds it so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torpor.core.messages import InstanceInput
from torpor.core.model import AppSpec, Endpoint, ExitInfo, InstanceId, Tier


@dataclass(frozen=True, slots=True)
class HookFailed:
    """A command around the life of an instance has failed, and life goes on."""

    id: InstanceId
    generation: int
    text: str


Fact = InstanceInput | HookFailed
"""An `Exited` or `Gone`, what the instance said of itself, or what is only to be told."""
UNASKED = 0
"""In place of a generation: what runs although nobody here has started it."""
Report = Callable[[Fact], None]
Unsubscribe = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Launch:
    """One start attempt."""

    id: InstanceId
    generation: int
    spec: AppSpec
    port: int | None
    """The port that `$PORT` carries; None where the app listens at none."""
    listening: int | None = None
    """Descriptor of the socket that is bound for it and handed to it; None: it binds its own."""


@dataclass(frozen=True, slots=True)
class Running:
    """What a successful start gave."""

    endpoint: Endpoint | None
    pid: int | None


@dataclass(frozen=True, slots=True)
class Survivor:
    """What an earlier daemon started and left alive."""

    id: InstanceId
    generation: int
    running: Running
    port: int | None
    age: float
    """Seconds since it was started."""
    status: str | None = None
    """What it said last of what it is doing."""
    watchdog: float | None = None
    """The watchdog interval that it asked for, in seconds."""
    frozen: Tier | None = None
    """How deep it sleeps; None: it is awake."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a freeze has come to."""

    tier: Tier
    """How deep it is: `PAUSE` where `HIBERNATE` was asked for and is not possible here."""
    before: int
    """Its resident bytes before."""
    after: int
    note: str | None = None
    """Why it is not as deep as was asked for, and what would help."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What an instance uses now."""

    pid: int | None
    rss: int
    """Resident bytes of the whole instance, descendants included."""
    cpu: float | None
    """CPU seconds used since its start; None: nobody counts them."""
    log_lost: int = 0
    """Bytes of its output that the log could not take, since the daemon began."""
    log_problem: str | None = None
    """Why the log takes none now."""
    log_unforwarded: int = 0
    """Lines that journald or syslog did not take."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream of output is kept, for who reads it there."""

    path: str
    """The file that is being written; older ones lie beside it (see `torpor.logs`)."""
    segment: int
    offset: int
    """Number of that file, and its length: where the next byte will be."""


class Stream(Protocol):
    """What an app wrote to one of its descriptors."""

    def recent(self, lines: int, *, previous: bool = False) -> list[tuple[float | None, str]]:
        """The last lines like those of `Output.tail`, each with its time (seconds since the epoch), if it is known."""
        ...

    def subscribe(self, callback: Callable[[str], None]) -> Unsubscribe:
        """Call `callback` with each complete line from now on."""
        ...

    def place(self) -> Place | None:
        """Where it is kept; None: in memory alone."""
        ...


class Output(Protocol):
    """What an instance's app wrote to stdout and stderr.  Outlives generations."""

    def tail(self, lines: int, *, previous: bool = False) -> list[str]:
        """The last `lines` lines of the current generation, or of the one before it."""
        ...

    def subscribe(self, callback: Callable[[str], None]) -> Unsubscribe:
        """Call `callback` with each complete line of any stream from now on."""
        ...

    def streams(self) -> Mapping[str, Stream]:
        """`stdout`, which carries both, or `stdout` and `stderr`."""
        ...


class Provider(Protocol):
    """Brings instances to life and ends them."""

    def check(self, spec: AppSpec) -> None:
        """Raise `StartFailed` where no start can succeed as things are: no such program, and the like.

        Nothing is promised where it returns.
        """
        ...

    async def start(self, launch: Launch) -> Running:
        """Start it.  Raises `StartFailed`; then nothing of the attempt is alive.

        Cancelling gives the attempt up: it returns when nothing of it is alive.
        """
        ...

    async def survivors(self) -> list[Survivor]:
        """What an earlier daemon left alive.  Asked once, before anything is started.

        Nothing is reported about any of it before `adopt`.  Each one is to be given to
        `adopt` or `discard`.
        """
        ...

    def adopt(self, launch: Launch) -> tuple[str, ...]:
        """Take a survivor on as what it is to be now: this launch, of the generation that it has.

        Returns the settings that it was born with and that are others now: only a new
        generation can follow those.
        Its log goes on with no line lost, and what it has said of its readiness counts.
        Raises `ProviderFailed` where that cannot be done, or it is no survivor.
        """
        ...

    async def discard(self, id: InstanceId, generation: int) -> None:
        """End a survivor that nobody wants, first by its stop signal; returns when it is gone.

        With the generation `UNASKED`: what was told of as `FoundRunning`, and has not been taken on.

        Nothing is reported.  No error for what is none.  Raises `ProviderFailed`.
        """
        ...

    async def freeze(self, id: InstanceId, generation: int, tier: Tier) -> Frozen:
        """Stop it in its tracks, all of it: `PAUSE`, or `HIBERNATE` to have its memory paged out, too.

        It may be frozen already, less deep.  Returns when that is done.  Cancelling ends the
        paging out, not the freeze.  No error for a generation that is gone already.
        Raises `ProviderFailed`; then it runs, because it cannot be frozen or was thawed meanwhile.
        """
        ...

    async def thaw(self, id: InstanceId, generation: int) -> None:
        """Let it go on.  No error for what is not frozen, or gone.  Raises `ProviderFailed`."""
        ...

    async def stop(self, id: InstanceId, generation: int) -> None:
        """Ask it to end, by its own stop signal; what is frozen is thawed for that.  Raises `ProviderFailed`."""
        ...

    async def kill(self, id: InstanceId, generation: int) -> None:
        """End it by force, frozen or not.  Raises `ProviderFailed`."""
        ...

    async def signal(self, id: InstanceId, generation: int, number: int) -> None:
        """Send a signal to its main process, to nobody else; what is frozen takes it when it is thawed.

        No error for a generation that is gone already.  Raises `ProviderFailed`, and
        `NotAllowed` where instances of this kind take no signals, and for CONT to one that is frozen.
        """
        ...

    async def reload(self, id: InstanceId, generation: int) -> None:
        """Ask it to read its own configuration again, in the way that its app names.

        Returns once it has done so, where it tells (RELOADING=1, READY=1), within its `start_timeout`.
        No error for a generation that is gone already.  Raises `NotAllowed` where the app
        names no way or is frozen, `ProviderFailed` where it failed.
        """
        ...

    def adapt(self, id: InstanceId, generation: int, spec: AppSpec) -> None:
        """Supervise it by other settings from now on: how it is ended, reloaded and logged.

        What it is, and as whom, stays.  No error for a generation that is gone already.
        """
        ...

    def forget(self, id: InstanceId) -> None:
        """Let go of what is held for an instance of which nothing is alive; its log files stay."""
        ...

    def erase_output(self, id: InstanceId) -> None:
        """Delete what it wrote.  It must have been forgotten.  Raises `ProviderFailed`."""
        ...

    async def wait_for_notify(self, id: InstanceId, generation: int) -> None:
        """Return once it has said READY=1.  Waits for ever if it never does; the caller owns the limit."""
        ...

    def remembers(self, id: InstanceId, generation: int, fact: str) -> bool:
        """Whether `remember` was told so of this generation, by an earlier daemon too."""
        ...

    def remember(self, id: InstanceId, generation: int, fact: str) -> None:
        """Keep in mind what was seen of it and cannot be seen again.  No error if it is gone."""
        ...

    async def ensure_end_noticed(self, id: InstanceId) -> None:
        """Return once its end has been reported, if it has ended: who answers where it was may be another by now.

        Returns too where its host does not say.
        """
        ...

    async def run_probe(self, launch: Launch, command: tuple[str, ...], timeout: float) -> bool:
        """Whether `command`, run in the instance's surroundings, exits 0 within `timeout` seconds."""
        ...

    async def run_command(self, launch: Launch, command: tuple[str, ...], timeout: float) -> ExitInfo | None:
        """How `command`, run in the instance's surroundings, ended; None: not within `timeout` seconds.

        Raises `StartFailed` where it cannot be run, and `ProviderFailed` where there is no such instance.
        """
        ...

    def take_back_socket(self, id: InstanceId, generation: int) -> int:
        """A new descriptor of the socket that an adopted one was handed when it was started (`Launch.listening`).

        Raises `ProviderFailed` where it was handed none, holds it no more, or it may not be taken.
        """
        ...

    def drop_stored(self, id: InstanceId) -> None:
        """Give up what is kept for its next generation: nothing of it is alive, and that is to stay so."""
        ...

    def stats(self, id: InstanceId) -> Stats | None:
        """What it uses now; None while nothing of it is alive."""
        ...

    def output(self, id: InstanceId) -> Output:
        """Its log."""
        ...

    async def close(self) -> None:
        """Release what the provider itself holds.  Instances that are alive stay alive."""
        ...
