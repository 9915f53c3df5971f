"""The driver for Docker and Podman.

How a container is asked to end: by the engine's own stop, which alone keeps its restart policy from
bringing it back (Podman revives what got its stop signal in any other way, and so does Docker if it is not
the container's own one), with a limit of a year in place of ten seconds, and with nobody waiting for it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Collection

from torpor.config.guests import ContainerSpec, GuestSpec
from torpor.config.hosts import EngineHost
from torpor.core.model import ExitInfo
from torpor.errors import NotAllowed, ProviderFailed, StartFailed
from torpor.providers.guests.docker.address import Unreachable, endpoint_of
from torpor.providers.guests.docker.api import EngineApi, Refused, container_path
from torpor.providers.guests.docker.command import run_inside
from torpor.providers.guests.docker.container import (
    Container,
    age_of,
    exit_of,
    health_of,
    run_of,
    seconds_since_end,
    state_of,
)
from torpor.providers.guests.docker.events import Endings, notices
from torpor.providers.guests.docker.output import cursor_from, is_without_log, read_output
from torpor.providers.guests.docker.place import place_of
from torpor.providers.guests.docker.seams import Seams
from torpor.providers.guests.docker.usage import Figures, usage_of
from torpor.providers.guests.driver import Notice, Piece, State, Status, Usage

log = logging.getLogger(__name__)

_CHANGE = 120.0
"""Seconds for a start, pause or kill: engines with slow disks take long, but some day they have failed."""
_NO_LIMIT = 365 * 24 * 3600
"""Seconds after which the engine's own stop turns into a kill."""
_SETTLE = 0.05
"""Seconds in which an engine that refuses a stop says so."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
"""Seconds before more output is asked for where it came to an end and the container did not."""
_UNPAUSES = 10
"""How often what is paused is let go on before that is given up."""
_LATE_NEWS = 0.05
"""Seconds until such news have come, as a rule."""
_SETTLED = 4.0
"""Seconds after an end in which it may still be told who has asked for it."""
_SIGNAL_OF_STOP = (1, 42)
"""The version of the API from which on a stop can be told which signal to send."""


class DockerDriver:
    """One engine."""

    noun = "container"
    lends_addresses = True

    def __init__(self, host: EngineHost) -> None:
        self._api = EngineApi(host)
        self._host = host
        self._endings = Endings()
        self._seams = Seams()
        self._stops: set[asyncio.Task[None]] = set()

    @property
    def title(self) -> str:
        """The engine, for people."""
        return self._api.title

    async def close(self) -> None:
        """Let go of all connections; what was asked to end goes on ending."""
        for stop in self._stops:
            stop.cancel()
        await asyncio.gather(*self._stops, return_exceptions=True)
        await self._api.close()

    async def status(self, guest: GuestSpec) -> Status:
        """What it is now.  Raises `ProviderFailed`.

        It is CHANGING as long as it is open who has asked for its end, too.
        """
        if (container := await self._inspect(guest)) is None:
            return Status(State.MISSING)
        state, run = state_of(container), run_of(container)
        if state not in (State.RUNNING, State.PAUSED):
            by_hand = self._endings.was_by_hand(container.id, guest.name)
            since = abs(seconds_since_end(container, self._api.now()))
            if by_hand is None and run is not None and since < _SETTLED:
                state = State.CHANGING
            return Status(
                state, run, note=container.state.error, exit=exit_of(container), by_hand=by_hand is True
            )
        machine = place_of(self._host).machine
        health, note = health_of(container)
        endpoint, unreachable = None, ""
        try:
            endpoint = endpoint_of(_spec(guest), container, await self._net_of(container), machine)
        except Unreachable as reason:
            unreachable = str(reason)
        pid = (container.state.pid if machine is None else 0) or None
        return Status(
            state,
            run,
            endpoint,
            pid,
            age_of(container, self._api.now()),
            health,
            note,
            unreachable=unreachable,
        )

    async def start(self, guest: GuestSpec) -> None:
        """Start what is STOPPED.  Raises `StartFailed`."""
        try:
            await self._api.post(container_path(guest.name, "start"), limit=_CHANGE)
        except Refused as refused:
            if refused.status == 404 and await self._inspect(guest) is None:
                raise StartFailed(
                    f"{self.title} knows no container {guest.name}",
                    hint=f"make it (`docker create --name {guest.name} …`, `docker compose create`)",
                ) from refused
            raise StartFailed(f"{self._about(guest)} does not start: {refused.words}") from refused
        except ProviderFailed as error:
            raise StartFailed(error.message, hint=error.hint) from error

    async def stop(self, guest: GuestSpec) -> None:
        """Ask it to end; returns when the engine was asked.  Raises `ProviderFailed`."""
        if not await self._about_to_end(guest):
            return
        number = guest.stop_signal
        if number is not None and self._api.version < _SIGNAL_OF_STOP:
            await self._send(guest, number)
            return
        asked = asyncio.get_running_loop().create_task(self._stop(guest, number))
        self._stops.add(asked)
        asked.add_done_callback(self._stopped)
        done, _ = await asyncio.wait([asked], timeout=_SETTLE)
        if done and not asked.cancelled() and (error := asked.exception()) is not None:
            raise error

    async def kill(self, guest: GuestSpec) -> None:
        """End it by force, paused or not.  Raises `ProviderFailed`."""
        if await self._about_to_end(guest):
            await self._send(guest, signal.SIGKILL)

    async def pause(self, guest: GuestSpec) -> None:
        """Freeze it.  Raises `NotAllowed` where it cannot be, and `ProviderFailed`."""
        try:
            await self._api.post(container_path(guest.name, "pause"), limit=_CHANGE)
        except Refused as refused:
            container = await self._inspect(guest)
            if container is None or state_of(container) not in (State.RUNNING, State.PAUSED):
                raise ProviderFailed(f"{self._about(guest)} does not run") from refused
            if state_of(container) is State.RUNNING:
                raise NotAllowed(
                    f"{self._about(guest)} cannot be paused: {refused.words}", hint="set `sleep: stop`"
                ) from refused

    async def resume(self, guest: GuestSpec) -> None:
        """Let it go on.  Raises `ProviderFailed`."""
        for last in (*[False] * _UNPAUSES, True):
            try:
                await self._api.post(container_path(guest.name, "unpause"), limit=_CHANGE)
                return
            except Refused as refused:
                # Docker hears of each pause twice: what it is told late made it take this one for over.
                await asyncio.sleep(_LATE_NEWS)
                container = await self._inspect(guest)
                if container is None or state_of(container) is not State.PAUSED:
                    return
                if last:
                    raise ProviderFailed(f"{self._about(guest)} cannot go on: {refused.words}") from refused

    async def signal(self, guest: GuestSpec, number: int) -> None:
        """Send its main process a signal.  Raises `ProviderFailed`."""
        await self._send(guest, number)

    async def execute(self, guest: GuestSpec, command: tuple[str, ...], timeout: float) -> ExitInfo | None:
        """Run a command inside; one that takes too long is given up, and goes on.  Raises `ProviderFailed`."""
        try:
            return await run_inside(self._api, guest.name, command, timeout)
        except Refused as refused:
            raise ProviderFailed(f"{self._about(guest)} runs no commands: {refused.words}") from refused

    async def usage(self, guest: GuestSpec) -> Usage | None:
        """What it uses now; None: it does not run.  Raises `ProviderFailed`."""
        params = {"stream": "false", "one-shot": "true"}
        try:
            figures = await self._api.get(container_path(guest.name, "stats"), Figures, **params)
        except Refused:
            return None
        # Engines answer with zeros for what does not run.
        return usage_of(figures) if figures.memory_stats.usage else None

    async def logs(self, guest: GuestSpec, run: str, after: str | None) -> AsyncIterator[Piece]:
        """What this run has written after the cursor, and writes until it ends.  Raises `ProviderFailed`."""
        pause = _SHORTEST_PAUSE
        while (container := await self._inspect(guest)) is not None:
            goes_on = run_of(container) == run and state_of(container) is not State.STOPPED
            output = read_output(self._api, container, self._seams, run, after, follow=goes_on)
            try:
                async for piece in output:
                    after, pause = piece.cursor, _SHORTEST_PAUSE
                    self._seams.note_told(container, run, cursor_from(after).moment)
                    yield piece
            except Refused as refused:
                if is_without_log(refused):
                    log.info("no output of %s: %s", self._about(guest), refused.words)
                    return
                raise ProviderFailed(
                    f"the output of {self._about(guest)} is not told: {refused.words}"
                ) from refused
            if not goes_on:
                return
            # Docker may leave out the last words of who ends while it is followed, and Podman stops to
            # follow where a container is paused: it is asked once more in any case.
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def watch(
        self,
        guests: Callable[[], Collection[GuestSpec]],  # noqa: ARG002  # an engine tells of all of them
    ) -> AsyncIterator[Notice]:
        """News of all containers of the engine.  Raises `ProviderFailed`."""
        try:
            async for notice in notices(self._api, self._endings):
                yield notice
        except Refused as refused:
            raise ProviderFailed(f"{self.title} does not tell what happens: {refused.words}") from refused

    async def _inspect(self, guest: GuestSpec) -> Container | None:
        container = await self._look_up(guest.name)
        if container is None or not container.is_called(guest.name):
            return None
        self._seams.note(container)
        return container

    async def _inspect_alive(self, guest: GuestSpec) -> Container | None:
        container = await self._inspect(guest)
        return None if container is None or state_of(container) is State.STOPPED else container

    async def _look_up(self, name: str) -> Container | None:
        try:
            return await self._api.get(container_path(name, "json"), Container)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise ProviderFailed(f"{self.title} tells nothing of {name}: {refused.words}") from refused

    async def _net_of(self, container: Container) -> Container:
        """The one whose network it shares, mostly itself."""
        kind, _, other = container.host_config.network_mode.partition(":")
        if kind != "container":
            return container
        if (found := await self._look_up(other)) is None:
            raise Unreachable(f"the container {other} whose network it shares is gone")
        return found

    async def _stop(self, guest: GuestSpec, number: int | None) -> None:
        params: dict[str, str | int] = {"t": _NO_LIMIT}
        if number is not None:
            params["signal"] = number
        await self._end(guest, "stop", params, None)

    def _stopped(self, stop: asyncio.Task[None]) -> None:
        """The engine has come to an end with a stop, long after it was asked maybe."""
        self._stops.discard(stop)
        if not stop.cancelled() and (error := stop.exception()) is not None:
            # Mostly because it went away meanwhile, or was ended and started again by others.
            log.info("a stop came to nothing: %s", error)

    async def _about_to_end(self, guest: GuestSpec) -> bool:
        """Have its end expected as ours, and let it go on for that; False: it is not alive."""
        # Before it is looked at: an end that is heard of meanwhile is the one that is expected.
        is_new = self._endings.expect(guest.name)
        container = None
        try:
            container = await self._inspect_alive(guest)
        finally:
            if is_new and container is None:
                self._endings.forget(guest.name)
        if container is None:
            return False
        if state_of(container) is State.PAUSED:
            await self.resume(guest)
        return True

    async def _send(self, guest: GuestSpec, number: int) -> None:
        await self._end(guest, "kill", {"signal": number}, _CHANGE)

    async def _end(
        self, guest: GuestSpec, verb: str, params: dict[str, str | int], limit: float | None
    ) -> None:
        """Ask what is no error for a container that is not alive."""
        try:
            await self._api.post(container_path(guest.name, verb), limit=limit, **params)
        except Refused as refused:
            if await self._inspect_alive(guest) is not None:
                raise ProviderFailed(
                    f"{self._about(guest)} does not take a {verb}: {refused.words}"
                ) from refused

    def _about(self, guest: GuestSpec) -> str:
        return f"the container {guest.name} of {self.title}"


def _spec(guest: GuestSpec) -> ContainerSpec:
    assert isinstance(guest, ContainerSpec)
    return guest
