"""What surrounds the main process of each generation: limits, terminal, and hooks.

1. Nothing of a start attempt that failed here is left.
2. Hooks run as the app's user, with its limits, and write into its log.  Each one has a
   time limit, and is killed then.
3. `pre_start` and `post_start` that fail are a failed start.  Whatever else fails is
   reported, and life goes on.
4. A hook ends with its generation: what was to end one must not run against the next.
5. A generation begins when the `post_stop` of the one before has ended, and what that
   left in the background too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Container, Iterable
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from torpor.config.settings import Hook, ProcessSpec, Resources
from torpor.core.messages import FoundUnhealthy
from torpor.core.model import ExitInfo, InstanceId
from torpor.errors import StartFailed
from torpor.providers.base import HookFailed, Launch, Report
from torpor.providers.capture import Capture
from torpor.providers.process.adoption import end_tree, left_behind
from torpor.providers.process.children import wait_for_end
from torpor.providers.process.company import Company
from torpor.providers.process.hooks import Tail, end_names, failure, hook_arguments, main_names
from torpor.providers.process.names import label
from torpor.providers.process.nursery import Run
from torpor.providers.process.procfs import Process
from torpor.providers.process.resources import Enclosure, Enclosures
from torpor.providers.process.spawn import own_names
from torpor.providers.process.surroundings import Surroundings
from torpor.providers.process.terminal import Terminal
from torpor.providers.process.tree import Mark

_SAMPLING = 2.0
"""Seconds between two looks at memory that no cgroup holds."""
_SAID_LINES = 10
_NO_TIME = "the daemon had no time left for its commands"


class _Cut(StartFailed):
    """A hook was ended because its generation has ended, or nobody has the time to wait for it."""


class Entourage:
    """Prepares generations and clears up after them."""

    def __init__(
        self,
        name: str,
        run: Run,
        report: Report,
        *,
        rss: Callable[[InstanceId], int],
        memory: Callable[[InstanceId], int],
        ours: Container[int],
        mover: Callable[[], Executor],
        forget: Callable[[InstanceId], None],
    ) -> None:
        """`name`: of our cgroups.

        `rss`: the resident bytes of an instance, shared ones as often as they are shared;
        `memory`, which is asked off the loop: each byte once.  `mover`: the thread that changes
        cgroups.  `ours`: pids that are nobody's orphans; `forget` is called once a generation that
        had lived is over, its last hook included.
        """
        self._enclosures = Enclosures(name)
        self._run = run
        self._report = report
        self._rss = rss
        self._memory = memory
        self._looks: set[asyncio.Task[None]] = set()
        self._ours = ours
        self._mover = mover
        self._forget = forget
        self._hurried = False
        self._companies: set[Company] = set()
        self._afterwards: dict[InstanceId, asyncio.Task[None]] = {}
        self._sampling: asyncio.TimerHandle | None = None

    def open(self, unified: Path | None) -> None:
        """Look for cgroups that can hold limits.  `unified`: our folder in cgroup v2."""
        self._enclosures.open(unified)

    async def wait_for_earlier(self, id: InstanceId) -> None:
        """Return when the `post_stop` of an earlier generation has ended."""
        if (task := self._afterwards.get(id)) is not None:
            await asyncio.wait([task])

    async def prepare(self, launch: Launch, where: Surroundings, capture: Capture, mark: Mark) -> Company:
        """Make the cgroups of a generation.  Raises `StartFailed`."""
        workload = launch.spec.workload
        assert isinstance(workload, ProcessSpec)
        enclosure = Enclosure()
        if workload.resources != Resources():
            enclosure = await self._enclose(label(launch.id, launch.generation, mark), workload.resources)
        return self._accompany(launch, where, capture, mark, enclosure)

    def resume(self, launch: Launch, where: Surroundings, capture: Capture, mark: Mark) -> Company:
        """Take over the cgroups of a generation that an earlier daemon started.  Raises `StartFailed`.

        On the loop, because adoption is one step, before anything else is served.
        """
        workload = launch.spec.workload
        assert isinstance(workload, ProcessSpec)
        enclosure = self._enclosures.enclose(label(launch.id, launch.generation, mark), workload.resources)
        return self._accompany(launch, where, capture, mark, enclosure)

    async def _enclose(self, name: str, resources: Resources) -> Enclosure:
        mover = self._mover()
        making = asyncio.get_running_loop().run_in_executor(mover, self._enclosures.enclose, name, resources)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            with contextlib.suppress(StartFailed):
                mover.submit((await making).remove)
            raise

    def _accompany(
        self, launch: Launch, where: Surroundings, capture: Capture, mark: Mark, enclosure: Enclosure
    ) -> Company:
        workload = launch.spec.workload
        assert isinstance(workload, ProcessSpec)
        where = replace(where, joins=enclosure.joins)
        company = Company(launch, workload, where, mark, capture, enclosure)
        self._companies.add(company)
        if enclosure.sampled and self._sampling is None:
            self._sample()
        return company

    async def make_ready(self, company: Company, output: int) -> Surroundings:
        """Run `pre_start`; returns where the main program runs.  Raises `StartFailed`."""
        workload = company.workload
        if workload.hooks.pre_start is not None:
            await self._run_or_fail(company, "pre_start", workload.hooks.pre_start, output, ())
        if not workload.tty:
            return replace(company.where, stdin=workload.stdin)
        terminal = Terminal()
        try:
            terminal.open(company.where.identity, output)
        except OSError as error:
            terminal.close()
            raise StartFailed(f"no terminal can be opened: {error.strerror}") from error
        company.terminal = terminal
        company.capture.feed = terminal.pump
        return replace(company.where, stdin=workload.stdin, terminal=terminal.path)

    async def follow_up(self, company: Company, main: Process, output: int) -> None:
        """Run `post_start`, at most as long as the main process lives.  Raises `StartFailed`."""
        hook = company.workload.hooks.post_start
        if hook is None:
            return
        watching = asyncio.ensure_future(_cut_at_end(company, main))
        try:
            await self._run_or_fail(company, "post_start", hook, output, main_names(main.pid).items())
        except _Cut:
            # How the app ended says more than what became of its hook.
            if not watching.done():
                raise
        finally:
            watching.cancel()

    async def ask_to_end(self, company: Company, pid: int) -> None:
        """Run `pre_stop`, and `stop_command` where there is one: once, however often it is asked."""
        if company.asked:
            return
        company.asked = True
        workload = company.workload
        for name, hook in (("pre_stop", workload.hooks.pre_stop), ("stop_command", workload.stop_command)):
            if hook is not None and not company.over:
                problem = await self.command(company, name, hook, pid)
                if problem is not None:
                    self._tell(company, problem)

    async def command(self, company: Company, name: str, hook: Hook, pid: int) -> str | None:
        """Run a command for a live generation; what went wrong, if anything did.

        One that ends with its generation has not failed.
        """
        try:
            output = company.capture.writer()
        except OSError as error:
            return f"{name} cannot be run: {error.strerror}"
        try:
            await self._run_or_fail(company, name, hook, output, main_names(pid).items())
        except _Cut:
            return None
        except StartFailed as error:
            return error.message
        finally:
            os.close(output)
        return None

    def dismiss(self, company: Company) -> None:
        """Clear up after a start that failed."""
        company.over = True
        self._clear_up(company)

    def ended(self, company: Company, info: ExitInfo) -> None:
        """Clear up after a generation that has ended, and run its `post_stop`."""
        company.over = True
        company.cut()
        if company.workload.hooks.post_stop is None and not company.hooks:
            self._clear_up(company)
            self._forget(company.launch.id)
            return
        id = company.launch.id
        task = asyncio.get_running_loop().create_task(self._see_off(company, info))
        self._afterwards[id] = task
        task.add_done_callback(lambda _: self._afterwards.pop(id, None))

    def hurry(self) -> None:
        """Nobody waits for commands any more: end those that run, and begin no other one."""
        self._hurried = True
        for company in self._companies:
            company.cut()

    async def close(self) -> None:
        """Wait for every `post_stop`, and let go of what is alive."""
        if self._sampling is not None:
            self._sampling.cancel()
            self._sampling = None
        if under_way := [*self._afterwards.values(), *self._looks]:
            await asyncio.wait(under_way)
        for company in self._companies:
            if company.terminal is not None:
                company.terminal.close()
        self._companies.clear()

    def release(self) -> None:
        """Remove our own cgroups, once nothing changes them any more."""
        self._enclosures.close()

    async def _run_or_fail(
        self, company: Company, name: str, hook: Hook, output: int, names: Iterable[tuple[str, str]]
    ) -> None:
        info = await self._run_for(company, hook, output, dict(names))
        if info is None or not info.clean:
            company.capture.catch_up()
            raise StartFailed(failure(name, hook, info, company.capture.tail(_SAID_LINES)))

    async def _run_for(
        self, company: Company, hook: Hook, output: int, told: dict[str, str]
    ) -> ExitInfo | None:
        """Run a hook until it ends, or is cut: then `_Cut` is raised.  Raises `StartFailed`."""
        if self._hurried:
            raise _Cut(_NO_TIME)
        where = replace(company.where, environment=company.where.environment | told)
        argv = hook_arguments(hook, own_names(company.launch) | told)
        running = asyncio.ensure_future(self._run(argv, where, output, hook.timeout))
        company.hooks.add(running)
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            running.cancel()
            await asyncio.wait([running])
            raise
        finally:
            company.hooks.discard(running)
        if running.cancelled():
            raise _Cut(_NO_TIME)
        return running.result()

    async def _see_off(self, company: Company, info: ExitInfo) -> None:
        try:
            if company.hooks:
                await asyncio.wait(company.hooks)
            if (hook := company.workload.hooks.post_stop) is not None:
                await self._run_afterwards(company, hook, info)
            # What hooks have sent into the background.
            with contextlib.suppress(OSError, TimeoutError):
                await end_tree(left_behind(company.mark, self._ours), 0.0)
        finally:
            self._clear_up(company)
            self._forget(company.launch.id)

    async def _run_afterwards(self, company: Company, hook: Hook, info: ExitInfo) -> None:
        tail = Tail()
        try:
            output = tail.open()
            try:
                ended = await self._run_for(company, hook, output, end_names(info))
            finally:
                os.close(output)
        except (StartFailed, OSError) as error:
            self._tell(company, f"post_stop cannot be run: {error}")
        else:
            said = tail.close()
            if ended is None or not ended.clean:
                self._tell(company, failure("post_stop", hook, ended, said))
        finally:
            tail.close()

    def _tell(self, company: Company, text: str) -> None:
        self._report(HookFailed(company.launch.id, company.launch.generation, text))

    def _clear_up(self, company: Company) -> None:
        self._companies.discard(company)
        if company.terminal is not None:
            company.terminal.close()
            company.capture.feed = None
        if company.enclosure.folders:
            self._mover().submit(company.enclosure.remove)

    def _sample(self) -> None:
        """Tell who uses more memory than it may, where no cgroup sees to it."""
        sampled = [company for company in self._companies if company.enclosure.sampled and not company.over]
        for company in sampled:
            most, used = company.workload.resources.memory_max, 0
            with contextlib.suppress(OSError):
                used = self._rss(company.launch.id)
            if most is not None and used > most:
                look = asyncio.get_running_loop().create_task(self._look_closer(company, most))
                self._looks.add(look)
                look.add_done_callback(self._looks.discard)
        self._sampling = asyncio.get_running_loop().call_later(_SAMPLING, self._sample) if sampled else None

    async def _look_closer(self, company: Company, most: int) -> None:
        """What processes share is counted for each of them at first; only what is too much all the same counts."""
        launch = company.launch
        used = await asyncio.get_running_loop().run_in_executor(None, self._memory, launch.id)
        if used > most and not company.over:
            text = f"uses {used >> 20} MiB of memory, more than memory_max: {most >> 20} MiB"
            self._report(FoundUnhealthy(launch.id, launch.generation, text))


async def _cut_at_end(company: Company, main: Process) -> None:
    with contextlib.suppress(OSError):
        await wait_for_end([main])
        company.cut()
