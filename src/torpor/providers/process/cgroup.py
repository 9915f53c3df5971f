"""Trees held together by cgroup v2.

Only membership is used (`cgroup.procs`, `cgroup.kill`), no controller, so it works
on a hybrid mount and inside a delegated subtree alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from concurrent.futures import Executor
from pathlib import Path

from torpor.providers.process.procfs import Process, read_process
from torpor.providers.process.tree import Descent, kill_members

LEAF = "torpor-daemon"
"""A cgroup of this name holds the daemon alone: whoever started it gave it one, or it moved there."""
_MEMBERSHIP = "/proc/self/cgroup"
_MOUNTS = "/proc/self/mountinfo"


def find_cgroup_root(name: str) -> Path | None:
    """Create `name` below the daemon's own cgroup, or beside its leaf; None where that is not possible."""
    own = _own_cgroup()
    if own is not None and own.name == LEAF and os.access(own.parent / "cgroup.procs", os.W_OK):
        own = own.parent
    if own is None or not os.access(own / "cgroup.procs", os.W_OK):
        return None
    root = own / name
    try:
        root.mkdir(exist_ok=True)
    except OSError:
        return None
    for folder in root.iterdir():
        # What an earlier daemon left, unless somebody still lives there.
        if folder.is_dir():
            remove_cgroup(folder)
    # A folder that is not one, or a kernel before 5.14: there, descent does as well.
    return root if (root / "cgroup.kill").exists() else None


def remove_cgroup(path: Path) -> None:
    """Remove a cgroup and those below it, as far as nobody lives in them."""
    for folder, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def pids_below(path: Path) -> list[int]:
    """Who lives in a cgroup; nobody where there is none."""
    pids: list[int] = []
    # Apps may make cgroups of their own below.
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError), open(f"{folder}/cgroup.procs", "rb") as file:
            pids += map(int, file.read().split())
    # 0 stands for a process outside our pid namespace: not ours to touch.
    return [pid for pid in pids if pid]


class CgroupTree:
    """The processes of one cgroup, with those that forked off before the main process was moved in."""

    def __init__(self, path: Path, main: Process, descent: Descent, mover: Executor) -> None:
        """`mover`: a single thread.  The kernel may take 20 ms for each change of a cgroup."""
        self.moving: asyncio.Future[None] | None = None
        self._path = path
        self._main = main
        self._descent = descent
        self._mover = mover

    def enrol(self) -> asyncio.Future[None]:
        """Begin to move the main process in.

        It is moved after it was executed, because nothing may run between fork and
        exec; what it forked before is still found by descent.
        """
        self.moving = asyncio.get_running_loop().run_in_executor(self._mover, self._move)
        return self.moving

    @property
    def unsure(self) -> bool:
        """See `Tree.unsure`."""
        return self._descent.unsure

    def members(self) -> list[Process]:
        """See `Tree.members`."""
        found = {process.pid: process for process in self._descent.members()}
        for pid in pids_below(self._path):
            process = None if pid in found else read_process(pid)
            if process is not None and process.alive:
                found[pid] = process
        return list(found.values())

    def kill(self) -> None:
        """See `Tree.kill`."""
        try:
            kill_members(self)
        except OSError:
            # All at once, for what forks too fast or may not be signalled one by one.
            (self._path / "cgroup.kill").write_text("1")
            kill_members(self)

    def close(self) -> None:
        """See `Tree.close`."""
        self._mover.submit(remove_cgroup, self._path)

    def _move(self) -> None:
        main = read_process(self._main.pid)
        if main is None or not main.alive:
            return
        with contextlib.suppress(OSError):
            self._path.mkdir(parents=True, exist_ok=True)
            (self._path / "cgroup.procs").write_text(str(self._main.pid))


def _own_cgroup() -> Path | None:
    try:
        with open(_MEMBERSHIP, encoding="utf-8") as file:
            path = next(line.rstrip("\n")[3:] for line in file if line.startswith("0::"))
        with open(_MOUNTS, encoding="utf-8") as file:
            mounts = [line.split(" - ") for line in file]
    except (OSError, StopIteration):
        return None
    for place, kind in mounts:
        if kind.split()[0] == "cgroup2":
            root, mount_point = place.split()[3:5]
            return Path(mount_point, path.removeprefix(root).lstrip("/"))
    return None
