"""What comes with the birth of a generation: its record, what it is handed, and how it is undone."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping

from torpor.config.fingerprints import fingerprints
from torpor.config.settings import ProcessSpec
from torpor.errors import StartFailed
from torpor.logs.names import file_name
from torpor.providers.base import Launch
from torpor.providers.process.adoption import end_tree
from torpor.providers.process.children import Child
from torpor.providers.process.company import Company
from torpor.providers.process.disposal import describe
from torpor.providers.process.entourage import Entourage
from torpor.providers.process.fdstore import high
from torpor.providers.process.notify import NotifySocket
from torpor.providers.process.nursery import Nursery
from torpor.providers.process.record import Record, Records
from torpor.providers.process.spawn import surroundings
from torpor.providers.process.surroundings import Surroundings
from torpor.providers.process.tree import Mark, Tree

SOCKET_NAME = "app"
"""What the socket that was bound for an app is called in LISTEN_FDNAMES."""


class Undoing:
    """Ends programs whose start was given up, or has failed after all."""

    def __init__(self, entourage: Entourage, nursery: Nursery) -> None:
        self._entourage = entourage
        self._nursery = nursery
        self._trees: set[Tree] = set()
        self._hurried = False

    async def undo(self, company: Company, child: Child, tree: Tree) -> None:
        """End one as its config says, to the end however often whoever waits is cancelled."""
        task = asyncio.ensure_future(self._undo(company, child, tree))
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        task.result()

    def hurry(self) -> None:
        """Give none of them any more time."""
        self._hurried = True
        for tree in self._trees:
            with contextlib.suppress(OSError):
                tree.kill()

    async def _undo(self, company: Company, child: Child, tree: Tree) -> None:
        patience = 0.0 if self._hurried else company.launch.spec.lifecycle.stop_timeout
        self._trees.add(tree)
        with contextlib.suppress(OSError, TimeoutError):
            await end_tree(
                tree,
                patience,
                (company.workload.stop_signal,),
                lambda: self._entourage.ask_to_end(company, child.process.pid),
            )
        self._trees.discard(tree)
        if tree.moving is not None:
            await asyncio.wait([tree.moving])
        await self._nursery.reap_at_end(child)
        tree.close()


def new_record(launch: Launch, mark: Mark, boot: str, cgroup: str | None, notify: str | None) -> Record:
    """What is written down of a generation that is about to be born."""
    workload = launch.spec.workload
    assert isinstance(workload, ProcessSpec)
    return Record(
        app=launch.id.app,
        replica=launch.id.replica,
        release=launch.id.release,
        generation=launch.generation,
        boot=boot,
        invocation=mark.text,
        number=mark.number,
        stop_signal=workload.stop_signal,
        stop_timeout=launch.spec.lifecycle.stop_timeout,
        port=launch.port,
        path=launch.spec.socket,
        cgroup=cgroup,
        notify=notify,
        socket="" if launch.listening is None else describe(launch.listening),
        settings=fingerprints(launch.spec),
    )


def surround(
    launch: Launch, base: Mapping[str, str], mark: Mark, notify: NotifySocket | None
) -> Surroundings:
    """Where the programs of a generation run, before anything is made for it."""
    workload = launch.spec.workload
    assert isinstance(workload, ProcessSpec)
    where = surroundings(launch, workload, base, mark, notify.path if notify else None)
    if (watchdog := launch.spec.lifecycle.watchdog) is not None:
        # Without WATCHDOG_PID it means whoever reads it.  With it, a client below a shell or
        # a wrapper (`npm start`) would take it for somebody else's, and be ended for its silence.
        where.environment["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
    return where


def bear_on_record(records: Records, record: Record, bear: Callable[[], Child]) -> Child:
    """Bear a child that the next daemon will find, whenever this one dies.  Called off the loop."""
    name = file_name(record.id)
    records.write(name, record)
    child = bear()
    records.write(name, record.of(child.process))
    return child


def hand_socket(launch: Launch, undo: contextlib.ExitStack) -> tuple[tuple[str, int], ...]:
    """The name and descriptor of the socket that was bound for it, if any; ours is closed with `undo`."""
    if launch.listening is None:
        return ()
    fd = high(launch.listening)
    undo.callback(os.close, fd)
    return ((SOCKET_NAME, fd),)


def hand_over(where: Surroundings, pipes: tuple[int, ...], notify: NotifySocket | None) -> None:
    """Let the app's user open its output again and send notifications.  Raises `StartFailed`."""
    if where.identity is None:
        return
    try:
        for pipe in pipes:
            os.fchown(pipe, where.identity.uid, where.identity.gid)
        if notify is not None:
            os.chown(notify.path, where.identity.uid, where.identity.gid)
    except OSError as error:
        raise StartFailed(f"cannot run as user {where.identity.name}: {error.strerror}") from error
