"""What one generation of an instance has around its main process."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field, replace

from torpor.config.settings import ProcessSpec
from torpor.core.model import ExitInfo
from torpor.providers.base import Launch
from torpor.providers.capture import Capture
from torpor.providers.process.resources import Enclosure
from torpor.providers.process.surroundings import Surroundings
from torpor.providers.process.terminal import Terminal
from torpor.providers.process.tree import Mark


@dataclass(slots=True, eq=False)
class Company:
    """What one generation has around it."""

    launch: Launch
    workload: ProcessSpec
    where: Surroundings
    """Where its programs run."""
    mark: Mark
    capture: Capture
    enclosure: Enclosure
    terminal: Terminal | None = None
    asked: bool = False
    """It was asked to end, in the way that its config names."""
    over: bool = False
    """Nothing of the generation is alive any more."""
    hooks: set[asyncio.Future[ExitInfo | None]] = field(default_factory=set)
    """Commands that run for it now."""

    @property
    def has_last_words(self) -> bool:
        """Whether more than a signal asks it to end."""
        commands = self.workload.hooks.pre_stop, self.workload.stop_command
        return not self.asked and any(command is not None for command in commands)

    def explain(self, info: ExitInfo) -> ExitInfo:
        """How its main process ended, with what its cgroup knows of that."""
        if info.clean or not (killed := self.enclosure.out_of_memory):
            return info
        most = (self.workload.resources.memory_max or 0) >> 20
        what = "it" if killed == 1 and info.signal == signal.SIGKILL else f"{killed} of its processes"
        return replace(info, note=f"out of memory: the kernel killed {what} at memory_max, {most} MiB")

    def cut(self) -> None:
        """End its hooks."""
        for hook in self.hooks:
            hook.cancel()
