"""The composition root: builds everything, keeps it for the daemon's life, ends it in order.

The order of opening is the order of need: the claim on the state directory first, so that
a second daemon harms nothing; the gateway last but for the apps, so that no request meets
half a daemon.  The end is the reverse, after the apps have been stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from torpor import __version__
from torpor.config.additions import Additions, in_use, load_all
from torpor.config.find import find_config
from torpor.config.labels.joining import join, seated, with_unfit
from torpor.config.paths import log_path, socket_path, state_dir
from torpor.config.settings import Settings
from torpor.control.server import ControlServer, DaemonInfo
from torpor.core.fleet import Fleet
from torpor.core.messages import Input
from torpor.core.model import Event, InstanceId
from torpor.errors import UnknownApp
from torpor.front import Front, url, urls
from torpor.gateway.gateway import Gateway
from torpor.gateway.listener import inherited
from torpor.gateway.streams import taken
from torpor.providers.base import Fact
from torpor.providers.guests.catalogue import open_catalogue
from torpor.providers.process import files
from torpor.providers.process.procfs import read_boot
from torpor.providers.process.spawn import base_environment
from torpor.providers.providers import Providers
from torpor.runtime import clock
from torpor.runtime.actions import Actions
from torpor.runtime.calendar import Calendar
from torpor.runtime.console import Console
from torpor.runtime.desk import Desk
from torpor.runtime.discovery import Discovery
from torpor.runtime.dispatch import Dispatch
from torpor.runtime.engine import Engine
from torpor.runtime.gate import LocalSeam
from torpor.runtime.hang_up import HangUp
from torpor.runtime.inheritance import Inheritance
from torpor.runtime.journal import Journal
from torpor.runtime.memory import MemoryWatch
from torpor.runtime.ownlog import bounded
from torpor.runtime.reboot import Rebooter
from torpor.runtime.running_set import RunningSet
from torpor.runtime.shutdown import Shutdown
from torpor.runtime.standin import HANDED_ON, StandIn
from torpor.runtime.state import StateFile
from torpor.runtime.supervisor import Supervisor
from torpor.runtime.touches import Touches

if TYPE_CHECKING:
    from torpor.config.labels.reading import Reading

log = logging.getLogger(__name__)

FIRST_LOOK = 5.0
"""Seconds that a container engine has at most to tell of its containers before the apps are taken on."""
CUT = 5.0
"""Seconds that clients get to end their connections once all apps are stopped."""


def main(config: str | None = None, *, exit_with: str | None = None) -> int:
    """Run the daemon in the foreground until it is told to end; returns its exit code.

    `exit_with` names an app whose end is the daemon's: once it has ended by itself and is
    not to be restarted, all is stopped and its exit code returned (128 + n for signal n).  It is
    started at once, and gets the signals that the daemon has no use for.
    Raises `UnknownApp` if there is none of that name, and `ConfigNotFound`, `ConfigInvalid`, `StateUnusable` or `ListenFailed`; nothing was started then.
    """
    if log_stream := bounded(sys.stdout, sys.stderr, log_path()):
        sys.stdout = sys.stderr = log_stream
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    state = Path(state_dir())
    additions = Additions(state / "apps")
    settings, left_out = load_all(find_config(config), additions)
    for problem in left_out:
        log.error("left out: %s", problem)
    if exit_with is not None and exit_with not in {app.name for app in settings.apps}:
        raise UnknownApp(f"no app is named {exit_with!r}", hint="`--exit-with` takes the name of an app")
    files.take_all()
    console = Console(sys.stdout, colour=wants_colour(sys.stdout))
    daemon = Daemon(settings, state, socket_path(), console, exit_with=exit_with)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(daemon.run())


@dataclass(frozen=True, slots=True)
class Alone:
    """The app that a daemon is there for, and nothing else."""

    name: str
    out: Callable[[bytes], None]
    """Gets what it writes."""
    err: Callable[[bytes], None]
    """Gets its stderr, where that is kept apart."""
    socket: str | None
    """The control socket, where it is not the usual one."""


class Daemon:
    """Everything that lives as long as the daemon."""

    def __init__(
        self,
        settings: Settings,
        state: Path,
        control: str,
        console: Console,
        *,
        exit_with: str | None = None,
        alone: Alone | None = None,
    ) -> None:
        """`exit_with`: the app whose end is the daemon's; `alone`: the only app that it ever has."""
        self._alone = alone
        self._settings = settings
        self._exit_with = exit_with
        self._exit_code = 0
        self._control = control
        self._console = console
        self._state = StateFile(state, read_boot())
        self._journal = Journal()
        self._started = time.time()
        self._engine: Engine
        self._actions: Actions
        self._seam: LocalSeam
        self._set: RunningSet
        self._memory: MemoryWatch
        self._hang_up: HangUp
        self._folder = state
        self._stand_in: StandIn | None = None
        self._providers = Providers(state, self._report, base_environment(os.environ), settings.hosts)
        self._shutdown = Shutdown(self._providers.process.hurry)

    async def run(self) -> int:
        """Run until the end is asked for, by a signal or by an operator; returns the exit code."""
        async with contextlib.AsyncExitStack() as stack:
            # Restored last of all: whoever asks again while this ends is heard, too.
            signals = stack.enter_context(contextlib.ExitStack())
            memory = self._state.open()
            stack.push_async_callback(self._state.close)
            discovery = Discovery(open_catalogue)
            stack.push_async_callback(discovery.close)
            handed = inherited()
            readings, all_fit = await self._discover(discovery, handed)
            fleet = Fleet(self._settings.apps, memory, clock.now(), self._settings.sharing)
            self._state.watch(lambda name: fleet.apps[name].memory if name in fleet.apps else None)
            await self._providers.open()
            stack.push_async_callback(self._providers.close)

            self._engine = Engine(fleet)
            stack.callback(self._engine.close)
            self._actions = Actions(
                lambda name: fleet.apps[name].spec, self._providers.of, self._post, self._journal.announce
            )
            stack.push_async_callback(self._actions.close)
            if self._exit_with is not None:
                self._stand_in = StandIn(self._exit_with, self._engine, self._providers.of)
            self._memory = MemoryWatch(self._engine, self._providers.of, lambda: self._set.settings.sharing)
            stack.callback(self._memory.close)
            inheritance = Inheritance(self._providers)
            await inheritance.find(fleet)
            self._seam = LocalSeam(self._engine, self._journal, self._providers.of)
            gateway = Gateway(self._settings.gateway, self._seam)
            await gateway.open(handed)
            stack.push_async_callback(gateway.close, CUT)

            desk = Desk(
                self._engine, self._journal, self._providers.of, self._shutdown.ask, self._memory.facts
            )
            front = Front(self._seam, gateway)
            calendar = Calendar(self._seam.specs, self._post)
            stack.callback(calendar.close)
            self._set = RunningSet(
                self._settings,
                Additions(self._folder / "apps"),
                engine=self._engine,
                desk=desk,
                journal=self._journal,
                provider=self._providers.of,
                front=front,
                calendar=calendar,
                memory=self._memory,
                readings=readings,
                alone=None if self._alone is None else self._alone.name,
            )
            self._set.forget_spare()
            rebooter = Rebooter()
            dispatch = Dispatch(
                self._actions,
                self._seam,
                self._journal,
                remember=self._state.remember,
                measure=self._memory.measure,
                reboot=lambda app, text: rebooter.reboot(self._set.settings, app, text),
            )
            supervisor = Supervisor(self._shutdown, lambda: f"runs {self._apps()}")
            self._hang_up = HangUp(self._set, supervisor.tell)
            control = ControlServer(
                desk, self._control, self._info(gateway), self._set, gateway.doorman.answer
            )
            front.changed = lambda: control.inform(self._info(gateway))
            await control.open()
            stack.push_async_callback(control.close)

            touches = Touches(lambda: self._engine.fleet.apps, desk.track)
            stack.callback(touches.close)
            self._set.left_out = discovery.tell_left_out

            def follow(settings: Settings) -> None:
                touches.follow(settings.tracking_dir)
                self._providers.follow(settings.hosts, ((InstanceId(app.name), app) for app in settings.apps))
                discovery.follow(settings.hosts.engines)

            self._set.changed = follow
            self._take_signals(signals)
            self._journal.subscribe(self._console.tell)
            self._journal.subscribe(self._end_with)
            self._greet(gateway)
            if (alone := self._alone) is not None:
                self._providers.process.output(InstanceId(alone.name)).mirror(alone.out, alone.err)
            # No await between the two: an end that comes now is told to an engine that knows of it.
            adopted = inheritance.take_on(self._actions.adopt)
            self._engine.open(dispatch.perform, adopted, (self._memory.open, calendar.look))
            follow(self._settings)
            discovery.begin(self._set.take_on, readings if all_fit else ())
            await inheritance.end_the_rest()
            if self._stand_in is not None:
                self._stand_in.begin()
                self._look_for_the_end()
            control.mark_ready()
            with supervisor.told():
                await self._shutdown.wait()
            self._set.close()
            if not self._shutdown.keeps_apps:
                await self._stop_apps(gateway)
                if self._stand_in is not None:
                    self._exit_code = self._stand_in.code
        return self._exit_code

    async def _discover(
        self, discovery: Discovery, handed: Sequence[socket.socket]
    ) -> tuple[list[Reading], bool]:
        """Take the apps of containers into the settings, so that those that run are taken on like all others.

        False: some cannot be, but maybe later; a label of a container keeps no daemon from coming up.
        """
        discovery.follow(self._settings.hosts.engines)
        await discovery.look(FIRST_LOOK)
        readings = await discovery.readings()
        if readings:
            files = in_use(self._settings)
            joined, left = await asyncio.to_thread(join, self._settings.source, files, readings)
            self._settings, unfit = seated(joined, lambda app, _: taken(app, handed))
            discovery.tell(readings, with_unfit(left, unfit, readings))
            return readings, not unfit
        return readings, True

    def _end_with(self, event: Event) -> None:
        """End if the app whose end is the daemon's has ended by itself, for good."""
        if event.app == self._exit_with:
            self._look_for_the_end()

    def _look_for_the_end(self) -> None:
        if self._stand_in is not None and self._stand_in.over and not self._shutdown.begun:
            self._exit_code = self._stand_in.code
            self._stand_in = None
            self._shutdown.ask()

    async def _stop_apps(self, gateway: Gateway) -> None:
        if self._alone is None or self._engine.fleet.alive:
            self._console.say("stopping all apps (again: cut what is in flight; once more: leave at once)")
        await self._shutdown.stop_apps(self._engine, self._journal, partial(gateway.close, 0.0))

    def _post(self, message: Input) -> None:
        self._engine.post(message)

    def _report(self, message: Fact) -> None:
        self._actions.report(message)

    def _take_signals(self, stack: contextlib.ExitStack) -> None:
        """Hear signals until `stack` is closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._shutdown.ask)
            stack.callback(loop.remove_signal_handler, number)
        # A closed terminal ends what was started in it; a daemon without one has nothing to hang up.
        in_terminal = any(os.isatty(fd) for fd in (0, 1, 2))
        loop.add_signal_handler(signal.SIGHUP, self._shutdown.ask if in_terminal else self._hang_up.come)
        stack.callback(loop.remove_signal_handler, signal.SIGHUP)
        if self._stand_in is not None:
            for number in HANDED_ON:
                if number != signal.SIGHUP or not in_terminal:
                    loop.add_signal_handler(number, self._stand_in.hand_on, number)
                    stack.callback(loop.remove_signal_handler, number)

    def _info(self, gateway: Gateway) -> DaemonInfo:
        return DaemonInfo(
            version=__version__,
            pid=os.getpid(),
            config=str(self._settings.source),
            listen=tuple(urls(gateway)),
            started_at=self._started,
        )

    def _apps(self) -> str:
        count = len(self._set.settings.apps)
        return "1 app" if count == 1 else f"{count} apps"

    def _greet(self, gateway: Gateway) -> None:
        say = self._console.say
        if self._alone is None:
            say(f"torpor {__version__} runs {self._apps()} of {self._settings.source}")
        else:
            say(f"torpor {__version__} runs {self._alone.name} alone; Ctrl-C ends both")
            if self._alone.socket is not None:
                say(f"  TORPOR_SOCKET={shlex.quote(self._alone.socket)}  for `torpor status` beside it")
        bases = urls(gateway)
        for app in self._settings.apps:
            for where in [*(url(bases[0], route) for route in app.routes if bases), *map(str, app.streams)]:
                say(f"  {app.name:<14}  {where}")
        say()


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal, and nobody said that it shows no colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Uvloop where there is one: a third of the CPU of asyncio's own loop per relayed request."""
    try:
        import uvloop  # noqa: PLC0415  # an option of the platform
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
