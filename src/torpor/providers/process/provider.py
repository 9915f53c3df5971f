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
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torpor.config.fingerprints import differs
from torpor.config.settings import ProcessSpec
from torpor.core.model import AppSpec, ExitInfo, InstanceId, Tier
from torpor.errors import NotAllowed, ProviderFailed, StartFailed, StateUnusable
from torpor.logs.names import file_name
from torpor.providers.base import Frozen, Launch, Report, Running, Stats, Survivor
from torpor.providers.capture import Capture
from torpor.providers.outputs import Outputs
from torpor.providers.process.adoption import end_tree, orphans
from torpor.providers.process.births import (
    Undoing,
    bear_on_record,
    hand_over,
    hand_socket,
    new_record,
    surround,
)
from torpor.providers.process.children import Child
from torpor.providers.process.company import Company
from torpor.providers.process.entourage import Entourage
from torpor.providers.process.explanations import find_program
from torpor.providers.process.life import Life
from torpor.providers.process.mailboxes import Mailboxes
from torpor.providers.process.names import label
from torpor.providers.process.notify import NotifySocket
from torpor.providers.process.nursery import Nursery, Run, bear
from torpor.providers.process.procfs import read_boot
from torpor.providers.process.reaper import Reaper, become_subreaper
from torpor.providers.process.record import Record, Records
from torpor.providers.process.reloads import monotonic_usec
from torpor.providers.process.slumber import SlumberThreads
from torpor.providers.process.spawn import arguments, fill_in, keep_ignored_signals_to_ourselves, surroundings
from torpor.providers.process.survivors import Survivors, endpoint
from torpor.providers.process.tree import Mark, Tree
from torpor.providers.process.trees import TreeKind, Trees

__all__ = ["ProcessProvider", "TreeKind"]


