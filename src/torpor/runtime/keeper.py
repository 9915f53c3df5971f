"""What the control side may ask of the running set: which apps there are, and what is written of them.

The daemon implements it; the control API translates HTTP into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torpor.config.changes import Changes
from torpor.config.origin import Origin


@dataclass(frozen=True, slots=True)
class Saved:
    """What was written into a configuration file."""

    file: Path
    line: int
    """The first new line; 0 where there was nothing to write."""
    apps: tuple[str, ...]


class Keeper(Protocol):
    """The operator's side of the running set.

    What changes it is done one after the other.  Each of these raises `NotAllowed` once the
    daemon is going down, and `RunsAlone` where it is there for one program; whatever is raised, nothing has changed then.
    """

    async def apply(self, *, dry_run: bool = False) -> Changes:
        """Read the configuration again and let it hold; `dry_run`: only tell what would change.

        Raises `ConfigInvalid` with all problems, `ListenFailed`.
        """
        ...

    async def add(self, name: str, settings: Mapping[str, object]) -> None:
        """Add an app, for good; it is started if it is to be kept running.

        Raises `BadRequest` for a name that is none, `NameTaken`, `ConfigInvalid` with the
        problems of its settings, `StartFailed` where it cannot be started at all, and
        `StateUnusable` where it cannot be written down.
        """
        ...

    async def remove(self, name: str, *, force: bool = False, logs: bool = False) -> Origin | None:
        """Remove an app that was added; returns when nothing of it is alive.

        Where an addition was left out because the configuration has an app of that name, the
        addition goes and that app stays; its place is returned then.

        `force`: also if others need it, of which none may stand in a configuration file: those
        go on without it.  `logs`: delete what it wrote.  Raises `UnknownApp`, `NotAllowed`,
        `StateUnusable`, `ProviderFailed`.
        """
        ...

    async def save(self, names: Sequence[str] = ()) -> Saved:
        """Move added apps, without names all, into the configuration file.

        Raises `UnknownApp`, `NotAllowed`, `ConfigInvalid`, `ConfigUnwritable`.
        """
        ...

    def origin(self, name: str) -> Origin | None:
        """Where an app is written; None if it is not configured (any more)."""
        ...
