"""Small apps to begin with: directories beside this file, copied as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator

from torpor.errors import ProjectUnusable
from torpor.projects.write import create_file

TEMPLATES = {
    "streamlit": "a page with sliders and a chart",
    "fastapi": "a JSON API",
    "flask": "a page with a form",
    "static": "a site of plain files",
    "worker": "a program that no request reaches, and that always runs",
}
"""Their names, and what each is."""
_PLACE = os.path.join(os.path.dirname(__file__), "templates")


def lay_down(template: str, directory: str) -> list[str]:
    """Copy a template's files into the directory, which is made if need be; the files' relative paths.

    Raises `ProjectUnusable`, before anything is written, if one of them is there already.
    """
    files = dict(_files(template))
    for name in files:
        path = os.path.join(directory, name)
        if os.path.lexists(path):
            raise ProjectUnusable(
                f"{path} is there already, and is left as it is",
                hint="Name a directory that is still to be made.",
            )
    for name, text in files.items():
        path = os.path.join(directory, name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        except OSError as error:
            raise ProjectUnusable(f"cannot make {os.path.dirname(path)}: {error.strerror}") from error
        create_file(path, text)
    return list(files)


def _files(template: str) -> Iterator[tuple[str, str]]:
    place = os.path.join(_PLACE, template)
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(set(folders) - {"__pycache__"})
        for name in sorted(names):
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as file:
                yield os.path.relpath(path, place), file.read()
