"""Reaping what the daemon adopts."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable

import pytest

from torpor.providers.process.procfs import Process, read_children, read_process
from torpor.providers.process.reaper import Reaper, become_subreaper

pytestmark = pytest.mark.anyio


async def _until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not fact():
            await asyncio.sleep(0.001)


def _orphans_of(session: int) -> list[Process]:
    found = [read_process(pid) for pid in read_children(os.getpid())]
    return [process for process in found if process is not None and process.session == session]


def _leave_an_orphan(script: str, stdin: int | None = None) -> subprocess.Popen[bytes]:
    parent = subprocess.Popen(["sh", "-c", f"{script} & exit"], stdin=stdin, start_new_session=True)
    parent.wait()
    return parent


async def test_an_orphan_is_reaped_when_it_ends() -> None:
    """Nothing else needs to happen for an adopted process to leave no zombie."""
    become_subreaper()
    reaper = Reaper()
    reaper.open()
    try:
        parent = _leave_an_orphan("sh -c 'read wait' <&0", subprocess.PIPE)
        await _until(lambda: bool(_orphans_of(parent.pid)))

        assert parent.stdin is not None
        parent.stdin.close()

        await _until(lambda: not _orphans_of(parent.pid))
    finally:
        reaper.close()


async def test_what_ends_during_a_birth_is_reaped_after_it() -> None:
    """While a child's pid cannot be claimed yet nothing is swept, and nothing is forgotten."""
    become_subreaper()
    reaper = Reaper()
    reaper.open()
    try:
        with reaper.spawning():
            parent = _leave_an_orphan("true")
            await _until(lambda: any(not orphan.alive for orphan in _orphans_of(parent.pid)))
            reaper.sweep()
            assert _orphans_of(parent.pid)

        assert [] == _orphans_of(parent.pid)
    finally:
        reaper.close()
