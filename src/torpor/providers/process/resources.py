"""What an instance may use up, held by cgroups: v2 where it has the controllers, else v1.

1. The limits are written before the first process joins, and the process joins before
   the app's program is executed: nothing is used outside.
2. What cannot be held is refused, and never silently left out.  Only `memory_max` has
   another way: without a cgroup for it, the provider looks now and then.
3. Everything lies below the daemon's own cgroups, so limits of the daemon hold too; if the
   daemon was placed into a leaf of its own, beside that leaf.
4. In v2 a controller is handed down only when an app asks for a limit: a cgroup that hands
   one down takes no process any more, and that is where systemd starts the next daemon.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torpor.config.settings import Resources
from torpor.errors import StartFailed
from torpor.providers.process.cgroup import LEAF

logger = logging.getLogger(__name__)

CONTROLLERS = ("memory", "cpu", "pids")
_MEMBERSHIP = "/proc/self/cgroup"
_MOUNTS = "/proc/self/mountinfo"
_PERIOD = 100_000
"""Microseconds over which processor time is counted."""
_SHORTEST_QUOTA = 1000


@dataclass(frozen=True, slots=True)
class Enclosure:
    """The cgroups of one generation."""

    folders: tuple[Path, ...] = ()
    joins: tuple[str, ...] = ()
    """Files to which a process writes 0 in order to join."""
    sampled: bool = False
    """`memory_max` is not held by the kernel: somebody must look."""

    @property
    def out_of_memory(self) -> int:
        """How many of its processes the kernel has killed because together they used too much memory."""
        count = 0
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):  # of v2, of v1
                with contextlib.suppress(OSError):
                    words = (folder / name).read_text().split()
                    count += sum(int(words[at + 1]) for at, word in enumerate(words) if word == "oom_kill")
        return count

    def remove(self) -> None:
        """Remove what nobody lives in any more."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


class Enclosures:
    """Makes the cgroups that hold limits, one set per generation."""

    def __init__(self, name: str) -> None:
        """`name`: of the folder below the daemon's own cgroups that is ours."""
        self._name = name
        self._places: dict[str, Path] = {}
        self._unified: Path | None = None
        self._untried: set[str] = set()
        """Controllers of v2 that nobody has asked for yet."""

    def open(self, unified: Path | None) -> None:
        """Look what is there.  `unified`: our folder in cgroup v2, if there is one."""
        self._unified = unified
        self._places = {}
        self._untried = set() if unified is None else _offered(unified)
        for controller, own in legacy_places(CONTROLLERS):
            if controller not in self._untried and os.access(own, os.W_OK):
                self._places[controller] = own / self._name
        self._sweep()

    def enclose(self, label: str, resources: Resources) -> Enclosure:
        """Make cgroups called `label` with these limits.  Raises `StartFailed`."""
        wanted = list(_limits(resources))
        self._try({controller for controller, _, _ in wanted})
        missing = [controller for controller, _, _ in wanted if controller not in self._places]
        unheld = [setting for setting in _settings(missing) if setting != "memory_max"]
        if unheld:
            raise StartFailed(
                f"{' and '.join(unheld)} cannot be held: the daemon may not write to a cgroup with that controller",
                hint="run it as root or in a delegated cgroup (systemd: Delegate=yes and "
                f"DelegateSubgroup={LEAF}), or remove the setting",
            )
        folders: dict[Path, None] = {}
        target = Path()
        try:
            for controller, legacy, modern in wanted:
                if controller in missing:
                    continue
                target = folder = self._places[controller] / label
                folder.mkdir(parents=True, exist_ok=True)
                folders[folder] = None
                for name, text in modern if self._is_unified(folder) else legacy:
                    target = folder / name
                    target.write_text(text)
        except OSError as error:
            Enclosure(tuple(folders)).remove()
            raise StartFailed(
                f"cannot set limits in the cgroup: {error.strerror}: {error.filename or target}"
            ) from error
        # A single thread joins v1 through `tasks`: that spares the kernel 10 ms of locking.
        joins = tuple(
            str(folder / ("cgroup.procs" if self._is_unified(folder) else "tasks")) for folder in folders
        )
        return Enclosure(tuple(folders), joins, sampled="memory" in missing)

    def close(self) -> None:
        """Remove our own folders as far as nobody lives in them."""
        self._sweep()
        for place in set(self._places.values()) - {self._unified}:
            with contextlib.suppress(OSError):
                place.rmdir()

    def _try(self, controllers: set[str]) -> None:
        for controller in sorted(self._untried & controllers):
            self._untried.discard(controller)
            if self._unified is not None and _enable(self._unified, controller):
                self._places[controller] = self._unified

    def _sweep(self) -> None:
        """Remove what earlier generations left, unless somebody still lives there."""
        for place in set(self._places.values()):
            with contextlib.suppress(OSError):
                Enclosure(tuple(folder for folder in place.iterdir() if folder.is_dir())).remove()

    def _is_unified(self, folder: Path) -> bool:
        return folder.parent == self._unified


