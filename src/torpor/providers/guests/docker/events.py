"""Makes notices of an engine's events, and finds out who has asked for an end.

Docker tells `kill`, `die`, and a moment later `stop` if the end was that of a stop; Podman tells nothing before
`died`, and tidies up after a stop twice: its monitor does it, and who stopped.  So it stays open for a moment
whether an end was one by hand, and until then the container has not come to its end (see `DockerDriver.status`).
`docker kill` is no stop: what it ends has crashed, as far as Torpor is concerned.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import aiohttp
import msgspec

from torpor.errors import ProviderFailed
from torpor.providers.guests.docker.api import EngineApi
from torpor.providers.guests.driver import Notice

_HOLD = 2.0
"""Seconds.  It takes an engine some hundredths; but Podman reads the log of its events only now and then, and
on a busy machine all of it takes its time.  Better a restart that comes late than one that nobody wants."""
_GLANCE = 0.05
"""Seconds."""
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
class _Open:
    """An end of which it is open who has asked for it."""

    name: str
    until: float
    """On the loop's clock."""
    cleanups: int = 0


class Endings:
    """Finds out who asked for an end."""

    def __init__(self) -> None:
        self._listens = False
        self._is_podman = False
        self._killed: set[str] = set()
        """Ids of those that were sent a signal in their current run."""
        self._ours: set[str] = set()
        """Names of those that Torpor has asked to end: nobody waits to hear who it was."""
        self._unheard: set[str] = set()
        """Those of them of which the end may have come when nobody listened."""
        self._open: dict[str, _Open] = {}
        """By id."""
        self._by_hand: dict[str, bool] = {}
        """What was found out of the last end, by id."""

    def begin(self, *, is_podman: bool) -> None:
        """Events are heard from now on."""
        self._listens, self._is_podman = True, is_podman
        self._unheard = set(self._ours)

    def end(self) -> None:
        """They are not heard any more: what was heard last may have had a sequel."""
        self._listens = False
        self._killed.clear()
        self._open.clear()
        self._by_hand.clear()

    def expect(self, name: str) -> bool:
        """Torpor is about to ask for this end, if it is alive; False: that is so already, and it is still to come."""
        is_new = name not in self._ours or name in self._unheard
        self._ours.add(name)
        self._unheard.discard(name)
        return is_new

    def forget(self, name: str) -> None:
        """It was not alive."""
        self._ours.discard(name)

    def was_by_hand(self, id: str, name: str) -> bool | None:
        """Whether somebody has asked for the end of a container that has just ended; None: that is still open."""
        if not self._listens or name in self._ours:
            return False
        if id in self._open:
            return None
        # Its status may tell of an end before the events do.
        return self._by_hand.get(id, None if self._is_podman or id in self._killed else False)

    @property
    def deadline(self) -> float | None:
        """When `overdue` is to be asked, on the loop's clock."""
        return min((end.until for end in self._open.values()), default=None)

    def overdue(self, now: float) -> Iterator[Notice]:
        """Ends of which nothing more was told."""
        for id in [id for id, end in self._open.items() if end.until <= now]:
            yield self._settle(id, by_hand=False)

    def take(self, event: Event, now: float) -> Iterator[Notice]:
        """What is to be told of an event."""
        id, name, action = event.actor.id, event.name, event.action
        if action == "kill":
            self._killed.add(id)
        elif action in _ENDED:
            self._by_hand.pop(id, None)
            self._open[id] = _Open(name, now + _HOLD)
            if name in self._ours or not (self._is_podman or id in self._killed):
                yield self._settle(id, by_hand=False)
            self._killed.discard(id)
            self._ours.discard(name)
        elif id in self._open:
            yield from self._take_more(id, action)
        if action in {"start", "destroy", "remove"}:
            self._by_hand.pop(id, None)
            # The next end is not the one that Torpor asked for.  (Where all was heard, a beginning that is told after
            # that was asked for is only told late.)
            if name in self._unheard:
                self._ours.discard(name)
        if action == "rename":
            # Podman does not say what it was called before.
            yield Notice(event.actor.attributes.get("oldName", "").removeprefix("/") or None)
        if action in _NEWS or action.startswith(_HEALTH):
            yield Notice(name)

    def _take_more(self, id: str, action: str) -> Iterator[Notice]:
        """What is told of one whose end is open."""
        end = self._open[id]
        if action == "cleanup":
            end.cleanups += 1
        if action in _BY_HAND or end.cleanups > 1:
            yield self._settle(id, by_hand=True)
        elif action in _NEWS:
            yield self._settle(id, by_hand=False)

    def _settle(self, id: str, *, by_hand: bool) -> Notice:
        self._by_hand[id] = by_hand
        return Notice(self._open.pop(id).name, by_hand=by_hand)


async def notices(api: EngineApi, endings: Endings) -> AsyncIterator[Notice]:
    """Follow the engine's events.  The first one is `Notice()`.  Raises `ProviderFailed` and `Refused`."""
    # The engine answers before it listens to itself; by its own clock nothing falls between.
    since = await api.clock()
    params: dict[str, str | int] = {"filters": '{"type":["container"]}', "since": since}
    now = asyncio.get_running_loop().time
    held = bytearray()
    async with api.opened("GET", "/events", params=params) as answer, _heard(api, endings):
        yield Notice()
        while True:
            if (chunk := await _read(answer.content, endings.deadline)) is None:
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


async def _read(content: aiohttp.StreamReader, deadline: float | None) -> bytes | None:
    """More of it; None: nothing has come until the deadline."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            return await content.readany()
    # A loop that is late learns that before it looks at what has come meanwhile.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GLANCE):
            return await content.readany()
    return None


@contextlib.asynccontextmanager
async def _heard(api: EngineApi, endings: Endings) -> AsyncIterator[None]:
    endings.begin(is_podman=api.is_podman)
    try:
        yield
    finally:
        endings.end()


def _event(line: bytes) -> Event:
    """What is said there; nothing that matters, where nobody understands it."""
    try:
        return msgspec.json.decode(line, type=Event)
    except msgspec.DecodeError:
        return Event()
