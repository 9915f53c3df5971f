"""How much memory there is, and the kernel's signs of pressure."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from runtime.house import house
from torpor.core.model import Phase
from torpor.core.sharing import Budget, MemoryRules, Sharing
from torpor.runtime import gpu
from torpor.runtime.memory import MemoryWatch
from torpor.runtime.meter import Meter, Reading
from torpor.runtime.signs import Signs

pytestmark = pytest.mark.anyio

KiB, MiB = 2**10, 2**20
MEMINFO = "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 600 kB\nSwapFree: 50 kB\n"


def machine(folder: Path, membership: str, mounts: str) -> Meter:
    """A machine whose /proc lies in `folder`."""
    proc = folder / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(MEMINFO)
    (proc / "self/cgroup").write_text(membership)
    (proc / "self/mountinfo").write_text(mounts)
    meter = Meter(proc)
    meter.open()
    return meter


def cgroup(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("memory_", "memory.")).write_text(f"{content}\n")


def test_without_a_limit_the_machine_counts(tmp_path: Path) -> None:
    """What the kernel calls available."""
    assert Reading(600 * KiB, 1000 * KiB, 50 * KiB) == machine(tmp_path, "", "").read()


def test_the_tightest_limit_above_counts(tmp_path: Path) -> None:
    """Version 2: the limit of any group above holds for us, too; what can be dropped at once is available."""
    top = tmp_path / "cg"
    cgroup(top / "a", memory_max=500 * KiB, memory_current=400 * KiB, memory_stat=f"inactive_file {50 * KiB}")
    cgroup(top / "a/b", memory_max="max", memory_current=300 * KiB, memory_stat="inactive_file 0")
    mounts = f"41 31 0:38 / {top} rw,relatime - cgroup2 cgroup2 rw"

    assert Reading(150 * KiB, 500 * KiB, 50 * KiB) == machine(tmp_path, "0::/a/b\n", mounts).read()


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    """Version 1, where the mount begins at our own group."""
    top = tmp_path / "memory"
    cgroup(
        top,
        memory_limit_in_bytes=300 * KiB,
        memory_usage_in_bytes=100 * KiB,
        memory_stat=f"cache 9\ntotal_inactive_file {10 * KiB}",
    )
    mounts = f"35 31 0:32 /docker/x {top} rw - cgroup cgroup rw,memory"

    assert Reading(210 * KiB, 300 * KiB, 50 * KiB) == machine(tmp_path, "4:memory:/docker/x\n", mounts).read()


def test_no_limit_is_no_limit(tmp_path: Path) -> None:
    """The largest number of version 1 means that there is none."""
    top = tmp_path / "memory"
    cgroup(top / "a", memory_limit_in_bytes=2**63 - 4096, memory_usage_in_bytes=1, memory_stat="")
    mounts = f"35 31 0:32 / {top} rw - cgroup cgroup rw,cpu,memory"

    assert 600 * KiB == machine(tmp_path, "4:cpu,memory:/a\n", mounts).read().available


def test_this_machine_can_be_read() -> None:
    """The real /proc."""
    meter = Meter()
    meter.open()
    reading = meter.read()

    assert 0 < reading.available <= reading.total


def test_pressure_is_told_where_our_limit_is(tmp_path: Path) -> None:
    """A limited group of version 2 has signs of its own; else those of the machine count."""
    top = tmp_path / "cg"
    cgroup(top / "a", memory_max=500 * KiB, memory_current=1, memory_pressure="")
    mounts = f"41 31 0:38 / {top} rw - cgroup2 cgroup2 rw"
    meter = machine(tmp_path, "0::/a\n", mounts)
    assert top / "a/memory.pressure" == meter.pressure_file

    (top / "a/memory.max").write_text("max")
    (tmp_path / "proc/pressure").mkdir()
    (tmp_path / "proc/pressure/memory").touch()
    assert tmp_path / "proc/pressure/memory" == meter.pressure_file


async def test_the_kernel_takes_our_trigger() -> None:
    """Where there is PSI, the loop waits for it without polling, and can end that."""
    file = Path("/proc/pressure/memory")
    if not os.access(file, os.W_OK):
        pytest.skip("no PSI here")
    signs = Signs(file, lambda: None)
    assert signs.open()
    await asyncio.sleep(0)
    signs.close()


async def test_where_there_are_no_signs_nothing_is_waited_for(tmp_path: Path) -> None:
    """No file, or one that the kernel does not let us write to."""
    assert not Signs(None, lambda: None).open()
    assert not Signs(tmp_path / "missing", lambda: None).open()
    (tmp_path / "folder").mkdir()
    assert not Signs(tmp_path / "folder", lambda: None).open()


# --- measuring ---------------------------------------------------------------


class Gauge(Meter):
    """A meter that reads what it is told to."""

    def __init__(self, available: int) -> None:
        super().__init__(Path("/nowhere"))
        self.available = available
        self.broken = False

    def read(self) -> Reading:
        """See `Meter.read`."""
        if self.broken:
            raise OSError("gone")
        return Reading(self.available, 1000 * MiB, 0)


async def test_an_app_sleeps_when_memory_is_short() -> None:
    """From the first measurement on, and at each later one."""
    sharing = Sharing(MemoryRules(100 * MiB, check_interval=0.01))
    gauge = Gauge(500 * MiB)
    async with house(sharing=sharing) as home:
        await home.awake()
        home.gate.leave(await home.gate.wait("a test"))
        memory = MemoryWatch(home.engine, lambda _spec: home.provider, lambda: sharing, gauge)
        memory.open()
        assert Phase.READY is home.phase()

        gauge.available = 50 * MiB
        await home.event("evicting")
        memory.close()
        await home.until(lambda: home.phase() is not Phase.READY)


async def test_nothing_is_measured_where_nobody_asked_for_it() -> None:
    """Without `keep_free` no timer runs; what cannot be read is no reason to end."""
    gauge = Gauge(1)
    async with house() as home:
        memory = MemoryWatch(home.engine, lambda _spec: home.provider, Sharing, gauge)
        memory.open()
        gauge.broken = True
        assert None is memory.facts()
        memory.measure()
        memory.close()
        assert 0 == home.asked_to_measure


# --- GPUs --------------------------------------------------------------------


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A library with one GPU of 24 GiB that two programs use."""
    state = SimpleNamespace(open=0, users=[])

    class NVMLError(Exception):
        pass

    def handle(number: int) -> int:
        if number:
            raise NVMLError("Invalid Argument")
        return number

    def init() -> None:
        state.open += 1

    def shutdown() -> None:
        state.open -= 1

    module = ModuleType("pynvml")
    vars(module).update(
        NVMLError=NVMLError, nvmlInit=init, nvmlShutdown=shutdown, nvmlDeviceGetHandleByIndex=handle,
        nvmlDeviceGetMemoryInfo=lambda _handle: SimpleNamespace(total=24 * 2**30, used=1, free=1),
        nvmlDeviceGetComputeRunningProcesses=lambda _handle: state.users,
        nvmlDeviceGetGraphicsRunningProcesses=lambda _handle: [],
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", module)
    yield state
    assert 0 == state.open


def test_what_others_use_of_a_gpu(nvml: SimpleNamespace) -> None:
    """Programs of others count, ours do not, and one that is not there (any more) neither."""
    nvml.users = [
        SimpleNamespace(pid=os.getppid(), usedGpuMemory=8 * 2**30),
        SimpleNamespace(pid=os.getpid(), usedGpuMemory=4 * 2**30),
        SimpleNamespace(pid=2**22 + 1, usedGpuMemory=2 * 2**30),
    ]

    assert {0: (24 * 2**30, 8 * 2**30)} == gpu.read_gpus([0, 1], [])


def test_descendants_of_ours_are_ours() -> None:
    """The child of an app's process belongs to the app."""
    parents = {7: 6, 6: 5, 5: 1, 1: 0, 9: 1}

    assert not gpu.is_foreign(7, {5}, parents.get)
    assert gpu.is_foreign(9, {5}, parents.get)


def test_without_a_library_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setattr(gpu, "MODULE", "no_such_library")

    assert {} == gpu.read_gpus([0], [])


@pytest.mark.usefixtures("nvml")
async def test_a_gpu_sets_the_size_of_its_budget() -> None:
    """It is read off the loop, and told to the core."""
    sharing = Sharing(budgets={"gpu": Budget(None, sized=True, device=0)})
    async with house(sharing=sharing) as home:
        memory = MemoryWatch(home.engine, lambda _spec: home.provider, lambda: sharing, Gauge(1))
        memory.open()
        await home.until(lambda: bool((facts := memory.facts()) and facts.devices))
        memory.close()
