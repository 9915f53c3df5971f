"""A new torpor.yaml on disk, and the schema beside it for editors."""

from __future__ import annotations

import os
from contextlib import suppress

from torpor.config.find import NAME
from torpor.errors import ProjectUnusable
from torpor.projects.document import SCHEMA


def check_unwritten(directory: str) -> None:
    """See that there is no configuration yet.  Raises `ProjectUnusable`."""
    path = os.path.join(directory, NAME)
    if os.path.lexists(path):
        raise ProjectUnusable(
            f"{path} is there already, and is left as it is",
            hint="`torpor init --dry-run` prints what would be written; `torpor config check` checks what is there.",
        )


def write_configuration(directory: str, text: str, schema: str) -> str:
    """Write both files; the path of the configuration.  What is there already is never overwritten.

    The schema is ours: an older one is replaced.  Raises `ProjectUnusable`.
    """
    check_unwritten(directory)
    beside = os.path.join(directory, SCHEMA)
    try:
        os.makedirs(os.path.dirname(beside), exist_ok=True)
    except OSError as error:
        raise _refused(os.path.dirname(beside), error) from error
    replace_file(beside, schema)
    path = os.path.join(directory, NAME)
    create_file(path, text)
    return path


def create_file(path: str, text: str) -> None:
    """A new file with the text, whole or not at all.  Raises `ProjectUnusable` if there is one already."""
    made = False
    try:
        with open(path, "x", encoding="utf-8") as file:
            made = True
            file.write(text)
    except FileExistsError:
        raise ProjectUnusable(f"{path} is there already, and is left as it is") from None
    except OSError as error:
        if made:
            with suppress(OSError):
                os.unlink(path)
        raise _refused(path, error) from error


def replace_file(path: str, text: str) -> None:
    """The file with the text, in one step.  Raises `ProjectUnusable`."""
    new = f"{path}.new"
    try:
        with open(new, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(new, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(new)
        raise _refused(path, error) from error


def _refused(path: str, error: OSError) -> ProjectUnusable:
    return ProjectUnusable(f"cannot write {path}: {error.strerror}")
