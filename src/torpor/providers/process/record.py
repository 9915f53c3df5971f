"""What is written down of each live generation, for the daemon after this one.

1. A record stands before its program does: a daemon that dies between the two leaves
   at least the mark by which the program is known.
2. A file has one size and is written by one call within one page, which the kernel does
   wholly or not at all, however the daemon dies; to replace it would cost three times as much,
   at each start.  It is not synced: no record is of any worth once the machine has been off.
3. A record that cannot be written harms no app; it is said once, and leaves no empty file.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from pathlib import Path

import msgspec

from torpor.core.model import InstanceId
from torpor.providers.process.procfs import Process
from torpor.providers.process.tree import Mark

logger = logging.getLogger(__name__)

_VERSION = 1
_SIZE = 4096
"""More than a record has, as a rule; the rest is spaces, so that none shows the end of a longer one."""


class Record(msgspec.Struct, frozen=True):
    """One generation of an instance."""

    app: str
    replica: int
    release: int
    generation: int
    boot: str
    """The machine's boot during which it was started."""
    invocation: str
    """The mark of its processes: in their environment,"""
    number: int
    """and in a resource limit."""
    stop_signal: int
    stop_timeout: float
    port: int | None = None
    path: str | None = None
    """Of the Unix socket at which it listens, in place of a port."""
    cgroup: str | None = None
    notify: str | None = None
    """Path of the notify socket that it was given."""
    ready: bool = False
    """Whether it has said READY=1."""
    status: str = ""
    """What it said last of what it is doing,"""
    watchdog: float | None = None
    """and the watchdog interval that it asked for, in seconds."""
    frozen: str = ""
    """How deep it sleeps, or was about to; empty: it is awake."""
    socket: str = ""
    """What the kernel calls the socket that it was handed; empty: it was handed none."""
    seen: tuple[str, ...] = ()
    """Digests of what was seen of it once and for all."""
    settings: dict[str, str] = {}
    """Digests of what it was born with; empty where there was no room for them."""
    pid: int = 0
    """Its main process; 0 while that is being born."""
    started: int = 0
    """The start time of that process, in clock ticks since boot."""
    version: int = _VERSION

    @property
    def id(self) -> InstanceId:
        """Whose record it is."""
        return InstanceId(self.app, self.replica, self.release)

    @property
    def mark(self) -> Mark:
        """What its processes are known by."""
        return Mark(self.invocation, self.number)

    def of(self, main: Process) -> Record:
        """The same with this main process."""
        return msgspec.structs.replace(self, pid=main.pid, started=main.started)

    def but(self, **changes: object) -> Record:
        """The same, changed so."""
        return msgspec.structs.replace(self, **changes)


class Records:
    """The records of one state directory, a file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._complained = False

    def write(self, name: str, record: Record) -> None:
        """Put it in place of the one before.  `name`: the instance's, as a file name."""
        path = f"{self._folder}/{name}.json"
        content = msgspec.json.encode(record).ljust(_SIZE)
        if len(content) > _SIZE:
            # Long paths, or words that take six bytes a letter.
            content = msgspec.json.encode(record.but(status="", settings={})).ljust(_SIZE)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.write(fd, content) < len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                self.remove(name)
                raise
            finally:
                os.close(fd)
        except OSError as error:
            if not self._complained:
                logger.warning(
                    "cannot write %s: %s; the next daemon may not find what runs now", path, error.strerror
                )
            self._complained = True
        else:
            self._complained = False

    def remove(self, name: str) -> None:
        """Nothing of it is alive any more."""
        with contextlib.suppress(OSError):
            os.unlink(f"{self._folder}/{name}.json")

    def read_all(self) -> dict[str, Record]:
        """All of them by name.  What cannot be understood is named in the log and removed."""
        found = {}
        for path in sorted(self._folder.glob("*.json")):
            name = path.name.removesuffix(".json")
            try:
                with path.open("rb") as file:
                    record = msgspec.json.decode(file.read(_SIZE), type=Record)
                if record.version != _VERSION:
                    raise ValueError(f"its version is {record.version}, not {_VERSION}")
            except (OSError, ValueError) as error:
                logger.warning("cannot understand %s: %s; what it speaks of will be ended", path, error)
                self.remove(name)
                continue
            found[name] = record
        return found
