"""Reading /proc: who a process is, who its children are, what it uses.

A pid alone names nobody, because numbers are used again.  A process is its pid
together with its start time; whoever signals one opens a pidfd first and then
looks whether the start time is still the one that was meant.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import time
from collections.abc import Iterable
from typing import NamedTuple

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """One process at the moment of reading /proc/PID/stat."""

    pid: int
    started: int
    """Clock ticks since boot; with the pid it is the process's identity."""
    parent: int
    session: int
    alive: bool
    """False for a zombie: it holds its number, but runs no more."""
    stopped: bool
    """Frozen by a stop signal: it acts on no signal but CONT and KILL."""
    ticks: int
    """CPU time used, that of its reaped children included, in clock ticks."""


def read_process(pid: int) -> Process | None:
    """Look `pid` up; None where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read(4096)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may itself hold spaces and parentheses: count from its end.
    fields = text[text.rindex(b")") + 2 :].split()
    state = fields[0]
    # A main thread that ended before the others shows as a zombie of a process that still runs.
    alive = state not in {b"Z", b"X"} or int(fields[17]) > 1
    return Process(
        pid=pid,
        started=int(fields[19]),
        parent=int(fields[1]),
        session=int(fields[3]),
        alive=alive,
        stopped=state == b"T",
        ticks=sum(map(int, fields[11:15])),
    )


def read_children(pid: int) -> list[int]:
    """The direct children of a process, empty where it does not exist."""
    children: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return children
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                while text := file.read(65536):
                    children += map(int, text.split())
        except ProcessLookupError:
            continue
        except FileNotFoundError:
            # Either the thread ended, or this kernel has no such file.
            if not HAS_CHILDREN_FILE:
                return _children_by_parent(pid)
    return children


def has_environment_entry(pid: int, entry: bytes) -> bool | None:
    """Whether the environment that the process was executed with holds `NAME=value`.

    None in the middle of an execution, when there is no environment to look at.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            environment = file.read(2 << 20)
        if environment:
            return entry in environment.split(b"\0")
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            start, end = map(int, file.read(4096).split()[-3:-1])
    except OSError:
        return False
    # Without bounds it is being executed.  With bounds around something that was empty a
    # moment ago, it was: the next look finds what there is.
    return None if not end or start != end else False


def has_environment_name(pid: int, name: bytes) -> bool:
    """Whether the environment that the process was executed with holds this name."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            environment = file.read(2 << 20)
    except OSError:
        return False
    return b"\0" + name + b"=" in b"\0" + environment


def environment_value(pid: int, name: bytes) -> bytes | None:
    """What the environment that the process was executed with holds under this name."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            environment = file.read(2 << 20)
    except OSError:
        return None
    entry = next((one for one in environment.split(b"\0") if one.startswith(name + b"=")), None)
    return None if entry is None else entry.partition(b"=")[2]


def read_boot() -> str:
    """What tells one boot from another: pids and start times mean nothing across two of them.

    A container boots with its first process, though the kernel goes on.
    """
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    # It may be hidden from us (hidepid); then containers on one state directory are not told apart.
    first = read_process(1)
    return boot if first is None else f"{boot}/{first.started}"


def age(process: Process) -> float:
    """Seconds since it was started."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - process.started / TICKS_PER_SECOND)


def read_tag(pid: int) -> int | None:
    """The number that `tag` gave to the process or to an ancestor of it."""
    try:
        return resource.prlimit(pid, resource.RLIMIT_RTTIME)[1]
    except OSError:
        return None


def tag(pid: int, number: int) -> bool:
    """Give a process a number that all its descendants inherit, whatever they do.

    It is carried by a resource limit that is far too large to limit anything: unlike
    the environment it survives cleaning, overwriting and execution.  False where the
    system does not let us.
    """
    try:
        resource.prlimit(pid, resource.RLIMIT_RTTIME, (number, number))
    except (OSError, ValueError):
        return False
    return True


def resident_bytes(pid: int) -> int:
    """Resident memory; 0 where the process is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return int(file.read(256).split()[1]) * PAGE_SIZE
    except (OSError, IndexError):
        return 0


def proportional_bytes(pid: int) -> int | None:
    """Resident memory, what is shared with others in proportion; None where the kernel does not say.

    It walks the page tables, which may take milliseconds: not for the loop.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            line = next(line for line in file if line.startswith(b"Pss:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return None


class Usage(NamedTuple):
    """Memory of some processes in bytes, what they share counted once."""

    resident: int
    anonymous: int
    """What of it lies in no file: it can go nowhere but to swap."""
    swapped: int
    """What has gone there."""


def read_usage(processes: Iterable[Process]) -> Usage:
    """What they use together.  It walks page tables: not for the loop."""
    resident = anonymous = swapped = 0
    for process in processes:
        try:
            with open(f"/proc/{process.pid}/smaps_rollup", "rb") as file:
                kib = {
                    line.partition(b":")[0]: int(line.split()[1]) for line in file if line.endswith(b" kB\n")
                }
            resident += kib[b"Pss"] * 1024
            anonymous += kib.get(b"Pss_Anon", kib[b"Anonymous"]) * 1024
            swapped += kib.get(b"SwapPss", 0) * 1024
        except (OSError, KeyError):
            resident += resident_bytes(process.pid)
            anonymous += resident_bytes(process.pid)
    return Usage(resident, anonymous, swapped)


def stands_still(pid: int) -> bool:
    """Whether all its threads are stopped, or it is gone."""
    return thread_states(pid) <= {b"T", b"t", b"Z", b"X"}


def thread_states(pid: int) -> set[bytes]:
    """What its threads are doing, a letter each as in proc(5); empty where it is gone."""
    states: set[bytes] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with (
                contextlib.suppress(FileNotFoundError, ProcessLookupError),
                open(f"/proc/{pid}/task/{thread}/stat", "rb", buffering=0) as file,
            ):
                states.add(file.read(4096).rpartition(b")")[2].split()[0])
    return states


def open_verified(process: Process) -> int | None:
    """A pidfd of exactly this process, which the caller closes; None if it is gone.

    Raises `OSError` if there are no descriptors left.
    """
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        # Older kernels (6.1) say so of one that is gone while its session or group, named after it, lives on.
        if error.errno != errno.EINVAL:
            raise
        return None
    now = read_process(process.pid)
    if now is None or now.started != process.started:
        os.close(fd)
        return None
    return fd


def send_signal(process: Process, number: int, *, wakes: bool = True) -> bool:
    """Signal exactly this process.  False if it is gone.  Raises `OSError` if that may not be.

    `wakes`: one that is stopped goes on, so that it can act on the signal.
    """
    fd = open_verified(process)
    if fd is None:
        return False
    try:
        signal.pidfd_send_signal(fd, number)  # type: ignore[arg-type, unused-ignore]
        if process.stopped and wakes and number not in {signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT}:
            signal.pidfd_send_signal(fd, signal.SIGCONT)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def _children_by_parent(pid: int) -> list[int]:
    """The same answer on kernels without PROC_CHILDREN, by reading every process."""
    children = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = read_process(int(name))
            if process is not None and process.parent == pid:
                children.append(process.pid)
    return children


def _has_children_file() -> bool:
    with contextlib.suppress(OSError):
        return os.path.exists(f"/proc/self/task/{os.getpid()}/children")
    return False


HAS_CHILDREN_FILE = _has_children_file()
