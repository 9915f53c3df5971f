"""What systemd tells by itself: which units have changed, and what became of its jobs.

1. Nothing of it is the truth about a unit; it says for whom to ask.  The exception is whether
   somebody asked for an end, which no property tells: the unit has ended while it had a job,
   and that was done.  Systemd tells of the unit's end first, and of the job right after it.
2. What it tells of itself comes in order, and counts.  An answer may have come before some of that
   and be read after it: it counts where nothing was told of the unit.
3. A unit that has much to tell between two looks is told of once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator
from typing import Any

from torpor.errors import ProviderFailed
from torpor.providers.guests.driver import Notice
from torpor.providers.guests.systemd.unit import ENDED, name_of, path_of

_DONE = "done"
_UNTOLD = ""
"""In place of a unit's activity."""


class Inbox:
    """News that somebody has not read yet."""

    def __init__(self) -> None:
        self._notices: dict[str | None, Notice] = {}
        self._filled = asyncio.Event()
        self._lost = False

    def put(self, notice: Notice) -> None:
        """Add one, unless it is in there."""
        if (kept := self._notices.get(notice.name)) is None or not kept.by_hand:
            self._notices[notice.name] = notice
        self._filled.set()

    def break_off(self) -> None:
        """There are no more."""
        self._lost = True
        self._filled.set()

    async def get(self) -> Notice:
        """Wait for the next one.  Raises `ProviderFailed` where none comes any more."""
        while not self._notices:
            if self._lost:
                raise ProviderFailed("the connection to systemd broke")
            self._filled.clear()
            await self._filled.wait()
        return self._notices.pop(next(iter(self._notices)))


class News:
    """Hands out what systemd tells.  Implements `Listener`."""

    def __init__(self) -> None:
        self._inboxes: set[Inbox] = set()
        self._activity: dict[str, str] = {}
        """How active the units are that somebody asked for, by path."""
        self._ending_jobs: dict[str, int] = {}
        """The jobs that they had when they ended."""
        self._by_hand: set[str] = set()
        """Those that a job has ended, by path."""
        self._jobs: dict[str, asyncio.Future[str | None]] = {}
        self._early: list[dict[str, str]] = []
        """What became of jobs while somebody asked for one."""

    def hear(self, path: str, member: str, body: list[Any]) -> None:
        """See `Listener.hear`."""
        if member == "PropertiesChanged":
            _, changed, _ = body
            # What other interfaces tell is told by this one, too.
            if "ActiveState" in changed:
                if path in self._activity:
                    self._note(path, changed["ActiveState"], changed.get("Job", (0,))[0])
                self._tell(Notice(name_of(path)))
        elif member == "JobRemoved":
            number, job, unit, result = body
            self._settle_job(job, result)
            if result == _DONE and self._ending_jobs.pop(path_of(unit), 0) == number:
                self._by_hand.add(path_of(unit))
                self._tell(Notice(unit, by_hand=True))
        elif member == "Reloading" and not body[0]:
            self._tell(Notice())

    def miss(self) -> None:
        """See `Listener.miss`."""
        self._forget()
        self._tell(Notice())

    def lose(self) -> None:
        """See `Listener.lose`."""
        self._forget()
        for inbox in self._inboxes:
            inbox.break_off()

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[Inbox]:
        """All news from now on."""
        inbox = Inbox()
        self._inboxes.add(inbox)
        try:
            yield inbox
        finally:
            self._inboxes.discard(inbox)

    def attend(self, path: str) -> None:
        """Take down what is told of a unit from now on: somebody asks for it."""
        self._activity.setdefault(path, _UNTOLD)

    def learn(self, path: str, activity: str) -> None:
        """Take down how active a unit is by an answer, unless it has told of that itself."""
        if self._activity.get(path) == _UNTOLD:
            self._note(path, activity, 0)

    def is_active(self, path: str) -> bool:
        """Whether a unit was alive when it was last told or asked about."""
        return self._activity.get(path, _UNTOLD) not in {_UNTOLD, *ENDED}

    def was_by_hand(self, path: str) -> bool:
        """Whether somebody, maybe Torpor, asked for the end of a unit that has ended."""
        return path in self._by_hand

    async def follow_job(self, asking: Awaitable[str]) -> str | None:
        """Ask for a job, and wait for what becomes of it: `done`, `failed` …; None: that was missed."""
        # It may be over before its name is known here.
        early: dict[str, str] = {}
        self._early.append(early)
        try:
            job = await asking
        finally:
            self._early.remove(early)
        if job in early:
            return early[job]
        future = self._jobs.setdefault(job, asyncio.get_running_loop().create_future())
        return await asyncio.shield(future)

    def _note(self, path: str, activity: str, job: int) -> None:
        """Take down how active a unit is.  `job`: the number of the one that is under way for it; 0: none is."""
        before = self._activity.get(path)
        self._activity[path] = activity
        if activity not in ENDED:
            self._by_hand.discard(path)
            self._ending_jobs.pop(path, None)
        # A unit that does its work and ends is active at no time: that job has started it.
        elif job and before not in {*ENDED, "activating"}:
            self._ending_jobs[path] = job

    def _settle_job(self, job: str, result: str) -> None:
        for early in self._early:
            early[job] = result
        if (future := self._jobs.pop(job, None)) is not None:
            _settle(future, result)

    def _forget(self) -> None:
        """Something may have happened that was not told."""
        self._activity = dict.fromkeys(self._activity, _UNTOLD)
        for future in self._jobs.values():
            _settle(future, None)
        self._jobs.clear()

    def _tell(self, notice: Notice) -> None:
        for inbox in self._inboxes:
            inbox.put(notice)


def _settle(future: asyncio.Future[str | None], result: str | None) -> None:
    if not future.done():
        future.set_result(result)