def _limits(resources: Resources) -> Iterator[tuple[str, list[tuple[str, str]], list[tuple[str, str]]]]:
    """Controller, what to write where in v1, what in v2."""
    if resources.memory_max is not None:
        size = str(resources.memory_max)
        yield "memory", [("memory.limit_in_bytes", size)], [("memory.max", size)]
    if resources.cpus is not None:
        quota = max(_SHORTEST_QUOTA, round(resources.cpus * _PERIOD))
        legacy = [("cpu.cfs_period_us", str(_PERIOD)), ("cpu.cfs_quota_us", str(quota))]
        yield "cpu", legacy, [("cpu.max", f"{quota} {_PERIOD}")]
    if resources.pids_max is not None:
        most = [("pids.max", str(resources.pids_max))]
        yield "pids", most, most


def _settings(controllers: list[str]) -> list[str]:
    names = {"memory": "memory_max", "cpu": "cpus", "pids": "pids_max"}
    return [names[controller] for controller in controllers]


def _offered(root: Path) -> set[str]:
    """The controllers of v2 that our folder could have."""
    try:
        return {*CONTROLLERS} & {*(root.parent / "cgroup.controllers").read_text().split()}
    except OSError:
        return set()


def _enable(root: Path, controller: str) -> bool:
    """Hand a controller of v2 down to what will lie in `root`, and say whether that worked."""
    try:
        for folder in (root.parent, root):
            _hand_down(folder, controller)
    except OSError as error:
        logger.warning("the %s controller cannot be used in %s: %s", controller, root, error.strerror)
        return False
    return True


def _hand_down(folder: Path, controller: str) -> None:
    switch = folder / "cgroup.subtree_control"
    if controller in switch.read_text().split():
        return
    try:
        switch.write_text(f"+{controller}")
    except OSError as error:
        # A cgroup that hands controllers down may hold no process itself; if the
        # daemon is the only one, it moves one level deeper.  Not out of a service of
        # systemd: that could start no daemon in it any more after this one has crashed.
        if error.errno != errno.EBUSY or folder.name.endswith(".service") or not _is_alone(folder):
            raise
        leaf = folder / LEAF
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
        switch.write_text(f"+{controller}")


def _is_alone(folder: Path) -> bool:
    return (folder / "cgroup.procs").read_text().split() == [str(os.getpid())]


def legacy_places(wanted: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Each of these v1 controllers that is mounted, with the daemon's own cgroup in it."""
    try:
        with open(_MEMBERSHIP, encoding="utf-8") as file:
            own = {
                controller: path
                for _, controllers, path in (line.rstrip("\n").split(":", 2) for line in file)
                for controller in controllers.split(",")
            }
        with open(_MOUNTS, encoding="utf-8") as file:
            mounts = [line.split(" - ") for line in file]
    except OSError:
        return
    for place, kind in mounts:
        words = kind.split()
        for controller in wanted:
            if words[0] == "cgroup" and controller in words[2].split(",") and controller in own:
                root, mount_point = place.split()[3:5]
                yield controller, Path(mount_point, own[controller].removeprefix(root).lstrip("/"))
