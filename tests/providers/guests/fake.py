"""A host whose guests exist in memory only, and a driver for it: no contact with anything.

The host is what outlives daemons; others act on it directly.  Its guests do what a `Behaviour` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field

from contract.provider_contract import Behaviour
from torpor.config.guests import GuestSpec
from torpor.core.model import Endpoint, ExitInfo
from torpor.errors import NotAllowed, ProviderFailed, StartFailed
from torpor.providers.guests.driver import Health, Notice, Piece, State, Status, Stream, Usage

_STEP = 0.001
"""Seconds that a request takes, and from one number to the next."""
_ENDING = 0.02
"""Seconds that a guest takes to end."""
_KILLED, _STOPPED = ExitInfo(signal=9), ExitInfo(signal=15)


@dataclass(slots=True)
class FakeGuest:
    """One of them."""

    behaviour: Behaviour
    state: State = State.STOPPED
    number: int = 0
    """Of the run."""
    exit: ExitInfo = field(default_factory=ExitInfo)
    by_hand: bool = False
    health: Health = Health.UNCHECKED
    lines: dict[str, list[str]] = field(default_factory=dict)
    """What each run has written."""
    signals: list[int] = field(default_factory=list)
    """Those that wait for the end of a pause."""

    @property
    def run(self) -> str | None:
        return f"run {self.number}" if self.number else None

    @property
    def alive(self) -> bool:
        return self.state in {State.RUNNING, State.PAUSED}


class FakeHost:
    """Where they live."""

    def __init__(self) -> None:
        self.guests: dict[str, FakeGuest] = {}
        self.down = False
        self.deaf = False
        """Its notices get lost."""
        self.news = asyncio.Condition()
        self.watchers: set[asyncio.Queue[Notice | None]] = set()
        self.questions = 0
        """How often a status was asked for."""

    def start(self, name: str) -> None:
        guest = self.guests[name]
        if guest.alive:
            return
        guest.number += 1
        guest.state, guest.by_hand, guest.signals = State.RUNNING, False, []
        guest.health = Health.PENDING if guest.behaviour is Behaviour.NOTIFYING else Health.UNCHECKED
        assert guest.run is not None
        guest.lines[guest.run] = []
        self.tell(name)
        asyncio.get_running_loop().call_later(_STEP, self._act, guest, name, guest.number)

    def end(self, name: str, info: ExitInfo, *, by_hand: bool = False) -> None:
        guest = self.guests[name]
        if guest.alive:
            guest.state, guest.exit, guest.by_hand = State.STOPPED, info, by_hand
            self.tell(name)

    def pause(self, name: str) -> None:
        guest = self.guests[name]
        if guest.state is State.RUNNING:
            guest.state = State.PAUSED
            self.tell(name)

    def resume(self, name: str) -> None:
        guest = self.guests[name]
        if guest.state is State.PAUSED:
            guest.state = State.RUNNING
            signals, guest.signals = guest.signals, []
            for number in signals:
                self.write(guest, f"got signal {number}")
            self.tell(name)

    def write(self, guest: FakeGuest, line: str) -> None:
        assert guest.run is not None
        guest.lines[guest.run].append(line)

    def tell(self, name: str | None, *, by_hand: bool = False) -> None:
        if not self.deaf:
            for queue in self.watchers:
                queue.put_nowait(Notice(name, by_hand))

    def lose(self) -> None:
        self.down = True
        for queue in self.watchers:
            queue.put_nowait(None)

    def _act(self, guest: FakeGuest, name: str, number: int) -> None:
        """Do what it does once it runs."""
        if guest.number != number or guest.state is not State.RUNNING:
            if guest.number == number and guest.alive:
                asyncio.get_running_loop().call_later(_STEP, self._act, guest, name, number)
            return
        match guest.behaviour:
            case Behaviour.FAILING:
                self.write(guest, "broken")
                self.end(name, ExitInfo(code=3))
            case Behaviour.NOTIFYING:
                guest.health = Health.HEALTHY
                self.tell(name)
            case Behaviour.COUNTING:
                assert guest.run is not None
                self.write(guest, str(len(guest.lines[guest.run]) + 1))
                asyncio.get_running_loop().call_later(_STEP, self._act, guest, name, number)
            case _:
                self.write(guest, "up")


class FakeDriver:
    """Implements `Driver`."""

    title = "the host in memory"
    noun = "guest"
    lends_addresses = True

    def __init__(self, host: FakeHost, port: int | None = None) -> None:
        self.host = host
        self.port = port
        self.hung = asyncio.Event()
        """Until it is set, a start hangs after it was begun."""
        self.hung.set()
        self.unaddressed = False
        """It does not know yet where they are reached."""
        self.unreachable = ""
        """Why there is no way to any of them."""
        self.words = ""
        """What it says of all of them."""
        self.late = 0.0
        """Seconds that it takes to tell what a guest wrote."""
        self.complains = False
        """Each line on stdout is followed by a complaint on stderr."""

    async def close(self) -> None:
        """See `Driver.close`."""

    async def status(self, guest: GuestSpec) -> Status:
        """See `Driver.status`."""
        self.host.questions += 1
        await self._reach()
        if (found := self.host.guests.get(guest.name)) is None:
            return Status(State.MISSING)
        return Status(
            found.state,
            found.run,
            None
            if guest.port is None or self.unaddressed or self.unreachable
            else Endpoint("127.0.0.1", guest.port),
            4000 + found.number if found.alive else None,
            age=1.0,
            health=found.health,
            note=self.words,
            exit=found.exit,
            by_hand=found.by_hand,
            unreachable=self.unreachable,
        )

    async def start(self, guest: GuestSpec) -> None:
        """See `Driver.start`."""
        await self._reach()
        if guest.name not in self.host.guests:
            raise StartFailed(f"no such guest: {guest.name}")
        self.host.start(guest.name)
        await self._reach()
        await self.hung.wait()

    async def stop(self, guest: GuestSpec) -> None:
        """See `Driver.stop`."""
        await self._reach()
        if (found := self.host.guests.get(guest.name)) is None:
            return
        self.host.resume(guest.name)
        if found.behaviour is not Behaviour.STUBBORN:
            asyncio.get_running_loop().call_later(_ENDING, self.host.end, guest.name, _STOPPED)

    async def kill(self, guest: GuestSpec) -> None:
        """See `Driver.kill`."""
        await self._reach()
        if guest.name in self.host.guests:
            self.host.end(guest.name, _KILLED, by_hand=True)

    async def pause(self, guest: GuestSpec) -> None:
        """See `Driver.pause`."""
        await self._reach()
        self.host.pause(guest.name)

    async def resume(self, guest: GuestSpec) -> None:
        """See `Driver.resume`."""
        await self._reach()
        self.host.resume(guest.name)

    async def signal(self, guest: GuestSpec, number: int) -> None:
        """See `Driver.signal`."""
        await self._reach()
        found = self.host.guests[guest.name]
        if found.state is State.PAUSED:
            found.signals.append(number)
        else:
            self.host.write(found, f"got signal {number}")

    async def execute(self, guest: GuestSpec, command: tuple[str, ...], timeout: float) -> ExitInfo | None:
        """See `Driver.execute`: `true`, `false`, and `sleep`, which is not over in time."""
        await self._reach()
        if not self.host.guests[guest.name].alive:
            raise ProviderFailed(f"{guest.name} does not run")
        match command:
            case ("true",):
                return ExitInfo(code=0)
            case ("false",):
                return ExitInfo(code=1)
            case ("sleep",):
                await asyncio.sleep(timeout)
                return None
        raise NotAllowed(f"no such command: {command}")

    async def usage(self, guest: GuestSpec) -> Usage | None:
        """See `Driver.usage`."""
        await self._reach()
        return Usage(1 << 20, 0.5) if self.host.guests[guest.name].alive else None

    async def logs(self, guest: GuestSpec, run: str, after: str | None) -> AsyncIterator[Piece]:
        """See `Driver.logs`.  The cursor is the number of lines before."""
        position = int(after or 0)
        while True:
            await self._reach()
            found = self.host.guests[guest.name]
            lines = found.lines.get(run, [])
            await asyncio.sleep(self.late)
            over = found.run != run or not found.alive
            while position < len(lines):
                position += 1
                yield Piece(f"{lines[position - 1]}\n".encode(), Stream.STDOUT, str(position))
                if self.complains:
                    yield Piece(b"complaint\n", Stream.STDERR, str(position))
            if over:
                return
            await asyncio.sleep(_STEP)

    async def watch(self, guests: Callable[[], Collection[GuestSpec]]) -> AsyncIterator[Notice]:
        """See `Driver.watch`."""
        queue: asyncio.Queue[Notice | None] = asyncio.Queue()
        await self._reach()
        self.host.watchers.add(queue)
        try:
            yield Notice()
            while (notice := await queue.get()) is not None:
                yield notice
            raise ProviderFailed("the host has gone")
        finally:
            self.host.watchers.discard(queue)

    async def _reach(self) -> None:
        await asyncio.sleep(_STEP)
        if self.host.down:
            raise ProviderFailed("the host does not answer")
