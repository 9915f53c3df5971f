"""Finding what an earlier daemon left alive.

1. A record alone proves nothing: the process must have its pid and its start time, in the
   same boot, and must not carry the mark of somebody else.  Nothing else is ever signalled.
2. What a main process left that ended while no daemon looked has no owner and no
   ports or logs worth keeping: it is ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container

from torpor.providers.process.life import UNSURE, Child, wait_for_end
from torpor.providers.process.procfs import Process, open_verified, read_boot, read_process, read_tag
from torpor.providers.process.record import Record, Records
from torpor.providers.process.tree import LEAST_MARK, Descent, Mark, Tree, everybody, our_children, signal_all

logger = logging.getLogger(__name__)

_PATIENCE = 10.0
"""Seconds in which what was killed must have ended."""

_ENDED_TOGETHER = 64


def find_main(record: Record) -> Child | None:
    """The main process that a record speaks of, if it lives.  Whoever gets it closes the pidfd.

    Raises `OSError` if there are no descriptors left.
    """
    if not record.pid or record.boot != read_boot():
        return None
    process = read_process(record.pid)
    if process is None or not process.alive or process.started != record.started:
        return None
    tag = read_tag(record.pid)
    if tag is not None and tag >= LEAST_MARK and tag != record.number:
        return None
    pidfd = open_verified(process)
    return None if pidfd is None else Child(process, pidfd)


async def end_leftovers(
    records: Records, dead: dict[str, Record], trees: Callable[[Record, Descent], Tree]
) -> None:
    """End what is alive of generations whose main process is gone, and remove their records.

    `trees` makes of what is found by its mark a tree that is whole.
    """
    boot = read_boot()
    ends = []
    for name, record in dead.items():
        if record.boot == boot:
            ends.append(_end_leftovers(records, name, record, trees(record, orphans(record))))
        else:
            records.remove(name)
    await asyncio.gather(*ends)


async def end_tree(
    tree: Tree,
    patience: float,
    signals: tuple[int, ...] = (),
    ask: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Let `ask` run, send `signals`, and end by force what is left after `patience` seconds of both.

    Raises `OSError` if that could not be done, `TimeoutError` if it survived even that.
    """
    try:
        async with asyncio.timeout(patience if signals else 0):
            if ask is not None:
                await ask()
            for number in signals:
                signal_all(tree.members(), number)
            await _end_of(tree)
    except TimeoutError:
        tree.kill()
        async with asyncio.timeout(_PATIENCE):
            await _end_of(tree)


async def _end_of(tree: Tree) -> None:
    while (members := tree.members()) or tree.unsure:
        if members:
            await wait_for_end(members[:_ENDED_TOGETHER])
        else:
            await asyncio.sleep(UNSURE)


async def _end_leftovers(records: Records, name: str, record: Record, tree: Tree) -> None:
    if members := tree.members():
        logger.warning("ending what %s left: %s", record.id, ", ".join(str(one.pid) for one in members))
        try:
            await end_tree(tree, 0.0)
        except (OSError, TimeoutError) as error:
            logger.warning("what %s left could not be ended: %s", record.id, error or "it does not end")
            return
    tree.close()
    records.remove(name)


def orphans(record: Record) -> Descent:
    """What carries the mark of a generation whose main process is not alive, wherever it is."""
    # Nobody has a start time before the boot, so nobody is taken for the main process.
    nobody = Process(record.pid, -1, 0, -1, alive=False, stopped=False, ticks=0)
    return Descent(nobody, record.mark, frozenset(), everybody)


def left_behind(mark: Mark, ours: Container[int]) -> Descent:
    """What carries a mark and was orphaned, after a generation that this daemon has started."""
    nobody = Process(0, -1, 0, -1, alive=False, stopped=False, ticks=0)
    return Descent(nobody, mark, ours, our_children)
