"""A daemon for one program, in the foreground: no configuration, and it ends with the program.

The first one has the usual control socket, so that `status` and `logs` find it, and a state
directory that it keeps.  Whoever comes while that is taken has both for itself and takes them
away again: programs that run alone know nothing of each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from torpor.config.load import load
from torpor.config.paths import socket_path, state_dir
from torpor.config.saving import addition_text, in_words
from torpor.config.settings import GatewaySpec, Listen
from torpor.daemon import Alone, Daemon, loop_factory, wants_colour
from torpor.errors import ConfigInvalid, ListenFailed
from torpor.gateway.listener import bind
from torpor.providers.process import files
from torpor.runtime.console import TOLD, Console


def main(name: str, app: Mapping[str, object], *, listens: bool) -> int:
    """Run a daemon in the foreground for one app and as long as that runs; returns its exit code.

    Its settings are those of an app of the configuration.  What it writes goes to stdout, what
    Torpor has to say to stderr.  `listens`: it has a port, so that a gateway is opened for it on
    the loopback, at the usual port or another one.  Raises `BadRequest`, `ConfigInvalid` or
    `StateUnusable`; nothing was started then.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    source = Path.cwd() / "torpor run"  # there is no such file: problems of an app are told by its settings
    try:
        settings = load(source, texts={source: addition_text(name, app)})
    except ConfigInvalid as invalid:
        raise in_words(invalid, name, source, "Nothing was started.") from None
    settings = replace(settings, gateway=replace(settings.gateway, listen=_free() if listens else ()))
    files.take_all()
    told = TOLD - {"asleep", "waking", "waiting"}  # of one app that runs, and whose output stands here
    console = Console(sys.stderr, colour=wants_colour(sys.stderr), told=told)
    with contextlib.ExitStack() as stack:
        state, control = _state(stack), _control(stack)
        beside = control if control != socket_path() else None
        alone = Alone(name, _copy_to(sys.stdout.buffer), _copy_to(sys.stderr.buffer), beside)
        daemon = Daemon(settings, state, control, console, exit_with=name, alone=alone)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(daemon.run())


def _state(stack: contextlib.ExitStack) -> Path:
    """A state directory.  Not the usual one: what another daemon left alive there is not ours to end."""
    usual = Path(state_dir()) / "alone"
    if _claim(str(usual), stack):
        return usual
    own = usual.with_name(f"alone.{os.getpid()}")
    stack.callback(shutil.rmtree, own, ignore_errors=True)
    return own


def _control(stack: contextlib.ExitStack) -> str:
    """The path of a control socket."""
    usual = socket_path()
    if _claim(usual, stack):
        return usual
    own = f"{usual}.{os.getpid()}"
    stack.callback(Path(f"{own}.lock").unlink, missing_ok=True)
    return own


def _claim(path: str, stack: contextlib.ExitStack) -> bool:
    """Take what lies there for this process's life; False if another one that runs alone has it."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        lock = os.open(f"{path}.alone", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # what is wrong with the place is told by whoever uses it
    return True


def _free() -> tuple[Listen, ...]:
    """The gateway's usual address, or another port of the loopback where that is taken."""
    usual = GatewaySpec().listen[0]
    try:
        bind(usual).close()
    except ListenFailed:
        return (replace(usual, port=0),)
    return (usual,)


def _copy_to(stream: BinaryIO) -> Callable[[bytes], None]:
    """Writes what an app has written, to the byte; a reader that has left does not end it."""

    def copy(data: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            stream.write(data)
            stream.flush()

    return copy
