"""Guests that are started, ended and asked after by commands: over ssh, by wake-on-LAN, with virsh.

1. The `status` command is the truth: it exits 0 while the guest is alive.  One that cannot be executed,
   is killed or takes too long says nothing, and is no end of anybody.
2. Nobody tells of news, so `status` is repeated: every `interval` seconds, and every second after Torpor
   itself has asked for a change, until it is there.  After such a change a notice follows in any case:
   who undoes it before the next look leaves all as the last one saw it.
3. Nobody tells one run from another either, unless `status` writes a line `run=…` that does, like the
   boot's number of a machine.  Without it all runs are called `alive`: a guest that ends and comes
   back between two looks was never away, for us and for the daemon after this one.
4. A guest that `pause` has frozen is frozen while `status` exits 0 and writes `paused`, or nothing at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
from collections.abc import AsyncIterator, Callable, Collection, Mapping

from torpor.config.guests import CommandsSpec, GuestSpec
from torpor.config.settings import Hook
from torpor.core.model import Endpoint, ExitInfo
from torpor.errors import NotAllowed, ProviderFailed, StartFailed
from torpor.providers.guests.driver import Health, Notice, Piece, State, Status, Usage
from torpor.providers.guests.errands import Errands, Outcome
from torpor.providers.process.nursery import Run

logger = logging.getLogger(__name__)

_RUN = "alive"
_RUN_IS = "run="
_HERE = "127.0.0.1"
_PAUSED = "paused"
_HURRY = 1.0
"""Seconds between two looks while a change is on its way."""
_FIRST_LOOKS = 0.05
"""Seconds until the second look at what was just started; each wait is twice the one before it, up to `_HURRY`."""
_AT_ONCE = 16
"""Looks at the same time: each is a process or more."""


class CommandDriver:
    """Whatever commands reach.  Implements `Driver`."""

    title = "its commands"
    noun = "guest"
    lends_addresses = False

    def __init__(self, run: Run, base: Mapping[str, str]) -> None:
        """`run`: runs a command; `base`: the environment of every command (see `base_environment`)."""
        self._errands = Errands(run, base)
        self._paused: set[str] = set()
        self._ending: set[str] = set()
        """Those whose end Torpor has asked for, until it was seen."""
        self._asked: dict[str, asyncio.Event] = {}
        """Whom to look at at once, whatever the last look saw: Torpor has changed it, or is about to."""
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def close(self) -> None:
        """See `Driver.close`."""

    async def status(self, guest: GuestSpec) -> Status:
        """See `Driver.status`."""
        spec = _spec(guest)
        outcome = await self._ask(spec)
        endpoint = None if spec.port is None else Endpoint(spec.address or _HERE, spec.port)
        if not outcome.answer:
            self._paused.discard(spec.name)
            end = ExitInfo(note=f"{outcome}")
            return Status(State.STOPPED, endpoint=endpoint, exit=end)
        if self._is_paused(spec, outcome):
            return Status(State.PAUSED, _run_of(outcome), endpoint)
        health, note = await self._health(spec)
        return Status(State.RUNNING, _run_of(outcome), endpoint, health=health, note=note)

    async def start(self, guest: GuestSpec) -> None:
        """See `Driver.start`.  Returns once `status` says that it is alive."""
        spec = _spec(guest)
        self._ending.discard(spec.name)
        outcome = await self._run(spec, "start", spec.start)
        self._paused.discard(spec.name)
        if not outcome.answer:
            # Many commands refuse to start what runs, and that is no error here.
            with contextlib.suppress(ProviderFailed):
                if (await self._ask(spec)).answer:
                    self._hasten(spec)
                    return
            raise StartFailed(f"cannot start {spec.name}: {outcome}", hint=_by_hand(spec.start))
        await self._wait_until_alive(spec)
        self._hasten(spec)

    async def stop(self, guest: GuestSpec) -> None:
        """See `Driver.stop`."""
        await self._end(_spec(guest), "stop", _spec(guest).stop)

    async def kill(self, guest: GuestSpec) -> None:
        """See `Driver.kill`."""
        spec = _spec(guest)
        if spec.kill is None:
            await self._end(spec, "stop", spec.stop)
        else:
            await self._end(spec, "kill", spec.kill)

    async def pause(self, guest: GuestSpec) -> None:
        """See `Driver.pause`."""
        spec = _spec(guest)
        if spec.pause is None or spec.resume is None:
            raise NotAllowed(
                f"{spec.name} has no command that pauses it",
                hint="set pause and resume beside its other commands, or `sleep: stop`",
            )
        if (await self.status(spec)).state is not State.PAUSED:
            await self._run_or_fail(spec, "pause", spec.pause)
            self._paused.add(spec.name)
            self._hasten(spec)

    async def resume(self, guest: GuestSpec) -> None:
        """See `Driver.resume`."""
        spec = _spec(guest)
        if spec.resume is not None and (await self.status(spec)).state is State.PAUSED:
            await self._run_or_fail(spec, "resume", spec.resume)
            self._paused.discard(spec.name)
            self._hasten(spec)

    async def signal(self, guest: GuestSpec, number: int) -> None:
        """See `Driver.signal`."""
        raise NotAllowed(
            f"{guest.name} takes no signal {number}: it is reached by its commands alone",
            hint=f"`torpor restart {guest.name}` runs its stop and its start command",
        )

    async def execute(self, guest: GuestSpec, command: tuple[str, ...], timeout: float) -> ExitInfo | None:
        """See `Driver.execute`.  It runs on this machine."""
        return (await self._run(_spec(guest), "the command", Hook(command, timeout))).info

    async def usage(self, guest: GuestSpec) -> Usage | None:  # noqa: ARG002  # no command tells
        """See `Driver.usage`."""
        return None

    async def logs(
        self,
        guest: GuestSpec,  # noqa: ARG002  # nobody keeps what it writes
        run: str,  # noqa: ARG002
        after: str | None,  # noqa: ARG002
    ) -> AsyncIterator[Piece]:
        """See `Driver.logs`."""
        pieces: tuple[Piece, ...] = ()
        for piece in pieces:
            yield piece

    async def watch(self, guests: Callable[[], Collection[GuestSpec]]) -> AsyncIterator[Notice]:
        """See `Driver.watch`."""
        news: asyncio.Queue[Notice] = asyncio.Queue()
        specs: dict[str, CommandsSpec] = {}
        looking: dict[str, asyncio.Task[None]] = {}
        news.put_nowait(Notice())
        try:
            while True:
                specs.clear()
                specs.update((guest.name, _spec(guest)) for guest in guests())
                for name in [name for name, task in looking.items() if task.done()]:
                    looking.pop(name).result()
                for name in specs.keys() - looking.keys():
                    looking[name] = asyncio.create_task(self._follow(name, specs, news))
                with contextlib.suppress(TimeoutError):
                    # Not `wait_for`: before Python 3.12 it loses a cancellation that comes together with news.
                    async with asyncio.timeout(_HURRY):
                        notice = await news.get()
                    yield notice
        finally:
            for task in looking.values():
                task.cancel()
            await asyncio.gather(*looking.values(), return_exceptions=True)

    async def _follow(
        self, name: str, specs: Mapping[str, CommandsSpec], news: asyncio.Queue[Notice]
    ) -> None:
        """Look at one guest again and again, as long as it is among `specs`, and tell when it has changed."""
        last: tuple[State, str | None, Health] | None = None
        owed = False
        asked = self._asked.setdefault(name, asyncio.Event())
        while (spec := specs.get(name)) is not None:
            owed |= asked.is_set()
            asked.clear()
            # What cannot be found out has not changed; whoever asks for it will be told why.
            with contextlib.suppress(ProviderFailed):
                async with self._slots:
                    status = await self.status(spec)
                if status.state is State.STOPPED:
                    self._ending.discard(name)
                # The first one counts: it may have changed since others asked.
                if last != (last := (status.state, status.run, status.health)) or owed:
                    news.put_nowait(Notice(name))
                owed = False
            changing = name in self._ending or (last is not None and last[2] is Health.PENDING)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HURRY if changing else spec.interval):
                    await asked.wait()

    async def _ask(self, spec: CommandsSpec) -> Outcome:
        """What its `status` says.  Raises `ProviderFailed` where that is nothing."""
        outcome = await self._run_or_refuse(spec, "status", spec.status)
        if outcome.answer is None:
            raise ProviderFailed(
                f"cannot find out whether {spec.name} is alive: {outcome}", hint=_by_hand(spec.status)
            )
        return outcome

    async def _wait_until_alive(self, spec: CommandsSpec) -> None:
        """Look until it is.  A machine that boots does not answer yet, and whoever waits owns the limit."""
        pause, outcome = _FIRST_LOOKS, None
        try:
            while not (outcome := await self._run(spec, "status", spec.status)).answer:
                if outcome.no_command:
                    raise StartFailed(
                        f"cannot find out whether {spec.name} is alive: {outcome}", hint=_by_hand(spec.status)
                    )
                await asyncio.sleep(pause)
                pause = min(2 * pause, _HURRY)
        except asyncio.CancelledError:
            # Whoever gave it up knows of its limit alone, and not that it may be alive and badly asked.
            logger.warning(
                "%s: start is done, but %s; %s",
                spec.name,
                outcome or "status has no answer",
                _by_hand(spec.status),
            )
            raise

    async def _health(self, spec: CommandsSpec) -> tuple[Health, str]:
        if spec.ready is None:
            return Health.UNCHECKED, ""
        outcome = await self._run_or_refuse(spec, "ready", spec.ready)
        return (Health.HEALTHY, "") if outcome.answer else (Health.PENDING, str(outcome))

    def _is_paused(self, spec: CommandsSpec, outcome: Outcome) -> bool:
        words = [line.strip() for line in outcome.said if not line.startswith(_RUN_IS)]
        return words[-1] == _PAUSED if words else spec.name in self._paused

    async def _end(self, spec: CommandsSpec, name: str, hook: Hook) -> None:
        """Have it end by one of its commands.  No error where it is not alive."""
        if spec.resume is not None:
            await self.resume(spec)
        self._ending.add(spec.name)
        self._hasten(spec)
        try:
            outcome = await self._run_or_refuse(spec, name, hook)
            if not outcome.answer and (await self._ask(spec)).answer:
                raise ProviderFailed(f"cannot end {spec.name}: {outcome}", hint=_by_hand(hook))
        except ProviderFailed:
            self._ending.discard(spec.name)
            raise

    async def _run_or_fail(self, spec: CommandsSpec, name: str, hook: Hook) -> None:
        outcome = await self._run_or_refuse(spec, name, hook)
        if not outcome.answer:
            raise ProviderFailed(f"cannot {name} {spec.name}: {outcome}", hint=_by_hand(hook))

    async def _run_or_refuse(self, spec: CommandsSpec, name: str, hook: Hook) -> Outcome:
        try:
            return await self._run(spec, name, hook)
        except StartFailed as error:
            raise ProviderFailed(f"{name} of {spec.name}: {error.message}", hint=error.hint) from error

    async def _run(self, spec: CommandsSpec, name: str, hook: Hook) -> Outcome:
        return await self._errands.run(name, hook, _told(spec), spec.working_dir, spec.environment)

    def _hasten(self, spec: CommandsSpec) -> None:
        if (asked := self._asked.get(spec.name)) is not None:
            asked.set()


def _run_of(outcome: Outcome) -> str:
    """What tells this run from others."""
    return next((line.strip() for line in outcome.said if line.startswith(_RUN_IS)), _RUN)


def _spec(guest: GuestSpec) -> CommandsSpec:
    assert isinstance(guest, CommandsSpec)
    return guest


def _told(spec: CommandsSpec) -> dict[str, str]:
    """What its commands are told."""
    names = {"TORPOR_APP": spec.name}
    if spec.address is not None:
        names["ADDRESS"] = spec.address
    if spec.port is not None:
        names["PORT"] = str(spec.port)
    return names


def _by_hand(hook: Hook) -> str:
    return f"run it by hand to see why: {shlex.join(hook.command) if not hook.shell else hook.command[0]}"
