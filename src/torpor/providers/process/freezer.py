"""Stopping the processes of a generation in their tracks, and letting them go on.

1. What is held is held as a whole: `hold` is called until a look finds nobody who still moves,
   so a process that forks while it is being held escapes nobody.
2. A cgroup holds whoever is born in it, too.  v2: the generation's own.  v1: one that is made when
   it is needed first, and kept until the end, because to move a process takes 20 ms.
3. Where there is neither, each process is stopped by SIGSTOP.  The end of that is felt by all of
   them as SIGCONT, also by one that somebody else had stopped before: whoever wakes an app
   wants an answer from it.
"""

from __future__ import annotations

import contextlib
import errno
import signal
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple, Protocol

from torpor.providers.process.cgroup import pids_below, remove_cgroup
from torpor.providers.process.procfs import Process, stands_still, thread_states
from torpor.providers.process.tree import Tree, signal_all


class Freezer(Protocol):
    """Holds and releases one tree.  Its methods take milliseconds: not for the loop."""

    continues: bool
    """Whether those that it releases get a SIGCONT by that."""

    def hold(self) -> bool:
        """Hold whoever is not held yet.  False: somebody still moves, call it again.  Raises `OSError`."""
        ...

    def holds(self) -> bool:
        """Whether all of it stands still; changes nothing.  Raises `OSError`."""
        ...

    def release(self) -> None:
        """Let all of it go on; no error where nothing is held, or alive.  Raises `OSError`."""
        ...

    def close(self) -> None:
        """Forget it: nothing of the tree is alive."""
        ...


class Switch(NamedTuple):
    """The files of a cgroup by which it is frozen."""

    file: str
    hold: str
    release: str
    state: str
    """The file that tells how it is,"""
    held: str
    """and the line that says that all of it is frozen."""


UNIFIED = Switch("cgroup.freeze", "1", "0", "cgroup.events", "frozen 1")
LEGACY = Switch("freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN")


class CgroupFreezer:
    """Holds a tree in a cgroup: the kernel does not run it at all, and no signal shows.  Implements `Freezer`."""

    continues = False

    def __init__(self, tree: Tree, folder: Path, switch: Switch, remover: Executor | None = None) -> None:
        """`remover`: the thread that is to remove the cgroup in the end; None: somebody else does."""
        self._tree = tree
        self._folder = folder
        self._switch = switch
        self._remover = remover

    def hold(self) -> bool:
        """See `Freezer.hold`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # First of all, so that whoever is moved in is held from then on.
        (self._folder / self._switch.file).write_text(self._switch.hold)
        for stray in self._strays():
            with contextlib.suppress(ProcessLookupError):
                (self._folder / "cgroup.procs").write_text(str(stray.pid))
        return self.holds()

    def holds(self) -> bool:
        """See `Freezer.holds`."""
        return is_held(self._folder, self._switch) and not self._strays() and not self._tree.unsure

    def release(self) -> None:
        """See `Freezer.release`."""
        release(self._folder, self._switch)

    def close(self) -> None:
        """See `Freezer.close`."""
        if self._remover is not None:
            self._remover.submit(remove_cgroup, self._folder)

    def _strays(self) -> list[Process]:
        # Those inside are read last: who came in meanwhile is inside.
        members = self._tree.members()
        inside = set(pids_below(self._folder))
        return [process for process in members if process.pid not in inside]


class StopSignals:
    """Holds a tree by SIGSTOP.  Works everywhere, needs no rights.  Implements `Freezer`."""

    continues = True

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._still: set[tuple[int, int]] = set()
        """Those that stood still at the end of the last look."""

    def hold(self) -> bool:
        """See `Freezer.hold`."""
        before = self._still
        members = self._tree.members()
        signal_all((process for process in members if process[:2] not in before), signal.SIGSTOP)
        self._still = {process[:2] for process in members if stands_still(process.pid)}
        self._let_vforks_end(members)
        # Only a look that began after all of them had stopped has seen all that they forked.
        return not self._tree.unsure and all(process[:2] in before & self._still for process in members)

    def _let_vforks_end(self, members: list[Process]) -> None:
        # What was stopped between vfork and exec keeps its parent in the kernel, where no
        # signal reaches it: it gets until the next call to come out of there.
        moving = (process.pid for process in members if process[:2] not in self._still)
        waiting = {pid for pid in moving if b"D" in thread_states(pid)}
        stuck = [process for process in members if process.parent in waiting and process[:2] in self._still]
        signal_all(stuck, signal.SIGCONT)
        self._still.difference_update(process[:2] for process in stuck)

    def holds(self) -> bool:
        """See `Freezer.holds`."""
        members = self._tree.members()
        return not self._tree.unsure and all(stands_still(process.pid) for process in members)

    def release(self) -> None:
        """See `Freezer.release`."""
        self._still = set()
        signal_all(self._tree.members(), signal.SIGCONT)

    def close(self) -> None:
        """See `Freezer.close`."""


def is_held(folder: Path, switch: Switch) -> bool:
    """Whether all that lives in a cgroup is frozen."""
    try:
        return switch.held in (folder / switch.state).read_text().splitlines()
    except OSError:
        return False


def release(folder: Path, switch: Switch) -> None:
    """Let a cgroup go on; no error if it is gone.  Raises `OSError`."""
    # Opened without O_CREAT, to which a cgroup that is gone would answer "not permitted".
    with contextlib.suppress(FileNotFoundError), open(folder / switch.file, "r+b", buffering=0) as file:
        try:
            file.write(switch.release.encode())
        except OSError as error:
            if error.errno != errno.ENODEV:  # it went after it was opened
                raise
