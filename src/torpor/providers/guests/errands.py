"""Commands that are run on this machine for the sake of a guest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from torpor.config.settings import Hook
from torpor.core.model import ExitInfo
from torpor.errors import StartFailed
from torpor.providers.process.hooks import Tail, failure, hook_arguments
from torpor.providers.process.nursery import Run
from torpor.providers.process.spawn import fill_in_text
from torpor.providers.process.surroundings import Surroundings

_UNUSABLE = (126, 127)
"""What a shell ends with where it found no such command, or may not execute it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command."""

    name: str
    hook: Hook
    info: ExitInfo | None
    """None: it took too long, and was killed with all that it had started."""
    said: list[str]
    """The last lines that it wrote."""

    @property
    def answer(self) -> bool | None:
        """Whether it exited with 0; None: that says nothing, because it did not exit or was no command."""
        if self.info is None or self.info.code is None or self.no_command:
            return None
        return self.info.clean

    @property
    def no_command(self) -> bool:
        """Whether a shell found nothing there to execute."""
        return self.info is not None and self.info.code in _UNUSABLE

    def __str__(self) -> str:
        return failure(self.name, self.hook, self.info, self.said)


class Errands:
    """Runs commands beside guests."""

    def __init__(self, run: Run, base: Mapping[str, str]) -> None:
        """`base`: the environment that every command gets (see `base_environment`)."""
        self._run = run
        self._base = base

    async def run(
        self,
        name: str,
        hook: Hook,
        told: Mapping[str, str],
        working_dir: Path = Path("/"),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Outcome:
        """Run a command to its end.  Cancelling kills it, with all that it has started.

        `name`: what it is for; `told`: names that are filled in in its arguments and in `environment`, and
        are in its environment, too.  Raises `StartFailed` where it cannot be executed.
        """
        named = {key: fill_in_text(value, told) for key, value in environment.items()}
        where = Surroundings(working_dir, {**self._base, **named, **told})
        tail = Tail()
        try:
            output = tail.open()
        except OSError as error:
            raise StartFailed(f"{name} cannot be run: {error.strerror}") from error
        try:
            info = await self._run(hook_arguments(hook, told), where, output, hook.timeout)
            said = tail.recent()
        finally:
            # The other end stays open: what the command has left running may go on to write, and
            # would be ended by a pipe that nobody reads.
            os.close(output)
        return Outcome(name, hook, info, said)
