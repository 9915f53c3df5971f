"""One generation of a guest: one run of it, for which somebody here answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from torpor.config.fingerprints import fingerprints
from torpor.config.guests import GuestSpec
from torpor.core.model import AppSpec, Endpoint, InstanceId, Tier
from torpor.errors import StartFailed
from torpor.logs.names import file_name
from torpor.providers.base import Launch, Running
from torpor.providers.capture import Capture
from torpor.providers.guests.driver import Driver, Health, State, Status
from torpor.providers.guests.record import Record, Records, words_of
from torpor.providers.guests.scribe import Scribe

_SETTLING = 0.5
"""Seconds."""
_LAST_WORDS = 5.0
"""Seconds in which what it wrote last has to be told by its host."""


class Life:
    """From its start, or its adoption, to its end."""

    def __init__(
        self,
        launch: Launch,
        record: Record,
        status: Status,
        *,
        driver: Driver,
        records: Records,
        capture: Capture,
    ) -> None:
        self.launch = launch
        self.guest = guest_of(launch.spec)
        self.record = record
        self.frozen: Tier | None = Tier.PAUSE if status.state is State.PAUSED else None
        """How deep it sleeps, as far as we know; None: it is awake."""
        self.settled_at = float("-inf")
        """Until then its host may still tell of a pause before our last one, or of that resumed since: Docker does."""
        self.asked = False
        """Whether somebody here wants its end."""
        self.unheard = False
        """Whether its host was asked for that in vain."""
        self.ready = asyncio.Event()
        """Set once its host calls it healthy, or has nothing to say of that."""
        self.pid = status.pid
        self.running = running_of(self.guest, status)
        self._records = records
        self._capture = capture
        self._ill = False
        self._words = ""
        self._bookmark = bookmark_path(records, launch.id)
        self._scribe = Scribe(
            driver,
            self.guest,
            record.run,
            capture,
            self._bookmark,
            stamped=self.guest.log.timestamps,
        )
        if record.ready:
            self.ready.set()
        if status.health is not Health.UNHEALTHY:  # that is told at the first look, not before
            self.note_health(status)

    @property
    def id(self) -> InstanceId:
        """Whose life it is."""
        return self.launch.id

    @property
    def generation(self) -> int:
        """Which one."""
        return self.launch.generation

    def begin(self) -> None:
        """Write it down, and follow what it writes."""
        self._records.write(self.record)
        self._scribe.begin()

    def note_health(self, status: Status) -> bool:
        """Take what its host says of its health; whether it has just been lost."""
        if status.health in {Health.UNCHECKED, Health.HEALTHY} and not self.ready.is_set():
            self.ready.set()
            self.change(ready=True)
        ill = status.health is Health.UNHEALTHY
        lost = ill and not self._ill and self.ready.is_set()
        if status.health is not Health.PENDING:
            self._ill = ill
        return lost

    def note_own(self, frozen: Tier | None) -> None:
        """We have paused it, or let it go on."""
        self.frozen = frozen
        self.settled_at = asyncio.get_running_loop().time() + _SETTLING

    def note_words(self, status: Status) -> bool:
        """Take what its host says of it for people; whether that is something else than before."""
        before, self._words = self._words, status.note
        return before != status.note

    def change(self, **changes: object) -> None:
        """Write down something else of it."""
        after = self.record.but(**changes)
        if after != self.record:
            self.record = after
            self._records.write(after)

    def adapt(self, spec: AppSpec) -> None:
        """Supervise it by other settings; what it is stays."""
        guest = guest_of(spec)
        if (guest.host, guest.name) == (self.guest.host, self.guest.name):
            self.guest = guest
        self.launch = replace(self.launch, spec=spec)
        self._capture.adapt(guest.log)
        self.change(
            kind=type(self.guest).__name__,
            words=words_of(self.guest),
            stop_timeout=spec.lifecycle.stop_timeout,
        )

    async def end(self) -> None:
        """It is over: copy what it wrote last, and forget what was written down of it."""
        await self._scribe.finish(_LAST_WORDS)
        self._capture.end()
        self._records.remove(self.id)
        self._bookmark.unlink(missing_ok=True)

    async def close(self) -> None:
        """Let go of it; it goes on."""
        await self._scribe.close()
        self._capture.close()


def new_record(launch: Launch, host: str, run: str) -> Record:
    """What is written down of a generation that begins."""
    guest = guest_of(launch.spec)
    return Record(
        app=launch.id.app,
        replica=launch.id.replica,
        release=launch.id.release,
        generation=launch.generation,
        host=host,
        kind=type(guest).__name__,
        words=words_of(guest),
        run=run,
        stop_timeout=launch.spec.lifecycle.stop_timeout,
        port=launch.port,
        settings=fingerprints(launch.spec),
    )


def running_of(guest: GuestSpec, status: Status) -> Running:
    """What there is of it: where the configuration says that it is reached, or else its host."""
    endpoint = status.endpoint if guest.socket is None else Endpoint.at(guest.socket)
    return Running(endpoint, status.pid)


def bookmark_path(records: Records, id: InstanceId) -> Path:
    """Where the bookmark of an instance's log lies."""
    return records.folder / f"{file_name(id)}.bookmark"


def guest_of(spec: AppSpec) -> GuestSpec:
    """The guest that an app is made of.  Raises `StartFailed` where it is none."""
    if not isinstance(spec.workload, GuestSpec):
        raise StartFailed(f"{spec.name} is no guest")
    return spec.workload
