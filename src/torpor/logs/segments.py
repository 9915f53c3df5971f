"""The files of one stream: how they are named, found, put aside and given up."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = ("", ".zst", ".gz")
"""What an archive may have behind its number, in the order in which a reader looks: the plain one is whole."""
DIGITS = 6
_NAME = re.compile(r"(\.?)(.+\.log)(?:\.(\d{6,}))?(\.zst|\.gz|)(\.idx|\.tmp\d*|)")


def archive(path: str, number: int) -> str:
    """Where the archive of that number lies, plain."""
    return f"{path}.{number:0{DIGITS}}"


def index_of(path: str, number: int | None = None) -> str:
    """Where the index of an archive lies, or of the current segment."""
    folder, name = os.path.split(path if number is None else archive(path, number))
    return os.path.join(folder, f".{name}.idx")


def temporary(path: str, number: int, suffix: str) -> str:
    """Where an archive is compressed to before it is whole."""
    folder, name = os.path.split(archive(path, number) + suffix)
    return os.path.join(folder, f".{name}.tmp{os.getpid()}")


def find_archive(path: str, number: int) -> str | None:
    """The file that holds an archive, as it is now; None if it was given up."""
    plain = archive(path, number)
    return next((plain + suffix for suffix in SUFFIXES if os.path.lexists(plain + suffix)), None)


def numbers(path: str) -> list[int]:
    """The numbers of a stream's archives, ascending.  Raises `OSError`."""
    return Folder(Path(os.path.dirname(path))).numbers(os.path.basename(path))


class Folder:
    """What a directory of logs held when it was first asked for.

    One look serves all streams in it: a thousand apps would look at thousands of files each.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, list[re.Match[str]]] | None = None

    def numbers(self, name: str) -> list[int]:
        """The numbers of the archives of a stream, ascending.  Raises `OSError`."""
        return sorted({int(found[3]) for found in self._of(name) if found[3] and not found[1]})

    def names(self) -> Iterator[str]:
        """The streams that have a file here.  Raises `OSError`."""
        for name, found in sorted(self._scan().items()):
            if any(not each[1] for each in found):
                yield name

    def leftovers(self, name: str) -> list[str]:
        """Files of a stream that belong to nothing any more.  Raises `OSError`."""
        held = {(found[3], found[4]) for found in self._of(name) if not found[1]}
        kept = {number for number, _ in held}
        return [
            os.path.join(self._path, found[0])
            for found in self._of(name)
            if (found[1] and (found[5] != ".idx" or (found[3] and found[3] not in kept)))
            # Both are whole, or a crash of the machine tore the smaller one.
            or (not found[1] and found[4] and (found[3], "") in held)
        ]

    def _of(self, name: str) -> list[re.Match[str]]:
        return self._scan().get(name, [])

    def _scan(self) -> dict[str, list[re.Match[str]]]:
        if self._found is None:
            found: dict[str, list[re.Match[str]]] = {}
            for name in os.listdir(self._path):
                match = _NAME.fullmatch(name)
                if match is not None and bool(match[1]) == bool(match[5]):
                    found.setdefault(match[2], []).append(match)
            self._found = found
        return self._found


class Segments:
    """The row of segments of one stream, as its writer keeps it."""

    def __init__(self, path: str, folder: Folder) -> None:
        self.path = path
        self._folder = folder
        self._numbers: list[int] | None = None
        self._next = 1

    @property
    def next(self) -> int:
        """The number that the current segment will have."""
        return self._next

    def open(self) -> None:
        """Find what is there, and put right what a killed daemon left halfway.  Raises `OSError`."""
        if self._numbers is not None:
            return
        name = os.path.basename(self.path)
        found = self._folder.numbers(name)
        for leftover in self._folder.leftovers(name):
            with contextlib.suppress(OSError):
                os.unlink(leftover)
        self._numbers = found
        self._next = found[-1] + 1 if found else 1
        if found and not os.path.lexists(self.path) and not os.path.lexists(index_of(self.path, found[-1])):
            # It was killed between the two renames of a rotation.
            with contextlib.suppress(OSError):
                os.rename(index_of(self.path), index_of(self.path, found[-1]))

    @property
    def numbers(self) -> list[int]:
        """The archives, ascending; they are looked for if need be.  Raises `OSError`."""
        self.open()
        return self._numbers or []

    def rotate(self) -> int:
        """Make the current segment an archive; its number.  Raises `OSError`, and then nothing has changed."""
        assert self._numbers is not None
        number = self._next
        os.rename(self.path, archive(self.path, number))
        try:
            os.rename(index_of(self.path), index_of(self.path, number))
        except OSError:
            # It says nothing of the segment that follows.
            with contextlib.suppress(OSError):
                os.unlink(index_of(self.path))
        self._numbers.append(number)
        self._next += 1
        return number

    def limit(self, keep: int, total: int | None, oldest: float | None) -> None:
        """Give up old archives: more than `keep`, or than `total` bytes hold with their indexes.

        And those last written before `oldest` (seconds since the epoch).
        """
        archives = self._numbers or []
        doomed = max(0, len(archives) - keep)
        if total is not None or oldest is not None:
            left = total if total is not None else float("inf")
            for position in range(len(archives) - 1, doomed - 1, -1):
                size, written = self._measure(archives[position])
                left -= size
                if left < 0 or (oldest is not None and written < oldest):
                    doomed = position + 1
                    break
        for number in archives[:doomed]:
            self._give_up(number)
        del archives[:doomed]

    def _measure(self, number: int) -> tuple[int, float]:
        found = find_archive(self.path, number)
        if found is None:
            return 0, float("inf")
        with contextlib.suppress(OSError):
            status = os.stat(found)
            return status.st_size + _size(index_of(self.path, number)), status.st_mtime
        return 0, float("inf")

    def _give_up(self, number: int) -> None:
        plain = archive(self.path, number)
        # The plain one first: whoever compresses it meanwhile sees by that that nobody wants it any more.
        for path in (*(plain + suffix for suffix in SUFFIXES), index_of(self.path, number)):
            with contextlib.suppress(OSError):
                os.unlink(path)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
