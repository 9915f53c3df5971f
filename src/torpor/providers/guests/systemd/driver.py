"""Units of systemd as guests: the system's, or those of the user whom the daemon runs as.

1. State comes by signals.  Only that others froze a unit no signal tells (before systemd 256): units
   that are alive are asked for that now and then.
2. Whatever systemd restarts by itself is another run: each activation has an invocation of its own.
3. A unit is held in systemd's memory from the first question on.  It would forget how a unit that
   nobody refers to has ended, in the very moment in which that ends.
4. Systemd's own limits hold beside ours: `TimeoutStopSec=` ends by force what does not stop in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from torpor.config.guests import GuestSpec
from torpor.config.settings import Hook
from torpor.core.model import Endpoint, ExitInfo
from torpor.errors import NotAllowed, ProviderFailed, StartFailed
from torpor.providers.guests.driver import Notice, Piece, State, Status, Usage
from torpor.providers.guests.errands import Errands
from torpor.providers.guests.systemd.bus import MANAGER, Bus, Refused, system_address, user_address
from torpor.providers.guests.systemd.journal import Journal
from torpor.providers.guests.systemd.news import News
from torpor.providers.guests.systemd.unit import Unit, full_name, path_of, signal_name
from torpor.providers.process.nursery import Run
from torpor.providers.process.procfs import TICKS_PER_SECOND, read_process, resident_bytes

_HERE = "127.0.0.1"
_MANAGER_PATH = "/org/freedesktop/systemd1"
_FREEZING = 60.0
"""Seconds in which the kernel has to hold a unit still."""
_FREEZER_LOOK = 2.0
"""Seconds between two looks at whether units were frozen."""
_PROPERTIES = "org.freedesktop.DBus.Properties"
_GONE = frozenset({"NoSuchUnit", "UnitNotLoaded", "NoSuchProcess", "UnitInactive", "NoUnitForPID"})
"""What is said of a unit of which nothing is there."""
_RESULTS = {
    "canceled": "somebody stopped it meanwhile",
    "dependency": "a unit that it requires could not be started",
    "skipped": "a condition of the unit does not hold",
    "assert": "an assertion of the unit does not hold",
    "timeout": "systemd's own time limit for the job ran out",
    "invalid": "units of this kind cannot be started",
    "unsupported": "units of this kind do not work on this system",
}


class SystemdDriver:
    """Systemd's units, of the system's manager or of a user's.  Implements `Driver`."""

    noun = "unit"
    lends_addresses = False

    def __init__(
        self, manager: str, run: Run, base: Mapping[str, str], *, address: str | None = None
    ) -> None:
        """`manager`: `system` or `user`; `run`: runs a command; `base`: the environment of commands.

        `address`: of its message bus; None: where it usually is.
        """
        is_user = manager == "user"
        self.title = "the user's systemd" if is_user else "systemd"
        self._options = "--user " if is_user else ""
        self._news = News()
        self._bus = Bus(address or (user_address() if is_user else system_address()), self.title, self._news)
        self._journal = Journal(run, base, ("--user",) if is_user else ())
        self._errands = Errands(run, base)
        self._held: set[str] = set()
        self._frozen: set[str] = set()
        """Those that Torpor has frozen since units were last asked for that."""

    async def close(self) -> None:
        """See `Driver.close`."""
        self._held.clear()
        await self._bus.close()

    async def status(self, guest: GuestSpec) -> Status:
        """See `Driver.status`."""
        unit = await self._look(guest)
        state = unit.state
        alive = state in {State.RUNNING, State.PAUSED}
        return Status(
            state,
            unit.run,
            None if guest.port is None else Endpoint(guest.address or _HERE, guest.port),
            unit.pid,
            max(0.0, time.monotonic() - unit.began) if alive else 0.0,
            note=unit.words,
            exit=unit.exit,
            by_hand=state is State.STOPPED and self._news.was_by_hand(path_of(full_name(guest.name))),
        )

    async def start(self, guest: GuestSpec) -> None:
        """See `Driver.start`.  It waits for what the unit's `Type=` holds for a start."""
        name = full_name(guest.name)
        try:
            unit = await self._look(guest)
            if unit.refusal is not None:
                raise self._not_started(name, unit.refusal)
            if unit.activity == "failed":
                await self._reset(name)
            if unit.is_stuck:
                await self._forget(guest)
            result = await self._run_start_job(name)
            unit = await self._look(guest)
            if result != "done" and unit.hit_start_limit:
                # How often it may be started is for Torpor to say.
                await self._reset(name)
                result = await self._run_start_job(name)
                unit = await self._look(guest)
        except ProviderFailed as error:
            raise StartFailed(f"cannot start {name}: {error.message}", hint=error.hint) from error
        if result != "done":
            raise self._not_started(name, _RESULTS.get(result) or unit.describe_failure())

    async def stop(self, guest: GuestSpec) -> None:
        """See `Driver.stop`.  The signal is the unit's own `KillSignal=`."""
        await self._resume_to_end(guest)
        await self._ask("StopUnit", "ss", full_name(guest.name), "replace")

    async def kill(self, guest: GuestSpec) -> None:
        """See `Driver.kill`."""
        name = full_name(guest.name)
        # What ends while it is frozen can never be started again (as of systemd 257).
        with contextlib.suppress(ProviderFailed):
            await self._resume_to_end(guest)
        # A job as well: of a unit that is only killed, `Restart=` would make another.
        await self._ask("StopUnit", "ss", name, "replace")
        await self._ask("KillUnit", "ssi", name, "all", signal.SIGKILL)

    async def pause(self, guest: GuestSpec) -> None:
        """See `Driver.pause`."""
        name = full_name(guest.name)
        try:
            await self._manager("FreezeUnit", "s", name, timeout=_FREEZING)
        except Refused as error:
            if error.kind == "NotSupported":
                raise NotAllowed(
                    f"{self.title} cannot freeze {name}: {error.message}",
                    hint="that takes systemd 246 or later on cgroup v2 alone, and a service, scope or slice",
                ) from error
            raise
        self._frozen.add(guest.name)

    async def resume(self, guest: GuestSpec) -> None:
        """See `Driver.resume`."""
        if (await self._look(guest)).state is State.PAUSED:
            await self._ask("ThawUnit", "s", full_name(guest.name))

    async def signal(self, guest: GuestSpec, number: int) -> None:
        """See `Driver.signal`."""
        name = full_name(guest.name)
        try:
            await self._manager("KillUnit", "ssi", name, "main", number)
        except Refused as error:
            raise ProviderFailed(
                f"cannot send {signal_name(number)} to {name}: {error.message}", hint=error.hint
            ) from error

    async def execute(self, guest: GuestSpec, command: tuple[str, ...], timeout: float) -> ExitInfo | None:
        """See `Driver.execute`.  It runs beside the unit, as the daemon's own user."""
        told = {} if guest.port is None else {"PORT": str(guest.port)}
        return (await self._errands.run("the command", Hook(command, timeout), told)).info

    async def usage(self, guest: GuestSpec) -> Usage | None:
        """See `Driver.usage`."""
        unit = await self._look(guest)
        if unit.memory is not None and unit.cpu is not None:
            return Usage(unit.memory, unit.cpu)
        # Nobody counts for its cgroup, so its processes are asked.
        (found,) = await self._manager("GetUnitProcesses", "s", full_name(guest.name))
        processes = [process for _, pid, _ in found if (process := read_process(pid)) is not None]
        if not processes:
            return None
        rss = sum(resident_bytes(process.pid) for process in processes)
        cpu = sum(process.ticks for process in processes) / TICKS_PER_SECOND
        return Usage(unit.memory or rss, cpu if unit.cpu is None else unit.cpu)

    async def logs(self, guest: GuestSpec, run: str, after: str | None) -> AsyncIterator[Piece]:
        """See `Driver.logs`."""

        async def ended() -> None:
            with self._news.subscribed() as inbox:
                while (unit := await self._look(guest)).run == run and unit.state is not State.STOPPED:
                    while (await inbox.get()).name not in {None, full_name(guest.name)}:
                        pass

        following = self._journal.follow(run, after, ended)
        async with contextlib.aclosing(following):
            async for piece in following:
                yield piece

    async def watch(self, guests: Callable[[], Collection[GuestSpec]]) -> AsyncIterator[Notice]:
        """See `Driver.watch`."""
        with self._news.subscribed() as inbox:
            await self._bus.ensure_connected()
            yield Notice()
            loop = asyncio.get_running_loop()
            frozen: dict[str, object] = {}
            due = loop.time() + _FREEZER_LOOK
            while True:
                try:
                    async with asyncio.timeout_at(due):
                        notice = await inbox.get()
                except TimeoutError:
                    # Whoever thaws one before it was asked for leaves all as it was when it was asked last.
                    ours, self._frozen = self._frozen, set()
                    for guest in guests():
                        before = frozen.get(guest.name)
                        if (now := await self._freezer(guest)) != before or guest.name in ours:
                            frozen[guest.name] = now
                            yield Notice(guest.name)
                    due = loop.time() + _FREEZER_LOOK
                    continue
                if notice.name is None:
                    yield notice
                for guest in guests():
                    if full_name(guest.name) == notice.name:
                        yield replace(notice, name=guest.name)

    async def _look(self, guest: GuestSpec) -> Unit:
        """All properties of a unit.  Systemd reads its file for that, if it must."""
        path = path_of(full_name(guest.name))
        self._news.attend(path)
        (properties,) = await self._bus.call(path, _PROPERTIES, "GetAll", "s", "")
        unit = Unit(properties)
        self._news.learn(path, unit.activity)
        if path not in self._held and unit.refusal is None:
            self._held.add(path)
            # Whoever may not start units may not do this either, and still may look.
            with contextlib.suppress(Refused):
                await self._bus.call(path, f"{MANAGER}.Unit", "Ref")
        return unit

    async def _freezer(self, guest: GuestSpec) -> object:
        """What systemd says of its freezer, if it is alive."""
        path = path_of(full_name(guest.name))
        if not self._news.is_active(path):
            return None
        with contextlib.suppress(Refused):
            (state,) = await self._bus.call(path, _PROPERTIES, "Get", "ss", f"{MANAGER}.Unit", "FreezerState")
            return state
        return None

    async def _run_start_job(self, name: str) -> str:
        while True:
            asking = self._start_job(name)
            # What was missed is found out by asking again: what is started already is done at once.
            if (result := await self._news.follow_job(asking)) is not None:
                return result

    async def _start_job(self, name: str) -> str:
        (job,) = await self._manager("StartUnit", "ss", name, "replace")
        return str(job)

    async def _resume_to_end(self, guest: GuestSpec) -> None:
        """Let it go on so that it can be stopped: no job does that by itself (as of systemd 256)."""
        while (unit := await self._look(guest)).state is State.PAUSED:
            try:
                await self._ask("ThawUnit", "s", full_name(guest.name))
                return
            except Refused as error:
                if error.kind != "UnitBusy":
                    raise
            # It has a job, and that has to go: it may wait for another unit's, or for a thaw itself.
            with contextlib.suppress(Refused):
                await self._manager("CancelJob", "u", unit.job)

    async def _forget(self, guest: GuestSpec) -> None:
        """Have systemd forget what it holds of one that has ended, as far as nobody else refers to it."""
        path = path_of(full_name(guest.name))
        self._held.discard(path)
        with contextlib.suppress(Refused):
            await self._bus.call(path, f"{MANAGER}.Unit", "Unref")

    async def _reset(self, name: str) -> None:
        await self._ask("ResetFailedUnit", "s", name)

    async def _ask(self, member: str, signature: str, name: str, *more: object) -> None:
        """Call a method about a unit.  No error for one of which nothing is there."""
        try:
            await self._manager(member, signature, name, *more)
        except Refused as error:
            if error.kind not in _GONE:
                raise Refused(error.kind, f"{name}: {error.message}", hint=error.hint) from error

    async def _manager(
        self, member: str, signature: str, *body: object, timeout: float | None = None
    ) -> list[Any]:
        limit = {} if timeout is None else {"timeout": timeout}
        return await self._bus.call(_MANAGER_PATH, f"{MANAGER}.Manager", member, signature, *body, **limit)

    def _not_started(self, name: str, why: str) -> StartFailed:
        return StartFailed(
            f"cannot start {name}: {why}", hint=f"`systemctl {self._options}status {name}` tells more"
        )
