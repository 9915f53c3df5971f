"""A directory as far as it is looked at: names first, texts on demand, both bounded.

Laws:

1. Nothing is waited for: only regular files are opened, whatever else has a file's name.
2. What is looked at is bounded, however much there is; `Folder.cut` says where that was felt.
3. What cannot be read is passed over.  Links to directories are not followed, so loops are none.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from torpor.errors import ProjectUnusable

MAX_ENTRIES = 20_000
"""Names of one directory that are looked at: some tens of milliseconds."""
MAX_BYTES = 512 * 1024
"""Of a larger file nothing is read: what people write by hand is smaller."""
HIDDEN = frozenset({"node_modules", "venv", "env", "__pycache__", "tests", "test", "docs", "doc", "vendor"})
"""Directories in which nobody's app is looked for; so are all whose names begin with a dot."""


@dataclass(frozen=True)
class Folder:
    """The names in one directory, sorted."""

    path: str
    files: frozenset[str]
    folders: tuple[str, ...]
    cut: bool = False
    """Whether there were more names than are looked at."""
    odd: int = 0
    """Names that are no UTF-8, which no configuration could repeat."""

    def has(self, *names: str) -> str | None:
        """The first of the names that is a file here."""
        return next((name for name in names if name in self.files), None)

    def ending(self, suffix: str) -> list[str]:
        """The files whose names end so, in order."""
        return sorted(name for name in self.files if name.endswith(suffix))

    def read(self, name: str) -> bytes | None:
        """The content of a file here; None if it is too large, no plain file, or may not be read."""
        try:
            # Not to be kept waiting by what was a file when its name was read.
            number = os.open(os.path.join(self.path, name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with open(number, "rb") as file:
            info = os.fstat(number)
            if not stat.S_ISREG(info.st_mode) or info.st_size > MAX_BYTES:
                return None
            try:
                return file.read(MAX_BYTES)
            except OSError:
                return None

    def text(self, name: str) -> str | None:
        """The same as text; None too if it is none."""
        raw = self.read(name)
        if raw is None:
            return None
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            return None


def look(path: str) -> Folder:
    """The names in a directory.  Raises `ProjectUnusable` if it cannot be looked into."""
    files: set[str] = set()
    folders: list[str] = []
    odd = 0
    try:
        with os.scandir(path) as entries:
            for number, entry in enumerate(entries):
                if number >= MAX_ENTRIES:
                    return Folder(path, frozenset(files), tuple(sorted(folders)), cut=True, odd=odd)
                if not _is_text(entry.name):
                    odd += 1
                elif _is(entry, folder=False):
                    files.add(entry.name)
                elif _is(entry, folder=True) and not entry.name.startswith("."):
                    folders.append(entry.name)
    except OSError as error:
        raise ProjectUnusable(f"cannot look into {path}: {error.strerror}") from error
    return Folder(path, frozenset(files), tuple(sorted(folders)), odd=odd)


def look_below(folder: Folder, name: str) -> Folder | None:
    """A directory of it; None if it cannot be looked into."""
    try:
        return look(os.path.join(folder.path, name))
    except ProjectUnusable:
        return None


def _is(entry: os.DirEntry[str], *, folder: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) if folder else entry.is_file()
    except OSError:  # a link that leads round in a circle
        return False


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return name.isprintable()
