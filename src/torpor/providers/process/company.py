"""What one generation of an instance has around its main process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from torpor.config.settings import ProcessSpec
from torpor.core.model import ExitInfo
from torpor.providers.base import Launch
from torpor.providers.process.capture import Capture
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

    def cut(self) -> None:
        """End its hooks."""
        for hook in self.hooks:
            hook.cancel()
