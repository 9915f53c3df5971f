"""Freezing real programs in each way there is: by cgroup v2, by cgroup v1, by signals."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from contract.descent_contract import FrozenDescentContract
from contract.freeze_contract import FreezeContract
from contract.provider_contract import ID, Behaviour, wait_for_line
from contract.stillness_contract import (
    WITNESS,
    StillnessContract,
    assert_it_goes_on,
    assert_it_stands_still,
    pass_time,
    start_counting,
)
from providers.process.conftest import has_cgroups
from providers.process.world import World, world
from torpor.config.settings import Hook, Hooks
from torpor.core.model import Tier
from torpor.errors import NotAllowed, ProviderFailed
from torpor.providers.base import HookFailed
from torpor.providers.process import slumber
from torpor.providers.process.freezer import StopSignals
from torpor.providers.process.procfs import read_process, send_signal, stands_still
from torpor.providers.process.provider import TreeKind
from torpor.providers.process.record import Record
from torpor.providers.process.resources import legacy_places

if TYPE_CHECKING:
    from torpor.providers.process.tree import Tree

pytestmark = pytest.mark.anyio

_FORKING = """
import os, sys, time
sys.stdout.write("up\\n")
sys.stdout.flush()
for n in range(10**9):
    if os.fork() == 0:  # a daemon, that leaves another one, and so on
        os.setsid()
        if os.fork() == 0:
            with open("steps", "ab", 0) as file:
                for _ in range(20):
                    file.write(b".")
                    time.sleep(0.0005)
        os._exit(0)
    os.wait()
"""
_RESTLESS = """
import asyncio, sys
from pathlib import Path
from contract.provider_contract import ID, Behaviour, wait_for_line
from providers.process.world import World
from torpor.core.model import Tier
from torpor.providers.process.provider import TreeKind

async def main():
    world = World(Path(sys.argv[1]), TreeKind(sys.argv[2]))
    await world.provider.open()
    await world.provider.start(world.launch(Behaviour.COUNTING))
    await wait_for_line(world, "3")
    while True:
        print(flush=True)
        await world.provider.freeze(ID, 1, Tier.PAUSE)
        print(flush=True)
        await world.provider.thaw(ID, 1)

asyncio.run(main())
"""
_TELLING = """
import os, signal, sys, time
def tell(number, frame):
    os.write(1, f"got {signal.Signals(number).name}\\n".encode())
signal.signal(signal.SIGCONT, tell)
signal.signal(signal.SIGUSR1, tell)
sys.stdout.write("up\\n")
sys.stdout.flush()
while True:
    time.sleep(1000)
