"""One generation of an instance, from its birth until nothing of it is left."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from torpor.config.settings import ProcessSpec
from torpor.core.messages import Exited, Gone
from torpor.core.model import AppSpec, ExitInfo, Tier
from torpor.errors import ProviderFailed
from torpor.providers.base import Report, Stats
from torpor.providers.process.children import Child, wait_for_end
from torpor.providers.process.company import Company
from torpor.providers.process.exits import wait_for_exit_nowait
from torpor.providers.process.freezer import Freezer
from torpor.providers.process.notify import NotifySocket
from torpor.providers.process.procfs import (
    TICKS_PER_SECOND,
    Process,
    open_verified,
    proportional_bytes,
    read_children,
    read_process,
    read_tag,
    resident_bytes,
    send_signal,
)
from torpor.providers.process.reaper import Reaper
from torpor.providers.process.record import Record
from torpor.providers.process.sandbox import is_monitored
from torpor.providers.process.slumber import Slumber, SlumberThreads
from torpor.providers.process.taking import take_back
from torpor.providers.process.tree import Tree, signal_all
from torpor.providers.process.voice import Voice

logger = logging.getLogger(__name__)

_WATCHED_AT_ONCE = 64
"""Leftover processes whose end is awaited together; the others are looked at after these."""
UNSURE = 0.005
"""Seconds between two looks at a tree that may have a member in the middle of an execution."""
_RETRY_WITHOUT_FDS = 0.1
_GATHER = 1.0
"""Seconds in which words of an app on what it is doing are gathered into one write."""
_STATS_AGE = 1.0
"""Seconds for which the list of a tree's processes is good enough for statistics."""


_REFUSED_FOR = 1.0
"""Seconds for which a process that is none of its own is taken to stay so."""
_MOST_STRANGERS = 64
_MOST_UNREPORTED = 256
"""Messages of a program that is not watched yet: a hook still runs beside it."""


