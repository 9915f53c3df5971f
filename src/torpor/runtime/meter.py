"""How much memory there is: of the machine, or of the container that Torpor runs in, if that is tighter.

Reading takes a tenth of a millisecond, so it is done where it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 2**60
"""From here on a limit of cgroup v1 is none."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Bytes."""

    available: int
    """What can be had without swapping."""
    total: int
    swap_free: int


@dataclass(frozen=True, slots=True)
class _Files:
    """What a version of cgroups calls its numbers."""

    limit: str
    usage: str
    cache: str
    """The line of `memory.stat` that tells what can be dropped at once."""


_V2 = _Files("memory.max", "memory.current", "inactive_file")
_V1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


class Meter:
    """Reads it from `/proc` and from the cgroups that Torpor is in."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._groups: Sequence[tuple[Path, _Files]] = ()

    def open(self) -> None:
        """Look which cgroups we are in.  Those that have no limit now may get one."""
        self._groups = [*self._find()]

    @property
    def pressure_file(self) -> Path | None:
        """Where the kernel tells of pressure: for our cgroup if that is limited, else for the machine."""
        for folder, files in self._groups:
            signs = folder / "memory.pressure"
            if files is _V2 and _number(folder / files.limit) is not None and signs.exists():
                return signs
        signs = self._proc / "pressure/memory"
        return signs if signs.exists() else None

    def read(self) -> Reading:
        """What there is now.  Raises `OSError` where the system does not tell."""
        facts = _lines(self._proc / "meminfo")
        total, available = facts["MemTotal:"] * 1024, facts["MemAvailable:"] * 1024
        for folder, files in self._groups:
            limit, used = _number(folder / files.limit), _number(folder / files.usage)
            if limit is None or used is None or limit >= UNLIMITED:
                continue
            cache = _lines(folder / "memory.stat").get(files.cache, 0)
            available = min(available, max(0, limit - used + cache))
            total = min(total, limit)
        return Reading(available, total, facts.get("SwapFree:", 0) * 1024)

    def _find(self) -> Iterator[tuple[Path, _Files]]:
        """Our cgroups that may limit memory, from the innermost outwards."""
        for kind, path in self._memberships():
            for mount_point, root in self._mounts(kind):
                inner = path.removeprefix(root if root != "/" else "").strip("/")
                folder = Path(mount_point, inner)
                files = _V1 if kind == "memory" else _V2
                while folder.is_relative_to(mount_point):
                    if (folder / files.usage).exists():
                        yield folder, files
                    folder = folder.parent

    def _memberships(self) -> Iterator[tuple[str, str]]:
        """`("memory", PATH)` for version 1, `("", PATH)` for version 2."""
        for line in _text(self._proc / "self/cgroup").splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds == "":
                yield "", path
            elif "memory" in kinds.split(","):
                yield "memory", path

    def _mounts(self, kind: str) -> Iterator[tuple[str, str]]:
        """Where such cgroups are mounted, and which of them is the root there."""
        for line in _text(self._proc / "self/mountinfo").splitlines():
            place, _, filesystem = line.partition(" - ")
            name, _, options = filesystem.partition(" ")
            fits = (
                name == "cgroup2"
                if kind == ""
                else name == "cgroup" and kind in options.split()[-1].split(",")
            )
            if fits:
                root, mount_point = place.split()[3:5]
                yield mount_point, root


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    """A file's number; None where there is no such file, or `max` in it."""
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    words = (line.split() for line in _text(path).splitlines())
    return {word[0]: int(word[1]) for word in words if len(word) > 1 and word[1].isdigit()}
