"""The sleep of one generation: frozen as a whole or not at all, and written down before it is.

1. What is written down comes first: a daemon that dies at any moment leaves a record by which
   the next one looks whether all of it stands still, and lets it go on if not.
2. A wake waits for no paging: the processes go on, and the slice that is being moved is the last one.
3. Whoever cancels gives up the paging, never half a freeze, and never half a thaw.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from torpor.core.model import InstanceId, Tier
from torpor.errors import ProviderFailed
from torpor.providers.base import Frozen
from torpor.providers.process.freezer import Freezer
from torpor.providers.process.paging import bring_back, obstacle, page_out
from torpor.providers.process.procfs import Usage, read_usage
from torpor.providers.process.tree import Tree

_PATIENCE = 5.0
"""Seconds in which all of it must stand still."""
_SHORTEST_LOOK, _LONGEST_LOOK = 0.0005, 0.02
"""Seconds between two looks whether it does."""
_FREEZERS = 4
_LEAST = 1 << 20
"""Bytes of which it does not matter whether they were paged out."""


class SlumberThreads:
    """The threads in which instances are frozen, thawed and paged out."""

    def __init__(self) -> None:
        self._freezing: ThreadPoolExecutor | None = None
        self._paging: ThreadPoolExecutor | None = None

    def open(self) -> None:
        """Begin."""
        self._freezing = ThreadPoolExecutor(_FREEZERS, thread_name_prefix="torpor-freezer")
        # One: two at a time would only push each other's pages around.
        self._paging = ThreadPoolExecutor(1, thread_name_prefix="torpor-paging")

    def close(self) -> None:
        """End, without waiting for what is being paged out."""
        for pool in (self._freezing, self._paging):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)
        self._freezing = self._paging = None

    @property
    def freezing(self) -> Executor:
        """For what takes milliseconds, and must not wait for paging."""
        assert self._freezing is not None
        return self._freezing

    @property
    def paging(self) -> Executor:
        """For what takes seconds."""
        assert self._paging is not None
        return self._paging


class Slumber:
    """Puts one generation to sleep and wakes it."""

    def __init__(
        self,
        id: InstanceId,
        tree: Tree,
        freezer: Freezer,
        threads: SlumberThreads,
        *,
        tier: Tier | None,
        reclaim: Path | None,
        keep: Callable[[Tier | None], None],
    ) -> None:
        """`tier`: how it slept when an earlier daemon left it; `keep` writes down how it does.

        `reclaim`: the file by which its own cgroup gives memory back, if there is one.
        """
        self.tier = tier
        """How deep it sleeps; None: it is awake."""
        self._id = id
        self._tree = tree
        self._freezer = freezer
        self._threads = threads
        self._reclaim = reclaim
        self._keep = keep
        self._lock = asyncio.Lock()
        self._wakers = 0
        """Those that wait to thaw it."""
        self._paging = threading.Event()
        """Set: nothing more is to be paged out, or in."""

    async def freeze(self, tier: Tier) -> Frozen:
        """See `Provider.freeze`."""
        if (problem := await asyncio.shield(self._hold())) is not None:
            raise ProviderFailed(
                f"cannot freeze {self._id}: {problem}",
                hint="a process that waits for a disk or a network file system cannot be frozen",
            )
        before = await self._measure()
        if tier is Tier.HIBERNATE and self.tier is not Tier.HIBERNATE:
            return await self._page_out(before)
        return Frozen(self._depth(), before.resident, before.resident)

    async def thaw(self) -> Tier | None:
        """Let it go on; how deep it slept.  Raises `ProviderFailed`; then it may be frozen still."""
        if self.tier is None and not self._lock.locked():
            return None
        self._wakers += 1
        self.hurry()
        return await asyncio.shield(self._release())

    def fetch_ahead(self) -> None:
        """Fetch its memory while it goes on: whoever woke it wants more than a sign of life."""
        stop = self._paging = threading.Event()
        asyncio.get_running_loop().run_in_executor(
            self._threads.paging, bring_back, self._tree.members(), stop
        )

    def hurry(self) -> None:
        """Page out, or in, no more than what is under way."""
        self._paging.set()

    async def settle(self) -> None:
        """Return once it is frozen or not, and nothing between."""
        self.hurry()
        async with self._lock:
            pass

    async def _hold(self) -> str | None:
        """Freeze all of it; why that cannot be, and then it runs."""
        async with self._lock:
            if self.tier is not None:
                return None
            self._change(Tier.PAUSE)
            try:
                problem = await self._until_still()
            except OSError as error:
                problem = error.strerror
            if problem is not None:
                await self._let_go()
            return problem

    async def _until_still(self) -> str | None:
        """Hold it until all of it stands still; why that cannot be."""
        loop = asyncio.get_running_loop()
        limit, pause = loop.time() + _PATIENCE, _SHORTEST_LOOK
        while not await loop.run_in_executor(self._threads.freezing, self._freezer.hold):
            if self._wakers:
                return "it was woken"
            if loop.time() > limit:
                return f"some of it still moves after {_PATIENCE:g} s"
            # The kernel tells of a cgroup alone, and by then it is mostly over.
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)
        return None

    async def _release(self) -> Tier | None:
        try:
            async with self._lock:
                if (slept := self.tier) is not None:
                    await self._let_go()
                return slept
        finally:
            self._wakers -= 1

    async def _let_go(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads.freezing, self._freezer.release)
        except OSError as error:
            raise ProviderFailed(f"cannot thaw {self._id}: {error.strerror}") from error
        self._change(None)

    async def _page_out(self, before: Usage) -> Frozen:
        self.hurry()
        if (note := obstacle(before.anonymous)) is not None:
            return Frozen(self._depth(), before.resident, before.resident, note)
        stop = self._paging = threading.Event()
        try:
            note = await asyncio.get_running_loop().run_in_executor(
                self._threads.paging, page_out, self._tree.members(), self._reclaim, stop
            )
        finally:
            stop.set()
        after = await self._measure()
        if note is None and after.anonymous > max(_LEAST, before.anonymous // 2):
            note = "the kernel kept most of its memory; swap may be full, or forbidden to its cgroup"
        depth = self._depth()
        if note is None:
            self._change(depth := Tier.HIBERNATE)
        return Frozen(depth, before.resident, after.resident, note)

    async def _measure(self) -> Usage:
        members = self._tree.members()
        return await asyncio.get_running_loop().run_in_executor(self._threads.freezing, read_usage, members)

    def _depth(self) -> Tier:
        """How deep it sleeps.  Raises `ProviderFailed` if it was woken meanwhile."""
        if self.tier is None or self._wakers:
            raise ProviderFailed(f"{self._id} was woken while it was being frozen")
        return self.tier

    def _change(self, tier: Tier | None) -> None:
        self.tier = tier
        self._keep(tier)
