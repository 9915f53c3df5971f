"""Configurations of the apps that the end-to-end tests run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

E2E = Path(__file__).parent
EXAMPLES = E2E.parent.parent / "examples"

WITHOUT_FUSS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Options for a Chromium that runs as anybody, anywhere, and talks to nobody on its own account."""


def config(*apps: str, **gateway: object) -> str:
    """A whole configuration file of these apps; the harness fills in the gateway's address."""
    return f"gateway: {json.dumps({'listen': 'GATEWAY', **gateway})}\napps:\n" + "".join(apps)


def app(name: str, command: str | list[str], **settings: object) -> str:
    """One app, its route `name.localhost`.  Settings are JSON, which YAML includes."""
    settings = {"routes": [f"{name}.localhost"], "command": command, **settings}
    lines = [f"    {key}: {json.dumps(value)}\n" for key, value in settings.items()]
    return f"  {name}:\n" + "".join(lines)


def web(name: str = "web", *options: str, **settings: object) -> str:
    """The app that misbehaves on request: see `programs/web.py`."""
    program = E2E / "programs" / "web.py"
    return app(name, [sys.executable, str(program), *options], **settings)


def example(name: str, **settings: object) -> str:
    """One of the ASGI examples, run by uvicorn."""
    command = f"uvicorn {name}:app --host 127.0.0.1 --port $PORT --no-access-log"
    known = {"working_dir": str(EXAMPLES / name), "readiness": {"http": "/healthz"}}
    return app(name, command, **{**known, **settings})


def notes(notes_file: Path, **settings: object) -> str:
    """The Streamlit example."""
    command = (
        "streamlit run app.py --server.address 127.0.0.1 --server.port $PORT --server.headless true"
        " --server.fileWatcherType none --browser.gatherUsageStats false"
    )
    known = {
        "working_dir": str(EXAMPLES / "notes"),
        "readiness": {"http": "/_stcore/health"},
        "environment": {"NOTES_FILE": str(notes_file)},
    }
    return app("notes", command, **{**known, **settings})
