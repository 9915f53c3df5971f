"""Where files lie: those that are read, and the one that is written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from torpor.errors import CannotImport
from torpor.importers.draft import Verbatim

MAX_BYTES = 10 * 1000 * 1000
"""Of one file that is read."""


@dataclass(frozen=True)
class Place:
    """What an importer may know of the world."""

    base: str
    """The directory of the file that is written; its relative paths begin there."""
    environ: Mapping[str, str]
    chosen: str | None = None
    """Which of several environments is meant, where a file has them: PM2's `--env`."""

    def path(self, file: str, path: str) -> str:
        """`path`, which `file` names, as the written file has to name it."""
        if os.path.isabs(path) or path.startswith("~"):
            return path
        return self.beside(os.path.join(os.path.dirname(os.path.abspath(file)), path))

    def beside(self, path: str) -> str:
        """An absolute path as the written file has to name it: short where it lies below its directory."""
        absolute = os.path.normpath(path)
        base = os.path.abspath(self.base)
        if absolute == base:
            return "."
        prefix = base.rstrip("/") + "/"
        return "./" + absolute.removeprefix(prefix) if absolute.startswith(prefix) else absolute

    def variable(self, name: str) -> Verbatim:
        """A reference to a variable of Torpor's environment that the file can be loaded with."""
        return Verbatim(f"${{{name}}}" if name in self.environ else f"${{{name}:-}}")


def read_text(path: str) -> str:
    """The text of a file.  Raises `CannotImport`."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CannotImport(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(raw) > MAX_BYTES:
        raise CannotImport(f"{path}: is larger than {MAX_BYTES // 1_000_000} MB, which no configuration is")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise CannotImport(
            f"{path}:{line}: is not UTF-8 text", hint="Save it as UTF-8, then import it."
        ) from error
