"""Where Torpor keeps its state and its control socket.

The command line asks this on its fast path, so only the lightest of modules are
imported here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from torpor.errors import StateUnusable

LONGEST_SOCKET_PATH = 107
"""Bytes that the kernel takes for the path of a unix socket."""


def state_dir(environ: Mapping[str, str] = os.environ) -> str:
    """The state directory: `$TORPOR_HOME`, as root `/var/lib/torpor`, else `$XDG_STATE_HOME/torpor`."""
    if home := environ.get("TORPOR_HOME"):
        return os.path.abspath(home)
    if os.geteuid() == 0:
        return "/var/lib/torpor"
    base = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # the XDG specification: relative paths are ignored
        base = os.path.join(_home(environ), ".local", "state")
    return os.path.join(base, "torpor")


def log_path(environ: Mapping[str, str] = os.environ) -> str:
    """Where a daemon without a terminal writes what it has to say."""
    return os.path.join(state_dir(environ), "daemon.log")


def socket_path(environ: Mapping[str, str] = os.environ) -> str:
    """The control socket: `$TORPOR_SOCKET`, as root `/run/torpor/torpor.sock`, else in `$XDG_RUNTIME_DIR`.

    Without a runtime directory it lies in the state directory.
    Raises `StateUnusable` if the path is too long for a unix socket.
    """
    path = environ.get("TORPOR_SOCKET")
    if path:
        path = os.path.abspath(path)
    elif os.geteuid() == 0:
        path = "/run/torpor/torpor.sock"
    elif os.path.isabs(runtime := environ.get("XDG_RUNTIME_DIR", "")):
        path = os.path.join(runtime, "torpor", "torpor.sock")
    else:
        path = os.path.join(state_dir(environ), "torpor.sock")
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET_PATH:
        raise StateUnusable(
            f"the control socket's path has {length} bytes, a unix socket takes {LONGEST_SOCKET_PATH}: {path}",
            hint="Set TORPOR_SOCKET to a shorter path.",
        )
    return path


def config_home(environ: Mapping[str, str] = os.environ) -> str:
    """`$XDG_CONFIG_HOME`, else `~/.config`."""
    base = environ.get("XDG_CONFIG_HOME", "")
    return base if os.path.isabs(base) else os.path.join(_home(environ), ".config")


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")
