"""What discovery asks of an engine: which containers there are, and when those are others.

A driver of containers implements it beside what is asked of every host.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from torpor.config.labels.container import Container


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
