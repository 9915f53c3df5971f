"""The notify sockets of all instances: who gets one, where it lies, and what its owner stored in it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from torpor.config.settings import ProcessSpec
from torpor.core.model import InstanceId, NotifyProbe
from torpor.errors import StartFailed
from torpor.logs.names import file_name
from torpor.providers.base import Launch
from torpor.providers.process.disposal import close_foreign
from torpor.providers.process.fdstore import FdStore
from torpor.providers.process.identity import is_own
from torpor.providers.process.notify import NotifySocket


class Mailboxes:
    """Hands out notify sockets, still to be opened."""

    def __init__(self, folder: Path, shared: Path) -> None:
        """`folder`: closed to other users; `shared`: made for apps that run as somebody else."""
        self._folder = folder
        self._shared = shared
        self._stores: dict[InstanceId, FdStore] = {}

    def for_launch(self, launch: Launch, workload: ProcessSpec) -> NotifySocket | None:
        """The socket of a generation that is about to be born; None for who did not ask.

        Programs behave differently when they see NOTIFY_SOCKET.  Raises `StartFailed`.
        """
        spec = launch.spec
        probed = any(isinstance(probe, NotifyProbe) for probe in spec.readiness.probes)
        if not (workload.notify or probed or spec.lifecycle.watchdog is not None):
            return None
        return NotifySocket(self._path(launch.id, workload), self._store(launch.id))

    def at(self, id: InstanceId, path: Path) -> NotifySocket:
        """The socket that an earlier daemon made for an instance."""
        return NotifySocket(path, self._store(id))

    def stored(self, id: InstanceId) -> tuple[tuple[str, int], ...]:
        """What the instance gave away to get it back: names and descriptors."""
        if (store := self._stores.get(id)) is None:
            return ()
        close_foreign(store.remove_hung_up())
        return store.listens

    def forget(self, id: InstanceId) -> None:
        """Let go of what the instance gave away: it is not to come back."""
        if (store := self._stores.pop(id, None)) is not None:
            close_foreign(store.clear())

    def close(self) -> None:
        """Let go of what was stored."""
        for store in self._stores.values():
            close_foreign(store.clear())
        # Not there, or kept because survivors send to sockets in it.
        with contextlib.suppress(OSError):
            self._shared.rmdir()

    def _store(self, id: InstanceId) -> FdStore:
        if id not in self._stores:
            self._stores[id] = FdStore()
        return self._stores[id]

    def _path(self, id: InstanceId, workload: ProcessSpec) -> Path:
        folder = self._folder
        if workload.identity is not None and not is_own(workload.identity):
            folder = self._shared
            try:
                folder.mkdir(exist_ok=True)
                folder.chmod(0o711)
            except OSError as error:
                raise StartFailed(f"cannot create {folder}: {error.strerror}") from error
        return folder / f"{file_name(id)}.notify"
