"""The apps that `torpor run` added: a small configuration file for each, in the state directory.

They are read as if the main file included them, so that they are checked, and their mistakes
told, like everything else.  Each is replaced as a whole, and only its owner can read it: it may
hold what the caller's environment held.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from torpor.config.apps import NAME
from torpor.config.load import load
from torpor.config.problems import Problem
from torpor.config.settings import Settings
from torpor.errors import ConfigInvalid, StateUnusable

SUFFIX = ".yaml"


class Additions:
    """The files of a directory, which is made when it is needed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def files(self) -> list[Path]:
        """All of them, in the order of their names."""
        return sorted(self.directory.glob(f"*{SUFFIX}"))

    def path(self, app: str) -> Path:
        """The file of an app, which need not be there.  Raises `ValueError` for what is no app's name."""
        if not NAME.fullmatch(app):
            raise ValueError(f"{app!r} is no name for an app")  # it could lead out of the directory
        return self.directory / f"{app}{SUFFIX}"

    def read(self, app: str) -> bytes:
        """What an app's file holds.  Raises `StateUnusable`."""
        path = self.path(app)
        try:
            return path.read_bytes()
        except OSError as error:
            raise StateUnusable(f"cannot read {path}: {error.strerror}") from error

    def write(self, app: str, text: bytes) -> None:
        """Put an app's file in place.  Raises `StateUnusable`; then all is as before."""
        path = self.path(app)
        temporary = path.with_suffix(".new")
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            temporary.rename(path)
            sync_directory(self.directory)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise StateUnusable(f"cannot write {path}: {error.strerror}") from error

    def remove(self, app: str) -> bool:
        """Delete an app's file; False if there was none.  Raises `StateUnusable`."""
        if not NAME.fullmatch(app):
            return False
        try:
            self.path(app).unlink()
            sync_directory(self.directory)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StateUnusable(f"cannot delete {self.path(app)}: {error.strerror}") from error
        return True


def load_all(
    source: Path, additions: Additions, environ: Mapping[str, str] = os.environ
) -> tuple[Settings, Sequence[Problem]]:
    """The configuration with what was added, for a daemon that comes up; and what is wrong with additions.

    An addition that cannot be used is left out and its problems are told: an app that somebody
    once tried must not keep all others down after a reboot.  Raises `ConfigInvalid` for
    problems of the configuration itself.
    """
    left_out: list[Problem] = []
    files = additions.files()
    while True:
        try:
            return load(source, environ, additions=files), left_out
        except ConfigInvalid as invalid:
            names = {os.path.abspath(file): file for file in files}
            problems = [problem for problem in invalid.problems if isinstance(problem, Problem)]
            broken = {os.path.abspath(problem.file) for problem in problems} & names.keys()
            if not broken:
                raise
            left_out += [problem for problem in problems if os.path.abspath(problem.file) in broken]
            files = [file for file in files if os.path.abspath(file) not in broken]


def in_use(settings: Settings) -> list[Path]:
    """The files of the added apps that hold; not those that were left out."""
    return sorted(Path(origin.file) for origin in settings.origins.values() if origin.added)


def sync_directory(directory: Path) -> None:
    """Let what was renamed or deleted in it outlive a loss of power.  Raises `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
