"""The log of a daemon that was left running behind, kept within bounds while it grows.

What such a daemon says goes to the file that its stdout and stderr were given.  Once that
is full it is put aside as `NAME.1`, in place of the one before, and a new one begun.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from typing import Any, TextIO

LIMIT = 10 * 1024 * 1024
"""Bytes from which on a log is put aside: there are never more than about two times as many."""


class OwnLog(io.FileIO):
    """The open file `number`, which is the one at `path`; `also` are further descriptors of it.

    They are all led to the new file when one is begun, so that what bypasses this, such as
    the interpreter's own last words, is in it too.
    """

    def __init__(self, path: str, number: int, also: Sequence[int] = (), limit: int = LIMIT) -> None:
        super().__init__(number, "w", closefd=False)
        self._path = path
        self._numbers = (number, *also)
        self._limit = limit

    def write(self, data: Any) -> int:
        """Bytes written.  Raises `OSError`."""
        if os.fstat(self.fileno()).st_size >= self._limit:
            # Better a log that is too long than none: the next line tries again.
            with contextlib.suppress(OSError):
                self._begin_anew()
        return super().write(data)

    def _begin_anew(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # put aside already, by a try that failed or by somebody
            os.replace(self._path, self._path + ".1")
        fresh = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for number in self._numbers:
                os.dup2(fresh, number)
        finally:
            os.close(fresh)


def bounded(out: TextIO, err: TextIO, path: str) -> TextIO | None:
    """A stream in place of both, if both are the file at `path`."""
    try:
        file = os.stat(path)
        if not all(os.path.samestat(file, os.fstat(stream.fileno())) for stream in (out, err)):
            return None
    except OSError:  # also of a stream that has no descriptor
        return None
    log = OwnLog(path, out.fileno(), [err.fileno()])
    return io.TextIOWrapper(
        io.BufferedWriter(log), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
