"""Who is alive, seen from outside: the processes of one soak, and what the daemon itself uses."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from e2e.harness import Process

MARK = "TORPOR_SOAK"
"""Every app of a soak has this in its environment, with the soak's own token."""
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Member:
    """A live process of an app."""

    process: Process
    instance: str
    generation: int


@dataclass(frozen=True)
class Footprint:
    """What the daemon uses at one moment."""

    descriptors: Counter[str]
    """How many there are of each kind."""
    rss: int
    """Bytes."""

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """That of a live process."""
        rss = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        return cls(Counter(_kinds(pid)), rss)

    def __str__(self) -> str:
        return f"{self.descriptors.total()} descriptors, {self.rss / 2**20:.1f} MiB"


def members(token: str) -> list[Member]:
    """All live processes of the soak, whoever their parent is; zombies are not alive."""
    found = []
    for pid in _pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if f"{MARK}={token}".encode() not in environment:
                continue
            names = dict(
                entry.decode(errors="replace").split("=", 1) for entry in environment if b"=" in entry
            )
            found.append(Member(Process.of(pid), names["TORPOR_INSTANCE"], int(names["TORPOR_GENERATION"])))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while we looked, or belongs to somebody else
    return found


def zombies(parent: int) -> list[int]:
    """Ended children of a process that it has not taken notice of."""
    found = []
    for pid in _pids():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] == "Z" and int(fields[1]) == parent:
            found.append(pid)
    return found


def _kinds(pid: int) -> Iterator[str]:
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # it was closed while we looked
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            yield os.path.splitext(target)[1] if target.startswith("/") else target.partition("[")[0]


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())
