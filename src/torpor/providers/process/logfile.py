"""The rotating log file of one instance, and reading its end.

1. What the app wrote goes into the file byte for byte, moved there by the kernel
   (splice): at no moment does it lie only in the daemon's memory, so that a daemon
   killed at any moment loses nothing.
2. `NAME.log` is written, `NAME.log.1` is the one before, up to `keep`; none grows beyond
   the size limit.  Rotation happens between lines, unless one line is as long as that.
3. A separator line stands before each generation, so that the lines of one can be told
   from those of another after a restart of the daemon too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from torpor.config.settings import LogSpec

_SEPARATOR = b"--- torpor: generation "
_BLOCK = 64 * 1024
_FURTHEST = 8 * 1024 * 1024
"""How far back from the end `tail` reads at most, in bytes."""
_NO_SPLICE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class LogFile:
    """Takes what a pipe holds; rotates by size.  Opened when it is first written."""

    def __init__(self, path: Path, spec: LogSpec) -> None:
        self.path = path
        self.spec = spec
        self._fd = -1
        self._splices = True

    def begin(self, generation: int) -> None:
        """Write the separator of a generation.  Raises `OSError`."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        separator = _SEPARATOR + f"{generation} starts at {now} ---\n".encode()
        end = self._prepare(len(separator) + 1)
        if end and os.pread(self._fd, 1, end - 1) != b"\n":
            separator = b"\n" + separator
        _write(self._fd, separator, end)

    def receive(self, pipe: int, most: int) -> tuple[bytes, OSError | None]:
        """Move up to `most` bytes from `pipe` into the file and return them.

        The second value says why they are not, or not whole, in the file.  Raises
        `BlockingIOError` if the pipe is empty.
        """
        try:
            end = self._prepare(1)
        except OSError as error:
            return os.read(pipe, most), error
        most = min(most, max(1, self.spec.max_size - end))
        if self._splices:
            try:
                count = os.splice(pipe, self._fd, most, offset_dst=end, flags=os.SPLICE_F_NONBLOCK)
                return os.pread(self._fd, count, end), None
            except BlockingIOError:
                raise
            except OSError as error:
                # Some file systems cannot; there, a kill in the next microseconds may cost lines.
                self._splices = error.errno not in _NO_SPLICE
        chunk = os.read(pipe, most)
        try:
            _write(self._fd, chunk, end)
        except OSError as error:
            return chunk, error
        return chunk, None

    def unfinished(self) -> bytes:
        """The end of the file after its last line break, or at most a block of it.  Raises `OSError`."""
        try:
            file = open(self.path, "rb", buffering=0)  # noqa: SIM115 - closed below
        except FileNotFoundError:
            return b""
        with file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - _BLOCK))
            return file.read(_BLOCK).rpartition(b"\n")[2]

    def close(self) -> None:
        """Close the file.  The next write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def tail(self, lines: int, *, back: int = 0) -> list[bytes]:
        """The last lines of the newest generation, or of the one `back` generations before it.

        Raises `OSError`.
        """
        found: list[bytes] = []
        for line in self._backwards():
            if line.startswith(_SEPARATOR):
                if back == 0:
                    break
                back -= 1
            elif back == 0:
                found.append(line)
                if len(found) >= lines:
                    break
        found.reverse()
        return found

    def _prepare(self, room: int) -> int:
        """Open the file, rotated if it has no `room` left; where its end is."""
        if self._fd < 0:
            self._open()
        # Asked anew each time: somebody may have emptied the file.
        end = os.lseek(self._fd, 0, os.SEEK_END)
        if not end or end + room <= self.spec.max_size:
            return end
        self._rotate(end)
        return os.lseek(self._fd, 0, os.SEEK_END)

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _rotate(self, end: int) -> None:
        """Start a new file with the unfinished last line of the old one."""
        start = max(0, end - _BLOCK)
        unfinished = os.pread(self._fd, end - start, start)
        cut = unfinished.rfind(b"\n") + 1
        unfinished = unfinished[cut:] if cut else b""
        fresh = f"{self.path}.new"
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write(fd, unfinished, 0)
            # The other order could lose the line: this one at worst keeps it twice.
            os.ftruncate(self._fd, end - len(unfinished))
            for number in range(self.spec.keep, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(self._numbered(number - 1), self._numbered(number))
            os.replace(fresh, self.path)
        except OSError:
            os.close(fd)
            raise
        os.close(self._fd)
        self._fd = fd

    def _numbered(self, number: int) -> str:
        return f"{self.path}.{number}" if number else str(self.path)

    def _backwards(self) -> Iterator[bytes]:
        """All lines, the last one first, across the rotated files."""
        left = _FURTHEST
        for number in range(self.spec.keep + 1):
            try:
                file = open(self._numbered(number), "rb", buffering=0)  # noqa: SIM115 - closed below
            except FileNotFoundError:
                return
            with file:
                end = position = file.seek(0, os.SEEK_END)
                rest = b""
                while position and left > 0:
                    step = min(_BLOCK, position)
                    position -= step
                    left -= step
                    file.seek(position)
                    block = file.read(step)
                    if position + step == end:
                        block = block.removesuffix(b"\n")
                    rest, *lines = (block + rest).split(b"\n")
                    yield from reversed(lines)
                if end and not position:
                    yield rest


def _write(fd: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        count = os.pwrite(fd, rest, offset)
        offset += count
        rest = rest[count:]
