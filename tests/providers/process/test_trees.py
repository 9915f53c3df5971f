"""No descendant survives, however it was made; nobody else is touched."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.world import World
from torpor.core.messages import Exited
from torpor.core.model import ExitInfo, InstanceId
from torpor.providers.process import procfs
from torpor.providers.process.procfs import Process, read_children, read_process, send_signal

pytestmark = pytest.mark.anyio

# Forks twice, leaves the session, and says so when its parent is gone.
DAEMONIZE = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    parent = os.getpid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.chdir(sys.argv[1])
        while os.getppid() == parent:
            time.sleep(0.001)
        print("daemon", os.getpid(), flush=True)
        time.sleep(1000)
    os._exit(0)
os.wait()
time.sleep(1000)
"""


async def end(subject: World) -> None:
    """Kill it all and see that it is gone."""
    await subject.provider.kill(ID, 1)
    fact = await subject.facts.exited()
    if fact.leftovers:
        await subject.facts.gone()
    assert subject.alive() == 0


async def test_a_daemonized_descendant_is_killed(subject: World) -> None:
    """Double fork, own session and ignored TERM do not save a process."""
    await subject.provider.start(subject.run((sys.executable, "-c", DAEMONIZE, str(subject.folder))))
    await line_that_starts_with(subject, "daemon")
    assert subject.alive() == 2
    await end(subject)


async def test_a_known_process_that_hides_stays_known(subject: World) -> None:
    """A process seen in the tree once stays in it without environment, session and parent."""
    launch = subject.run(("env -i setsid sh -c 'echo up; exec sleep 1000' & wait",), shell=True)
    running = await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    subject.provider.stats(ID)
    assert running.pid is not None
    os.kill(running.pid, signal.SIGKILL)
    fact = await subject.facts.exited()
    assert Exited(ID, 1, ExitInfo(signal=9), leftovers=True) == fact
    await end(subject)


async def test_a_process_that_wipes_its_traces_is_killed(subject: World) -> None:
    """Without environment, session and parent, and never looked at before, a descendant is still found."""
    os.mkfifo(subject.folder / "wiped")
    text = (
        "while grep -q 'realtime timeout *unlimited' /proc/self/limits; do :; done;"
        "(env -i setsid sh -c 'echo >wiped; exec sleep 1000' &); read line <wiped; exit 5"
    )
    await subject.provider.start(subject.run((text,), shell=True))
    fact = await subject.facts.exited()
    assert Exited(ID, 1, ExitInfo(code=5), leftovers=True) == fact
    await end(subject)


async def test_the_number_is_kept_while_anything_is_left(subject: World) -> None:
    """The ended main process is not reaped before its tree is empty: nobody else can get its number."""
    running = await subject.provider.start(subject.run(("sleep 1000 &",), shell=True))
    assert running.pid is not None
    await subject.facts.exited()
    kept = read_process(running.pid)
    assert kept is not None
    assert not kept.alive
    await end(subject)


async def test_the_reaper_takes_nobody_elses_children(subject: World) -> None:
    """Sweeping up orphans takes neither another instance's exit status nor that of foreign code."""
    first = subject.run(("sleep", "1000"))
    second = replace(first, id=InstanceId("other"))
    pids = [(await subject.provider.start(launch)).pid for launch in (first, second)]
    stranger = subprocess.Popen(("sh", "-c", "exit 4"))  # noqa: ASYNC220 - a few hundred microseconds
    for pid in [*pids, stranger.pid]:
        assert pid is not None
        if pid != stranger.pid:
            os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - it ends at once
    subject.provider._reaper.sweep()
    assert stranger.wait() == 4
    await subject.facts.exited()
    while len(subject.facts.all) < 2:
        await subject.facts._next()
    assert {ExitInfo(signal=9)} == {fact.info for fact in subject.facts.all if isinstance(fact, Exited)}


