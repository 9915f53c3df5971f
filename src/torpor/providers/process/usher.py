"""Takes the last steps of a new process before the app's program replaces it.

Run as a script, `python -I -S usher.py STATUS LOCALE STEP… -- PROGRAM ARGUMENT…`, in a
process of its own: what only the process itself can do (join a cgroup before it can use
memory, give up rights after using them) needs code between fork and exec, and in a
process with threads no such code may run.

1. The steps are taken in the order in which they are named, and the program is
   executed only after all of them.
2. What fails is written to the descriptor STATUS as `STEP NUL errno`.  Nothing written
   and the end of file mean that the program was executed.
3. It imports nothing that is not built in unless a step needs it: it is in the way of each start.
"""

import posix
import sys
from _signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal  # type: ignore[import-not-found, unused-ignore]

_EPERM = 1
_FAILED = 127
_PRIO_PROCESS = 0
_S_IFMT = 0o170000
_S_IFIFO = 0o010000


def main(arguments: list[str]) -> None:
    """Take the steps and execute the program; return only if that failed."""
    status = int(arguments[0])
    posix.set_inheritable(status, False)
    border = arguments.index("--")
    step = "exec"
    try:
        for step in arguments[2:border]:
            kind, _, value = step.partition(":")
            _STEPS[kind](value)
        step = "exec"
        # What Python ignores for itself would be ignored by the app too.
        signal(SIGPIPE, SIG_DFL)
        signal(SIGXFSZ, SIG_DFL)
        posix.execve(arguments[border + 1], arguments[border + 2 :], _environment(arguments[1]))
    except OSError as error:
        number = error.errno or _EPERM
    except ValueError:  # what setrlimit makes of "not permitted"
        number = _EPERM
    posix.write(status, f"{step}\0{number}".encode(errors="surrogateescape"))


def _environment(locale: str) -> dict[bytes, bytes]:
    """The environment as it was given: in the C locale, Python adds an LC_CTYPE of its own."""
    environment: dict[bytes, bytes] = dict(posix.environ)
    environment.pop(b"LC_CTYPE", None)
    if locale:
        environment[b"LC_CTYPE"] = locale[1:].encode(errors="surrogateescape")
    return environment


def _write_to(path: str, text: bytes) -> None:
    fd = posix.open(path, posix.O_WRONLY)
    posix.write(fd, text)
    posix.close(fd)


def _join(path: str) -> None:
    _write_to(path, b"0")


def _listen(value: str) -> None:
    # All lie above where they are to be, so that none is overwritten before its turn.
    fds, _, names = value.partition(":")
    numbers = [int(fd) for fd in fds.split(",")]
    for target, fd in enumerate(numbers, 3):
        posix.dup2(fd, target)
        posix.close(fd)
    posix.environ[b"LISTEN_PID"] = str(posix.getpid()).encode()
    posix.environ[b"LISTEN_FDS"] = str(len(numbers)).encode()
    posix.environ[b"LISTEN_FDNAMES"] = names.encode()


def _take_terminal(path: str) -> None:
    # The leader of a session gets the first terminal that it opens as its own.
    fd = posix.open(path, posix.O_RDWR)
    for standard in (0, 1, 2):
        posix.dup2(fd, standard)
    posix.close(fd)


def _set_stdin(path: str) -> None:
    # Without waiting: for somebody at the other end of a pipe, or for a line's carrier.
    fd = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK)
    if posix.fstat(fd).st_mode & _S_IFMT == _S_IFIFO:
        # With a writing end of its own a reader waits for words, and outlives who says them.
        posix.close(fd)
        fd = posix.open(path, posix.O_RDWR)
    posix.set_blocking(fd, True)
    posix.dup2(fd, 0)
    posix.close(fd)


def _set_oom_score_adj(value: str) -> None:
    _write_to("/proc/self/oom_score_adj", value.encode())


def _set_nice(value: str) -> None:
    posix.setpriority(_PRIO_PROCESS, 0, int(value))


def _set_rlimit(value: str) -> None:
    import resource  # noqa: PLC0415 - only for who asked

    _, number, soft, hard = value.split(":")
    resource.setrlimit(int(number), (int(soft), int(hard)))


def _set_groups(value: str) -> None:
    posix.setgroups([int(group) for group in value.split(",") if group])


def _set_group(value: str) -> None:
    posix.setresgid(int(value), int(value), int(value))


def _set_user(value: str) -> None:
    posix.setresuid(int(value), int(value), int(value))


_STEPS = {
    "cgroup": _join,
    "listen": _listen,
    "tty": _take_terminal,
    "stdin": _set_stdin,
    "oom_score_adj": _set_oom_score_adj,
    "nice": _set_nice,
    "rlimits": _set_rlimit,
    "groups": _set_groups,
    "group": _set_group,
    "user": _set_user,
}

if __name__ == "__main__":
    main(sys.argv[1:])
    posix._exit(_FAILED)  # noqa: SLF001 - its only name, and nothing must run on the way out
