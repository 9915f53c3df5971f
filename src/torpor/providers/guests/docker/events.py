"""Makes notices of an engine's events.

What is hard is to tell an end that somebody asked for from a crash.  Docker tells `kill`, `die`, and a
moment later `stop` if the end was that of a stop; Podman tells nothing before `died`, and tidies up after a
stop twice: its monitor does it, and who stopped.  So the notice of an end that may be one by hand is held back
until it is known, for a moment at most.  `docker kill` is no stop: what it ends has crashed, as far as Torpor
is concerned.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import msgspec

from torpor.errors import ProviderFailed
from torpor.providers.guests.docker.api import EngineApi
from torpor.providers.guests.driver import Notice

_HOLD = 0.5
"""Seconds; it takes an engine some hundredths."""
_LONGEST = 1024 * 1024
"""Bytes of an event: labels are told, too."""

_ENDED = frozenset({"die", "died"})
_BY_HAND = frozenset({"stop", "destroy", "remove"})
_NEWS = frozenset({"create", "start", "restart", "pause", "unpause", "oom", "rename", *_ENDED, *_BY_HAND})
_HEALTH = "health_status"


class Actor(msgspec.Struct, rename="pascal"):
    """Whom an event is about."""

    id: str = msgspec.field(name="ID", default="")
    attributes: dict[str, str] = msgspec.field(default_factory=dict)


class Event(msgspec.Struct, rename="pascal"):
    """What an engine tells."""

    action: str = ""
    actor: Actor = msgspec.field(default_factory=Actor)

    @property
    def name(self) -> str:
        """Of the container."""
        return self.actor.attributes.get("name", "")


@dataclass(slots=True)
class _Held:
    """An end that is held back."""

    name: str
    until: float
    """On the loop's clock."""
    cleanups: int = 0


class Endings:
    """Finds out who asked for an end."""

    def __init__(self) -> None:
        self._is_podman = False
        self._killed: set[str] = set()
        """Ids of those that were sent a signal in their current run."""
        self._ours: set[str] = set()
        """Names of those that Torpor has asked to end: nobody waits to hear who it was."""
        self._held: dict[str, _Held] = {}
        """By id."""

    @property
    def deadline(self) -> float | None:
        """When `overdue` is to be asked, on the loop's clock."""
        return min((held.until for held in self._held.values()), default=None)

    def overdue(self, now: float) -> Iterator[Notice]:
        """Ends of which nothing more was told."""
        for id in [id for id, held in self._held.items() if held.until <= now]:
            yield self._release(id, by_hand=False)

    def begin(self, *, is_podman: bool) -> None:
        """Listen anew; what was heard before may have had a sequel that was not."""
        self._is_podman = is_podman
        self._killed.clear()
        self._held.clear()

    def expect(self, name: str) -> None:
        """Torpor is about to ask for this end."""
        self._ours.add(name)

    def take(self, event: Event, now: float) -> Iterator[Notice]:
        """What is to be told of an event at once."""
        id, name, action = event.actor.id, event.name, event.action
        if action == "kill":
            self._killed.add(id)
        elif id in self._held:
            yield from self._take_more(id, action)
        elif action in _ENDED and name not in self._ours and (self._is_podman or id in self._killed):
            self._held[id] = _Held(name, now + _HOLD)
        elif action in _NEWS or action.startswith(_HEALTH):
            yield Notice(name)
        if action == "rename":
            # Podman does not say what it was called before.
            yield Notice(event.actor.attributes.get("oldName", "").removeprefix("/") or None)
        if action in _ENDED:
            self._killed.discard(id)
            self._ours.discard(name)

    def _take_more(self, id: str, action: str) -> Iterator[Notice]:
        """What is told of one whose end is held back."""
        held = self._held[id]
        if action == "cleanup":
            held.cleanups += 1
        if action in _BY_HAND or held.cleanups > 1:
            yield self._release(id, by_hand=True)
        elif action in _NEWS:
            yield self._release(id, by_hand=False)

    def _release(self, id: str, *, by_hand: bool) -> Notice:
        return Notice(self._held.pop(id).name, by_hand=by_hand)


async def notices(api: EngineApi, endings: Endings) -> AsyncIterator[Notice]:
    """Follow the engine's events.  The first one is `Notice()`.  Raises `ProviderFailed` and `Refused`."""
    # The engine answers before it listens to itself; by its own clock nothing falls between.
    since = await api.clock()
    params: dict[str, str | int] = {"filters": '{"type":["container"]}', "since": since}
    now = asyncio.get_running_loop().time
    held = bytearray()
    async with api.opened("GET", "/events", params=params) as answer:
        endings.begin(is_podman=api.is_podman)
        yield Notice()
        while True:
            try:
                async with asyncio.timeout_at(endings.deadline):
                    chunk = await answer.content.readany()
            except TimeoutError:
                for notice in endings.overdue(now()):
                    yield notice
                continue
            if not chunk:
                raise ProviderFailed(f"{api.title} has stopped telling what happens")
            held += chunk
            *lines, rest = held.split(b"\n")
            held = rest
            if len(held) > _LONGEST:
                raise ProviderFailed(f"{api.title} tells of something that is too long to be heard")
            for line in lines:
                for notice in endings.take(_event(bytes(line)), now()):
                    yield notice


def _event(line: bytes) -> Event:
    """What is said there; nothing that matters, where nobody understands it."""
    try:
        return msgspec.json.decode(line, type=Event)
    except msgspec.DecodeError:
        return Event()
