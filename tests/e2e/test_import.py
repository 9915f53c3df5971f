"""What other managers ran, runs under Torpor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from e2e.harness import Launch, wait_for
from ports import free_port

SUPERVISORD = """
[supervisord]
environment=GREETING="hello there"
[program:talker]
command=sh -c "echo $GREETING %(program_name)s; exec sleep 1000"
autorestart=true
startsecs=1
[program:copies]
command=sh -c "echo copy %(process_num)d; exec sleep 1000"
numprocs=2
process_name=%(program_name)s_%(process_num)d
"""


def test_a_supervisord_conf_and_a_procfile_run(home: Path, launch: Launch) -> None:
    """Both are imported into one file; its apps become ready, and are what the files said."""
    port = free_port()
    (home / "supervisord.conf").write_text(SUPERVISORD)
    (home / ".env").write_text(f"PORT={port}\nWORD=from-dotenv\n")
    serve = f"{sys.executable} -m http.server $PORT --bind 127.0.0.1"
    (home / "Procfile").write_text(f"web: {serve}\nworker: printenv WORD PORT && exec sleep 1000\n")
    done = subprocess.run(
        [sys.executable, "-m", "torpor", "import", "supervisord.conf", "Procfile"],
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    # The harness keeps the file in a directory of its own.
    text = done.stdout.replace("./.env", str(home / ".env"))
    daemon = launch("gateway:\n  listen: GATEWAY\n" + text)

    for name in ("talker", "copies", "web", "worker"):
        daemon.wait_for_state(name, "ready")
    assert port == daemon.apps()["web"]["port"]
    for name, line in (
        ("talker", "hello there talker"),
        ("copies", "copy 0"),
        ("worker", f"from-dotenv\n{port + 100}\n"),
    ):
        wait_for(f"{name} has written", lambda name=name, line=line: line in daemon.cli("logs", name).out)  # type: ignore[misc]
