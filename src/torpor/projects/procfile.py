"""A Procfile: the project's own word on what runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torpor.projects.found import App, Setting
from torpor.projects.project import Project
from torpor.projects.settings import background_app, web_app

FILE = "Procfile"
WEB = "web"
RELEASE = "release"
"""Not a process: what is run once after each deployment."""
_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*?)\s*")
SHELL = Setting("shell", value=True, comment="As written in the Procfile, for a shell.")


def procfile(project: Project, name: str) -> Iterator[App]:
    """Each process of a Procfile: `web` is woken by requests, the others always run."""
    text = project.folder.text(FILE) if project.folder.has(FILE) else None
    for process, command in _processes(text or "").items():
        evidence = [f"{FILE} has a process {process!r}"]
        more = [SHELL, *_env_file(project)]
        if process == WEB:
            yield web_app(FILE, project, name, command, evidence=evidence, more=more)
        elif process != RELEASE:
            yield background_app(FILE, project, f"{name}.{process}", command, evidence=evidence, more=more)


def _processes(text: str) -> dict[str, str]:
    """Names of processes → their commands."""
    matches = filter(None, map(_LINE.fullmatch, text.splitlines()))
    return {match[1].lower(): match[2] for match in matches}


def _env_file(project: Project) -> list[Setting]:
    return [Setting("env_file", "./.env")] if project.folder.has(".env") else []
