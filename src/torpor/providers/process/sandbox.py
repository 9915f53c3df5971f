"""What is taken from a process, by the system's own tools: `setpriv` and `bwrap`.

1. A missing tool, or one that may not do its work here, is a failed start: an app
   never runs with more rights than its config says.
2. Before each start the tools are tried with a harmless program in the app's place,
   because afterwards their complaints could not be told from the app's own end.
3. The file system is taken away first and the user changed last, so that root's
   rights are used where Torpor has them, and user namespaces where it has not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from torpor.config.settings import Identity, Sandbox
from torpor.errors import StartFailed

_PACKAGES = {"setpriv": "util-linux", "bwrap": "bubblewrap"}
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - these two are meant
_REHEARSAL = 'cd "$1" && test -x "$2"'
_CAP_SETPCAP = 1 << 8
_PATIENCE = 10.0
"""Seconds that the tools get to do what takes them a few milliseconds."""


def is_monitored(sandbox: Sandbox) -> bool:
    """Whether the main process is bwrap, and the app its only child."""
    return sandbox.read_only or sandbox.private_tmp


def prefix(sandbox: Sandbox, identity: Identity | None, socket: str | None) -> tuple[str, ...]:
    """The arguments to put before a program so that it runs in the sandbox as that user.

    Empty where nothing is to be taken away.  `socket`: a path that stays visible.
    Raises `StartFailed` where a tool is missing.
    """
    if sandbox == Sandbox():
        return ()
    command: list[str] = []
    if is_monitored(sandbox):
        command += _file_system(sandbox, socket)
    if sandbox.no_new_privileges or sandbox.drop_capabilities or identity is not None:
        command += _rights(sandbox, identity)
    return tuple(command)


def rehearse(
    command: tuple[str, ...],
    sandbox: Sandbox,
    working_dir: Path,
    program: str,
    environment: Mapping[str, str],
) -> None:
    """Try `command`, a result of `prefix`, with a look at the program.  Blocks.  Raises `StartFailed`."""
    try:
        done = subprocess.run(
            (*command, "/bin/sh", "-c", _REHEARSAL, "sh", str(working_dir), program),
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartFailed(f"the sandbox cannot be set up: {error}") from error
    if done.returncode == 0:
        return
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if said and not said[-1].startswith(("sh:", "/bin/sh:")):
        hint = None
        if os.geteuid() != 0 and is_monitored(sandbox):
            hint = "the system must allow user namespaces, or the daemon run as root"
        raise StartFailed(f"the sandbox cannot be set up: {said[-1]}", hint=hint)
    reason = "user may not reach it"
    for path in (working_dir, Path(program)):
        if sandbox.private_tmp and any(path.is_relative_to(folder) for folder in _TEMPORARY):
            reason = f"private_tmp hides {path}"
    raise StartFailed(
        f"{program} cannot be executed from {working_dir} in the sandbox: {reason}",
        hint="choose a program and a working_dir that the app's user can see in the sandbox",
    )


def _file_system(sandbox: Sandbox, socket: str | None) -> list[str]:
    command = [_tool("bwrap")]
    command += ["--ro-bind" if sandbox.read_only else "--bind", "/", "/", "--dev-bind", "/dev", "/dev"]
    if sandbox.private_tmp:
        for folder in _TEMPORARY:
            command += ["--perms", "1777", "--tmpfs", str(folder)]
        if socket is not None:
            command += ["--bind", socket, socket]
    if os.geteuid() == 0:
        # Rights are the business of `setpriv`; bwrap alone would keep or drop as it likes.
        command += ["--cap-add", "ALL"]
    return [*command, "--"]


def _rights(sandbox: Sandbox, identity: Identity | None) -> list[str]:
    command = [_tool("setpriv")]
    if identity is not None:
        groups = ",".join(map(str, identity.groups))
        command += [f"--reuid={identity.uid}", f"--regid={identity.gid}"]
        command.append(f"--groups={groups}" if groups else "--clear-groups")
    if sandbox.drop_capabilities:
        dropped = ",".join(f"-{name}" for name in sandbox.drop_capabilities)
        command += [f"--inh-caps={dropped}", f"--ambient-caps={dropped}"]
        if _may_drop():
            command.append(f"--bounding-set={dropped}")
        elif os.geteuid() == 0 or not sandbox.no_new_privileges:
            # Not left to setpriv, which then leaves them as they are and says nothing.
            raise StartFailed(
                "capabilities cannot be dropped: the daemon has not CAP_SETPCAP",
                hint="run it as root; for an ordinary user, no_new_privileges keeps the app from getting any",
            )
        # An ordinary user has none to begin with, and without new privileges gets none.
    if sandbox.no_new_privileges:
        command.append("--no-new-privs")
    return [*command, "--"]


def _may_drop() -> bool:
    with open("/proc/thread-self/status", "rb") as file:
        held = next(int(line.split()[1], 16) for line in file if line.startswith(b"CapEff"))
    return bool(held & _CAP_SETPCAP)


def _tool(name: str) -> str:
    found = shutil.which(name, path=_SYSTEM_PATH)
    if found is None:
        raise StartFailed(
            f"the sandbox needs {name}, which is not installed",
            hint=f"apt-get install {_PACKAGES[name]}, or remove the setting",
        )
    return found
