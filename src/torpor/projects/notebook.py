"""Notebooks, served by JupyterLab."""

from __future__ import annotations

import os
from collections.abc import Iterator

from torpor.projects.found import App, Setting
from torpor.projects.project import Project
from torpor.projects.settings import TABS, command_text, web_app

OPTIONS = [
    "--no-browser",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port=$PORT",
    "--ServerApp.port_retries=0",
]
ASKED = """Whoever opens it is asked for a token, a new one at each start: `torpor logs {name}` tells it.
`jupyter lab password` sets a password that stays."""


def jupyter(project: Project, name: str) -> Iterator[App]:
    """Files that end in .ipynb."""
    notebooks = project.folder.ending(".ipynb")
    if not notebooks:
        return
    program = project.environment("jupyter-lab", "jupyterlab").module("jupyterlab", program="jupyter-lab")
    # Jupyter refuses to run as root unless told to; whoever runs `init` will most likely run it too.
    root = ["--allow-root"] if os.geteuid() == 0 else []
    # What it is asked for by: `localhost` by our probe, the other by browsers.
    hosts = [f"--ServerApp.local_hostnames={host}" for host in ("localhost", f"{name}.localhost")]
    more = f" and {len(notebooks) - 1} more" if len(notebooks) > 1 else ""
    yield web_app(
        "Jupyter",
        project,
        name,
        command_text([*program.words, *OPTIONS, *root, *hosts]),
        evidence=[f"{notebooks[0]}{more} to be opened", program.evidence],
        steps=program.steps,
        health="/api",
        more=[Setting("wake_on", "navigation", TABS)],
        comment=ASKED.format(name=name),
    )
