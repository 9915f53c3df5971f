"""How a process ended, whether it is our child or not.

A child's end is told by `waitid`.  Of a process that an earlier daemon started, the kernel
tells it through the pidfd once its parent has reaped it (since Linux 6.15), and
/proc as long as nobody has.  Where neither does, the status is unknown.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct

from torpor.core.model import ExitInfo

_INFO = struct.Struct("=QQ11Ii")
"""`struct pidfd_info`: first its mask, last the exit status."""
_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
_INFO_EXIT = 1 << 3


def wait_for_exit_nowait(pidfd: int, options: int = 0) -> ExitInfo | None:
    """How the process ended, None if it has not.  A child is reaped, unless `options` say WNOWAIT."""
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | options)
    except ChildProcessError:
        return _ask_the_kernel(pidfd)
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return ExitInfo(code=result.si_status)
    return ExitInfo(signal=result.si_status)


def _ask_the_kernel(pidfd: int) -> ExitInfo | None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(0):
        return None
    # A zombie first: between the two questions it can only be reaped, not come back.
    status = _status_of_zombie(pidfd)
    if status is None:
        status = _status_of_reaped(pidfd)
    if status is None:
        return ExitInfo()
    code = os.waitstatus_to_exitcode(status)
    return ExitInfo(code=code) if code >= 0 else ExitInfo(signal=-code)


def _status_of_zombie(pidfd: int) -> int | None:
    try:
        with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
            found = re.search(r"^Pid:\s*(\d+)$", file.read(), re.MULTILINE)
        if found is None:
            return None
        with open(f"/proc/{found[1]}/stat", "rb", buffering=0) as file:
            fields = file.read(4096).rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[49]) if fields[0] == b"Z" else None


def _status_of_reaped(pidfd: int) -> int | None:
    info = bytearray(_INFO.pack(_INFO_EXIT, *[0] * 13))
    try:
        fcntl.ioctl(pidfd, _GET_INFO, info)
    except OSError:
        return None
    mask, *_, status = _INFO.unpack(info)
    return status if mask & _INFO_EXIT else None