"""


@pytest.fixture(params=[TreeKind.CGROUP, TreeKind.LEGACY, TreeKind.DESCENT])
async def subject(request: pytest.FixtureRequest, anyio_backend: object) -> AsyncIterator[World]:
    """A provider that freezes in one of the three ways."""
    if request.param is TreeKind.CGROUP and not has_cgroups():
        pytest.skip("this user may not create cgroups (v2) here")
    if request.param is TreeKind.LEGACY and not _has_legacy_freezer():
        pytest.skip("there is no freezer of cgroup v1 here that this user may write to")
    async with world(request.param) as here:
        yield here


def _has_legacy_freezer() -> bool:
    return any(os.access(place, os.W_OK) for _, place in legacy_places(("freezer",)))


def record_of(subject: World) -> Record:
    """What is written down of the app."""
    return msgspec.json.decode((subject.folder / "state" / "run" / "app.json").read_bytes(), type=Record)


def write_record(subject: World, record: Record) -> None:
    """Forge what is written down of the app."""
    (subject.folder / "state" / "run" / "app.json").write_bytes(msgspec.json.encode(record))


class TestFreezing(FreezeContract, StillnessContract, FrozenDescentContract):
    """Real programs."""


async def test_the_whole_tree_stands_still(subject: World) -> None:
    """Daemons that fork daemons all the time: none of them escapes the freeze, and all go on after it."""
    steps = subject.folder / "steps"
    await subject.provider.start(subject.run((sys.executable, "-c", _FORKING)))
    await wait_for_line(subject, "up")
    await subject.provider.start(replace(subject.launch(Behaviour.COUNTING), id=WITNESS))
    while not steps.exists():
        await asyncio.sleep(0.001)
    for _ in range(5):
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        before = steps.stat().st_size
        await pass_time(subject)
        assert before == steps.stat().st_size
        await subject.provider.thaw(ID, 1)
        while before == steps.stat().st_size:
            await asyncio.sleep(0.001)
    await subject.provider.kill(ID, 1)
    if (await subject.facts.exited()).leftovers:
        await subject.facts.gone()


async def test_what_was_forked_behind_a_look_is_stopped() -> None:
    """Where all that a look has seen stand still, one more look has to see nobody else."""
    parent, child = (subprocess.Popen(("sleep", "1000")) for _ in range(2))  # noqa: ASYNC220
    try:
        seen = [process for one in (parent, child) if (process := read_process(one.pid)) is not None]
        looks = iter([seen[:1]])
        freezer = StopSignals(cast("Tree", SimpleNamespace(unsure=False, members=lambda: next(looks, seen))))
        send_signal(seen[0], signal.SIGSTOP)
        while not stands_still(parent.pid):
            await asyncio.sleep(0.001)
        assert not freezer.hold()
        while not freezer.hold():
            await asyncio.sleep(0.001)
        assert stands_still(child.pid)
    finally:
        for one in (parent, child):
            one.kill()
            one.wait()


async def test_it_is_told_that_time_went_on(subject: World) -> None:
    """The main process gets SIGCONT, and the signal that its config names."""
    await subject.provider.start(subject.run((sys.executable, "-c", _TELLING), resume_signal=signal.SIGUSR1))
    await wait_for_line(subject, "up")
    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    await subject.provider.thaw(ID, 1)
    await wait_for_line(subject, "got SIGCONT")
    await wait_for_line(subject, "got SIGUSR1")


async def test_it_is_not_continued_by_hand(subject: World) -> None:
    """That would wake a part of it, behind the back of whoever counts on its sleep."""
    await subject.provider.start(subject.launch(Behaviour.STEADY))
    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    with pytest.raises(NotAllowed, match="frozen"):
        await subject.provider.signal(ID, 1, signal.SIGCONT)


async def test_a_command_that_ends_it_finds_it_awake(subject: World) -> None:
    """`pre_stop` may ask it something, and gets an answer."""
    ask = Hook(("/bin/sh", "-c", "kill -USR1 $MAINPID; until grep -q USR1 heard; do sleep 0.01; done"), 30.0)
    text = "trap 'echo USR1 >heard' USR1; touch heard; echo up; while :; do sleep 0.01; done"
    await subject.provider.start(subject.run((text,), shell=True, hooks=Hooks(pre_stop=ask)))
    await wait_for_line(subject, "up")
    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    await subject.provider.stop(ID, 1)
    await subject.facts.exited()
    assert [fact for fact in subject.facts.all if isinstance(fact, HookFailed)] == []


async def test_it_is_killed_by_somebody_else(subject: World) -> None:
    """An end in its sleep is told like any other."""
    running = await subject.provider.start(subject.launch(Behaviour.STEADY))
    await wait_for_line(subject, "up")
    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    await subject.provider.signal(ID, 1, signal.SIGKILL)
    fact = await subject.facts.exited()
    assert fact.info.signal == signal.SIGKILL
    left = read_process(running.pid or 0)  # maybe a zombie: it is reaped after that is told
    assert left is None or not left.alive or fact.leftovers


async def test_what_is_written_down_says_how_it_sleeps(subject: World) -> None:
    """It says so before it is frozen, and no more after it was thawed."""
    await subject.provider.start(subject.launch(Behaviour.STEADY))
    life = subject.provider._lives[ID]
    hold, seen = life._freezer.hold, []

    def watched() -> bool:
        seen.append(record_of(subject).frozen)
        return hold()

    life._freezer.hold = watched  # type: ignore[method-assign]
    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    assert set(seen) == {"pause"}
    await subject.provider.thaw(ID, 1)
    assert record_of(subject).frozen == ""


async def test_what_cannot_be_frozen_runs(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where some of it does not stop in time, all of it goes on, and the caller learns why."""
    monkeypatch.setattr(slumber, "_PATIENCE", 0.01)
    await start_counting(subject)
    life = subject.provider._lives[ID]
    hold = life._freezer.hold
    life._freezer.hold = lambda: hold() and False  # type: ignore[method-assign]
    with pytest.raises(ProviderFailed, match="still moves"):
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
    await assert_it_goes_on(subject)
    assert record_of(subject).frozen == ""


async def test_a_wake_does_not_wait_for_what_does_not_freeze(subject: World) -> None:
    """A thaw gives the freeze up that is under way."""
    await start_counting(subject)
    life = subject.provider._lives[ID]
    began = asyncio.Event()
    loop = asyncio.get_running_loop()
    hold = life._freezer.hold

    def never() -> bool:
        loop.call_soon_threadsafe(began.set)
        return hold() and False

    life._freezer.hold = never  # type: ignore[method-assign]
    freezing = asyncio.ensure_future(subject.provider.freeze(ID, 1, Tier.PAUSE))
    await began.wait()
    await subject.provider.thaw(ID, 1)
    with pytest.raises(ProviderFailed, match="woken"):
        await freezing
    await assert_it_goes_on(subject)


