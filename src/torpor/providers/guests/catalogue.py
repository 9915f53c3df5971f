"""What discovery asks of an engine: which containers there are, and when those are others.

A driver of containers implements it beside what is asked of every host.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from importlib import import_module
from typing import Protocol

from torpor.config.hosts import EngineHost
from torpor.config.labels.container import Container
from torpor.errors import ProviderFailed


class Catalogue(Protocol):
    """The containers of an engine."""

    @property
    def title(self) -> str:
        """The engine, for people."""
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...

    async def containers(self) -> Sequence[Container]:
        """All of them, whatever state they are in.  Raises `ProviderFailed`."""
        ...

    def appearances(self) -> AsyncGenerator[None, None]:
        """Yields once no later change can be missed, and then when a container was made, renamed or removed.

        Raises `ProviderFailed` when it breaks off; it is then called again after a pause.
        """
        ...


def open_catalogue(name: str, host: EngineHost) -> Catalogue:
    """What tells of an engine's containers; `name` is the engine's, in the configuration.

    Raises `ProviderFailed` where what it needs is not installed.
    """
    try:
        module = import_module("torpor.providers.guests.docker.catalogue")
    except ImportError as error:
        raise ProviderFailed(
            f"{error.name or error} is not installed, without which {name} cannot be asked for its containers",
            hint="`pip install 'torpor[containers]'` installs it",
        ) from error
    catalogue: Catalogue = module.EngineCatalogue(name, host)
    return catalogue
