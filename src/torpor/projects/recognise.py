"""Which apps a directory holds: the table of kinds, asked in order.

Laws:

1. What a kind looks like is known in its row of `KINDS`, and nowhere else.
2. A directory is of the first kind that recognises it; the others that would are named as remarks.
3. Only if it is of none are the directories in it asked, each for itself, one level deep.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torpor.projects.folder import HIDDEN, Folder, look, look_below
from torpor.projects.found import App, Findings
from torpor.projects.node import node
from torpor.projects.notebook import jupyter
from torpor.projects.procfile import procfile
from torpor.projects.project import Project
from torpor.projects.python_web import asgi, django, flask, gradio, streamlit
from torpor.projects.static import static
from torpor.projects.worker import worker

MAX_FOLDERS = 200
"""Directories that are asked, one level below."""
MAX_NAME = 40
"""Characters of a name: it becomes a part of a host name, which takes 63."""


@dataclass(frozen=True)
class Kind:
    """A kind of app: how people call it, what it looks like, and who recognises it."""

    title: str
    sign: str
    recognise: Callable[[Project, str], Iterable[App]]


KINDS = (
    Kind("Procfile", "a Procfile", procfile),
    Kind("Streamlit", "a Python file that imports streamlit", streamlit),
    Kind("Gradio", "a Python file that imports gradio", gradio),
    Kind("Django", "a manage.py that names Django's settings", django),
    Kind("FastAPI", "a Python file that makes an app of FastAPI, Starlette, Litestar or Quart", asgi),
    Kind("Flask", "a Python file that makes an app of Flask", flask),
    Kind("Node", "a package.json with a script start, serve, preview or dev, or with a server.js", node),
    Kind("Jupyter", "notebooks (*.ipynb)", jupyter),
    Kind("static site", "an index.html, here or in public, dist, build, _site, site, www or html", static),
    Kind("worker", "a worker.py that does something when it is run", worker),
)
"""The surest first: who wrote a Procfile has said it all, while many projects have an index.html."""


def recognise(path: str) -> Findings:
    """The apps of a directory.  Raises `ProjectUnusable` if it cannot be looked into."""
    root = look(path)
    remarks: list[str] = []
    apps = _ask(Project(root, root), _name(os.path.basename(os.path.realpath(path))), remarks)
    if not apps:
        below = [name for name in root.folders if name not in HIDDEN]
        if len(below) > MAX_FOLDERS:
            remarks.append(f"only {MAX_FOLDERS} of {len(below)} directories were looked into")
        taken: set[str] = set()
        for name in below[:MAX_FOLDERS]:
            folder = look_below(root, name)
            if folder is not None:
                apps += _ask(Project(folder, root), _unique(_name(name), taken), remarks)
    remarks += _limits(root)
    return Findings(path, tuple(apps), tuple(remarks))


def _ask(project: Project, name: str, remarks: list[str]) -> list[App]:
    """The apps by the first kind that knows the directory; what there is to remark goes to `remarks`."""
    found: list[App] = []
    for kind in KINDS:
        apps = list(kind.recognise(project, name))
        if found and apps:
            where = "" if project.where == "." else f"{project.where}: "
            remarks.append(f"{where}not taken: {apps[0].kind} ({apps[0].evidence[0]})")
        found = found or apps
    remarks += project.remarks
    return found


def _limits(root: Folder) -> list[str]:
    remarks = []
    if root.cut:
        remarks.append(
            f"there are more than {len(root.files) + len(root.folders)} names; the rest was not looked at"
        )
    if root.odd:
        remarks.append(
            f"{root.odd} {'name was' if root.odd == 1 else 'names were'} passed over: no plain UTF-8"
        )
    return remarks


def _name(folder: str) -> str:
    """A name for an app, which is part of a host name too, after its directory."""
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_NAME].strip("-") or "app"


def _unique(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if another directory has come to the same."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free
