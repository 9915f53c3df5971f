"""Moving the memory of processes that stand still out of the way.

1. What a process has written goes to swap.  What it only reads from a file, like its libraries,
   is dropped, and read from there again; the kernel leaves what another process has mapped, too.
2. Memory comes back by itself, page by page, when the process touches it; `bring_back` only
   hurries ahead of it, and only where there is room.
3. It is moved in slices, so that whoever is woken meanwhile need not wait for the rest.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from torpor.providers.process.procfs import Process, open_verified, read_usage

_PROCESS_MADVISE = 440
"""The number of the system call, on every kind of machine; libraries of 2020 and before lack it."""
_MADV_WILLNEED = 3
_MADV_PAGEOUT = 21
_SLICE = 4 << 20
"""Bytes that are moved by one call: 10 ms, compressed."""
_RIGHTS = (
    "that takes root, or CAP_SYS_NICE (and CAP_SYS_PTRACE for an app of another user), "
    "or a cgroup (v2) of its own with the memory controller"
)

_libc = ctypes.CDLL(None, use_errno=True)


class _Range(ctypes.Structure):
    _fields_ = (("start", ctypes.c_size_t), ("length", ctypes.c_size_t))


def obstacle(needed: int) -> str | None:
    """Why so many bytes cannot be moved out on this machine, and what would help."""
    total, free = _read_swap()
    if not total:
        return "this machine has no swap; `torpor zram` says how to set up some that is compressed memory"
    if free < needed:
        return (
            f"{free >> 20} MiB of swap are free, and it needs {needed >> 20} MiB; "
            "`torpor zram` says how to set up more that is compressed memory"
        )
    return None


def page_out(processes: Iterable[Process], reclaim: Path | None, stop: threading.Event) -> str | None:
    """Move their memory out, until `stop` is set; why that cannot be done, if so.  Not for the loop.

    `reclaim`: the file by which their cgroup gives memory back, taken where more is not permitted.
    """
    try:
        for process in processes:
            _advise(process, _MADV_PAGEOUT, stop)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            return f"its memory cannot be paged out: {error.strerror}"
        if reclaim is not None and reclaim.exists():
            return _reclaim(reclaim, stop)
        if error.errno == errno.ENOSYS:
            return "its memory cannot be paged out: that takes Linux 5.10"
        return f"its memory may not be paged out: {_RIGHTS}"
    return None


def bring_back(processes: Iterable[Process], stop: threading.Event) -> None:
    """Fetch their memory before they ask for it, page by page, until `stop` is set.  Not for the loop."""
    # What is fetched early lies in memory beside what it was fetched from, for a while.
    if read_usage(processes).swapped * 2 > _read_meminfo("MemAvailable"):
        return
    with contextlib.suppress(OSError):
        for process in processes:
            _advise(process, _MADV_WILLNEED, stop)


def _advise(process: Process, advice: int, stop: threading.Event) -> None:
    """Tell the kernel what to do with all private memory of a process.  Raises `OSError` if that may not be."""
    pidfd = open_verified(process)
    if pidfd is None:
        return
    try:
        for start, end in private_ranges(process.pid):
            for at in range(start, end, _SLICE):
                if stop.is_set():
                    return
                _advise_on(pidfd, _Range(at, min(_SLICE, end - at)), advice)
    finally:
        os.close(pidfd)


def _advise_on(pidfd: int, part: _Range, advice: int) -> None:
    done = _libc.syscall(
        ctypes.c_long(_PROCESS_MADVISE),
        ctypes.c_int(pidfd),
        ctypes.byref(part),
        ctypes.c_size_t(1),
        ctypes.c_int(advice),
        ctypes.c_uint(0),
    )
    # Locked memory, that of a device, or one that has ended: these stay, the rest goes.
    if done < 0 and (number := ctypes.get_errno()) in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        raise OSError(number, os.strerror(number))


def _reclaim(file: Path, stop: threading.Event) -> str | None:
    try:
        while not stop.is_set() and int((file.parent / "memory.current").read_text()):
            file.write_text(str(_SLICE))
    except OSError as error:
        # Nothing more can be had: what is left cannot be moved, or was touched by others.
        if error.errno != errno.EAGAIN:
            return f"its cgroup does not give memory back: {error.strerror}"
    return None


def private_ranges(pid: int) -> Iterator[tuple[int, int]]:
    """The memory that a process has for itself, from and to; nothing where it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/maps", "rb") as file:
        for line in file:
            place, rights, *_ = line.split(maxsplit=2)
            if rights[3:4] == b"p" and rights[:3] != b"---":
                start, _, end = place.partition(b"-")
                yield int(start, 16), int(end, 16)


def _read_swap() -> tuple[int, int]:
    """Bytes of swap, and those of them that are free."""
    return _read_meminfo("SwapTotal"), _read_meminfo("SwapFree")


def _read_meminfo(name: str) -> int:
    with contextlib.suppress(OSError), open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
