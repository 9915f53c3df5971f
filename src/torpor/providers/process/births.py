"""What comes with the birth of a generation: its record, what it is handed, and how it is undone."""

from __future__ import annotations

import asyncio
import contextlib
import os

from torpor.config.fingerprints import fingerprints
from torpor.config.settings import ProcessSpec
from torpor.errors import StartFailed
from torpor.providers.base import Launch
from torpor.providers.process.adoption import end_tree
from torpor.providers.process.children import Child
from torpor.providers.process.company import Company
from torpor.providers.process.entourage import Entourage
from torpor.providers.process.notify import NotifySocket
from torpor.providers.process.nursery import Nursery
from torpor.providers.process.record import Record
from torpor.providers.process.surroundings import Surroundings
from torpor.providers.process.tree import Mark, Tree


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
        cgroup=cgroup,
        notify=notify,
        settings=fingerprints(launch.spec),
    )


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
