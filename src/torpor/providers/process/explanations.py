"""Why a program would not start, in words for whoever configured it."""

from __future__ import annotations

import errno
import os
import shutil

from torpor.errors import StartFailed
from torpor.providers.process.surroundings import Surroundings

_OUT_OF = {
    errno.EAGAIN: ("out of processes", "raise the limit on processes (ulimit -u, TasksMax, pids.max)"),
    errno.EMFILE: ("out of file descriptors", "raise the daemon's limit on open files (ulimit -n)"),
    errno.ENFILE: ("out of file descriptors", "raise the system's limit on open files (fs.file-max)"),
    errno.ENOMEM: ("out of memory", "free some memory"),
    errno.E2BIG: ("arguments and environment are too large", "shorten the command or its environment"),
}
_NEEDED = {
    "oom_score_adj": "to lower it, the daemon needs root's rights (CAP_SYS_RESOURCE)",
    "nice": "to lower it, the daemon needs root's rights (CAP_SYS_NICE)",
    "rlimits": "to raise a hard limit, the daemon needs root's rights (CAP_SYS_RESOURCE)",
    "user": "only a daemon that runs as root can run an app as somebody else",
}


def explain_step(step: str, error: OSError) -> StartFailed:
    """What an error says that a step of `usher.py` met."""
    setting, _, value = step.partition(":")
    if setting in {"groups", "group", "user"}:
        setting, value = "user", ""
    elif setting == "rlimits":
        setting, value = f"rlimits.{value.split(':')[0]}", ""
    value = f" {value}" if value else ""
    hint = _NEEDED.get(setting.split(".")[0]) if error.errno in {errno.EPERM, errno.EACCES} else None
    verb = {"stdin": "open", "tty": "open", "cgroup": "join"}.get(setting, "set")
    return StartFailed(f"cannot {verb} {setting}{value}: {error.strerror}", hint=hint)


def explain(error: OSError, name: str, where: Surroundings) -> StartFailed:
    """What an error of the system says about a program that would not start."""
    if error.errno in _OUT_OF:
        situation, hint = _OUT_OF[error.errno]
        return StartFailed(f"cannot execute {name}: {situation}", hint=hint)
    if error.errno == errno.ENOEXEC:
        return StartFailed(
            f"{name} is neither a program nor a script with a first line like #!/bin/sh",
            hint="add such a line, or name its interpreter in the command",
        )
    if error.errno == errno.ENOENT:
        interpreter = _interpreter(find_program(name, where))
        return StartFailed(
            f"{name} needs {interpreter or 'an interpreter or a loader'}, which does not exist"
        )
    text = os.strerror(error.errno or 0)
    if where.identity is None:
        return StartFailed(f"cannot execute {name}: {text}")
    if error.errno == errno.EPERM:
        return StartFailed(f"cannot run {name} as user {where.identity.name}: {text}", hint=_NEEDED["user"])
    return StartFailed(
        f"cannot execute {name} as user {where.identity.name}: {text}",
        hint="this user must be able to reach and execute the program, and what interprets it",
    )


def find_program(name: str, where: Surroundings) -> str:
    """The path of a program as its app finds it.  Raises `StartFailed`."""
    folder = where.working_dir
    if not folder.is_dir():
        what = "is not a directory" if folder.exists() else "does not exist"
        raise StartFailed(f"working_dir {folder} {what}", hint="create it, or correct working_dir")
    if not os.access(folder, os.X_OK):
        raise StartFailed(
            f"working_dir {folder} may not be entered", hint="give the daemon's user access to it"
        )
    if "/" not in name:
        path = where.environment["PATH"]
        found = shutil.which(name, path=path)
        if found is None:
            raise StartFailed(
                f"command not found: {name} (searched {path})",
                hint="name the program with its whole path, or set PATH in the app's environment",
            )
        return os.path.join(folder, found)
    program = folder / name
    if program.is_dir():
        raise StartFailed(f"{program} is a directory, not a program")
    if not program.exists():
        raise StartFailed(f"command not found: {program}")
    if not os.access(program, os.X_OK):
        raise StartFailed(f"{program} is not executable", hint=f"chmod +x {program}, or name its interpreter")
    return str(program)


def _interpreter(program: str) -> str | None:
    try:
        with open(program, "rb") as file:
            line = file.readline(256)
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    return line[2:].decode("utf-8", "replace").strip()
