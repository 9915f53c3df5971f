"""What the kernel promises, as far as Torpor builds on it."""

from __future__ import annotations

import select
import signal
import sys
from pathlib import Path

import pytest

from e2e.harness import wait_for
from vm.cgroups import CONTROLLERS, ROOT, Cgroup, swap_on_zram

MIB = 1 << 20
# Writes to every page and says so; then says for each line that it reads whether all is as it was.
HOLDER = """
import sys
size = int(sys.argv[1]) << 20
held = bytearray(b"\\1") * size
print("up", flush=True)
for line in sys.stdin:
    print(sum(held[::4096]) * 4096 == size, flush=True)
"""
HOLD = (sys.executable, "-S", "-c", HOLDER)
# Wants four times what it gets, again and again.
GREED = (sys.executable, "-S", "-c", "x = bytearray(64 << 20)\nwhile 1: x[::4096] = bytes(1 << 14)")
COUNTER = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
tally = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
for number in range(1 << 40):
    os.pwrite(tally, b"%20d" % number, 0)
"""
COUNT = (sys.executable, "-S", "-c", COUNTER)


def test_all_of_version_2_is_there() -> None:
    """One hierarchy, with every controller that limits need, and systemd at its root."""
    assert {*CONTROLLERS} <= {*(ROOT / "cgroup.controllers").read_text().split()}
    assert "systemd" == Path("/proc/1/comm").read_text().strip()


def test_a_frozen_program_stands_still(cgroup: Cgroup, tmp_path: Path) -> None:
    """`cgroup.freeze` stops what runs, says when it has, and keeps signals that are handled for later."""
    tally = tmp_path / "tally"
    with cgroup.running(*COUNT, str(tally)) as program:
        wait_for("it counts", lambda: tally.exists() and tally.read_text())
        cgroup.freeze()
        counted = tally.read_text()
        program.terminate()
        # Far longer than a time slice: whatever would run has run by then.
        sum(range(3_000_000))
        assert counted == tally.read_text()
        assert program.poll() is None
        cgroup.thaw()
        assert 7 == program.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_frozen_program_can_be_ended(cgroup: Cgroup, number: signal.Signals) -> None:
    """Whoever is frozen dies of a signal that it does not handle, without a thaw."""
    with cgroup.running("sleep", "1000") as program:
        cgroup.freeze()
        program.send_signal(number)
        assert -number == program.wait()


def test_memory_is_reclaimed_when_asked_for(cgroup: Cgroup) -> None:
    """`memory.reclaim` moves a frozen program to swap, and nothing of it is lost."""
    with swap_on_zram(256 * MIB), cgroup.running(*HOLD, "64") as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert "up\n" == program.stdout.readline()
        cgroup.freeze()
        before = int(cgroup["memory.current"])
        assert before > 64 * MIB
        # It would fail with EAGAIN if it could not get all of what was asked for.
        cgroup["memory.reclaim"] = str(32 * MIB)
        assert int(cgroup["memory.current"]) < before - 16 * MIB
        assert int(cgroup["memory.swap.current"]) > 16 * MIB
        cgroup.thaw()
        program.stdin.write("?\n")
        assert "True\n" == program.stdout.readline()


def test_without_swap_nothing_is_reclaimed(cgroup: Cgroup) -> None:
    """Where there is no swap, the kernel refuses, and the memory stays."""
    cgroup["memory.swap.max"] = "0"
    with cgroup.running(*HOLD, "32") as program:
        assert program.stdout is not None
        assert "up\n" == program.stdout.readline()
        with pytest.raises(BlockingIOError):
            cgroup["memory.reclaim"] = str(256 * MIB)
        assert int(cgroup["memory.current"]) > 32 * MIB


def test_pressure_can_be_waited_for() -> None:
    """PSI takes a trigger, and an open one is no event by itself."""
    assert Path("/proc/pressure/memory").read_text().startswith("some avg10=")
    with open("/proc/pressure/memory", "r+b", buffering=0) as file:
        file.write(b"some 150000 1000000\0")
        poll = select.poll()
        poll.register(file, select.POLLPRI)
        assert [] == poll.poll(0)


def test_a_cgroup_tells_its_own_pressure(cgroup: Cgroup) -> None:
    """A trigger may watch an app alone; a squeeze by `memory.high` sets it off."""
    cgroup["memory.high"] = str(16 * MIB)
    with swap_on_zram(256 * MIB), open(cgroup.path / "memory.pressure", "r+b", buffering=0) as file:
        file.write(b"some 20000 500000\0")
        poll = select.poll()
        poll.register(file, select.POLLPRI)
        with cgroup.running(*GREED):
            assert [(file.fileno(), select.POLLPRI)] == poll.poll(60_000)
        wait_for("it is gone", lambda: not cgroup.field("cgroup.events", "populated"))
