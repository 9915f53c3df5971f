"""Apps that are plain processes.

1. Each generation leads a session of its own and is watched through a pidfd.
2. Nothing here takes the loop's subprocess support; SIGCHLD only tells that an orphan may have ended.
3. A process is signalled only through a pidfd whose identity was checked after opening.
4. Closing the provider, or killing the daemon, harms no app: it keeps its pipe, and
   the next daemon finds it by its record.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from torpor.config.settings import ProcessSpec
from torpor.core.model import AppSpec, Endpoint, InstanceId, NotifyProbe
from torpor.errors import NotAllowed, ProviderFailed, StartFailed, StateUnusable
from torpor.logs.compress import Compressor
from torpor.logs.names import file_name
from torpor.logs.segments import Folder
from torpor.providers.base import Launch, Report, Running, Stats, Survivor
from torpor.providers.process.adoption import end_leftovers, end_tree, find_main, orphans
from torpor.providers.process.capture import Capture
from torpor.providers.process.cgroup import CgroupTree, find_cgroup_root, remove_cgroup
from torpor.providers.process.entourage import Entourage
from torpor.providers.process.fdstore import FdStore
from torpor.providers.process.identity import is_own
from torpor.providers.process.life import Child, Life
from torpor.providers.process.notify import NotifySocket
from torpor.providers.process.nursery import Nursery, bear
from torpor.providers.process.procfs import age, read_boot
from torpor.providers.process.reaper import Reaper, become_subreaper
from torpor.providers.process.record import Record, Records
from torpor.providers.process.spawn import (
    Surroundings,
    arguments,
    fill_in,
    find_program,
    keep_ignored_signals_to_ourselves,
    surroundings,
)
from torpor.providers.process.tree import Descent, Mark, Tree, foster_parent

_HOST = "127.0.0.1"
_GRACE = 5.0
"""Seconds that a survivor which nobody wants gets to end by itself."""


class TreeKind(StrEnum):
    """How the processes of an instance are kept together."""

    AUTO = "auto"
    """In a cgroup where the daemon may create one, else by descent."""
    CGROUP = "cgroup"
    DESCENT = "descent"


class ProcessProvider:
    """Brings programs to life and ends them.  Implements `Provider`."""

    def __init__(
        self,
        state: Path,
        report: Report,
        environment: Mapping[str, str],
        *,
        trees: TreeKind = TreeKind.AUTO,
    ) -> None:
        """`state`: the state directory; `environment`: what every app gets (see `base_environment`)."""
        self._run = state / "run"
        self._logs = state / "logs"
        self._report = report
        self._environment = environment
        self._trees = trees
        self._name = "torpor-" + hashlib.sha256(os.fsencode(state.absolute())).hexdigest()[:12]
        self._shared = Path("/run", self._name)
        self._cgroups: Path | None = None
        self._reaper = Reaper()
        self._records = Records(self._run)
        self._boot = read_boot()
        self._lives: dict[InstanceId, Life] = {}
        self._found: dict[InstanceId, tuple[Record, Child]] = {}
        """Survivors that nobody has decided on."""
        self._outputs: dict[InstanceId, Capture] = {}
        self._log_folder = Folder(self._logs)
        self._compressor = Compressor()
        self._stores: dict[InstanceId, FdStore] = {}
        self._moves: set[asyncio.Future[None]] = set()
        self._nursery = Nursery(self._reaper)
        self._mover: ThreadPoolExecutor | None = None
        self._entourage = Entourage(self._name, self._nursery.run, report, self._rss)

    async def open(self) -> None:
        """Prepare the state directory and this process.  Raises `StateUnusable`."""
        try:
            for folder in (self._run, self._logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateUnusable(f"cannot create {error.filename}: {error.strerror}") from error
        if self._trees is not TreeKind.DESCENT:
            self._cgroups = find_cgroup_root(self._name)
            if self._cgroups is None and self._trees is TreeKind.CGROUP:
                raise StateUnusable("no cgroup can be created here", hint="delegate one to the daemon")
        self._entourage.open(self._cgroups)
        become_subreaper()
        keep_ignored_signals_to_ourselves()
        self._reaper.open()
        self._nursery.open()
        self._mover = ThreadPoolExecutor(1, thread_name_prefix="torpor-cgroup")

    def check(self, spec: AppSpec) -> None:
        """See `Provider.check`."""
        workload = spec.workload
        if not isinstance(workload, ProcessSpec):
            raise StartFailed(f"{spec.name} is not a process")
        if workload.shell or workload.hooks.pre_start is not None or workload.sandbox.private_tmp:
            return  # a shell or a hook may know better, and what lies in /tmp may not be its /tmp
        launch = Launch(InstanceId(spec.name), 0, spec, 0 if spec.listens else None)
        where = surroundings(launch, workload, self._environment, Mark.fresh(), None)
        find_program(arguments(launch, workload)[0], where)

    async def start(self, launch: Launch) -> Running:
        """See `Provider.start`."""
        workload = launch.spec.workload
        if not isinstance(workload, ProcessSpec):
            raise StartFailed(f"{launch.id} is not a process")
        await self._entourage.wait_for_earlier(launch.id)
        if launch.id in self._lives or launch.id in self._found:
            raise StartFailed(f"an earlier generation of {launch.id} is still alive")
        mark = Mark.fresh()
        notify = self._notify_socket(launch, workload)
        where = self._surroundings(launch, workload, mark, notify)
        record = self._record(launch, workload, mark, notify)
        capture = self.output(launch.id)
        with contextlib.ExitStack() as undo:
            where = self._entourage.prepare(launch, where, capture, _label(launch, mark))
            undo.callback(self._entourage.dismiss, launch.id)
            try:
                if notify is not None:
                    notify.open()
                    undo.callback(notify.close)
                writer, stderr = capture.begin(launch.generation, workload.log)
            except OSError as error:
                raise StartFailed(f"cannot prepare {launch.id}: {error.strerror or error}") from error
            undo.callback(capture.end)
            undo.callback(self._records.remove, file_name(launch.id))
            pipes = (writer,) if stderr is None else (writer, stderr)
            for pipe in pipes:
                undo.callback(os.close, pipe)
            argv = arguments(launch, workload)
            _hand_over(where, pipes, notify)
            try:
                main = await self._entourage.make_ready(launch.id, writer)
            except BaseException:
                # What its hook may have sent into the background.
                with contextlib.suppress(OSError, TimeoutError):
                    await end_tree(orphans(record), 0.0)
                raise
            if (store := self._stores.get(launch.id)) is not None:
                main = replace(main, listens=store.listens)
            main = replace(main, stderr=stderr)
            child = await self._nursery.give_birth(
                lambda: self._bear_on_record(record, lambda: bear(argv, main, writer, mark)), mark
            )
            tree = self._tree(record, child)
            try:
                await self._entourage.follow_up(launch.id, child.process.pid, writer)
            except BaseException:
                await self._undo_birth(child, tree, workload.stop_signal)
                raise
            undo.pop_all()
            for pipe in pipes:
                os.close(pipe)
        self._live(launch, where, record=record.of(child.process), child=child, tree=tree, notify=notify)
        return Running(_endpoint(launch.port), child.process.pid)

    async def survivors(self) -> list[Survivor]:
        """See `Provider.survivors`."""
        dead = {}
        for name, record in self._records.read_all().items():
            child = find_main(record)
            if child is None:
                dead[name] = record
            else:
                self._found[record.id] = record, child
        await end_leftovers(self._records, dead, self._whole_tree)
        return [
            Survivor(
                id,
                record.generation,
                Running(_endpoint(record.port), child.process.pid),
                record.port,
                age(child.process),
            )
            for id, (record, child) in self._found.items()
        ]

    def adopt(self, launch: Launch) -> None:
        """See `Provider.adopt`."""
        workload = launch.spec.workload
        record, child = self._found.get(launch.id, (None, None))
        if record is None or child is None or record.generation != launch.generation:
            raise ProviderFailed(f"there is no survivor of {launch.id}, generation {launch.generation}")
        if not isinstance(workload, ProcessSpec):
            raise ProviderFailed(f"{launch.id} is not a process any more")
        notify = None
        if record.notify is not None:
            notify = NotifySocket(Path(record.notify), self._store(launch.id))
        where = self._surroundings(launch, workload, record.mark, notify)
        try:
            where = self._entourage.prepare(
                launch, where, self.output(launch.id), _label(launch, record.mark)
            )
            if notify is not None:
                notify.open()
            self.output(launch.id).resume(launch.generation, workload.log)
        except (OSError, StartFailed) as error:
            self._entourage.dismiss(launch.id)
            if notify is not None:
                notify.close()
            raise ProviderFailed(f"cannot adopt {launch.id}: {error}") from error
        del self._found[launch.id]
        self._reaper.ours.add(child.process.pid)
        tree = self._tree_of_survivor(record, child)
        self._live(launch, where, record=record, child=child, tree=tree, notify=notify)

    async def discard(self, id: InstanceId, generation: int) -> None:
        """See `Provider.discard`."""
        record, child = self._found.get(id, (None, None))
        if record is None or child is None or record.generation != generation:
            return
        tree = self._tree_of_survivor(record, child)
        try:
            await end_tree(tree, _GRACE, (record.stop_signal,))
        except (OSError, TimeoutError) as error:
            raise ProviderFailed(f"cannot end {id}: {error or 'it survives KILL'}") from error
        del self._found[id]
        os.close(child.pidfd)
        tree.close()
        self._records.remove(file_name(id))

    async def stop(self, id: InstanceId, generation: int) -> None:
        """See `Provider.stop`."""
        life = self._life(id, generation)
        if life is not None:
            await self._entourage.ask_to_end(id, life.app_pid())
            if self._life(id, generation) is life:
                life.signal(life.stop_signal)

    async def kill(self, id: InstanceId, generation: int) -> None:
        """See `Provider.kill`."""
        life = self._life(id, generation)
        if life is not None:
            life.kill()

    async def signal(self, id: InstanceId, generation: int, number: int) -> None:
        """See `Provider.signal`."""
        life = self._life(id, generation)
        if life is not None:
            life.signal_main(number)

    async def reload(self, id: InstanceId, generation: int) -> None:
        """See `Provider.reload`."""
        life = self._life(id, generation)
        if life is None:
            return
        hook, number = life.workload.reload_command, life.workload.reload_signal
        if hook is not None:
            problem = await self._entourage.command(id, "reload_command", hook, life.app_pid())
            if problem is not None:
                raise ProviderFailed(
                    f"the reload command of {id} did not succeed: {problem}",
                    hint=f"run it by hand to see why: {' '.join(hook.command)}",
                )
        elif number is not None:
            life.signal_main(number)
        else:
            raise NotAllowed(
                f"{id.app} has no way to reload it",
                hint=f"set reload_signal or reload_command, or use `torpor restart {id.app}`",
            )

    def adapt(self, id: InstanceId, generation: int, spec: AppSpec) -> None:
        """See `Provider.adapt`."""
        life = self._life(id, generation)
        if life is not None:
            life.adapt(spec)
            self._entourage.adapt(id, life.workload)
            self.output(id).adapt(life.workload.log)

    def forget(self, id: InstanceId) -> None:
        """See `Provider.forget`."""
        self._outputs.pop(id, None)
        if (store := self._stores.pop(id, None)) is not None:
            store.close()
        for stream in ("out", "err"):
            with contextlib.suppress(OSError):
                (self._run / f"{file_name(id)}.{stream}").unlink()

    def erase_output(self, id: InstanceId) -> None:
        """See `Provider.erase_output`."""
        # A dot never stands in the name itself: all of these are files of this instance.
        for file in self._logs.glob(f"{file_name(id)}.*"):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise ProviderFailed(f"cannot delete {file}: {error.strerror}") from error

    async def wait_for_notify(self, id: InstanceId, generation: int) -> None:
        """See `Provider.wait_for_notify`."""
        life = self._life(id, generation)
        await (life.voice.ready if life is not None else asyncio.Event()).wait()

    async def run_probe(self, launch: Launch, command: tuple[str, ...], timeout: float) -> bool:
        """See `Provider.run_probe`."""
        life = self._life(launch.id, launch.generation)
        if life is None:
            return False
        try:
            info = await self._nursery.run(
                fill_in(launch, command), life.where, subprocess.DEVNULL, timeout, life.mark
            )
        except StartFailed:
            return False
        return info is not None and info.clean

    def stats(self, id: InstanceId) -> Stats | None:
        """See `Provider.stats`."""
        life = self._lives.get(id)
        return None if life is None else life.stats()

    def output(self, id: InstanceId) -> Capture:
        """See `Provider.output`."""
        if id not in self._outputs:
            name = file_name(id)
            self._outputs[id] = Capture(
                self._run, self._logs, id, name, folder=self._log_folder, retire=self._compressor.retire
            )
        return self._outputs[id]

    async def close(self) -> None:
        """See `Provider.close`."""
        self._reaper.close()
        if self._moves:
            await asyncio.wait(self._moves)
        for life in list(self._lives.values()):
            await life.close()
        self._lives.clear()
        await self._entourage.close()
        self._nursery.close()
        for _, child in self._found.values():
            os.close(child.pidfd)
        self._found.clear()
        for store in self._stores.values():
            store.close()
        self._compressor.close()
        if self._mover is not None:
            self._mover.shutdown()
            self._mover = None
        if self._cgroups is not None:
            remove_cgroup(self._cgroups)
        # Not there, or kept because survivors send to sockets in it.
        with contextlib.suppress(OSError):
            self._shared.rmdir()

    def _life(self, id: InstanceId, generation: int) -> Life | None:
        life = self._lives.get(id)
        return life if life is not None and life.generation == generation else None

    def _forget(self, life: Life) -> None:
        del self._lives[life.id]
        self._records.remove(file_name(life.id))
        self._entourage.ended(life.id, life.end)

    def _rss(self, id: InstanceId) -> int:
        stats = self.stats(id)
        return 0 if stats is None else stats.rss

    async def _undo_birth(self, child: Child, tree: Tree, stop_signal: int) -> None:
        """End a program whose start has failed after all."""
        with contextlib.suppress(OSError, TimeoutError):
            await end_tree(tree, _GRACE, (stop_signal,))
        if tree.moving is not None:
            await asyncio.wait([tree.moving])
        await self._nursery.reap_at_end(child)
        tree.close()

    def _live(
        self,
        launch: Launch,
        where: Surroundings,
        *,
        record: Record,
        child: Child,
        tree: Tree,
        notify: NotifySocket | None,
    ) -> None:
        """Watch over a generation from now on."""
        life = Life(
            launch,
            where=where,
            mark=record.mark,
            child=child,
            tree=tree,
            capture=self.output(launch.id),
            notify=notify,
            record=record,
            keep=lambda record: self._records.write(file_name(launch.id), record),
            reaper=self._reaper,
            report=self._report,
            over=self._forget,
        )
        self._lives[launch.id] = life
        life.watch()

    def _surroundings(
        self, launch: Launch, workload: ProcessSpec, mark: Mark, notify: NotifySocket | None
    ) -> Surroundings:
        where = surroundings(launch, workload, self._environment, mark, notify.path if notify else None)
        if (watchdog := launch.spec.lifecycle.watchdog) is not None:
            # Without WATCHDOG_PID, which nobody knows before the fork, it means whoever reads it.
            where.environment["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        return where

    def _record(
        self, launch: Launch, workload: ProcessSpec, mark: Mark, notify: NotifySocket | None
    ) -> Record:
        """What is written down of a generation that is about to be born."""
        cgroup = None
        if self._cgroups is not None:
            cgroup = str(self._cgroups / _label(launch, mark))
        return Record(
            app=launch.id.app,
            replica=launch.id.replica,
            release=launch.id.release,
            generation=launch.generation,
            boot=self._boot,
            invocation=mark.text,
            number=mark.number,
            stop_signal=workload.stop_signal,
            port=launch.port,
            cgroup=cgroup,
            notify=None if notify is None else str(notify.path),
        )

    def _notify_socket(self, launch: Launch, workload: ProcessSpec) -> NotifySocket | None:
        # Only for who asked: programs behave differently when they see NOTIFY_SOCKET.
        spec = launch.spec
        probed = any(isinstance(probe, NotifyProbe) for probe in spec.readiness.probes)
        if workload.notify or probed or spec.lifecycle.watchdog is not None:
            path = self._notify_path(launch.id, workload)
            return NotifySocket(path, self._store(launch.id))
        return None

    def _store(self, id: InstanceId) -> FdStore:
        if id not in self._stores:
            self._stores[id] = FdStore()
        return self._stores[id]

    def _notify_path(self, id: InstanceId, workload: ProcessSpec) -> Path:
        """Where a notify socket is to lie: the state directory is closed to other users."""
        folder = self._run
        if workload.identity is not None and not is_own(workload.identity):
            folder = self._shared
            try:
                folder.mkdir(exist_ok=True)
                folder.chmod(0o711)
            except OSError as error:
                raise StartFailed(f"cannot create {folder}: {error.strerror}") from error
        return folder / f"{file_name(id)}.notify"

    def _tree(self, record: Record, child: Child) -> Tree:
        descent = Descent(child.process, record.mark, self._reaper.ours)
        if record.cgroup is None or self._mover is None:
            return descent
        tree = CgroupTree(Path(record.cgroup), child.process, descent, self._mover)
        moving = tree.enrol()
        self._moves.add(moving)
        moving.add_done_callback(self._moves.discard)
        return tree

    def _tree_of_survivor(self, record: Record, child: Child) -> Tree:
        descent = Descent(child.process, record.mark, self._reaper.ours, foster_parent(child.process))
        return self._whole_tree(record, descent)

    def _whole_tree(self, record: Record, descent: Descent) -> Tree:
        """The tree of an earlier daemon's generation, in the cgroup that this one made for it."""
        # Its name holds the mark: whoever lives in any other one is not to be touched.
        if record.cgroup is None or self._mover is None or not record.cgroup.endswith(record.mark.text[:8]):
            return descent
        return CgroupTree(Path(record.cgroup), descent.main, descent, self._mover)

    def _bear_on_record(self, record: Record, bear: Callable[[], Child]) -> Child:
        """Bear a child that the next daemon will find, whenever this one dies.  Called off the loop."""
        name = file_name(record.id)
        self._records.write(name, record)
        child = bear()
        self._records.write(name, record.of(child.process))
        return child


def _hand_over(where: Surroundings, pipes: tuple[int, ...], notify: NotifySocket | None) -> None:
    """Let the app's user open its output again and send notifications.  Raises `StartFailed`."""
    if where.identity is None:
        return
    try:
        for pipe in pipes:
            os.fchown(pipe, where.identity.uid, where.identity.gid)
        if notify is not None:
            os.chown(notify.path, where.identity.uid, where.identity.gid)
    except OSError as error:
        raise StartFailed(f"cannot run as user {where.identity.name}: {error.strerror}") from error


def _label(launch: Launch, mark: Mark) -> str:
    """The name of a generation's cgroups."""
    return f"{file_name(launch.id)}.{launch.generation}.{mark.text[:8]}"


def _endpoint(port: int | None) -> Endpoint | None:
    return None if port is None else Endpoint(_HOST, port)
