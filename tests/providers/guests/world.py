"""What the worlds of all drivers have in common: a provider of guests on a state directory of its own.

A driver's tests derive from `GuestWorld`, say how a driver is made, which guest behaves how and
what others do to it, and open it by `async with world.opened():`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from contract.provider_contract import ID, Behaviour, Facts, wait_for_line
from torpor.config.guests import GuestSpec
from torpor.core.model import AppSpec, InstanceId, Lifecycle, NotifyProbe, Readiness
from torpor.providers.base import Launch
from torpor.providers.guests.driver import Driver
from torpor.providers.guests.provider import GuestProvider
from torpor.providers.guests.record import Records
from torpor.providers.outputs import Outputs


class GuestWorld(ABC):
    """A provider of guests, the daemon's part around it, and others who act on the guest of `ID`."""

    tells_hands = True
    """See `GuestSubject`."""
    port: int | None = 18000
    """Where the guests listen."""
    stop_timeout = 0.5
    """Seconds in which a guest that is discarded is to end by itself."""

    def __init__(self, folder: Path) -> None:
        """`folder`: for the state directory."""
        self.folder = folder
        self.specs: dict[InstanceId, AppSpec] = {}
        """What was launched last."""
        self._begin()

    @abstractmethod
    def driver(self) -> Driver:
        """A driver as a daemon makes it: knowing nothing of an earlier one."""

    @abstractmethod
    def guest(self, behaviour: Behaviour, id: InstanceId) -> GuestSpec:
        """A guest that behaves so, made where there is none yet.  Its spec names the `port` of this world."""

    @abstractmethod
    def alive(self) -> int:
        """How many processes of the guest of `ID` are alive, or 1 for whatever stands for them; seen past the driver."""

    @abstractmethod
    async def start_by_others(self) -> None:
        """See `GuestSubject`."""

    @abstractmethod
    async def stop_by_others(self) -> None:
        """See `GuestSubject`."""

    @abstractmethod
    async def restart_by_others(self) -> None:
        """See `GuestSubject`."""

    @abstractmethod
    async def crash(self) -> None:
        """See `GuestSubject`."""

    def launch(self, behaviour: Behaviour, generation: int = 1, id: InstanceId = ID) -> Launch:
        """A launch of a guest that behaves so."""
        guest = self.guest(behaviour, id)
        readiness = Readiness((NotifyProbe(),) if behaviour is Behaviour.NOTIFYING else ())
        lifecycle = replace(Lifecycle(), stop_timeout=self.stop_timeout)
        spec = AppSpec(id.app, lifecycle, readiness=readiness, port=self.port, workload=guest, guest=True)
        self.specs[id] = spec
        return Launch(id, generation, spec, self.port)

    async def up(self) -> None:
        """Wait for its line; a host that keeps no output has to know it otherwise."""
        await wait_for_line(self, "up")

    def follow(self) -> None:
        """Tell the provider whose guests are its own."""
        self.provider.follow(self.specs)

    async def succeed(self) -> None:
        """The daemon is gone, and the next one opens on the same state directory."""
        await self.close()
        self._begin()
        self.provider.open()

    async def close(self) -> None:
        """End the daemon's part of it."""
        await self.provider.close()
        self.outputs.close()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[GuestWorld]:
        """Open the provider, and close it at the end; whoever made guests ends them."""
        self.provider.open()
        try:
            yield self
        finally:
            await self.close()

    def _begin(self) -> None:
        state = self.folder / "state"
        self.facts = Facts()
        self.outputs = Outputs(state)
        self.outputs.open()
        self.provider = GuestProvider(
            self.driver(), "host", self.facts, self.outputs, Records(state / "guests")
        )
