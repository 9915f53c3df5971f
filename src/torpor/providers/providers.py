"""All providers of a daemon: the one of processes, and one for each host of guests that an app needs.

They share one store of logs and one of records.  A host is spoken to from the first time that
an app is its own; until then nothing of guests is even loaded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torpor.config.guests import GuestSpec
from torpor.config.hosts import Hosts
from torpor.core.model import AppSpec, InstanceId
from torpor.providers.base import Provider, Report, Survivor
from torpor.providers.guests.means import Means
from torpor.providers.guests.record import Records
from torpor.providers.outputs import Outputs
from torpor.providers.process.provider import ProcessProvider

if TYPE_CHECKING:
    from torpor.providers.guests.provider import GuestProvider

logger = logging.getLogger(__name__)

Place = tuple[type[GuestSpec], str]
"""A host: the kind of its guests, and the name by which apps call it."""


class Providers:
    """Finds and makes them.  `open` before, `close` after."""

    def __init__(self, state: Path, report: Report, environment: Mapping[str, str], hosts: Hosts) -> None:
        """`state`: the state directory; `environment`: what every program gets (see `base_environment`)."""
        self.outputs = Outputs(state)
        self.process = ProcessProvider(state, report, environment, self.outputs)
        self._report = report
        self._environment = environment
        self._hosts = hosts
        self._records = Records(state / "guests")
        self._guests: dict[Place, tuple[GuestProvider, object]] = {}
        """Each with what its driver was made of."""
        self._leaving: set[asyncio.Task[None]] = set()
        """The ends of those whose host is configured otherwise by now."""

    async def open(self) -> None:
        """Prepare the state directory and this process.  Raises `StateUnusable`."""
        await self.process.open()

    def of(self, spec: AppSpec) -> Provider:
        """Whoever starts and ends this app.  Where its host cannot be spoken to, a start says why."""
        if not isinstance(spec.workload, GuestSpec):
            return self.process
        return self._at((type(spec.workload), spec.workload.host))

    def follow(self, hosts: Hosts, apps: Iterable[tuple[InstanceId, AppSpec]]) -> None:
        """These are the instances that there are from now on, and the hosts where guests may live."""
        self._hosts = hosts
        for place in list(self._guests):
            self._renew(place)
        ours: dict[Place, dict[InstanceId, AppSpec]] = {place: {} for place in self._guests}
        for id, spec in apps:
            if isinstance(spec.workload, GuestSpec):
                ours.setdefault((type(spec.workload), spec.workload.host), {})[id] = spec
        for place, instances in ours.items():
            self._at(place).follow(instances)

    async def survivors(self) -> list[Survivor]:
        """What an earlier daemon left alive, of all kinds.  Asked once, before anything is started."""
        records = self._records.read_all()
        places = {(type(record.guest), record.guest.host) for record in records}
        providers: list[ProcessProvider | GuestProvider] = [
            self.process,
            *(self._at(place) for place in places),
        ]
        found = await asyncio.gather(*(provider.survivors() for provider in providers))
        return [survivor for some in found for survivor in some]

    async def discard(self, survivor: Survivor) -> None:
        """End a survivor that nobody wants.  Raises `ProviderFailed`."""
        # Each one knows its own by a record, and it is no error to ask the others.
        await self.process.discard(survivor.id, survivor.generation)
        for provider, _ in self._guests.values():
            await provider.discard(survivor.id, survivor.generation)

    async def close(self) -> None:
        """Let go of everything.  What is alive stays alive."""
        providers = [provider for provider, _ in self._guests.values()]
        await asyncio.gather(*(provider.close() for provider in providers), *self._leaving)
        await self.process.close()
        self.outputs.close()

    # --- inside ----------------------------------------------------------------

    @property
    def _means(self) -> Means:
        return Means(self._hosts, self.process.run, self._environment)

    def _at(self, place: Place) -> GuestProvider:
        if place not in self._guests:
            from torpor.providers.guests.drivers import new_driver  # noqa: PLC0415  # many have no guests
            from torpor.providers.guests.provider import GuestProvider  # noqa: PLC0415

            kind, name = place
            driver = new_driver(kind, name, self._means)
            key = f"{kind.__name__}:{name}"
            provider = GuestProvider(driver, key, self._report, self.outputs, self._records)
            provider.open()
            self._guests[place] = provider, self._what_it_is(place)
        return self._guests[place][0]

    def _what_it_is(self, place: Place) -> object:
        """What the driver of that host is to be made of."""
        from torpor.providers.guests.drivers import what_it_is  # noqa: PLC0415  # see above

        return what_it_is(*place, self._means)

    def _renew(self, place: Place) -> None:
        """Speak to its host by the settings that hold now, where they have changed."""
        provider, made_of = self._guests[place]
        if made_of == self._what_it_is(place):
            return
        if not provider.idle:
            logger.warning(
                "%s is configured otherwise now; that holds from the next apply at which nothing of it runs",
                place[1],
            )
            return
        del self._guests[place]
        task = asyncio.get_running_loop().create_task(provider.close())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
