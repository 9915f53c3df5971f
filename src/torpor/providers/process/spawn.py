"""From a launch to a running program: its environment, its arguments, and why it would not start."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from torpor.config.settings import Attributes, Identity, ProcessSpec, Sandbox
from torpor.errors import StartFailed
from torpor.providers.base import Launch
from torpor.providers.process import sandbox as sandboxes
from torpor.providers.process.fdstore import high
from torpor.providers.process.identity import environment_as, is_own
from torpor.providers.process.terminal import NAME as TERMINAL_NAME
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
_USHER = os.path.join(os.path.dirname(__file__), "usher.py")
_NEEDED = {
    "oom_score_adj": "to lower it, the daemon needs root's rights (CAP_SYS_RESOURCE)",
    "nice": "to lower it, the daemon needs root's rights (CAP_SYS_NICE)",
    "rlimits": "to raise a hard limit, the daemon needs root's rights (CAP_SYS_RESOURCE)",
    "user": "only a daemon that runs as root can run an app as somebody else",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where, as whom and with what the programs of one generation run."""

    working_dir: Path
    environment: dict[str, str]
    identity: Identity | None = None
    """None: as the daemon itself."""
    attributes: Attributes = field(default_factory=Attributes)
    sandbox: Sandbox = field(default_factory=Sandbox)
    joins: tuple[str, ...] = ()
    """Files of cgroups to which the process writes 0 before its program is executed."""
    stdin: Path | None = None
    """A file to read from; None: nothing to read."""
    terminal: str | None = None
    """Path of a terminal that becomes the program's own."""
    stderr: int | None = None
    """A pipe of its own for what goes there; None: the one that all output goes to."""
    listens: tuple[tuple[str, int], ...] = ()
    """Names and descriptors that the program finds from 3 on (LISTEN_FDS); made by `fdstore.high`."""


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
    identity = workload.identity
    if identity is not None or workload.clean_env:
        environment = environment_as(base, identity, clean=workload.clean_env)
    else:
        environment = dict(base)
    environment.setdefault("PATH", _DEFAULT_PATH)
    if workload.tty:
        environment["TERM"] = TERMINAL_NAME
    environment.update({name: _fill_in(value, own) for name, value in workload.environment.items()})
    environment.update(own)
    environment[VARIABLE] = mark.text
    if notify is not None:
        environment["NOTIFY_SOCKET"] = str(notify)
    return Surroundings(
        workload.working_dir,
        environment,
        identity=None if identity is None or is_own(identity) else identity,
        attributes=workload.attributes,
        sandbox=workload.sandbox,
    )


def arguments(launch: Launch, workload: ProcessSpec) -> tuple[str, ...]:
    """The argument vector of the app.  A shell fills in `$PORT` and the like itself."""
    if workload.shell:
        return ("/bin/sh", "-c", *workload.command)
    return fill_in(launch, workload.command)


def fill_in(
    launch: Launch, command: tuple[str, ...], more: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """`command` with `$PORT`, Torpor's own names and `more` filled in; other dollars stay."""
    own = _own_names(launch) | dict(more)
    return tuple(_fill_in(argument, own) for argument in command)


def spawn(argv: tuple[str, ...], where: Surroundings, output: int) -> int:
    """Execute `argv` as the leader of a new session and return its pid, which the caller must reap.

    Called off the loop.  Raises `StartFailed`.
    """
    steps = tuple(_steps(where))
    try:
        program = find_program(argv[0], where)
        identity = where.identity
        socket = where.environment.get("NOTIFY_SOCKET")
        prefix = sandboxes.prefix(where.sandbox, identity, socket)
        if prefix:
            sandboxes.rehearse(prefix, where.sandbox, where.working_dir, program, where.environment)
            argv = (*prefix, program, *argv[1:])
            program = prefix[0]
            identity = None
        if steps:
            return _usher_in(argv, program, where, output, (*steps, *_as(identity)))
        return _execute(argv, program, where, output, identity=identity)
    except OSError as error:
        raise explain(error, argv[0], where) from error
    except ValueError as error:
        raise StartFailed(f"cannot execute {argv[0]!r}: {error}") from error


def _execute(
    argv: tuple[str, ...],
    program: str,
    where: Surroundings,
    output: int,
    *,
    identity: Identity | None = None,
    keep: tuple[int, ...] = (),
) -> int:
    umask = where.attributes.umask
    process = subprocess.Popen(
        argv,
        executable=program,
        cwd=where.working_dir,
        env=where.environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output if where.stderr is None else where.stderr,
        start_new_session=True,
        user=None if identity is None else identity.uid,
        group=None if identity is None else identity.gid,
        extra_groups=None if identity is None else identity.groups,
        umask=-1 if umask is None else umask,
        pass_fds=keep,
    )
    # Reaping is ours: an object that believes its child ended never waits for it.
    process.returncode = 0
    return process.pid


def _usher_in(
    argv: tuple[str, ...], program: str, where: Surroundings, output: int, steps: tuple[str, ...]
) -> int:
    """Execute by way of `usher.py`, which takes `steps` first."""
    locale = where.environment.get("LC_CTYPE")
    status, theirs = os.pipe()
    try:
        if where.listens:
            low, theirs = theirs, high(theirs)
            os.close(low)
        try:
            keep = (theirs, *(fd for _, fd in where.listens))
            usher = (sys.executable, "-I", "-S", _USHER, str(theirs), "" if locale is None else f"={locale}")
            pid = _execute((*usher, *steps, "--", program, *argv), sys.executable, where, output, keep=keep)
        finally:
            os.close(theirs)
        with open(status, "rb", closefd=False) as file:
            complaint = file.read()
    finally:
        os.close(status)
    if not complaint:
        return pid
    os.waitpid(pid, 0)
    step, _, number = complaint.decode(errors="surrogateescape").rpartition("\0")
    problem = OSError(int(number), os.strerror(int(number)))
    if step == "exec":
        raise problem
    raise _explain_step(step, problem)


def _steps(where: Surroundings) -> Iterator[str]:
    """What `usher.py` has to do, rights that the app will not have being used first."""
    for path in where.joins:
        yield f"cgroup:{path}"
    if where.listens:
        fds = ",".join(str(fd) for _, fd in where.listens)
        yield f"listen:{fds}:{':'.join(name for name, _ in where.listens)}"
    if where.terminal is not None:
        yield f"tty:{where.terminal}"
    if where.stdin is not None:
        yield f"stdin:{where.stdin}"
    attributes = where.attributes
    if attributes.oom_score_adj is not None:
        yield f"oom_score_adj:{attributes.oom_score_adj}"
    if attributes.nice is not None:
        yield f"nice:{attributes.nice}"
    for name, limits in attributes.rlimits.items():
        number = getattr(resource, f"RLIMIT_{name.upper()}")
        soft, hard = (resource.RLIM_INFINITY if limit is None else int(limit) for limit in limits)
        yield f"rlimits:{name}:{number}:{soft}:{hard}"


def _as(identity: Identity | None) -> tuple[str, ...]:
    if identity is None:
        return ()
    groups = ",".join(map(str, identity.groups))
    return f"groups:{groups}", f"group:{identity.gid}", f"user:{identity.uid}"


def _explain_step(step: str, error: OSError) -> StartFailed:
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


def find_program(name: str, where: Surroundings) -> str:
    """The path of a program as it would be executed there.  Raises `StartFailed`."""
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
