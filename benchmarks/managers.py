"""The process managers that `supervise.py` compares: how each is told to keep N programs running.

Each keeps a log of every program, as it would in earnest.  What is not said here is left
at the manager's own defaults.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from daemon import free_port, running

STABLE = 0.1
"""Seconds after which a program counts as well, where a manager lets us say so."""
PATIENCE = 120.0
"""Seconds that a manager gets to end."""
GLANCE = 0.01


@dataclass(frozen=True)
class Managed:
    """A manager that is starting its programs, or has."""

    pid: int
    status: list[str]
    """The command that shows all programs."""
    environment: Mapping[str, str]
    stop: Callable[[], None]
    """Ends all programs and the manager; returns when it is gone."""


Launch = Callable[[Path, Path, int], AbstractContextManager[Managed]]
"""(folder, program, number): run a manager in the folder that keeps so many programs running."""


@contextmanager
def shell(_folder: Path, program: Path, number: int) -> Iterator[Managed]:
    """A loop of the shell around each program: what the machine itself takes, and nothing else."""
    loop = ["/bin/sh", "-c", f"while :; do {program}; done"]
    loops = [
        subprocess.Popen(loop, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(number)
    ]

    def stop() -> None:
        for process in loops:
            process.kill()
            process.wait()

    try:
        yield Managed(os.getpid(), ["true"], os.environ, stop)
    finally:
        stop()


@contextmanager
def torpor(_folder: Path, program: Path, number: int) -> Iterator[Managed]:
    """Torpor, every program an app of its own."""
    settings = f"{{command: {program}, always_on: true, restart: always, stable_after: {STABLE:g}s}}"
    apps = "".join(f"  p{n:04}: {settings}\n" for n in range(number))
    config = f"gateway: {{listen: 127.0.0.1:{free_port()}}}\napps:{'' if apps else ' {}'}\n{apps}"
    with running(config) as daemon:
        command = [sys.executable, "-m", "torpor", "status"]
        yield Managed(daemon.process.pid, command, daemon.environment, lambda: _end(daemon.process))


@contextmanager
def supervisord(folder: Path, program: Path, number: int) -> Iterator[Managed]:
    """Supervisor; `startsecs=0` makes it call a program running at once."""
    socket = folder / "s"
    config = folder / "supervisord.conf"
    config.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={folder}/log\npidfile={folder}/pid\n"
        f"childlogdir={folder}\nminfds=16384\n"
        f"[unix_http_server]\nfile={socket}\n[supervisorctl]\nserverurl=unix://{socket}\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        + "".join(
            f"[program:p{n:04}]\ncommand={program}\nautorestart=true\nstartsecs=0\nredirect_stderr=true\n"
            for n in range(number)
        )
    )
    status = [_program("supervisorctl"), "-c", str(config), "status"]
    with _foreground([_program("supervisord"), "-c", str(config)], folder) as process:
        yield Managed(process.pid, status, os.environ, lambda: _end(process))


@contextmanager
def circus(folder: Path, program: Path, number: int) -> Iterator[Managed]:
    """Circus with its default `check_delay` of 5 seconds."""
    config = folder / "circus.ini"
    config.write_text(
        f"[circus]\nendpoint = ipc://{folder}/e\npubsub_endpoint = ipc://{folder}/p\n"
        + "".join(
            f"[watcher:p{n:04}]\ncmd = {program}\nmax_retry = -1\n"
            f"stdout_stream.class = FileStream\nstdout_stream.filename = {folder}/p{n:04}.log\n"
            for n in range(number)
        )
    )
    status = [_program("circusctl"), "--endpoint", f"ipc://{folder}/e", "--timeout", "60", "status"]
    with _foreground([_program("circusd"), str(config)], folder) as process:
        yield Managed(process.pid, status, os.environ, lambda: _end(process))


@contextmanager
def pm2(folder: Path, program: Path, number: int) -> Iterator[Managed]:
    """PM2; its daemon leaves the terminal, so it is found by its pid file."""
    settings = {"script": str(program), "interpreter": "none", "max_restarts": 10**6, "vizion": False}
    apps = [
        {"name": f"p{n:04}", "min_uptime": round(STABLE * 1000), "restart_delay": 0, **settings}
        for n in range(number)
    ]
    config = folder / "ecosystem.config.json"
    config.write_text(json.dumps({"apps": apps}))
    environment = {**os.environ, "PM2_HOME": f"{folder}/pm2"}
    command = _program("pm2")
    subprocess.run([command, "ping"], env=environment, check=True, stdout=subprocess.DEVNULL)
    pid = int((folder / "pm2" / "pm2.pid").read_text())
    pidfd = os.pidfd_open(pid)
    # `pm2 start` waits for all of them: it must not keep us from watching.
    start = None
    if apps:
        start = subprocess.Popen(
            [command, "start", str(config)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def stop() -> None:
        subprocess.run(
            [command, "kill"], env=environment, check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL
        )

    try:
        yield Managed(pid, [command, "list"], environment, stop)
    finally:
        if start is not None:
            start.kill()
            start.wait()
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)


FLOOR = "(a shell loop)"
MANAGERS: dict[str, tuple[str, Launch]] = {
    FLOOR: ("/bin/sh", shell),
    "torpor": (sys.executable, torpor),
    "supervisord": ("supervisord", supervisord),
    "circus": ("circusd", circus),
    "pm2": ("pm2", pm2),
}
"""By name: the program that must exist, and how it is launched."""


def missing(name: str) -> bool:
    """Whether this manager is not installed here."""
    return _found(MANAGERS[name][0]) is None


@contextmanager
def _foreground(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with open(folder / "out", "wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder)
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:  # `wait` with a timeout sleeps for up to 50 ms between two looks
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(GLANCE)


def _program(name: str) -> str:
    found = _found(name)
    assert found is not None
    return found


def _found(name: str) -> str | None:
    """A program of our own environment, or else of the search path."""
    return shutil.which(name, path=f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")