async def test_a_record_that_is_not_true_is_not_believed(subject: World) -> None:
    """A daemon that died on the way leaves a record of a sleep that has not begun: the app is awake."""
    await start_counting(subject)
    write_record(subject, record_of(subject).but(frozen="pause"))
    await subject.succeed()
    assert [None, None] == [survivor.frozen for survivor in await subject.provider.survivors()]
    assert record_of(subject).frozen == ""


async def test_half_a_freeze_is_undone(subject: World) -> None:
    """Of a daemon that died in the middle, some processes are held, others not: all of them go on."""
    text = "sh -c 'while :; do echo x >>steps; sleep 0.005; done' & while :; do sleep 0.005; done"
    await subject.provider.start(subject.run((text,), shell=True))
    steps = subject.folder / "steps"
    while not steps.exists():
        await asyncio.sleep(0.001)
    if subject.trees is TreeKind.DESCENT:
        inner = next(one for one in subject.processes() if one.parent != os.getpid())
        send_signal(inner, signal.SIGSTOP)
    else:
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await _take_one_out(subject)
    write_record(subject, record_of(subject).but(frozen="pause"))
    await subject.succeed()
    assert [None] == [survivor.frozen for survivor in await subject.provider.survivors()]
    before = steps.stat().st_size
    while before == steps.stat().st_size:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("moment", range(3))
async def test_a_daemon_that_dies_at_any_moment(subject: World, moment: int) -> None:
    """Whatever it was about: what the next one is told of the app's sleep is so, of all of its processes."""
    command = (sys.executable, "-c", _RESTLESS, str(subject.folder), subject.trees.value)
    daemon = subprocess.Popen(  # noqa: ASYNC220 - a few hundred microseconds
        command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert daemon.stdout is not None
    for _ in range(2 * moment + 5):
        await asyncio.to_thread(daemon.stdout.readline)
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()
    await subject.succeed()
    (survivor,) = await subject.provider.survivors()
    launch = subject.launch(Behaviour.COUNTING)
    subject.provider.adopt(launch)
    await subject.provider.start(replace(launch, id=WITNESS))
    if survivor.frozen is None:
        await assert_it_goes_on(subject)
    else:
        await assert_it_stands_still(subject)
        await subject.provider.thaw(ID, 1)
        await assert_it_goes_on(subject)
    for id in (ID, WITNESS):
        await subject.provider.kill(id, 1)
    while subject.alive():
        await asyncio.sleep(0.001)


async def _take_one_out(subject: World) -> None:
    """Move a process of the app out of its cgroup, as if it had never been moved in."""
    freezer = subject.provider._lives[ID]._freezer
    pid = subject.provider._lives[ID].main.pid
    root: Path = freezer._folder.parent.parent  # type: ignore[attr-defined]
    (root / "cgroup.procs").write_text(str(pid))


async def test_what_no_record_speaks_of_is_ended(subject: World) -> None:
    """Also if it was frozen: nobody would ever wake it."""
    await subject.provider.start(subject.launch(Behaviour.STEADY))
    await wait_for_line(subject, "up")
    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    (subject.folder / "state" / "run" / "app.json").unlink()
    await subject.succeed()
    assert [] == await subject.provider.survivors()
    assert subject.alive() == 0


async def test_what_its_main_process_left_is_ended(subject: World) -> None:
    """What lost its main process while it was frozen and nobody looked is ended."""
    await subject.provider.start(subject.run(("sleep 1000 & echo up; wait",), shell=True))
    await wait_for_line(subject, "up")
    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    main = subject.provider._lives[ID].main
    await subject.provider.close()
    send_signal(main, signal.SIGKILL)
    await subject.succeed()
    for survivor in await subject.provider.survivors():
        await subject.provider.discard(survivor.id, survivor.generation)
    assert subject.alive() == 0


async def test_nothing_is_left_of_it(subject: World) -> None:
    """After a hundred sleeps and an end there are no more descriptors, threads and cgroups than before."""
    await start_counting(subject)
    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    await subject.provider.thaw(ID, 1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        await subject.provider.freeze(ID, 1, Tier.PAUSE)
        await subject.provider.thaw(ID, 1)
    assert before == len(os.listdir("/proc/self/fd"))
    await subject.provider.freeze(ID, 1, Tier.PAUSE)
    for id in (ID, WITNESS):
        await subject.provider.kill(id, 1)
    while subject.provider._lives:
        await asyncio.sleep(0.001)
    await subject.provider.close()
    for root in (subject.provider._trees.root, subject.provider._trees.legacy):
        assert root is None or not root.exists()
