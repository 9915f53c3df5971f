"""From a launch to a running program: its environment, its arguments, and its execution."""

from __future__ import annotations

import os
import re
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from torpor.config.settings import Identity, ProcessSpec
from torpor.errors import StartFailed
from torpor.providers.base import Launch
from torpor.providers.process import sandbox as sandboxes
from torpor.providers.process.explanations import explain, explain_step, find_program
from torpor.providers.process.fdstore import high
from torpor.providers.process.identity import environment_as, is_own
from torpor.providers.process.surroundings import Surroundings
from torpor.providers.process.terminal import NAME as TERMINAL_NAME
from torpor.providers.process.tree import VARIABLE, Mark

_INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|XDG_RUNTIME_DIR|SSL_CERT_(FILE|DIR)"
)
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LONGEST_BIRTH = 30.0
"""Seconds that a new process has until it has become its program."""
_CHUNK = 4096
_USHER = os.path.join(os.path.dirname(__file__), "usher.py")


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
    own = own_names(launch)
    identity = workload.identity
    if identity is not None or workload.clean_env:
        environment = environment_as(base, identity, clean=workload.clean_env)
    else:
        environment = dict(base)
    environment.setdefault("PATH", _DEFAULT_PATH)
    if workload.tty:
        environment["TERM"] = TERMINAL_NAME
    environment.update({name: fill_in_text(value, own) for name, value in workload.environment.items()})
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


def fill_in(launch: Launch, command: tuple[str, ...]) -> tuple[str, ...]:
    """`command` with `$PORT` and Torpor's own names filled in; other dollars stay."""
    own = own_names(launch)
    return tuple(fill_in_text(argument, own) for argument in command)


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
        complaint = _hear(status, pid)
    finally:
        os.close(status)
    if not complaint:
        return pid
    os.waitpid(pid, 0)
    step, _, number = complaint.decode(errors="surrogateescape").rpartition("\0")
    problem = OSError(int(number), os.strerror(int(number)))
    if step == "exec":
        raise problem
    raise explain_step(step, problem)


def _hear(status: int, pid: int) -> bytes:
    """What the usher complains of; nothing once it has executed the program.  Raises `StartFailed`."""
    deadline = time.monotonic() + LONGEST_BIRTH
    waiting = select.poll()
    waiting.register(status, select.POLLIN)
    complaint = b""
    while True:
        if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            # Not waited for, because it may be beyond killing; the reaper will find it.
            os.kill(pid, signal.SIGKILL)
            raise StartFailed(
                f"the program was not executed within {LONGEST_BIRTH:g} s",
                hint="something that it needs does not answer, like a network file system",
            )
        chunk = os.read(status, _CHUNK)
        if not chunk:
            return complaint
        complaint += chunk


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


def own_names(launch: Launch) -> dict[str, str]:
    """What Torpor tells every program of a launch."""
    names = {
        "TORPOR_APP": launch.id.app,
        "TORPOR_INSTANCE": str(launch.id),
        "TORPOR_REPLICA": str(launch.id.replica),
        "TORPOR_GENERATION": str(launch.generation),
    }
    if launch.port is not None:
        names["PORT"] = str(launch.port)
    if launch.spec.socket is not None:
        names["SOCKET"] = launch.spec.socket
    return names


def fill_in_text(text: str, names: Mapping[str, str]) -> str:
    """`text` with `$NAME` and `${NAME}` filled in where they are among `names`; other dollars stay."""
    if "$" not in text:
        return text
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: names.get(m[1] or m[2], m[0]), text)
