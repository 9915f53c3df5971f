"""What is written down of each generation of a guest, for the daemon after this one.

1. A record names the run that it speaks of.  A guest whose run is another by then was ended and
   started by others, and is no survivor.
2. It holds all that is needed to end the guest, also when no app wants it any more and the
   configuration has forgotten it.
3. A file is replaced as a whole.  One that cannot be written harms no guest; it is said once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from torpor.config.guests import CommandsSpec, ContainerSpec, GuestSpec, MachineSpec, UnitSpec
from torpor.core.model import InstanceId
from torpor.logs.names import file_name

logger = logging.getLogger(__name__)

_VERSION = 1
_KINDS: Mapping[str, type[GuestSpec]] = {
    kind.__name__: kind for kind in (GuestSpec, ContainerSpec, MachineSpec, UnitSpec, CommandsSpec)
}


class Record(msgspec.Struct, frozen=True):
    """One generation of an instance."""

    app: str
    replica: int
    release: int
    generation: int
    host: str
    """The name of the provider that it belongs to."""
    kind: str
    words: dict[str, Any]
    """The guest: the kind of its spec, and what stands in it but for its log."""
    run: str
    """See `Status.run`."""
    stop_timeout: float
    """Seconds."""
    port: int | None = None
    ready: bool = False
    """Whether it was ready as its host sees it."""
    seen: tuple[str, ...] = ()
    """What was seen of it once and for all."""
    settings: dict[str, str] = {}
    """Digests of the settings that it was started with."""
    version: int = _VERSION

    @property
    def id(self) -> InstanceId:
        """Whose record it is."""
        return InstanceId(self.app, self.replica, self.release)

    @property
    def guest(self) -> GuestSpec:
        """The guest, as it was configured then.  Raises `ValueError`."""
        try:
            return msgspec.convert(self.words, _KINDS[self.kind], dec_hook=_from_plain)
        except KeyError as error:
            raise ValueError(f"nothing is known of guests of kind {error}") from None

    def but(self, **changes: object) -> Record:
        """The same, changed so."""
        return msgspec.structs.replace(self, **changes)


def words_of(guest: GuestSpec) -> dict[str, Any]:
    """A guest as a record holds it."""
    names = (field.name for field in dataclasses.fields(guest) if field.name != "log")
    words = {name: getattr(guest, name) for name in names}
    found: dict[str, Any] = msgspec.to_builtins(words, enc_hook=_to_plain)
    return found


class Records:
    """The records of all guests of a state directory, a file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._complained = False

    def write(self, record: Record) -> None:
        """Put it in place of the one before."""
        path = self._path(record.id)
        draft = path.with_suffix(".new")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.encode(record))
            draft.replace(path)
        except OSError as error:
            if not self._complained:
                logger.warning(
                    "cannot write %s: %s; the next daemon may not find what runs now", path, error.strerror
                )
            self._complained = True
        else:
            self._complained = False

    def remove(self, id: InstanceId) -> None:
        """Nothing of it is alive any more."""
        with contextlib.suppress(OSError):
            self._path(id).unlink()

    def read(self, id: InstanceId) -> Record | None:
        """That of an instance; None where there is none that can be understood."""
        return self._understand(self._path(id))

    def read_all(self) -> list[Record]:
        """All of them.  What cannot be understood is named in the log and removed."""
        found = (self._understand(path) for path in sorted(self.folder.glob("*.json")))
        return [record for record in found if record is not None]

    def _path(self, id: InstanceId) -> Path:
        return self.folder / f"{file_name(id)}.json"

    def _understand(self, path: Path) -> Record | None:
        try:
            record = msgspec.json.decode(path.read_bytes(), type=Record)
            if record.version != _VERSION:
                raise ValueError(f"its version is {record.version}, not {_VERSION}")
            _ = record.guest
        except OSError as error:
            # It may be read another time, by the daemon after this one.
            if not isinstance(error, FileNotFoundError):
                logger.warning("cannot read %s: %s", path, error.strerror)
            return None
        except ValueError as error:
            # Nothing is lost: what runs is found as running by the app that it belongs to.
            logger.warning("cannot understand %s: %s; it is removed", path, error)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return record


def _to_plain(value: object) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"no words for {type(value)}")


def _from_plain(kind: type, value: Any) -> Any:
    if issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError(f"no {kind} from words")
