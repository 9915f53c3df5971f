"""Taking a descriptor from a process that holds it.

It takes the right to trace that process: the same user, or root; where the kernel's Yama lets
parents alone trace (`kernel.yama.ptrace_scope` 1 and above), root.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable

from torpor.providers.process.procfs import Process, open_verified

_PIDFD_GETFD = 438
"""The number of the system call, on every kind of machine; Linux has it since 5.6."""

_libc = ctypes.CDLL(None, use_errno=True)


def take_back(holders: Iterable[Process], file: str) -> int | None:
    """A descriptor of our own of `file`, as `/proc/PID/fd` calls it, from one of these who has it.

    None where nobody has.  Raises `OSError` where somebody has and it may not be taken.
    """
    for process in holders:
        if (number := _find(process.pid, file)) is None or (pidfd := open_verified(process)) is None:
            continue
        try:
            fd: int = _libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
            if fd >= 0:
                return fd  # closed in what is executed, by itself
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        finally:
            os.close(pidfd)
    return None


def _find(pid: int, file: str) -> int | None:
    """Under which number the process has it."""
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(FileNotFoundError):
        for number in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(f"{folder}/{number}") == file:
                    return int(number)
    return None
