"""From a launch to a running program: its environment, its arguments, and why it would not start."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torpor.config.settings import ProcessSpec
from torpor.errors import StartFailed
from torpor.providers.base import Launch
from torpor.providers.process.tree import VARIABLE, Mark

_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|XDG_RUNTIME_DIR|SSL_CERT_(FILE|DIR)"
)
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OUT_OF = {
    errno.EAGAIN: ("out of processes", "raise the limit on processes (ulimit -u, TasksMax, pids.max)"),
    errno.EMFILE: ("out of file descriptors", "raise the daemon's limit on open files (ulimit -n)"),
    errno.ENFILE: ("out of file descriptors", "raise the system's limit on open files (fs.file-max)"),
    errno.ENOMEM: ("out of memory", "free some memory"),
    errno.E2BIG: ("arguments and environment are too large", "shorten the command or its environment"),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where and with what environment the programs of one generation run."""

    working_dir: Path
    environment: dict[str, str]


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What every app gets from the daemon's own environment.

    The search path, who and where the user is, language and time zone; nothing else,
    so that an app behaves the same whoever started the daemon, and sees no secret of it.
    """
    base = {name: value for name, value in environ.items() if _INHERITED.fullmatch(name)}
    base.setdefault("PATH", _DEFAULT_PATH)
    return base


def surroundings(
    launch: Launch, workload: ProcessSpec, base: Mapping[str, str], mark: Mark, notify: Path | None
) -> Surroundings:
    """The environment of one generation: base, then the config's, then Torpor's own names.

    `$PORT` and Torpor's own names are filled in in the config's values too.
    """
    own = _own_names(launch)
    environment = dict(base)
    environment.update({name: _fill_in(value, own) for name, value in workload.environment.items()})
    environment.update(own)
    environment[VARIABLE] = mark.text
    if notify is not None:
        environment["NOTIFY_SOCKET"] = str(notify)
    return Surroundings(workload.working_dir, environment)


def arguments(launch: Launch, workload: ProcessSpec) -> tuple[str, ...]:
    """The argument vector of the app.  A shell fills in `$PORT` and the like itself."""
    if workload.shell:
        return ("/bin/sh", "-c", *workload.command)
    return fill_in(launch, workload.command)


def fill_in(launch: Launch, command: tuple[str, ...]) -> tuple[str, ...]:
    """`command` with `$PORT` and Torpor's own names filled in; other dollars stay."""
    own = _own_names(launch)
    return tuple(_fill_in(argument, own) for argument in command)


def spawn(argv: tuple[str, ...], where: Surroundings, output: int) -> int:
    """Execute `argv` as the leader of a new session and return its pid, which the caller must reap.

    Called off the loop.  Raises `StartFailed`.
    """
    try:
        program = _find_program(argv[0], where)
        process = subprocess.Popen(
            argv,
            executable=program,
            cwd=where.working_dir,
            env=where.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as error:
        raise explain(error, argv[0], where) from error
    except ValueError as error:
        raise StartFailed(f"cannot execute {argv[0]!r}: {error}") from error
    # Reaping is ours: an object that believes its child ended never waits for it.
    process.returncode = 0
    return process.pid


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
        interpreter = _interpreter(_find_program(name, where))
        return StartFailed(
            f"{name} needs {interpreter or 'an interpreter or a loader'}, which does not exist"
        )
    return StartFailed(f"cannot execute {name}: {os.strerror(error.errno or 0)}")


def keep_ignored_signals_to_ourselves() -> None:
    """Make sure that no app inherits that a signal is ignored.

    Executing a program resets handlers, but not what is ignored, as after `nohup` or
    in the background of a shell; a program may then be deaf to its stop signal.  So what
    this process ignores it hears from now on with a handler that does nothing.  What
    Python itself ignores is restored by `subprocess`.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)


def _own_names(launch: Launch) -> dict[str, str]:
    names = {
        "TORPOR_APP": launch.id.app,
        "TORPOR_INSTANCE": str(launch.id),
        "TORPOR_REPLICA": str(launch.id.replica),
        "TORPOR_GENERATION": str(launch.generation),
    }
    if launch.port is not None:
        names["PORT"] = str(launch.port)
    return names


def _fill_in(text: str, names: Mapping[str, str]) -> str:
    if "$" not in text:
        return text
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: names.get(m[1] or m[2], m[0]), text)


def _find_program(name: str, where: Surroundings) -> str:
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
