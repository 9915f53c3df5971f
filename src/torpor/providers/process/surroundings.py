"""Where, as whom and with what programs run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torpor.config.settings import Attributes, Identity, Sandbox


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where, as whom and with what the programs of one generation run."""

    working_dir: Path
    environment: dict[str, str]
    identity: Identity | None = None
    """None: as the daemon itself."""
    attributes: Attributes = field(default_factory=Attributes)
    sandbox: Sandbox = field(default_factory=Sandbox)
    joins: tuple[str, ...] = ()
    """Files of cgroups to which the process writes 0 before its program is executed."""
    stdin: Path | None = None
    """A file to read from; None: nothing to read."""
    terminal: str | None = None
    """Path of a terminal that becomes the program's own."""
    stderr: int | None = None
    """A pipe of its own for what goes there; None: the one that all output goes to."""
    listens: tuple[tuple[str, int], ...] = ()
    """Names and descriptors that the program finds from 3 on (LISTEN_FDS); made by `fdstore.high`."""
