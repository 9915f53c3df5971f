"""A driver where there is none: it says why, to whoever asks anything of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from typing import NoReturn

from torpor.config.guests import GuestSpec
from torpor.core.model import ExitInfo
from torpor.errors import StartFailed
from torpor.providers.guests.driver import Notice, Piece, Status, Usage


class AbsentDriver:
    """In place of a driver whose library is not installed, or whose host nobody knows.  Implements `Driver`."""

    noun = "guest"
    lends_addresses = False

    def __init__(self, title: str, problem: str, hint: str | None = None) -> None:
        self.title = title
        self._problem = problem
        self._hint = hint

    async def close(self) -> None:
        """See `Driver.close`."""

    async def status(self, guest: GuestSpec) -> Status:
        """Raises `StartFailed`, as does everything else."""
        self._refuse(guest)

    async def start(self, guest: GuestSpec) -> None:
        """See `status`."""
        self._refuse(guest)

    async def stop(self, guest: GuestSpec) -> None:
        """See `status`."""
        self._refuse(guest)

    async def kill(self, guest: GuestSpec) -> None:
        """See `status`."""
        self._refuse(guest)

    async def pause(self, guest: GuestSpec) -> None:
        """See `status`."""
        self._refuse(guest)

    async def resume(self, guest: GuestSpec) -> None:
        """See `status`."""
        self._refuse(guest)

    async def signal(self, guest: GuestSpec, number: int) -> None:  # noqa: ARG002
        """See `status`."""
        self._refuse(guest)

    async def execute(self, guest: GuestSpec, command: tuple[str, ...], timeout: float) -> ExitInfo | None:  # noqa: ARG002
        """See `status`."""
        self._refuse(guest)

    async def usage(self, guest: GuestSpec) -> Usage | None:
        """See `status`."""
        self._refuse(guest)

    def logs(self, guest: GuestSpec, run: str, after: str | None) -> AsyncIterator[Piece]:  # noqa: ARG002
        """See `status`."""
        self._refuse(guest)

    def watch(self, guests: Callable[[], Collection[GuestSpec]]) -> AsyncIterator[Notice]:  # noqa: ARG002
        """See `status`."""
        self._refuse(None)

    def _refuse(self, guest: GuestSpec | None) -> NoReturn:
        prefix = "" if guest is None else f"{guest.name}: "
        raise StartFailed(f"{prefix}{self._problem}", hint=self._hint)
