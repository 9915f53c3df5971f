"""News of guests of Proxmox VE, which tells none by itself: it has to be asked.

The list of all guests of a cluster would be one question for them all, but what it says of them is
collected every ten seconds.  So each guest that is followed is asked for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager, suppress

from torpor.config.guests import GuestSpec, MachineSpec
from torpor.errors import ProviderFailed
from torpor.providers.guests.driver import Notice, State
from torpor.providers.guests.proxmox.machines import Look, Machines

_USUAL_PAUSE = 2.0
_SHORT_PAUSE = 1.0
"""Seconds between two rounds, and while something is under way that was asked for here."""
_UNDER_WAY = 60.0
"""Seconds for which something is taken to be under way."""
_RATE = 10.0
"""Guests that are asked each second, at most: with more than 20, the rounds get longer."""
_TOGETHER = 4
"""Questions at a time."""

_Seen = tuple[object, ...]
"""All of a guest that a notice is due for when it changes."""


class Watch:
    """Follows guests."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self._hurry = asyncio.Event()
        self._busy_until = 0.0
        self._expected: set[str] = set()
        """Guests to which something was done since the last round began."""

    @contextmanager
    def expecting(self, name: str) -> Iterator[None]:
        """Something is done to a guest whose effect is to be noticed soon.

        A notice follows in any case: whoever undoes it before the next round leaves all as the
        last round has seen it.
        """
        self._expect(name)
        try:
            yield
        finally:
            self._expect(name)

    async def notices(self, guests: Callable[[], Collection[GuestSpec]]) -> AsyncIterator[Notice]:
        """As `Driver.watch`.  Raises `ProviderFailed` when no guest can be asked any more."""
        seen: dict[str, _Seen] | None = None
        while True:
            expected, self._expected = self._expected, set()
            now = await self._round(guests(), seen or {})
            if seen is None:
                yield Notice()
            else:
                for name, state in now.items():
                    if name in expected or seen.get(name) != state:
                        yield Notice(name)
            seen = now
            await self._pause(len(now))

    async def _round(self, guests: Collection[GuestSpec], before: dict[str, _Seen]) -> dict[str, _Seen]:
        """Ask for them all; one that cannot be asked has changed when it can be again."""
        turns = asyncio.Semaphore(_TOGETHER)
        now: dict[str, _Seen] = {}
        failures: list[ProviderFailed] = []

        async def ask(spec: MachineSpec) -> None:
            async with turns:
                try:
                    look = await self._machines.look(spec)
                    now[spec.name] = await self._told(spec, look, before.get(spec.name))
                except ProviderFailed as error:
                    now[spec.name] = ("out of reach",)
                    failures.append(error)

        async with asyncio.TaskGroup() as group:
            for spec in guests:
                if isinstance(spec, MachineSpec):
                    group.create_task(ask(spec))
        if failures and len(failures) == len(now):
            raise failures[0]
        return now

    async def _told(self, spec: MachineSpec, look: Look | None, before: _Seen | None) -> _Seen:
        if look is None:
            return ()
        now = (look.state, look.run, look.health, look.note)
        if look.state is not State.RUNNING or spec.port is None or spec.address is not None:
            return now
        # Where it is reached may be known only some time after it started; it is asked for until then.
        if before is not None and before[:-1] == now and before[-1] is not None:
            return before
        return (*now, await self._machines.address(spec))

    def _expect(self, name: str) -> None:
        self._busy_until = asyncio.get_running_loop().time() + _UNDER_WAY
        self._expected.add(name)
        self._hurry.set()

    async def _pause(self, many: int) -> None:
        busy = asyncio.get_running_loop().time() < self._busy_until
        pause = max(_SHORT_PAUSE if busy else _USUAL_PAUSE, many / _RATE)
        # Not by `wait_for`: up to Python 3.11, it forgets that it was cancelled when the wait ends just then.
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._hurry.wait()
        self._hurry.clear()
