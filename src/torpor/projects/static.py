"""A site of plain files."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

from torpor.projects.found import App
from torpor.projects.project import Project
from torpor.projects.settings import command_text, web_app

PLACES = (".", "public", "dist", "build", "_site", "site", "www", "html")
"""Where its start page may lie."""
INDEX = "index.html"


def static(project: Project, name: str) -> Iterator[App]:
    """An index.html here, or where generators put it."""
    for place in PLACES:
        if not os.path.isfile(os.path.join(project.folder.path, place, INDEX)):
            continue
        python = "python3" if shutil.which("python3") else sys.executable
        yield web_app(
            "static site",
            project,
            name,
            command_text([python, "-m", "http.server", "$PORT", "--bind", "127.0.0.1", "--directory", place]),
            evidence=[f"{os.path.normpath(os.path.join(place, INDEX))} is there"],
            health="/",
            comment=f"Everything below {'this directory' if place == '.' else place} can be fetched.",
        )
        return
