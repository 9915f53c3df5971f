"""What drivers are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torpor.config.hosts import Hosts
from torpor.providers.process.nursery import Run


@dataclass(frozen=True, slots=True)
class Means:
    """What a daemon has to give to the drivers of all its hosts."""

    hosts: Hosts
    run: Run
    """Runs a command as a child of the daemon."""
    environment: Mapping[str, str]
    """What every command gets (see `base_environment`)."""
