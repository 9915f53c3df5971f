"""Commands beside the app's own: what they are told, and what is said when they fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping

from torpor.config.settings import Hook
from torpor.core.model import ExitInfo
from torpor.providers.process.spawn import fill_in_text

_KEPT = 4096
_LINES = 3


def main_names(pid: int) -> dict[str, str]:
    """How a command is told the app's main process."""
    return {"MAINPID": str(pid), "TORPOR_PID": str(pid)}


def end_names(info: ExitInfo) -> dict[str, str]:
    """How a command is told how the app ended: one of two names, or neither where nobody knows."""
    if info.signal is not None:
        with contextlib.suppress(ValueError):
            return {"TORPOR_EXIT_SIGNAL": signal.Signals(info.signal).name.removeprefix("SIG")}
        return {"TORPOR_EXIT_SIGNAL": str(info.signal)}
    return {} if info.code is None else {"TORPOR_EXIT_CODE": str(info.code)}


def hook_arguments(hook: Hook, names: Mapping[str, str]) -> tuple[str, ...]:
    """The argument vector of a hook, with `names` filled in.  A shell does that itself, from its environment."""
    if hook.shell:
        return ("/bin/sh", "-c", *hook.command)
    return tuple(fill_in_text(argument, names) for argument in hook.command)


def failure(name: str, hook: Hook, info: ExitInfo | None, said: list[str]) -> str:
    """Why a hook counts as failed, with the last that it said.  `info`: None if it took too long."""
    if info is None:
        text = f"{name} did not end within {hook.timeout:g} s"
    elif info.signal is not None:
        text = f"{name} was ended by signal {info.signal}"
    else:
        text = f"{name} ended with exit code {info.code}"
    words = " / ".join(line for line in said[-_LINES:] if line)
    return f"{text}: {words}" if words else text


class Tail:
    """A pipe of which the last few lines are kept, for output that has no log.

    It is read until it is closed here, or by the last one that may write.
    """

    def __init__(self) -> None:
        self._kept = b""
        self._reader = -1

    def open(self) -> int:
        """Begin to read; returns the end to write to, which the caller closes.  Raises `OSError`."""
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        asyncio.get_running_loop().add_reader(self._reader, self._read)
        return writer

    def close(self) -> list[str]:
        """End it, and return the lines."""
        said = self.recent()
        if self._reader >= 0:
            self._release()
        return said

    def recent(self) -> list[str]:
        """The last lines until now."""
        self._read()
        return self._kept.decode("utf-8", "replace").splitlines()

    def _read(self) -> None:
        if self._reader < 0:
            return
        try:
            chunk = os.read(self._reader, 16 * _KEPT)
        except BlockingIOError:
            return
        self._kept = (self._kept + chunk)[-_KEPT:]
        if not chunk:
            self._release()

    def _release(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)
        self._reader = -1
