"""What an earlier daemon left alive, until somebody has decided on it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable

from torpor.core.model import Endpoint, InstanceId, Tier
from torpor.errors import ProviderFailed
from torpor.logs.names import file_name
from torpor.providers.base import Running, Survivor
from torpor.providers.process.adoption import (
    end_leftovers,
    end_tree,
    end_unrecorded,
    find_main,
    orphans,
)
from torpor.providers.process.children import Child
from torpor.providers.process.names import label
from torpor.providers.process.procfs import age
from torpor.providers.process.record import Record, Records
from torpor.providers.process.tree import Tree
from torpor.providers.process.trees import Trees

logger = logging.getLogger(__name__)

FROZEN_TIERS = frozenset(tier.value for tier in Tier if tier.frozen)
HOST = "127.0.0.1"
_GRACE = 5.0
"""Seconds that something of which nothing is known gets to end by itself."""


class Survivors:
    """Finds them by their records; each one is then claimed or discarded."""

    def __init__(self, records: Records, trees: Trees, owner: Callable[[], str]) -> None:
        """`owner`: with what the marks of this state directory begin."""
        self._owner = owner
        self._records = records
        self._trees = trees
        self._found: dict[InstanceId, tuple[Record, Child]] = {}

    def __contains__(self, id: InstanceId) -> bool:
        return id in self._found

    async def find(self) -> list[Survivor]:
        """All of them.  What was left by those that ended meanwhile is ended."""
        dead = {}
        records = self._records.read_all()
        self._trees.thaw_all_but(
            {label(record.id, record.generation, record.mark) for record in records.values()}
        )
        for name, record in records.items():
            child = find_main(record)
            if child is None:
                dead[name] = record
                self._thaw(record, self._trees.whole(record, orphans(record)))
            else:
                self._found[record.id] = self._look_how_it_sleeps(name, record, child), child
        await end_leftovers(self._records, dead, self._trees.whole)
        await end_unrecorded(self._owner(), {record.invocation for record in records.values()}, _GRACE)
        return [
            Survivor(
                id,
                record.generation,
                Running(endpoint(record.port, record.path), child.process.pid),
                record.port,
                age(child.process),
                record.status or None,
                record.watchdog,
                Tier(record.frozen) if record.frozen else None,
            )
            for id, (record, child) in self._found.items()
        ]

    def get(self, id: InstanceId, generation: int) -> tuple[Record, Child] | None:
        """The survivor of that generation."""
        found = self._found.get(id)
        return found if found is not None and found[0].generation == generation else None

    def claim(self, id: InstanceId) -> None:
        """Somebody has taken it on, its pidfd included."""
        del self._found[id]

    async def discard(self, id: InstanceId, generation: int) -> None:
        """End one that nobody wants.  Raises `ProviderFailed`."""
        found = self.get(id, generation)
        if found is None:
            return
        record, child = found
        tree = self._trees.survivor(record, child)
        self._thaw(record, tree)
        try:
            await end_tree(tree, record.stop_timeout, (record.stop_signal,))
        except (OSError, TimeoutError) as error:
            raise ProviderFailed(f"cannot end {id}: {error or 'it survives KILL'}") from error
        del self._found[id]
        os.close(child.pidfd)
        self._trees.freezer(record, tree).close()
        tree.close()
        self._records.remove(file_name(id))

    def _look_how_it_sleeps(self, name: str, record: Record, child: Child) -> Record:
        """Believe the record that it is frozen where all of it stands still; else let all of it go on."""
        if not record.frozen:
            return record
        tree = self._trees.survivor(record, child)
        with contextlib.suppress(OSError):
            if record.frozen in FROZEN_TIERS and self._trees.freezer(record, tree).holds():
                return record
        self._thaw(record, tree)
        record = record.but(frozen="")
        self._records.write(name, record)
        return record

    def _thaw(self, record: Record, tree: Tree) -> None:
        if record.frozen:
            try:
                self._trees.freezer(record, tree).release()
            except OSError as error:
                logger.warning("%s cannot be thawed: %s", record.id, error.strerror)

    def close(self) -> None:
        """Leave alone those on which nobody has decided."""
        for _, child in self._found.values():
            os.close(child.pidfd)
        self._found.clear()


def endpoint(port: int | None, path: str | None) -> Endpoint | None:
    """Where an instance with this port, or the Unix socket at this path, listens."""
    if path is not None:
        return Endpoint.at(path)
    return None if port is None else Endpoint(HOST, port)
