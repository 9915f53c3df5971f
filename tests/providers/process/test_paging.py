"""Hibernation: memory leaves, and is what it was when it comes back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from contract.provider_contract import ID, Behaviour, wait_for_line
from providers.process.launches import NOBODY, needs_root
from providers.process.world import World
from torpor.core.model import Tier
from torpor.errors import ProviderFailed
from torpor.providers.base import Frozen
from torpor.providers.process import paging, slumber
from torpor.providers.process.paging import obstacle, page_out, private_ranges
from torpor.providers.process.procfs import Process, read_process, read_usage

pytestmark = pytest.mark.anyio

MEGABYTES = 64
_HOLDING = f"""
import os, signal, sys, zlib
# Waited for, not handled: a handler that runs just before `pause` is entered is slept over.
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1}})
memory = bytearray(os.urandom(1 << 20) * {MEGABYTES})
if os.fork() == 0:
    memory[:: 4096] = bytes(len(memory) // 4096)  # pages of its own
before = zlib.crc32(memory)
os.write(1, b"up\\n")
while True:
    signal.sigwait({{signal.SIGUSR1}})
    os.write(1, b"the same\\n" if zlib.crc32(memory) == before else b"another\\n")
"""
_UNPRIVILEGED = """
import os, subprocess, sys, threading
from torpor.providers.process.paging import page_out
from torpor.providers.process.procfs import read_process
os.setgroups([])
os.setuid(int(sys.argv[1]))  # not before: the interpreter may lie where only root may look
with subprocess.Popen(["sleep", "1000"]) as app:
    print(page_out([read_process(app.pid)], None, threading.Event()))
    app.kill()
"""


def _free_swap() -> int:
    return paging._read_swap()[1]


needs_swap = pytest.mark.skipif(
    _free_swap() < (3 * MEGABYTES) << 20, reason="there is no swap here, or too little (`torpor zram`)"
)
may_page_others = pytest.mark.skipif(os.geteuid() != 0, reason="only root may page out others' memory")


async def start_holding(subject: World) -> None:
    """Start two processes with a lot of memory."""
    await subject.provider.start(subject.run((sys.executable, "-c", _HOLDING)))
    await wait_for_line(subject, "up")
    while subject.provider.output(ID).tail(10) != ["up", "up"]:
        await asyncio.sleep(0.001)


@needs_swap
@may_page_others
async def test_memory_leaves_and_comes_back(subject: World) -> None:
    """That of the whole tree: after the wake it is, byte for byte, what it was."""
    await start_holding(subject)
    frozen = await subject.provider.freeze(ID, 1, Tier.HIBERNATE)
    assert (Tier.HIBERNATE, None) == (frozen.tier, frozen.note)
    assert frozen.before > MEGABYTES << 20
    assert frozen.after < frozen.before / 10
    await subject.provider.thaw(ID, 1)
    await subject.provider.signal(ID, 1, 10)
    await wait_for_line(subject, "the same")
    stats = subject.provider.stats(ID)
    assert stats is not None
    assert stats.rss > MEGABYTES << 20


@needs_swap
@may_page_others
async def test_a_hibernated_survivor(subject: World) -> None:
    """The next daemon is told that it sleeps deep."""
    await start_holding(subject)
    await subject.provider.freeze(ID, 1, Tier.HIBERNATE)
    await subject.succeed()
    (survivor,) = await subject.provider.survivors()
    assert survivor.frozen is Tier.HIBERNATE
    await subject.provider.discard(ID, 1)
    assert subject.alive() == 0


async def paging_out(subject: World, monkeypatch: pytest.MonkeyPatch) -> asyncio.Future[Frozen]:
    """A freeze in the middle of paging out, which goes on until it is told to stop."""
    monkeypatch.setattr(paging, "_read_swap", lambda: (1 << 40, 1 << 40))
    await start_holding(subject)
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def until_stopped(*given: object) -> None:
        loop.call_soon_threadsafe(began.set)
        stop = given[2]
        assert isinstance(stop, threading.Event)
        stop.wait()

    monkeypatch.setattr(slumber, "page_out", until_stopped)
    freezing = asyncio.ensure_future(subject.provider.freeze(ID, 1, Tier.HIBERNATE))
    await began.wait()
    return freezing


async def test_a_wake_ends_the_paging(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for what is still to be moved, and whoever hibernates it learns why it failed."""
    freezing = await paging_out(subject, monkeypatch)
    await subject.provider.thaw(ID, 1)
    with pytest.raises(ProviderFailed, match="woken"):
        await freezing
    await subject.provider.signal(ID, 1, 10)
    await wait_for_line(subject, "the same")


async def test_cancelling_leaves_it_paused(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is frozen, and no deeper: so the next daemon is told, too."""
    freezing = await paging_out(subject, monkeypatch)
    freezing.cancel()
    await asyncio.wait([freezing])
    assert freezing.cancelled()
    await subject.succeed()
    assert [Tier.PAUSE] == [survivor.frozen for survivor in await subject.provider.survivors()]


@pytest.mark.parametrize("ends", [False, True])
async def test_memory_is_fetched_ahead_of_a_wake(
    subject: World, monkeypatch: pytest.MonkeyPatch, *, ends: bool
) -> None:
    """For whoever woke it; not where it is woken to end."""
    fetched = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(paging, "_read_swap", lambda: (1 << 40, 1 << 40))
    monkeypatch.setattr(slumber, "page_out", lambda *_: None)
    monkeypatch.setattr(slumber, "bring_back", lambda *_: loop.call_soon_threadsafe(fetched.set))
    await subject.provider.start(subject.launch(Behaviour.STEADY))
    await wait_for_line(subject, "up")
    assert (await subject.provider.freeze(ID, 1, Tier.HIBERNATE)).tier is Tier.HIBERNATE
    if ends:
        await subject.provider.stop(ID, 1)
        await subject.facts.exited()
        assert not fetched.is_set()
    else:
        await subject.provider.thaw(ID, 1)
        await fetched.wait()


async def test_without_swap_it_is_paused(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the note says what would help."""
    monkeypatch.setattr(paging, "_read_swap", lambda: (0, 0))
    await start_holding(subject)
    frozen = await subject.provider.freeze(ID, 1, Tier.HIBERNATE)
    assert frozen.tier is Tier.PAUSE
    assert "no swap" in (frozen.note or "")
    assert "torpor zram" in (frozen.note or "")


def test_too_little_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much there is, and how much is needed, is told in MiB."""
    monkeypatch.setattr(paging, "_read_swap", lambda: (100 << 20, 7 << 20))
    assert (obstacle(20 << 20) or "").startswith("7 MiB of swap are free, and it needs 20 MiB; `torpor zram`")
    assert obstacle(7 << 20) is None


@needs_root
def test_without_the_right_to() -> None:
    """A daemon that may not page out what it started says what it takes."""
    done = subprocess.run(
        (sys.executable, "-c", _UNPRIVILEGED, str(NOBODY.pw_uid)), capture_output=True, text=True, check=True
    )
    assert "may not be paged out: that takes root" in done.stdout


def test_a_cgroup_may_give_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more is not permitted, the cgroup is asked, slice by slice, until nothing is left."""
    monkeypatch.setattr(paging, "_advise", _refuse)
    (tmp_path / "memory.current").write_text("0")
    (tmp_path / "memory.reclaim").touch()
    assert page_out(_ourselves(), tmp_path / "memory.reclaim", threading.Event()) is None
    assert page_out(_ourselves(), tmp_path / "elsewhere", threading.Event()) is not None


def _ourselves() -> list[Process]:
    process = read_process(os.getpid())
    assert process is not None
    return [process]


def _refuse(*_: object) -> None:
    raise PermissionError(1, "not permitted")


def test_memory_that_is_shared_stays() -> None:
    """Only what a process has for itself is moved: of the kernel's own pages, and shared ones, nothing."""
    ranges = list(private_ranges(os.getpid()))
    with open("/proc/self/maps", encoding="utf-8") as file:
        shared = [int(line.split("-")[0], 16) for line in file if line.split()[1].endswith("s")]
    assert ranges
    assert not {start for start, _ in ranges} & set(shared)
    assert list(private_ranges(1 << 30)) == []


def test_usage_counts_what_is_there() -> None:
    """Resident memory is more than the anonymous part of it; of what is gone, nothing."""
    process = read_process(os.getpid())
    assert process is not None
    usage = read_usage([process])
    assert usage.resident > usage.anonymous > 0
    assert read_usage([process._replace(pid=1 << 30)]) == (0, 0, 0)
