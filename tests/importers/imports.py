"""Imports for tests: files are written, imported, and what comes out is loaded by the real loader."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torpor.config.load import load
from torpor.config.settings import Settings
from torpor.importers.formats import import_files
from torpor.importers.values import from_yaml

HERE = {"PATH": os.environ["PATH"], "HOME": "/home/somebody"}


@dataclass(frozen=True)
class Result:
    """What came of an import."""

    text: str
    settings: Settings
    warnings: list[str]
    left: int

    @property
    def file(self) -> Any:
        """The result as plain data; scalars are text."""
        return from_yaml(self.text, "result")

    def app(self, name: str) -> Any:
        """The settings of an app."""
        return self.file["apps"][name]

    @property
    def apps(self) -> list[str]:
        """The names of all apps."""
        return list(self.file["apps"])

    @property
    def comments(self) -> str:
        """All comments on one line."""
        lines = (line.strip() for line in self.text.splitlines())
        return " ".join(line.lstrip("#- ") for line in lines if line.startswith("#"))


def imported(
    folder: Path,
    name: str,
    text: str,
    *more: str,
    format: str | None = None,
    chosen: str | None = None,
    environ: Mapping[str, str] = HERE,
) -> Result:
    """The file `name` with `text` (and files that lie there already), imported; what comes out must be valid."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    target = folder / "torpor.yaml"
    files = [str(file), *(str(folder / each) for each in more)]
    found = import_files(files, str(target), format=format, chosen=chosen, environ=environ)
    assert [] == found.problems, found.text
    target.write_text(found.text, encoding="utf-8")
    return Result(found.text, load(target, environ), found.warnings, found.left)
