"""Tasks of Proxmox VE: whatever takes time there is one, with a number, an end and a log."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import msgspec

from torpor.errors import ProviderFailed
from torpor.providers.guests.proxmox.api import ProxmoxApi

_FIRST_LOOK = 0.05
_LAST_LOOK = 1.0
"""Seconds between two looks at a task: twice as many each time, between these."""
_LOG_LINES = 1000
"""How many lines of a task's log are read."""
_TOLD_LINES = 4
"""How many of them, its last, are told."""
_RECENT = 25
"""How many tasks of a guest are looked through."""

_HEXADECIMAL = re.compile("[0-9A-F]{8,16}")


@dataclass(frozen=True, slots=True)
class Task:
    """One task, as its number tells: `UPID:node:pid:pstart:starttime:kind:id:user:`."""

    upid: str
    node: str
    """Where it runs."""
    began: int
    """When, in seconds since the epoch."""
    kind: str
    """What it does: `vzstart`, `qmshutdown`."""
    user: str
    """Who asked for it: `root@pam`, `torpor@pve!home`."""

    @classmethod
    def of(cls, upid: str) -> Task:
        """The task of a number.  Raises `ProviderFailed` where it is none."""
        match upid.split(":"):
            case ["UPID", node, _, _, began, kind, _, user, *_] if _HEXADECIMAL.fullmatch(began):
                return cls(upid, node, int(began, 16), kind, user)
        raise ProviderFailed(f"Proxmox VE named {upid!r} as a task, which is no number of one")


@dataclass(frozen=True, slots=True)
class Past:
    """A task in the list of a guest's."""

    task: Task
    running: bool
    """Whether it ran when the list was last brought up to date, which may be ten seconds ago."""
    ok: bool
    """Whether it came to a good end."""


class TaskFailed(ProviderFailed):
    """A task came to a bad end."""

    def __init__(self, task: Task, exit: str, log: list[str]) -> None:
        told = [line for line in log if line.strip() and exit not in line][-_TOLD_LINES:]
        super().__init__("; ".join([f"the task {task.kind} on {task.node} failed: {exit}", *told]))
        self.exit = exit


class Tasks:
    """The tasks of one cluster."""

    def __init__(self, api: ProxmoxApi) -> None:
        self._api = api

    async def finish(self, task: Task, limit: float) -> bool:
        """Wait for its end, at most `limit` seconds; whether it came.

        Raises `TaskFailed` where it was a bad one, and `ProviderFailed`.
        """
        pause = _FIRST_LOOK
        try:
            async with asyncio.timeout(limit):
                while (exit := await self._exit(task)) is None:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LAST_LOOK)
        except TimeoutError:
            return False
        if not _good(exit):
            raise TaskFailed(task, exit, await self._log(task))
        return True

    async def recent(self, node: str, vmid: str) -> list[Past]:
        """The last tasks of a guest on a node, as far as the token may see them, newest first.

        Its own ones it always may; those of others with Sys.Audit on the node.
        Raises `ProviderFailed`.
        """
        rows = await self._api.get(list[_Row], "nodes", node, "tasks", vmid=vmid, source="all", limit=_RECENT)
        past = [Past(Task.of(row.upid), row.endtime is None, _good(row.status)) for row in rows]
        return sorted(past, key=lambda one: one.task.began, reverse=True)

    async def is_running(self, task: Task) -> bool:
        """Whether it has not ended.  Raises `ProviderFailed`."""
        return await self._exit(task) is None

    async def abort(self, task: Task) -> None:
        """End a task; no error for what is ended.  Raises `ProviderFailed`."""
        await self._api.delete("nodes", task.node, "tasks", task.upid)

    async def _exit(self, task: Task) -> str | None:
        status = await self._api.get(_Status, "nodes", task.node, "tasks", task.upid, "status")
        if status.status != "stopped":
            return None
        return status.exitstatus or "it ended without saying how"

    async def _log(self, task: Task) -> list[str]:
        try:
            where = ("nodes", task.node, "tasks", task.upid, "log")
            return [line.t for line in await self._api.get(list[_Line], *where, limit=_LOG_LINES)]
        except ProviderFailed:
            return []


class _Row(msgspec.Struct):
    """A task in a list; one that runs has no end."""

    upid: str
    endtime: int | None = None
    status: str = ""


class _Status(msgspec.Struct):
    status: str
    exitstatus: str | None = None


class _Line(msgspec.Struct):
    t: str


def _good(exit: str) -> bool:
    return exit == "OK" or exit.startswith("WARNINGS")
