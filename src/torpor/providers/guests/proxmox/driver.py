"""What Torpor asks of Proxmox VE: the driver for LXC guests and virtual machines.

Proxmox VE does most things in tasks: asked for one, it answers at once with its number.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection

from torpor.config.guests import GuestSpec, MachineKind, MachineSpec
from torpor.config.hosts import ProxmoxHost
from torpor.core.model import Endpoint, ExitInfo
from torpor.errors import NotAllowed, ProviderFailed, StartFailed
from torpor.providers.guests.driver import Notice, Piece, State, Status, Usage
from torpor.providers.guests.proxmox.api import ProxmoxApi, Refused
from torpor.providers.guests.proxmox.machines import Look, Machines
from torpor.providers.guests.proxmox.tasks import Task, TaskFailed, Tasks
from torpor.providers.guests.proxmox.watch import Watch

_SHUTDOWN_LIMIT = 3600
"""Seconds after which Proxmox VE gives a shutdown up, without force.  Torpor's own limit is `stop_timeout`."""
_REFUSAL_LIMIT = 2.0
"""Seconds in which a shutdown that cannot be begun, for a lock, say, is told."""
_START_LIMIT = 600.0
_KILL_LIMIT = 60.0
_PAUSE_LIMIT = 60.0
"""Seconds for the task of each; a start has its own limit, `start_timeout`, which is mostly shorter."""
_LOCK_TRIES = 4
_LOCK_PAUSE = 2.0
"""How often a start is tried that another task's lock is in the way of, and seconds between two tries."""
_HA_PAUSE = 1.0
"""Seconds between two looks at a guest that the cluster's high availability is to start."""

_SHUTDOWNS = frozenset({"vzshutdown", "qmshutdown", "hastop"})
_ENDS = _SHUTDOWNS | {"vzstop", "qmstop", "vzsuspend", "qmsuspend"}
_BEGINS = frozenset({"vzstart", "qmstart", "vzresume", "qmresume", "vzreboot", "qmreboot", "hastart"})
"""Kinds of tasks: those that end a guest, and those after which it runs."""


