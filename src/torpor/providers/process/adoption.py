"""Finding what an earlier daemon left alive.

1. A record alone proves nothing: the process must have its pid and its start time, in the
   same boot, and must not carry the mark of somebody else.  Nothing else is ever signalled.
2. What carries a mark of this state directory, but no record speaks of it (the disk was full,
   or another version wrote the record), cannot be adopted; it is ended, or there would be two.
3. What a main process left that ended while no daemon looked has no owner and no
   ports or logs worth keeping: it is ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Container

from torpor.providers.process.children import Child, wait_for_end
from torpor.providers.process.life import UNSURE
from torpor.providers.process.procfs import (
    Process,
    environment_value,
    open_verified,
    read_boot,
    read_process,
    read_tag,
)
from torpor.providers.process.record import Record, Records
from torpor.providers.process.tree import (
    LEAST_MARK,
    VARIABLE,
    Descent,
    Mark,
    Orphanage,
    Tree,
    everybody,
    our_children,
    signal_all,
)

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


async def end_unrecorded(owner: str, known: Container[str], patience: float) -> None:
    """End what carries a mark of this owner that is none of `known`: by TERM first, then by force."""
    entry = VARIABLE.encode()
    found: dict[str, list[int]] = {}
    for pid in everybody():
        text = (environment_value(pid, entry) or b"").decode("ascii", "replace")
        if text.startswith(owner) and text not in known:
            found.setdefault(text, []).append(pid)
    ends = []
    for text, pids in found.items():
        if os.getpid() in pids:  # started from within an app, as from a terminal that is one
            continue
        logger.warning("ending what no record speaks of: %s", ", ".join(map(str, pids)))
        tags = (read_tag(pid) or 0 for pid in pids)
        number = next((tag for tag in tags if tag >= LEAST_MARK), 0)
        ends.append(end_tree(_carriers(Mark(text, number)), patience, (signal.SIGTERM,)))
    for error in await asyncio.gather(*ends, return_exceptions=True):
        if error is not None:
            logger.error("what no record speaks of could not be ended: %s", error or "it does not end")


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
    return _carriers(record.mark, record.pid)


def left_behind(mark: Mark, ours: Container[int]) -> Descent:
    """What carries a mark and was orphaned, after a generation that this daemon has started."""
    return _carriers(mark, 0, ours, our_children)


def _carriers(
    mark: Mark, main: int = 0, ours: Container[int] = (), orphanage: Orphanage = everybody
) -> Descent:
    # Nobody has a start time before the boot, so nobody is taken for the main process.
    nobody = Process(main, -1, 0, -1, alive=False, stopped=False, ticks=0)
    return Descent(nobody, mark, ours, orphanage)