async def test_a_wrapper_is_stopped_with_what_it_wraps(subject: World) -> None:
    """The stop signal reaches the app behind a shell that waits for it."""
    await subject.provider.start(subject.run(("sh -c 'echo up; exec sleep 1000' & wait",), shell=True))
    await wait_for_line(subject, "up")
    assert subject.alive() == 2
    await subject.provider.stop(ID, 1)
    fact = await subject.facts.exited()
    if fact.leftovers:
        await subject.facts.gone()
    assert subject.alive() == 0


async def test_many_stubborn_children_are_killed(subject: World) -> None:
    """Fifty children that ignore TERM, half of them in sessions of their own, all end."""
    text = (
        "trap '' TERM; i=0; while [ $i -lt 25 ]; do sleep 1000 & setsid sleep 1000 & i=$((i+1)); done;"
        "echo up; while :; do wait; done"
    )
    await subject.provider.start(subject.run((text,), shell=True))
    await wait_for_line(subject, "up")
    await subject.provider.stop(ID, 1)
    assert subject.alive() == 51
    await end(subject)


async def test_forking_does_not_outrun_kill(subject: World) -> None:
    """A program that replaces its children as fast as it can is killed with all of them."""
    text = "echo up; while :; do sh -c 'sleep 0.01 & setsid sleep 0.01 &' & sleep 0.001; done"
    await subject.provider.start(subject.run((text,), shell=True))
    await wait_for_line(subject, "up")
    await end(subject)


async def test_a_stopped_process_obeys(subject: World) -> None:
    """A process that is suspended is woken to act on its stop signal."""
    running = await subject.provider.start(subject.run(("echo up; kill -STOP $$; sleep 1000",), shell=True))
    await wait_for_line(subject, "up")
    assert running.pid is not None
    os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)  # noqa: ASYNC222 - it stops at once
    await subject.provider.stop(ID, 1)
    assert ExitInfo(signal=15) == (await subject.facts.exited()).info


async def test_a_signal_is_told(subject: World) -> None:
    """The exit of a killed process names the signal."""
    await subject.provider.start(subject.run(("kill -SEGV $$",), shell=True))
    assert Exited(ID, 1, ExitInfo(signal=11)) == await subject.facts.exited()


async def test_a_status_that_somebody_took(subject: World) -> None:
    """When other code of this process reaped the child, its exit is reported all the same.

    With its status, where the kernel keeps that for us (Linux 6.15), else as unknown.
    """
    running = await subject.provider.start(subject.run(("exit 5",), shell=True))
    assert running.pid is not None
    os.waitid(os.P_PID, running.pid, os.WEXITED)  # noqa: ASYNC222 - it ends at once
    release = tuple(map(int, os.uname().release.split(".")[:2]))
    expected = ExitInfo(code=5) if release >= (6, 15) else ExitInfo()
    assert Exited(ID, 1, expected) == await subject.facts.exited()


async def test_leftovers_are_left_alone_by_close(subject: World) -> None:
    """Closing while descendants outlive the main process stops the watching, and them not."""
    await subject.provider.start(subject.run(("sleep 1000 &",), shell=True))
    await subject.facts.exited()
    await subject.provider.close()
    assert subject.alive() == 1
    assert len(subject.facts.all) == 1


async def test_the_configured_signal_stops(subject: World) -> None:
    """`stop_signal` is what is sent."""
    text = "trap 'echo got; exit 7' USR1; echo up; while :; do sleep 0.01; done"
    await subject.provider.start(subject.run((text,), shell=True, stop_signal=signal.SIGUSR1))
    await wait_for_line(subject, "up")
    await subject.provider.stop(ID, 1)
    assert ExitInfo(code=7) == (await subject.facts.exited()).info
    assert "got" in subject.provider.output(ID).tail(10)


