"""Starts, ends and asks after the program in the current directory, as somebody's own script would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

PID = Path("pid")
SIGNALS = {
    "stop": signal.SIGTERM,
    "kill": signal.SIGKILL,
    "pause": signal.SIGSTOP,
    "resume": signal.SIGCONT,
}


def state() -> str | None:
    """The letter of its state; None where it is not alive."""
    try:
        letter = Path(f"/proc/{PID.read_text()}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None
    return None if letter in "ZX" else letter


def start() -> int:
    """Refused where it runs."""
    if state() is not None:
        print("it runs already")
        return 1
    with Path("out").open("ab") as out:
        program = subprocess.Popen(
            ("/bin/sh", "program"),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    PID.with_suffix(".new").write_text(str(program.pid))
    PID.with_suffix(".new").rename(PID)
    program.returncode = 0
    return 0


def main(verb: str) -> int:
    """The exit code."""
    if verb == "start":
        return start()
    if verb == "status":
        if (letter := state()) is None:
            return 1
        print(f"run={PID.read_text()}\n{'paused' if letter == 'T' else 'running'}")
        return 0
    if state() is None:
        print("it does not run")
        return 1
    os.kill(int(PID.read_text()), SIGNALS[verb])
    return 0


sys.exit(main(sys.argv[1]))