class ProcessProvider:
    """Brings programs to life and ends them.  Implements `Provider`."""

    def __init__(
        self,
        state: Path,
        report: Report,
        environment: Mapping[str, str],
        outputs: Outputs,
        *,
        trees: TreeKind = TreeKind.AUTO,
    ) -> None:
        """`state`: the state directory; `environment`: what every app gets (see `base_environment`).

        `outputs`: the logs in that directory, which whoever gives them closes.
        """
        self._run = state / "run"
        self._report = report
        self._environment = environment
        name = "torpor-" + hashlib.sha256(os.fsencode(state.absolute())).hexdigest()[:12]
        self._reaper = Reaper()
        self._records = Records(self._run)
        self._boot = read_boot()
        self._owner = ""
        """By what this state directory is known, whatever path leads to it."""
        self._trees = Trees(trees, name, self._reaper.ours)
        self._lives: dict[InstanceId, Life] = {}
        self._found = Survivors(self._records, self._trees, lambda: self._owner)
        self._outputs = outputs
        self._mailboxes = Mailboxes(self._run, Path("/run", name))
        self._nursery = Nursery(self._reaper)
        self._slumbers = SlumberThreads()
        self._entourage = Entourage(
            name,
            self._nursery.run,
            report,
            rss=self._rss,
            memory=self._memory,
            ours=self._reaper.ours,
            mover=lambda: self._trees.mover,
            forget=lambda gone: self._records.remove(file_name(gone)),
        )
        self._undoing = Undoing(self._entourage, self._nursery)

    async def open(self) -> None:
        """Prepare the state directory and this process.  Raises `StateUnusable`."""
        try:
            self._outputs.open()
            status = self._run.stat()
        except OSError as error:
            raise StateUnusable(f"cannot create {error.filename}: {error.strerror}") from error
        self._owner = f"{status.st_dev:x}.{status.st_ino:x}."
        self._trees.open()
        self._entourage.open(self._trees.root)
        become_subreaper()
        keep_ignored_signals_to_ourselves()
        self._reaper.open()
        self._nursery.open()
        self._slumbers.open()

    @property
    def run(self) -> Run:
        """Runs commands of others as children of the daemon, of which only the provider knows which are whose."""
        return self._nursery.run

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
        mark = Mark.fresh(self._owner)
        notify = self._mailboxes.for_launch(launch, workload)
        where = surround(launch, self._environment, mark, notify)
        cgroup = self._trees.path(label(launch.id, launch.generation, mark))
        record = new_record(launch, mark, self._boot, cgroup, None if notify is None else str(notify.path))
        capture = self.output(launch.id)
        with contextlib.ExitStack() as lent, contextlib.ExitStack() as undo:
            company = await self._entourage.prepare(launch, where, capture, mark)
            undo.callback(self._entourage.dismiss, company)
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
            hand_over(company.where, pipes, notify)
            if workload.hooks.pre_start is not None:
                # Its hook, too, must be known to the daemon after this one.
                self._records.write(file_name(launch.id), record)
            try:
                main = await self._entourage.make_ready(company, writer)
            except BaseException:
                # What its hook may have sent into the background.
                with contextlib.suppress(OSError, TimeoutError):
                    await end_tree(orphans(record), 0.0)
                raise
            listens = *hand_socket(launch, lent), *self._mailboxes.stored(launch.id)
            main = replace(main, stderr=stderr, listens=listens)
            child = await self._nursery.give_birth(
                lambda: bear_on_record(self._records, record, lambda: bear(argv, main, writer, mark)), mark
            )
            tree = self._trees.newborn(record, child)
            life = self._life_of(
                company, record=record.of(child.process), child=child, tree=tree, notify=notify
            )
            life.listen()
            try:
                await self._entourage.follow_up(company, child.process, writer)
            except BaseException:
                await self._undoing.undo(company, child, tree)
                raise
            undo.pop_all()
            for pipe in pipes:
                os.close(pipe)
        self._watch(life)
        return Running(endpoint(launch.port, launch.spec.socket), child.process.pid)

    async def survivors(self) -> list[Survivor]:
        """See `Provider.survivors`."""
        return await self._found.find()

    def adopt(self, launch: Launch) -> tuple[str, ...]:
        """See `Provider.adopt`."""
        workload = launch.spec.workload
        found = self._found.get(launch.id, launch.generation)
        if found is None:
            raise ProviderFailed(f"there is no survivor of {launch.id}, generation {launch.generation}")
        if not isinstance(workload, ProcessSpec):
            raise ProviderFailed(f"{launch.id} is not a process any more")
        record, child = found
        notify = None
        if record.notify is not None:
            notify = self._mailboxes.at(launch.id, Path(record.notify))
        where = surround(launch, self._environment, record.mark, notify)
        try:
            company = self._entourage.resume(launch, where, self.output(launch.id), record.mark)
        except StartFailed as error:
            raise ProviderFailed(f"cannot adopt {launch.id}: {error}") from error
        try:
            if notify is not None:
                notify.open()
            self.output(launch.id).resume(launch.generation, workload.log)
        except OSError as error:
            self._entourage.dismiss(company)
            if notify is not None:
                notify.close()
            raise ProviderFailed(f"cannot adopt {launch.id}: {error}") from error
        self._found.claim(launch.id)
        self._reaper.ours.add(child.process.pid)
        tree = self._trees.survivor(record, child)
        life = self._life_of(company, record=record, child=child, tree=tree, notify=notify)
        life.listen()
        self._watch(life)
        return differs(record.settings, launch.spec) if record.settings else ()

    async def discard(self, id: InstanceId, generation: int) -> None:
        """See `Provider.discard`."""
        await self._found.discard(id, generation)

    async def freeze(self, id: InstanceId, generation: int, tier: Tier) -> Frozen:
        """See `Provider.freeze`."""
        life = self._life(id, generation)
        return Frozen(tier, 0, 0) if life is None else await life.slumber.freeze(tier)

    async def thaw(self, id: InstanceId, generation: int) -> None:
        """See `Provider.thaw`."""
        life = self._life(id, generation)
        slept = None if life is None else await life.slumber.thaw()
        if life is not None and slept is not None and self._life(id, generation) is life:
            life.announce_wake()
            if slept is Tier.HIBERNATE:
                life.slumber.fetch_ahead()

    async def stop(self, id: InstanceId, generation: int) -> None:
        """See `Provider.stop`."""
        life = self._life(id, generation)
        if life is None:
            return
        if life.company.has_last_words:
            await life.slumber.thaw()  # whoever asks it to end must get an answer
        await self._entourage.ask_to_end(life.company, life.app_pid())
        if self._life(id, generation) is life:
            # In this order, so that it wakes up to end, and for nothing else.
            life.signal(life.workload.stop_signal)
            await life.slumber.thaw()

    async def kill(self, id: InstanceId, generation: int) -> None:
        """See `Provider.kill`."""
        life = self._life(id, generation)
        if life is not None:
            life.kill()
            # Cgroup v1 holds even what was killed.
            await life.slumber.thaw()

    async def signal(self, id: InstanceId, generation: int, number: int) -> None:
        """See `Provider.signal`."""
        life = self._life(id, generation)
        if life is None:
            return
        if life.slumber.tier is not None and number == signal.SIGCONT:
            raise NotAllowed(f"{id.app} is frozen", hint=f"`torpor wake {id.app}` lets it go on")
        life.signal_main(number)
        if number == signal.SIGKILL:
            await life.slumber.thaw()

    async def reload(self, id: InstanceId, generation: int) -> None:
        """See `Provider.reload`."""
        life = self._life(id, generation)
        if life is None:
            return
        if life.slumber.tier is not None:
            raise NotAllowed(
                f"{id.app} is frozen and cannot answer", hint=f"`torpor wake {id.app}`, and reload it then"
            )
        hook, number = life.workload.reload_command, life.workload.reload_signal
        since = monotonic_usec()
        if hook is not None:
            problem = await self._entourage.command(life.company, "reload_command", hook, life.app_pid())
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
        if life.speaks:
            limit = life.company.launch.spec.lifecycle.start_timeout
            if (problem := await life.voice.reloads.wait_until_over(since, limit)) is not None:
                raise ProviderFailed(f"{id} {problem}", hint=f"`torpor logs {id.app}` may tell why")

    def adapt(self, id: InstanceId, generation: int, spec: AppSpec) -> None:
        """See `Provider.adapt`."""
        life = self._life(id, generation)
        if life is not None:
            life.adapt(spec)
            self.output(id).adapt(life.workload.log)

    def forget(self, id: InstanceId) -> None:
        """See `Provider.forget`."""
        self._outputs.forget(id)
        self._mailboxes.forget(id)

    def erase_output(self, id: InstanceId) -> None:
        """See `Provider.erase_output`."""
        self._outputs.erase(id)

    async def wait_for_notify(self, id: InstanceId, generation: int) -> None:
        """See `Provider.wait_for_notify`."""
        life = self._life(id, generation)
        await (life.voice.ready if life is not None else asyncio.Event()).wait()

    def remembers(self, id: InstanceId, generation: int, fact: str) -> bool:
        """See `Provider.remembers`."""
        life = self._life(id, generation)
        return life is not None and life.remembers(fact)

    def remember(self, id: InstanceId, generation: int, fact: str) -> None:
        """See `Provider.remember`."""
        life = self._life(id, generation)
        if life is not None:
            life.remember(fact)

    async def ensure_end_noticed(self, id: InstanceId) -> None:
        """See `Provider.ensure_end_noticed`: its port is its own for as long as anything of it is alive."""

    async def run_probe(self, launch: Launch, command: tuple[str, ...], timeout: float) -> bool:
        """See `Provider.run_probe`."""
        try:
            info = await self.run_command(launch, command, timeout)
        except (StartFailed, ProviderFailed):
            return False
        return info is not None and info.clean

    async def run_command(self, launch: Launch, command: tuple[str, ...], timeout: float) -> ExitInfo | None:
        """See `Provider.run_command`."""
        if (life := self._life(launch.id, launch.generation)) is None:
            raise ProviderFailed(f"{launch.id} is gone")
        return await self._nursery.run(
            fill_in(launch, command), life.company.where, subprocess.DEVNULL, timeout, life.mark
        )

    def take_back_socket(self, id: InstanceId, generation: int) -> int:
        """See `Provider.take_back_socket`."""
        if (life := self._life(id, generation)) is None:
            raise ProviderFailed(f"{id} is gone")
        return life.take_back_socket()

    def drop_stored(self, id: InstanceId) -> None:
        """See `Provider.drop_stored`."""
        self._mailboxes.forget(id)

    def stats(self, id: InstanceId) -> Stats | None:
        """See `Provider.stats`."""
        life = self._lives.get(id)
        return None if life is None else life.stats()

    def output(self, id: InstanceId) -> Capture:
        """See `Provider.output`."""
        return self._outputs.of(id)

    def hurry(self) -> None:
        """Wait for no hook any more, and for no app that is just being ended."""
        self._entourage.hurry()
        self._undoing.hurry()

    async def close(self) -> None:
        """See `Provider.close`."""
        self._reaper.close()
        await self._trees.settle()
        for life in list(self._lives.values()):
            await life.close()
        self._lives.clear()
        await self._entourage.close()
        self._nursery.close()
        self._slumbers.close()
        self._found.close()
        self._trees.close()
        self._entourage.release()
        self._mailboxes.close()

    def _life(self, id: InstanceId, generation: int) -> Life | None:
        life = self._lives.get(id)
        return life if life is not None and life.generation == generation else None

    def _forget(self, life: Life) -> None:
        del self._lives[life.id]
        self._entourage.ended(life.company, life.end)

    def _rss(self, id: InstanceId) -> int:
        stats = self.stats(id)
        return 0 if stats is None else stats.rss

    def _memory(self, id: InstanceId) -> int:
        life = self._lives.get(id)
        return 0 if life is None else life.memory()

    def _life_of(
        self,
        company: Company,
        *,
        record: Record,
        child: Child,
        tree: Tree,
        notify: NotifySocket | None,
    ) -> Life:
        """A generation that was just born, or survived."""
        launch = company.launch
        return Life(
            company,
            child=child,
            tree=tree,
            freezer=self._trees.freezer(record, tree),
            threads=self._slumbers,
            notify=notify,
            record=record,
            keep=lambda record: self._records.write(file_name(launch.id), record),
            reaper=self._reaper,
            report=self._report,
            over=self._forget,
        )

    def _watch(self, life: Life) -> None:
        """Watch over a generation from now on."""
        self._lives[life.id] = life
        life.watch()