async def test_strangers_are_untouched(subject: World) -> None:
    """A process of the same name, arguments and folder that is not ours survives, and so does its status."""
    command = ("sleep", "1000.5")
    stranger = subprocess.Popen(command, cwd=subject.folder)  # noqa: ASYNC220 - a few hundred microseconds
    try:
        await subject.provider.start(subject.run(command))
        await subject.provider.kill(ID, 1)
        await subject.facts.exited()
        assert stranger.poll() is None
        assert subject.alive() == 1
    finally:
        stranger.terminate()
    assert stranger.wait() == -signal.SIGTERM


async def test_orphans_are_reaped(subject: World) -> None:
    """No zombie of a daemonized descendant stays after its instance."""
    launch = subject.run(("setsid sh -c 'sleep 0.001 & exit' & wait; echo up",), shell=True)
    running = await subject.provider.start(launch)
    fact = await subject.facts.exited()
    if fact.leftovers:
        await subject.facts.gone()
    # The main process itself may still wait for its move into the cgroup.
    children = [read_process(pid) for pid in read_children(os.getpid()) if pid != running.pid]
    assert [one for one in children if one is not None and one.session != os.getsid(0)] == []


async def test_stats_count_the_whole_tree(subject: World) -> None:
    """Memory is that of all processes, not of the main one alone."""
    running = await subject.provider.start(
        subject.run(("(setsid sleep 1000 &); echo up; sleep 1000",), shell=True)
    )
    await wait_for_line(subject, "up")
    stats = subject.provider.stats(ID)
    assert stats is not None
    assert running.pid is not None
    assert stats.rss > procfs.resident_bytes(running.pid) > 0


@pytest.mark.slow
async def test_nothing_grows_with_generations(subject: World) -> None:
    """Many generations leave no descriptor, zombie, task or cgroup."""
    launch = subject.run(("true",))
    await subject.provider.start(launch)
    await subject.facts.exited()
    before = len(os.listdir("/proc/self/fd"))
    earlier = read_children(os.getpid())
    for generation in range(2, 102):
        launch = subject.run(("setsid sleep 1000 & exit 0",), generation, shell=True)
        await subject.provider.start(launch)
        await subject.facts.exited(generation)
        await subject.provider.kill(ID, generation)
        await subject.facts.gone(generation)
    cgroups: Path | None = subject.provider._trees.root
    await subject.provider.close()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert cgroups is None or not cgroups.exists()
    assert [pid for pid in read_children(os.getpid()) if pid not in earlier] == []


async def test_a_reused_number_is_not_signalled(subject: World) -> None:
    """A process whose start time differs from the one that was meant gets no signal."""
    running = await subject.provider.start(subject.run(("sleep", "1000")))
    assert running.pid is not None
    now = read_process(running.pid)
    assert now is not None
    earlier: Process = now._replace(started=now.started - 1)
    assert not send_signal(earlier, signal.SIGKILL)
    assert subject.alive() == 1
    assert send_signal(now, signal.SIGKILL)


@pytest.mark.parametrize("number", [errno.ESRCH, errno.EINVAL])
def test_who_is_gone_is_not_signalled(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels have two words for it: the other one where a session is named after who is gone."""

    def refuse(pid: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert not send_signal(Process(12345, 0, 1, 1, alive=False, stopped=False, ticks=0), signal.SIGTERM)


def test_children_are_found_without_the_children_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """On kernels without PROC_CHILDREN the parents of all processes are read."""
    with subprocess.Popen(("sleep", "1000")) as child:
        try:
            assert child.pid in read_children(os.getpid())
            assert child.pid in procfs._children_by_parent(os.getpid())
        finally:
            child.kill()


async def line_that_starts_with(subject: World, start: str) -> None:
    """Return once the app has written such a line."""
    output = subject.provider.output(ID)
    seen = asyncio.Event()
    unsubscribe = output.subscribe(lambda line: seen.set() if line.startswith(start) else None)
    if not any(line.startswith(start) for line in output.tail(1000)):
        await seen.wait()
    unsubscribe()
