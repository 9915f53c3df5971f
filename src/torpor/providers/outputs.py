"""The logs of all instances of a state directory."""

from __future__ import annotations

import contextlib
from pathlib import Path
from weakref import WeakValueDictionary

from torpor.core.model import InstanceId
from torpor.errors import ProviderFailed
from torpor.logs.compress import Compressor
from torpor.logs.names import file_name
from torpor.logs.segments import Folder
from torpor.providers.capture import Capture


class Outputs:
    """One capture per instance, for as long as the instance is known."""

    def __init__(self, state: Path) -> None:
        """`state`: the state directory.  Its `run` holds the pipes that apps write to, its `logs` what they wrote."""
        self._pipes = state / "run"
        self._logs = state / "logs"
        self._captures: dict[InstanceId, Capture] = {}
        self._followed: WeakValueDictionary[InstanceId, Capture] = WeakValueDictionary()
        """Those of forgotten instances that somebody still reads: a replica may come again."""
        self._folder = Folder(self._logs)
        self._compressor = Compressor()

    def open(self) -> None:
        """Make its folders where there are none.  Raises `OSError`."""
        for folder in (self._pipes, self._logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def of(self, id: InstanceId) -> Capture:
        """The log of an instance."""
        if id not in self._captures:
            self._captures[id] = self._followed.get(id) or Capture(
                self._pipes,
                self._logs,
                id,
                file_name(id),
                folder=self._folder,
                retire=self._compressor.retire,
            )
        return self._captures[id]

    def forget(self, id: InstanceId) -> None:
        """Let go of what is held for an instance of which nothing is alive; its files stay."""
        if (capture := self._captures.pop(id, None)) is not None:
            self._followed[id] = capture
        for stream in ("out", "err"):
            with contextlib.suppress(OSError):
                (self._pipes / f"{file_name(id)}.{stream}").unlink()

    def erase(self, id: InstanceId) -> None:
        """Delete what an instance wrote.  Raises `ProviderFailed`."""
        # A dot never stands in the name itself: all of these are files of this instance.
        for file in self._logs.glob(f"{file_name(id)}.*"):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise ProviderFailed(f"cannot delete {file}: {error.strerror}") from error

    def close(self) -> None:
        """Pack no more."""
        self._compressor.close()
