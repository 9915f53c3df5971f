"""A program that works without being asked."""

from __future__ import annotations

from collections.abc import Iterator

from torpor.projects.found import App
from torpor.projects.project import Project
from torpor.projects.settings import background_app, command_text

FILE = "worker.py"


def worker(project: Project, name: str) -> Iterator[App]:
    """A worker.py that does something when it is run."""
    if not any(source.file == FILE and source.is_main for source in project.sources):
        return
    program = project.environment("python3", None).script(FILE)
    yield background_app(
        "worker",
        project,
        name,
        command_text(program.words),
        evidence=[f"{FILE} is a program of its own", program.evidence],
        steps=program.steps,
    )