class ProxmoxDriver:
    """The guests of one cluster."""

    lends_addresses = True

    def __init__(self, host: ProxmoxHost) -> None:
        self._api = ProxmoxApi(host)
        self._tasks = Tasks(self._api)
        self._machines = Machines(self._api)
        self._watch = Watch(self._machines)

    @property
    def title(self) -> str:
        """As `Driver`."""
        return self._api.title

    @property
    def noun(self) -> str:
        """As `Driver`."""
        return "guest"

    async def close(self) -> None:
        """As `Driver`."""
        await self._api.close()

    async def status(self, guest: GuestSpec) -> Status:
        """As `Driver`."""
        spec = _machine(guest)
        look = await self._machines.look(spec)
        if look is None:
            return Status(State.MISSING, note=f"{self.title} has none, or the token lacks VM.Audit on it")
        if look.state is not State.STOPPED:
            return Status(
                look.state,
                run=look.run,
                endpoint=await self._endpoint(spec, look),
                age=look.uptime,
                health=look.health,
                note=look.note,
            )
        ended_by = await self._ended_by(spec, look)
        by_hand = ended_by is not None
        how = ExitInfo(note=f"{ended_by.kind} by {ended_by.user}" if ended_by is not None else "")
        run = self._machines.last_run(spec)
        return Status(State.STOPPED, run=run, note=look.note, exit=how, by_hand=by_hand)

    async def start(self, guest: GuestSpec) -> None:
        """As `Driver`.  A lock that another task holds is waited for a little."""
        spec = _machine(guest)
        if spec.stop_signal is not None:
            raise StartFailed(
                f"{_called(spec)} takes no signals",
                hint="remove `stop_signal`: it is shut down as by its power button",
            )
        try:
            for left in reversed(range(_LOCK_TRIES)):
                try:
                    with self._watch.expecting(spec.name):
                        return await self._start(spec)
                except (TaskFailed, Refused) as error:
                    if not (_is_locked(error) and left):
                        raise
                await asyncio.sleep(_LOCK_PAUSE)
        except ProviderFailed as error:
            raise StartFailed(f"{_called(spec)}: {error.message}", hint=_hint(error)) from error

    async def stop(self, guest: GuestSpec) -> None:
        """As `Driver`: a shutdown, by which an LXC guest's init or a machine's power button is told."""
        spec = _machine(guest)
        look = await self._machines.look(spec)
        if look is None or look.state is State.STOPPED:
            return
        if look.state is State.PAUSED:
            await self.resume(guest)
        if await self._shutdowns(spec, look):
            return
        try:
            with self._watch.expecting(spec.name):
                task = await self._machines.act(spec, "shutdown", timeout=_SHUTDOWN_LIMIT)
                await self._tasks.finish(task, _REFUSAL_LIMIT)
        except (TaskFailed, Refused) as error:
            if await self._is_alive(spec) and not await self._shutdowns(spec, look):
                raise _named(spec, error) from error

    async def kill(self, guest: GuestSpec) -> None:
        """As `Driver`.  Returns when it is ended; under high availability, when that was asked for."""
        spec = _machine(guest)
        look = await self._machines.look(spec)
        if look is None or look.state is State.STOPPED:
            return
        try:
            with self._watch.expecting(spec.name):
                await self._tasks.finish(await self._kill(spec, look), _KILL_LIMIT)
        except (TaskFailed, Refused) as error:
            if await self._is_alive(spec):
                raise _named(spec, error) from error

    async def pause(self, guest: GuestSpec) -> None:
        """As `Driver`: of virtual machines alone.

        What the API calls to suspend an LXC guest writes it to a file and ends it, by CRIU, which is
        not installed by default, is called experimental, and fails for most that run systemd.
        """
        spec = _machine(guest)
        if spec.kind is MachineKind.LXC:
            raise NotAllowed(
                f"{_called(spec)} cannot be paused: Proxmox VE has no way to freeze an LXC guest",
                hint="set `sleep: stop`",
            )
        await self._change(spec, "suspend", State.PAUSED)

    async def resume(self, guest: GuestSpec) -> None:
        """As `Driver`."""
        spec = _machine(guest)
        look = await self._machines.look(spec)
        if look is not None and look.state is State.PAUSED:
            await self._change(spec, "resume", State.RUNNING)

    async def signal(self, guest: GuestSpec, number: int) -> None:
        """As `Driver`: never allowed."""
        raise NotAllowed(
            f"{_called(guest)} takes no signals: signal {number} cannot be sent by Proxmox VE's API"
        )

    async def execute(self, guest: GuestSpec, command: tuple[str, ...], timeout: float) -> ExitInfo | None:  # noqa: ARG002
        """As `Driver`: never allowed.  For LXC guests the API has no way."""
        raise NotAllowed(
            f"{_called(guest)}: `{command[0]}` cannot be run in it by Proxmox VE's API",
            hint="probe it from outside instead: by `tcp`, or by `http`",
        )

    async def usage(self, guest: GuestSpec) -> Usage | None:
        """As `Driver`.  The API tells shares of the CPU at a moment, no sum: `cpu` is None."""
        look = await self._machines.look(_machine(guest))
        return Usage(rss=look.memory, cpu=None) if look is not None and look.alive else None

    async def logs(self, guest: GuestSpec, run: str, after: str | None) -> AsyncIterator[Piece]:  # noqa: ARG002
        """As `Driver`: what a guest writes stays inside it."""
        nothing: tuple[Piece, ...] = ()
        for piece in nothing:
            yield piece

    def watch(self, guests: Callable[[], Collection[GuestSpec]]) -> AsyncIterator[Notice]:
        """As `Driver`: by asking, every other second."""
        return self._watch.notices(guests)

    async def _start(self, spec: MachineSpec) -> None:
        try:
            task = await self._machines.act(spec, "start")
        except Refused as error:
            if "already running" in error.said:
                return
            raise
        if not await self._tasks.finish(task, _START_LIMIT):
            raise ProviderFailed(
                f"the task {task.kind} on {task.node} has not ended in {_START_LIMIT:g} seconds"
            )
        if task.kind == "hastart":
            await self._wait_for_high_availability(spec)
        await self._machines.note_start(spec, task)

    async def _wait_for_high_availability(self, spec: MachineSpec) -> None:
        """Its task only asks for a start, which comes when the cluster sees fit."""
        deadline = asyncio.get_running_loop().time() + _START_LIMIT
        while not await self._is_alive(spec):
            if asyncio.get_running_loop().time() > deadline:
                raise ProviderFailed(f"high availability has not started it in {_START_LIMIT:g} seconds")
            await asyncio.sleep(_HA_PAUSE)

    async def _kill(self, spec: MachineSpec, look: Look) -> Task:
        """Ask for the end by force, past a shutdown that holds its lock."""
        try:
            return await self._machines.act(spec, "stop", overrule_shutdown=1)
        except Refused as error:
            # Older than 8.2, it does not know the word; under high availability, it does not want it.
            if "overrule-shutdown" not in error.wrong:
                raise
        for task in await self._shutdowns(spec, look):
            await self._tasks.abort(task)
        return await self._machines.act(spec, "stop")

    async def _change(self, spec: MachineSpec, verb: str, wanted: State) -> None:
        look = await self._machines.look(spec)
        if look is not None and look.state is wanted:
            return
        try:
            with self._watch.expecting(spec.name):
                done = await self._tasks.finish(await self._machines.act(spec, verb), _PAUSE_LIMIT)
        except (TaskFailed, Refused) as error:
            raise _named(spec, error) from error
        if not done:
            raise ProviderFailed(f"{_called(spec)}: to {verb} it took longer than {_PAUSE_LIMIT:g} seconds")

    async def _is_alive(self, spec: MachineSpec) -> bool:
        look = await self._machines.look(spec)
        return look is not None and look.state is not State.STOPPED

    async def _endpoint(self, spec: MachineSpec, look: Look) -> Endpoint | None:
        if spec.port is None:
            return None
        address = spec.address
        if address is None and look.state is State.RUNNING:
            address = await self._machines.address(spec)
        return Endpoint(address, spec.port) if address is not None else None

    async def _shutdowns(self, spec: MachineSpec, look: Look) -> list[Task]:
        """Those that are at work on it now, of the token's own at least."""
        recent = await self._tasks.recent(look.node, spec.name)
        maybe = [past.task for past in recent if past.running and past.task.kind in _SHUTDOWNS]
        return [task for task in maybe if await self._tasks.is_running(task)]

    async def _ended_by(self, spec: MachineSpec, look: Look) -> Task | None:
        """The task by which somebody ended it; None: it ended by itself, or the token may not know."""
        try:
            recent = await self._tasks.recent(look.node, spec.name)
        except ProviderFailed:
            return None
        for past in recent:
            if (past.ok or past.running) and past.task.kind in _ENDS | _BEGINS:
                return past.task if past.task.kind in _ENDS else None
        return None


def _machine(guest: GuestSpec) -> MachineSpec:
    assert isinstance(guest, MachineSpec)
    return guest


def _called(guest: GuestSpec) -> str:
    kind = "LXC guest" if _machine(guest).kind is MachineKind.LXC else "VM"
    return f"{kind} {guest.name}"


def _is_locked(error: ProviderFailed) -> bool:
    """Whether another task is in the way: `CT is locked (backup)`, `can't lock file … got timeout`."""
    return "is locked" in error.message or "can't lock file" in error.message


def _hint(error: ProviderFailed) -> str | None:
    if _is_locked(error):
        return "another task holds it: let it finish; if none runs, `pct unlock` or `qm unlock` on the node frees it"
    return error.hint


def _named(spec: MachineSpec, error: ProviderFailed) -> ProviderFailed:
    return ProviderFailed(f"{_called(spec)}: {error.message}", hint=_hint(error))
