"""Which processes belong to one generation of an instance.

An instance's tree is everything that descends from its main process.  Forking,
`setsid`, and letting the parent die do not leave it:

1. Descendants whose ancestors live are found from parent to child.
2. Descendants whose parent died become children of the daemon, because the daemon
   is their subreaper, or of whoever fosters the children of a daemon that died.  They are
   told apart by their session, by an unguessable
   number in a resource limit, by the same in their environment (which they have
   from the first moment on), or because an earlier look saw them in the tree.
3. Where the daemon may create cgroups, the whole tree lies in one, and the kernel
   keeps it together whatever the processes do.

The main process is not reaped before its tree is empty: as long as its zombie lies
there, its number (also as group and session) cannot be given to a stranger.  One that
an earlier daemon started is not ours to keep so: once it has ended, its session
proves nothing any more.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import signal
import time
from collections.abc import Callable, Container, Iterable
from typing import NamedTuple, Protocol

from torpor.providers.process.procfs import (
    Process,
    has_environment_entry,
    has_environment_name,
    read_children,
    read_process,
    read_tag,
    send_signal,
)

VARIABLE = "TORPOR_INVOCATION"
"""The environment variable that holds the mark of a generation."""

LEAST_MARK = 1 << 61
"""So large that the limit which carries a mark cannot be one that somebody meant."""
_LOOKS = 50
"""How often an unsteady tree is looked at again before the answer counts all the same."""
_EXECUTION = 0.0005
"""Seconds that a process gets to come out of the middle of an execution."""
_EXECUTIONS = 4
"""How often it gets them.  The kernel may hold an execution up for far longer (while another
process is moved to a cgroup, 20 ms and more), but that is nothing to wait for on the loop."""


class Mark(NamedTuple):
    """What all processes of one generation inherit, and no other process has."""

    text: str
    """In the environment."""
    number: int
    """In a resource limit."""

    @classmethod
    def fresh(cls, owner: str = "") -> Mark:
        """A mark that nobody can guess.  `owner`: by what the state directory it belongs to is known."""
        return cls(owner + secrets.token_hex(16), LEAST_MARK | secrets.randbits(60))


Orphanage = Callable[[], Iterable[int]]
"""The pids among which orphans are to be looked for."""


class Tree(Protocol):
    """The processes of one generation."""

    @property
    def moving(self) -> asyncio.Future[None] | None:
        """While this is not done, the main process must not be reaped."""
        ...

    @property
    def unsure(self) -> bool:
        """Whether the last look at `members` met one that may belong here: it was just being executed."""
        ...

    def members(self) -> list[Process]:
        """All that are alive, the main process first.  Empty, and not `unsure`, only if nothing is."""
        ...

    def kill(self) -> None:
        """Send KILL to all, so that nothing is left but what is about to end.  Raises `OSError`."""
        ...

    def close(self) -> None:
        """Forget it; it is empty."""
        ...


class Descent:
    """A tree known by parents, sessions and marks.  Works everywhere, needs no rights."""

    moving = None

    def __init__(
        self, main: Process, mark: Mark, ours: Container[int], orphanage: Orphanage | None = None
    ) -> None:
        """`ours`: pids that are the main process of somebody; they are nobody's orphans.

        `orphanage`: whose children orphans of this tree become; by default the daemon's,
        whose children main processes are.
        """
        self.main = main
        self._orphanage = orphanage or our_children
        self._keeps_session = orphanage is None
        self._number = mark.number
        self._entry = f"{VARIABLE}={mark.text}".encode()
        self._ours = ours
        self._known: dict[int, int] = {}
        self.unsure = False

    def members(self) -> list[Process]:
        """See `Tree.members`."""
        executions = 0
        for _ in range(_LOOKS):
            self.unsure = False
            found, steady = self._look()
            if self.unsure:
                executions += 1
                if executions > _EXECUTIONS:
                    break
                time.sleep(_EXECUTION)
            # A process that ends while we look can hand its children on behind our back,
            # so a look that saw one vanish proves nothing.
            elif steady:
                break
        self._known = {process.pid: process.started for process in found}
        return found

    def kill(self) -> None:
        """See `Tree.kill`."""
        kill_members(self)

    def close(self) -> None:
        """See `Tree.close`."""

    def _look(self) -> tuple[list[Process], bool]:
        found: dict[int, Process] = {}
        main = read_process(self.main.pid)
        steady = self._descend(main, found) if main and main.started == self.main.started else True
        session = self._keeps_session or self.main.pid in found
        # Orphans come last: whoever lost its parent meanwhile is here.
        for pid in self._orphanage():
            if pid in self._ours or pid in found:
                continue
            orphan = read_process(pid)
            if orphan is None:
                steady = False
            elif (adopted := self._adopted(orphan, session=session)) is None:
                self.unsure = True
            elif adopted:
                steady &= self._descend(orphan, found)
        return [process for process in found.values() if process.alive], steady

    def _descend(self, process: Process, found: dict[int, Process]) -> bool:
        steady = True
        queue = [process]
        for current in queue:
            found[current.pid] = current
            for pid in read_children(current.pid):
                child = read_process(pid)
                if child is None:
                    steady = False
                elif pid not in found:
                    queue.append(child)
        return steady

    def _adopted(self, orphan: Process, *, session: bool) -> bool | None:
        if (session and orphan.session == self.main.pid) or self._known.get(orphan.pid) == orphan.started:
            return True
        if not orphan.alive:
            return False
        return read_tag(orphan.pid) == self._number or has_environment_entry(orphan.pid, self._entry)


def foster_parent(main: Process) -> Orphanage:
    """Where orphans of a tree go whose daemon is gone: to where its main process itself went."""
    parent = main.parent

    def children() -> Iterable[int]:
        nonlocal parent
        now = read_process(main.pid)
        if now is not None and now.started == main.started:
            parent = now.parent
        # 0 is a parent outside our pid namespace, whose children nobody lists; and one that is
        # gone was the dying daemon itself, before its children went elsewhere.
        fosters = read_process(parent) if parent else None
        return read_children(parent) if fosters is not None and fosters.alive else everybody()

    return children


def everybody() -> Iterable[int]:
    """All that carry a mark: where orphans are looked for when nobody knows where they went."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _is_marked(int(name))]


def _is_marked(pid: int) -> bool:
    number = read_tag(pid)
    # -1 stands for no limit.
    return (number is not None and number >= LEAST_MARK) or has_environment_name(pid, VARIABLE.encode())


def our_children() -> Iterable[int]:
    """Where orphans go while the daemon that started them lives."""
    return read_children(os.getpid())


def signal_all(processes: Iterable[Process], number: int) -> None:
    """Signal each of them, whatever happens with the others.  Raises the last `OSError`."""
    problem: OSError | None = None
    for process in processes:
        try:
            send_signal(process, number)
        except OSError as error:
            problem = error
    if problem is not None:
        raise problem


def kill_members(tree: Tree) -> None:
    """KILL all, looking again until a look finds nobody new: forking does not outrun it.

    Raises `OSError`, with EAGAIN if forking did outrun it.
    """
    killed: set[tuple[int, int]] = set()
    for _ in range(_LOOKS):
        fresh = [process for process in tree.members() if process[:2] not in killed]
        if not fresh:
            return
        signal_all(fresh, signal.SIGKILL)
        killed.update(process[:2] for process in fresh)
    raise OSError(errno.EAGAIN, "it forks faster than it can be killed")
