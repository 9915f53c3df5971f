"""What surrounds the main process of each generation: limits, terminal, and hooks.

1. Nothing of a start attempt that failed here is left.
2. Hooks run as the app's user, with its limits, and write into its log.  Each one has a
   time limit, and is killed then.
3. `pre_start` and `post_start` that fail are a failed start.  Whatever else fails is
   said, and life goes on.
4. A generation begins when the `post_stop` of the one before has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from torpor.config.settings import Hook, ProcessSpec
from torpor.core.messages import FoundUnhealthy
from torpor.core.model import ExitInfo, InstanceId
from torpor.errors import StartFailed
from torpor.providers.base import Launch, Report
from torpor.providers.process.capture import Capture
from torpor.providers.process.hooks import Tail, end_names, failure, hook_arguments, main_names
from torpor.providers.process.resources import Enclosure, Enclosures
from torpor.providers.process.spawn import Surroundings
from torpor.providers.process.terminal import Terminal

logger = logging.getLogger(__name__)

_SAMPLING = 2.0
"""Seconds between two looks at memory that no cgroup holds."""
_SAID_LINES = 10


class Run(Protocol):
    """Runs a command to its end, or to its time limit."""

    def __call__(
        self, argv: tuple[str, ...], where: Surroundings, output: int, timeout: float
    ) -> Awaitable[ExitInfo | None]:
        """How it ended; None if it had to be killed.  Raises `StartFailed`."""
        ...


@dataclass(slots=True)
class _Company:
    """What one generation has around it."""

    launch: Launch
    workload: ProcessSpec
    where: Surroundings
    capture: Capture
    enclosure: Enclosure
    terminal: Terminal | None = None
    asked: bool = False
    """It was asked to end, in the way that its config names."""


class Entourage:
    """Prepares generations and clears up after them."""

    def __init__(self, name: str, run: Run, report: Report, rss: Callable[[InstanceId], int]) -> None:
        """`name`: of our cgroups; `rss`: the resident bytes of an instance."""
        self._enclosures = Enclosures(name)
        self._run = run
        self._report = report
        self._rss = rss
        self._companies: dict[InstanceId, _Company] = {}
        self._afterwards: dict[InstanceId, asyncio.Task[None]] = {}
        self._sampling: asyncio.TimerHandle | None = None

    def open(self, unified: Path | None) -> None:
        """Look for cgroups that can hold limits.  `unified`: our folder in cgroup v2."""
        self._enclosures.open(unified)

    async def wait_for_earlier(self, id: InstanceId) -> None:
        """Return when the `post_stop` of an earlier generation has ended."""
        if (task := self._afterwards.get(id)) is not None:
            await asyncio.wait([task])

    def prepare(self, launch: Launch, where: Surroundings, capture: Capture, label: str) -> Surroundings:
        """Make the cgroups of a generation; returns where its programs run.  Raises `StartFailed`."""
        workload = launch.spec.workload
        assert isinstance(workload, ProcessSpec)
        enclosure = self._enclosures.enclose(label, workload.resources)
        where = replace(where, joins=enclosure.joins)
        self._companies[launch.id] = _Company(launch, workload, where, capture, enclosure)
        if enclosure.sampled and self._sampling is None:
            self._sample()
        return where

    async def make_ready(self, id: InstanceId, output: int) -> Surroundings:
        """Run `pre_start`; returns where the main program runs.  Raises `StartFailed`."""
        company = self._companies[id]
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

    async def follow_up(self, id: InstanceId, pid: int, output: int) -> None:
        """Run `post_start`.  Raises `StartFailed`."""
        company = self._companies[id]
        hook = company.workload.hooks.post_start
        if hook is not None:
            await self._run_or_fail(company, "post_start", hook, output, main_names(pid).items())

    async def ask_to_end(self, id: InstanceId, pid: int) -> None:
        """Run `pre_stop`, and `stop_command` where there is one: once, however often it is asked."""
        company = self._companies.get(id)
        if company is None or company.asked:
            return
        company.asked = True
        workload = company.workload
        for name, hook in (("pre_stop", workload.hooks.pre_stop), ("stop_command", workload.stop_command)):
            if hook is not None:
                problem = await self.command(id, name, hook, pid)
                if problem is not None:
                    logger.warning("%s: %s", id, problem)

    def adapt(self, id: InstanceId, workload: ProcessSpec) -> None:
        """Go by other hooks."""
        if (company := self._companies.get(id)) is not None:
            company.workload = workload

    async def command(self, id: InstanceId, name: str, hook: Hook, pid: int) -> str | None:
        """Run a command for a live generation; what went wrong, if anything did."""
        company = self._companies[id]
        try:
            output = company.capture.writer()
        except OSError as error:
            return f"{name} cannot be run: {error.strerror}"
        try:
            await self._run_or_fail(company, name, hook, output, main_names(pid).items())
        except StartFailed as error:
            return error.message
        finally:
            os.close(output)
        return None

    def dismiss(self, id: InstanceId) -> None:
        """Clear up after a start that failed."""
        if (company := self._companies.pop(id, None)) is not None:
            self._clear_up(company)

    def ended(self, id: InstanceId, info: ExitInfo) -> None:
        """Clear up after a generation that has ended, and run its `post_stop`."""
        company = self._companies.pop(id, None)
        if company is None:
            return
        hook = company.workload.hooks.post_stop
        if hook is None:
            self._clear_up(company)
            return
        task = asyncio.get_running_loop().create_task(self._see_off(company, hook, info))
        self._afterwards[id] = task
        task.add_done_callback(lambda _: self._afterwards.pop(id, None))

    async def close(self) -> None:
        """Wait for every `post_stop`, and let go of what is alive."""
        if self._sampling is not None:
            self._sampling.cancel()
            self._sampling = None
        if self._afterwards:
            await asyncio.wait(list(self._afterwards.values()))
        for company in self._companies.values():
            if company.terminal is not None:
                company.terminal.close()
        self._companies.clear()
        self._enclosures.close()

    async def _run_or_fail(
        self, company: _Company, name: str, hook: Hook, output: int, names: Iterable[tuple[str, str]]
    ) -> None:
        told = dict(names)
        where = replace(company.where, environment=company.where.environment | told)
        info = await self._run(hook_arguments(company.launch, hook, told), where, output, hook.timeout)
        if info is None or not info.clean:
            company.capture.catch_up()
            raise StartFailed(failure(name, hook, info, company.capture.tail(_SAID_LINES)))

    async def _see_off(self, company: _Company, hook: Hook, info: ExitInfo) -> None:
        id, told = company.launch.id, end_names(info)
        where = replace(company.where, environment=company.where.environment | told)
        tail = Tail()
        ended: ExitInfo | None = None
        try:
            output = tail.open()
            try:
                argv = hook_arguments(company.launch, hook, told)
                ended = await self._run(argv, where, output, hook.timeout)
            finally:
                os.close(output)
        except (StartFailed, OSError) as error:
            logger.warning("%s: post_stop cannot be run: %s", id, error)
        else:
            said = tail.close()
            if ended is None or not ended.clean:
                logger.warning("%s: %s", id, failure("post_stop", hook, ended, said))
        finally:
            tail.close()
            self._clear_up(company)

    def _clear_up(self, company: _Company) -> None:
        if company.terminal is not None:
            company.terminal.close()
            company.capture.feed = None
        company.enclosure.remove()

    def _sample(self) -> None:
        """Tell who uses more memory than it may, where no cgroup sees to it."""
        sampled = [company for company in self._companies.values() if company.enclosure.sampled]
        for company in sampled:
            most, used = company.workload.resources.memory_max, 0
            with contextlib.suppress(OSError):
                used = self._rss(company.launch.id)
            if most is not None and used > most:
                launch = company.launch
                text = f"uses {used >> 20} MiB of memory, more than memory_max: {most >> 20} MiB"
                self._report(FoundUnhealthy(launch.id, launch.generation, text))
        self._sampling = asyncio.get_running_loop().call_later(_SAMPLING, self._sample) if sampled else None
