"""Node projects: which script of package.json serves, and by which package manager."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

from torpor.projects.found import App, step
from torpor.projects.project import Project
from torpor.projects.settings import command_text, web_app

SCRIPTS = ("start", "serve", "preview", "dev")
"""Scripts that serve, the one that is meant for use first."""
LOCKS = {
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
    "package-lock.json": "npm",
}
MANAGERS = frozenset(LOCKS.values())
OPTIONS = {
    r"\bvite\b": ["--port", "$PORT", "--strictPort", "--host", "127.0.0.1"],
    r"\bastro\b": ["--port", "$PORT", "--host", "127.0.0.1"],
    r"\bng serve\b": ["--port", "$PORT", "--host", "127.0.0.1"],
    r"\bwebpack(?:-dev-server| serve)\b": ["--port", "$PORT", "--host", "127.0.0.1"],
    r"\bparcel\b": ["--port", "$PORT", "--host", "127.0.0.1"],
}
"""What the servers that do not heed the variable PORT are to be told."""
HEEDS = "PORT in its environment is the port to listen on, as most servers for Node expect."


def node(project: Project, name: str) -> Iterator[App]:
    """A package.json with a script that serves, or a server.js beside it."""
    document = _document(project)
    if document is None:
        return
    scripts = document.get("scripts")
    scripts = scripts if isinstance(scripts, dict) else {}
    script = next((each for each in SCRIPTS if isinstance(scripts.get(each), str)), None)
    manager, sign = _manager(project, document)
    steps = () if _installed(project, document) else (step(project.where, f"{manager} install"),)
    if script is not None:
        options = next((o for pattern, o in OPTIONS.items() if re.search(pattern, scripts[script])), [])
        words = [manager, "run", script, *(["--"] if options and manager == "npm" else []), *options]
        evidence = [f"package.json has a script {script!r}", *sign]
    elif project.folder.has("server.js"):
        options, words = [], ["node", "server.js"]
        evidence = ["package.json stands beside server.js"]
    else:
        return
    there = shutil.which(words[0]) is not None
    yield web_app(
        "Node",
        project,
        name,
        command_text(words),
        evidence=[*evidence, *([] if there else [f"{words[0]} is not on the search path yet"])],
        steps=steps,
        comment="" if options else HEEDS,
    )


def _document(project: Project) -> dict[str, Any] | None:
    text = project.folder.text("package.json") if project.folder.has("package.json") else None
    try:
        document = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _manager(project: Project, document: dict[str, Any]) -> tuple[str, list[str]]:
    """The package manager, and what says so."""
    named = str(document.get("packageManager", "")).partition("@")[0]
    if named in MANAGERS:
        return named, [f"it names {named}"]
    lock = project.folder.has(*LOCKS)
    return (LOCKS[lock], [f"{lock} is there"]) if lock else ("npm", [])


def _installed(project: Project, document: dict[str, Any]) -> bool:
    """Whether its packages are there, or it needs none."""
    needs = any(document.get(key) for key in ("dependencies", "devDependencies"))
    # Yarn may keep them in archives beside this file.
    return not needs or "node_modules" in project.folder.folders or project.folder.has(".pnp.cjs") is not None
