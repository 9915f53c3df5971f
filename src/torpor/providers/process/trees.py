"""Makes the trees that keep the processes of each instance together: in cgroups, or by descent."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Container
from concurrent.futures import Executor, ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path

from torpor.errors import StateUnusable
from torpor.providers.process.cgroup import CgroupTree, find_cgroup_root, remove_cgroup
from torpor.providers.process.children import Child
from torpor.providers.process.freezer import LEGACY, UNIFIED, CgroupFreezer, Freezer, StopSignals, release
from torpor.providers.process.names import label
from torpor.providers.process.record import Record
from torpor.providers.process.resources import legacy_places
from torpor.providers.process.tree import Descent, Tree, foster_parent


class TreeKind(StrEnum):
    """How the processes of an instance are kept together."""

    AUTO = "auto"
    """In a cgroup (v2) where the daemon may create one, else by descent, and in one of v1 for its sleep."""
    CGROUP = "cgroup"
    LEGACY = "legacy"
    """By descent; to be frozen, they are moved into a cgroup of v1."""
    DESCENT = "descent"
    """By descent alone, which needs no rights."""


class Trees:
    """One tree per generation."""

    def __init__(self, kind: TreeKind, name: str, ours: Container[int]) -> None:
        """`name`: of our folder of cgroups; `ours`: pids that are nobody's orphans."""
        self._kind = kind
        self._name = name
        self._ours = ours
        self._moves: set[asyncio.Future[None]] = set()
        self._mover: ThreadPoolExecutor | None = None
        self.root: Path | None = None
        """Our folder in cgroup v2; None where there is none."""
        self.legacy: Path | None = None
        """Our folder below the freezer of v1, which is taken where v2 is not to be had."""

    def open(self) -> None:
        """Look whether cgroups can be made.  Raises `StateUnusable` where they must and cannot."""
        if self._kind in (TreeKind.AUTO, TreeKind.CGROUP):
            self.root = find_cgroup_root(self._name)
            if self.root is None and self._kind is TreeKind.CGROUP:
                raise StateUnusable("no cgroup can be created here", hint="delegate one to the daemon")
        if self.root is None and self._kind is not TreeKind.DESCENT:
            self.legacy = _find_legacy(self._name)
        self._mover = ThreadPoolExecutor(1, thread_name_prefix="torpor-cgroup")

    @property
    def mover(self) -> Executor:
        """The thread that changes cgroups: the kernel may take 20 ms for each change."""
        assert self._mover is not None
        return self._mover

    async def settle(self) -> None:
        """Return once nothing is on its way into a cgroup."""
        if self._moves:
            await asyncio.wait(self._moves)

    def close(self) -> None:
        """Remove the folders in which nobody lives."""
        if self._mover is not None:
            self._mover.shutdown()
            self._mover = None
        for folder in (self.root, self.legacy):
            if folder is not None:
                remove_cgroup(folder)

    def path(self, label: str) -> str | None:
        """The cgroup of the generation with this label."""
        return None if self.root is None else str(self.root / label)

    def newborn(self, record: Record, child: Child) -> Tree:
        """The tree of a program that was just executed."""
        descent = Descent(child.process, record.mark, self._ours)
        if record.cgroup is None:
            return descent
        tree = CgroupTree(Path(record.cgroup), child.process, descent, self.mover)
        moving = tree.enrol()
        self._moves.add(moving)
        moving.add_done_callback(self._moves.discard)
        return tree

    def survivor(self, record: Record, child: Child) -> Tree:
        """The tree of a program that an earlier daemon started."""
        descent = Descent(child.process, record.mark, self._ours, foster_parent(child.process))
        return self.whole(record, descent)

    def whole(self, record: Record, descent: Descent) -> Tree:
        """The tree of an earlier daemon's generation, in the cgroup that this one made for it."""
        path = _cgroup(record)
        return descent if path is None else CgroupTree(path, descent.main, descent, self.mover)

    def freezer(self, record: Record, tree: Tree) -> Freezer:
        """What can hold this tree still."""
        path = _cgroup(record)
        if path is not None:
            return CgroupFreezer(tree, path, UNIFIED)
        if self.legacy is not None:
            folder = self.legacy / label(record.id, record.generation, record.mark)
            return CgroupFreezer(tree, folder, LEGACY, self.mover)
        return StopSignals(tree)

    def thaw_all_but(self, known: Container[str]) -> None:
        """Let go on what is frozen in cgroups of ours other than these: nobody would ever wake it."""
        for root, switch in ((self.root, UNIFIED), (self.legacy, LEGACY)):
            for folder in () if root is None or not root.exists() else root.iterdir():
                if folder.is_dir() and folder.name not in known:
                    with contextlib.suppress(OSError):
                        release(folder, switch)


def _cgroup(record: Record) -> Path | None:
    """The cgroup of a generation.  Its name holds the mark: whoever lives in any other one is not to be touched."""
    if record.cgroup is None or not record.cgroup.endswith(record.mark.text[-8:]):
        return None
    return Path(record.cgroup)


def _find_legacy(name: str) -> Path | None:
    """Our folder below the daemon's own cgroup of the freezer; what nobody lives in any more is removed."""
    own = dict(legacy_places(("freezer",))).get("freezer")
    if own is None or not os.access(own, os.W_OK):
        return None
    remove_cgroup(own / name)
    return own / name
