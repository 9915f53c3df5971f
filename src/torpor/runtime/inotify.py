"""The kernel's notices of what happens in a directory (inotify(7)), which Python's library does not offer."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

IN_ATTRIB = 0x004
IN_CLOSE_WRITE = 0x008
IN_MOVED_TO = 0x080
IN_CREATE = 0x100
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
"""Notices were lost: there were more than /proc/sys/fs/inotify/max_queued_events."""
IN_IGNORED = 0x8000
"""Nothing is watched any more."""
_IN_ONLYDIR = 0x1000000

_HEAD = struct.Struct("iIII")
_PIECE = 64 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something happened."""

    mask: int
    name: str
    """Of the entry; empty where it is about the directory itself."""


class Watch:
    """A directory that is watched, from the constructor to `close`."""

    def __init__(self, path: str, mask: int) -> None:
        """Raises `OSError`."""
        self.fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), path)
        try:
            _checked(
                _libc.inotify_add_watch(self.fd, os.fsencode(path), ctypes.c_uint32(mask | _IN_ONLYDIR)), path
            )
        except OSError:
            os.close(self.fd)
            raise

    def read(self) -> Iterator[Notice]:
        """What has happened since; nothing where nothing has.  At most 64 KiB of notices at a time."""
        try:
            data = os.read(self.fd, _PIECE)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            _, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            name = data[at : at + length].rstrip(b"\0")
            at += length
            yield Notice(mask, os.fsdecode(name))

    def close(self) -> None:
        """Watch no more."""
        os.close(self.fd)


def _checked(result: int, path: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result
