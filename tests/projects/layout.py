"""Directories for tests, from the names and contents of their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def lay_out(directory: Path, files: Mapping[str, str | bytes]) -> Path:
    """The directory with these files in it."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return directory


def virtual_environment(directory: Path, *packages: str) -> None:
    """What looks like a virtual environment in which these packages are installed."""
    lay_out(directory, {"bin/python": "#!/bin/sh\n", "pyvenv.cfg": ""})
    (directory / "bin/python").chmod(0o755)
    for package in packages:
        (directory / "lib/python3.11/site-packages" / package).mkdir(parents=True)