class Life:
    """Watches the main process and, when that is gone, what it left behind."""

    def __init__(
        self,
        company: Company,
        *,
        child: Child,
        tree: Tree,
        freezer: Freezer,
        threads: SlumberThreads,
        notify: NotifySocket | None,
        record: Record,
        keep: Callable[[Record], None],
        reaper: Reaper,
        report: Report,
        over: Callable[[Life], None],
    ) -> None:
        """`keep` is given the record whenever it changed.

        `over` is called once, when nothing is left and before that is reported.
        """
        self.company = company
        self.id = company.launch.id
        self.generation = company.launch.generation
        self.mark = record.mark
        self.voice = Voice(self.id, self.generation, report, self, ready=record.ready, status=record.status)
        self._main = child
        self._born = child
        self._notify = notify
        self._record = record
        self._keep = keep
        self._tree = tree
        self._freezer = freezer
        self.slumber = Slumber(
            self.id,
            tree,
            freezer,
            threads,
            tier=Tier(record.frozen) if record.frozen else None,
            reclaim=None if record.cgroup is None else Path(record.cgroup, "memory.reclaim"),
            keep=lambda tier: self._change(frozen=tier or ""),
        )
        self._capture = company.capture
        self._reaper = reaper
        self._report = report
        self._over = over
        self.end = ExitInfo()
        """How its main process ended."""
        self._exited = False
        self._outliving: asyncio.Task[None] | None = None
        self._killed = False
        self._retry: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._unreported: list[Mapping[str, str]] | None = []
        """What it said before anybody watched it."""
        self._strangers: dict[int, tuple[int, float]] = {}
        """Processes that are none of its own: start time, and until when that need not be looked at again."""
        self._objected: set[str] = set()
        self._members: list[Process] = []
        self._members_at = float("-inf")

    def listen(self) -> None:
        """Begin to hear its notifications, and keep them until `watch`: who waits until it was heard gets on."""
        if self._notify is not None:
            self._notify.listen(
                self._is_member, self._hear, lambda why: self._object("FDSTORE", f"not kept: {why}")
            )

    def watch(self) -> None:
        """Begin to wait for the end of the main process, and to report what it says."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._main.pidfd, self._main_ended)
        # Not before whoever started it has told that it runs.
        loop.call_soon(self._pass_on)

    @property
    def main(self) -> Process:
        """The process whose end is the instance's."""
        return self._main.process

    @property
    def workload(self) -> ProcessSpec:
        """What it is, and how it is ended by now."""
        return self.company.workload

    def adapt(self, spec: AppSpec) -> None:
        """Go by these settings, as far as they are about how it is ended and reloaded; what it is stays."""
        workload = spec.workload
        assert isinstance(workload, ProcessSpec)
        self.company.workload = replace(
            self.workload,
            stop_signal=workload.stop_signal,
            stop_command=workload.stop_command,
            reload_signal=workload.reload_signal,
            reload_command=workload.reload_command,
            resume_signal=workload.resume_signal,
            hooks=workload.hooks,
            log=workload.log,
        )
        ends = workload.stop_signal, spec.lifecycle.stop_timeout
        if ends != (self._record.stop_signal, self._record.stop_timeout):
            self._change(stop_signal=ends[0], stop_timeout=ends[1])

    @property
    def speaks(self) -> bool:
        """Whether it was given a notify socket."""
        return self._notify is not None

    def note_ready(self) -> None:
        """It has said READY=1."""
        self._change(ready=True)

    def note_status(self, text: str) -> None:
        """It has said what it is doing: written down soon, because some say so all the time."""
        self._record = self._record.but(status=text)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().call_later(_GATHER, self._change)

    def note_watchdog(self, seconds: float) -> None:
        """It has asked for another watchdog interval."""
        self._change(watchdog=seconds)

    def remembers(self, fact: str) -> bool:
        """Whether this was seen of it before, by a daemon before this one too."""
        return _digest(fact) in self._record.seen

    def remember(self, fact: str) -> None:
        """This was seen of it, and cannot be seen again."""
        if not self.remembers(fact):
            self._change(seen=(*self._record.seen, _digest(fact)))

    def follow(self, pid: int) -> None:
        """From now on its main process is this one, if it belongs to it."""
        if pid == self.main.pid or self._exited:
            return
        member = next((process for process in self._tree.members() if process.pid == pid), None)
        pidfd = None if member is None else open_verified(member)
        if member is None or pidfd is None:
            self._object("MAINPID", f"process {pid} is none of its own")
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._main.pidfd)
        self._let_go()
        self._main = Child(member, pidfd)
        # It may become our child, and must not be reaped before its status was read.
        self._reaper.watched.add(pid)
        self._change(pid=member.pid, started=member.started)
        loop.add_reader(pidfd, self._main_ended)

    def signal(self, number: int) -> None:
        """Signal all of it.  Raises `ProviderFailed`."""
        try:
            signal_all(self._tree.members(), number)
        except OSError as error:
            name = signal.Signals(number).name
            raise ProviderFailed(f"cannot send {name} to {self.id}: {error.strerror}") from error

    def app_pid(self) -> int:
        """The app's main process: below bwrap, which is ours, it is the only child of that."""
        if self._main is self._born and is_monitored(self.workload.sandbox):
            return next(iter(read_children(self.main.pid)), self.main.pid)
        return self.main.pid

    def signal_main(self, number: int) -> None:
        """Signal the main process alone.  Raises `ProviderFailed`."""
        try:
            pid = self.app_pid()
            if pid == self.main.pid:
                signal.pidfd_send_signal(self._main.pidfd, number)
            elif (app := read_process(pid)) is not None and app.parent == self.main.pid:
                send_signal(app, number, wakes=False)
        except ProcessLookupError:
            pass  # it has ended, and its exit is on the way
        except OSError as error:
            raise ProviderFailed(f"cannot send signal {number} to {self.id}: {error.strerror}") from error

    def announce_wake(self) -> None:
        """Let it know that time went on without it: by SIGCONT, and as its config says."""
        try:
            if not self._freezer.continues:
                self.signal_main(signal.SIGCONT)
            if self.workload.resume_signal is not None:
                self.signal_main(self.workload.resume_signal)
        except ProviderFailed as problem:
            logger.warning("%s is awake and was not told so: %s", self.id, problem)

    def kill(self) -> None:
        """End all of it, also what shows only later.  Raises `ProviderFailed`."""
        self._killed = True
        try:
            self._tree.kill()
        except OSError as error:
            raise ProviderFailed(f"cannot kill {self.id}: {error.strerror}") from error

    def take_back_socket(self) -> int:
        """A descriptor of the socket that it was handed.  Raises `ProviderFailed`."""
        problem = "it was handed none"
        if self._record.socket:
            try:
                fd = take_back(self._tree.members(), self._record.socket)
            except OSError as error:
                problem = error.strerror or str(error)
            else:
                if fd is not None:
                    return fd
                problem = "no process of it holds that any more"
        raise ProviderFailed(
            f"cannot take back the socket of {self.id}: {problem}",
            hint="its next generation gets another one; whoever connects in between is refused",
        )

    def stats(self) -> Stats:
        """What it uses now."""
        now = asyncio.get_running_loop().time()
        if now - self._members_at > _STATS_AGE:
            self._members = self._tree.members()
            self._members_at = now
        ticks = 0
        for member in self._members:
            process = read_process(member.pid)
            if process is not None and process.started == member.started:
                ticks += process.ticks
        return Stats(
            pid=self.main.pid,
            rss=sum(resident_bytes(member.pid) for member in self._members),
            cpu=ticks / TICKS_PER_SECOND,
            log_lost=self._capture.lost,
            log_problem=self._capture.problem,
            log_unforwarded=self._capture.unforwarded,
        )

    def memory(self) -> int:
        """The bytes that it uses with what its processes share counted once.  Called off the loop."""
        own = 0
        for member in list(self._members):
            used = proportional_bytes(member.pid)
            own += resident_bytes(member.pid) if used is None else used
        return own

    async def close(self) -> None:
        """Stop watching; what is alive stays alive."""
        await self.slumber.settle()
        if self._outliving is not None:
            self._outliving.cancel()
            await asyncio.wait([self._outliving])
        if self._retry is not None:
            self._retry.cancel()
        if self._cancel_writing():
            self._keep(self._record)
        self._release()
        self._capture.close()

    def _change(self, **changes: object) -> None:
        self._cancel_writing()
        self._record = self._record.but(**changes)
        self._keep(self._record)

    def _cancel_writing(self) -> bool:
        if self._writing is None:
            return False
        self._writing.cancel()
        self._writing = None
        return True

    def _is_member(self, pid: int) -> bool:
        if pid == self.main.pid or (pid and read_tag(pid) == self.mark.number):
            return True
        process = read_process(pid) if pid else None
        if process is None:
            return False
        # To look at the whole tree is dear, and a stranger may have a lot to say.
        now = asyncio.get_running_loop().time()
        started, until = self._strangers.get(pid, (0, 0.0))
        if started == process.started and now < until:
            return False
        if any(pid == member.pid for member in self._tree.members()):
            return True
        if not self._tree.unsure:
            if len(self._strangers) >= _MOST_STRANGERS:
                self._strangers.clear()
            self._strangers[pid] = process.started, now + _REFUSED_FOR
        return False

    def _hear(self, said: Mapping[str, str]) -> None:
        if self._unreported is None:
            self.voice.hear(said)
        elif len(self._unreported) < _MOST_UNREPORTED:
            self._unreported.append(said)

    def _pass_on(self) -> None:
        """Report what it has said since it was born, and whatever it says from now on."""
        unreported, self._unreported = self._unreported or (), None
        for said in unreported:
            self.voice.hear(said)

    def _object(self, word: str, text: str) -> None:
        # Once: an app must not fill our log.
        if word not in self._objected:
            self._objected.add(word)
            logger.warning("%s: %s: %s (told once in a generation)", self.id, word, text)

    def _main_ended(self) -> None:
        if self._notify is not None:
            # Its last words may have named another main process.
            self._notify.catch_up()
        self._pass_on()
        # Only looked at, not reaped: the zombie keeps the number from being given away.
        info = wait_for_exit_nowait(self._main.pidfd, os.WNOWAIT)
        if info is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._main.pidfd)
        self.end = info = self.company.explain(info)
        self._exited = True
        self.voice.reloads.end()
        self._capture.catch_up()
        try:
            leftovers = bool(self._tree.members()) or self._tree.unsure
        except OSError:
            # Out of descriptors: nobody can look, but the exit must not get lost.
            self._retry = loop.call_later(_RETRY_WITHOUT_FDS, self._main_ended)
            return
        if leftovers:
            self._outliving = loop.create_task(self._outlive())
        else:
            self._bury()
        self._report(Exited(self.id, self.generation, info, leftovers=leftovers))

    async def _outlive(self) -> None:
        while True:
            try:
                members = self._tree.members()
                if not members and not self._tree.unsure:
                    break
                if not members:
                    await asyncio.sleep(UNSURE)
                    continue
                if self._killed:
                    self._tree.kill()  # what was being executed when the others were killed
                await wait_for_end(members[:_WATCHED_AT_ONCE])
            except OSError:
                await asyncio.sleep(_RETRY_WITHOUT_FDS)
            except Exception:
                # Whatever went wrong in looking: nobody else would ever tell that it is gone.
                logger.exception("%s: cannot tell what is left of it; looking again", self.id)
                await asyncio.sleep(_RETRY_WITHOUT_FDS)
            self._reaper.sweep()
        self._bury()
        self._report(Gone(self.id, self.generation))

    def _bury(self) -> None:
        self._cancel_writing()
        self.slumber.hurry()
        self._keep = _keep_nothing  # a thaw may end later
        self._capture.end()
        if self._notify is not None:
            self._notify.close()
        self._reaper.sweep()
        if self._tree.moving is None or self._tree.moving.done():
            self._reap()
        else:
            # Its number must not become a stranger's while it is being moved.
            self._tree.moving.add_done_callback(lambda _: self._reap())
        self._over(self)

    def _reap(self) -> None:
        self._let_go()
        wait_for_exit_nowait(self._born.pidfd)
        self._reaper.ours.discard(self._born.process.pid)
        os.close(self._born.pidfd)
        self._freezer.close()
        self._tree.close()

    def _let_go(self) -> None:
        """Close what is held of a main process that was not born as such."""
        if self._main is not self._born:
            wait_for_exit_nowait(self._main.pidfd)
            self._reaper.watched.discard(self.main.pid)
            os.close(self._main.pidfd)

    def _release(self) -> None:
        self._unreported = None
        self.voice.reloads.end()
        asyncio.get_running_loop().remove_reader(self._main.pidfd)
        for pidfd in {self._main.pidfd, self._born.pidfd}:
            os.close(pidfd)
        if self._notify is not None:
            self._notify.close(unlink=False)


def _keep_nothing(_record: Record) -> None:
    pass


def _digest(fact: str) -> str:
    return hashlib.blake2s(fact.encode(), digest_size=8).hexdigest()
