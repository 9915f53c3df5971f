"""What survives the daemon: one small file per state directory, and the lock on that directory.

The file is written to a temporary name, synced and renamed, so it is always whole.  The
lock is the kernel's (flock): it goes with the process, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from torpor.core.model import AppMemory
from torpor.errors import StateUnusable

log = logging.getLogger(__name__)

VERSION = 1
GATHER = 0.2
"""Seconds in which changes are gathered into one write."""
TRY_AGAIN = 5.0
"""Seconds until the next attempt after a write that failed."""


class _Document(msgspec.Struct):
    version: int
    apps: dict[str, AppMemory]
    boot: str = ""
    """During which it was written."""


class StateFile:
    """`state.json` in the state directory, and the daemon's claim on that directory."""

    def __init__(self, directory: Path, boot: str = "") -> None:
        """`boot`: what tells this boot of the machine from others."""
        self.directory = directory
        self._boot = boot
        self._path = directory / "state.json"
        self._lock: int | None = None
        self._memories: dict[str, AppMemory] = {}
        self._dirty: set[str] = set()
        self._current: Callable[[str], AppMemory | None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._broken = False

    def open(self) -> Mapping[str, AppMemory]:
        """Claim the directory and read what was remembered.

        Raises `StateUnusable` if it cannot be written to or another daemon has claimed it.
        A file that cannot be understood is moved aside, never overwritten.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            hint = "set TORPOR_HOME to a directory that you may write to"
            raise StateUnusable(
                f"cannot use the state directory {self.directory}: {error.strerror}", hint=hint
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            hint = "`torpor down` stops it; or give this one its own TORPOR_HOME and TORPOR_SOCKET"
            raise StateUnusable(
                f"another torpor (pid {holder}) runs on the state directory {self.directory}", hint=hint
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        self._memories = self._read()
        return dict(self._memories)

    def watch(self, current: Callable[[str], AppMemory | None]) -> None:
        """Ask `current` for an app's memory whenever it is to be written down; None: for nothing any more."""
        self._current = current

    def remember(self, app: str) -> None:
        """Write this app's memory down soon, or drop it if the app is gone."""
        self._dirty.add(app)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write_soon())

    async def close(self) -> None:
        """Write what is unwritten and give up the claim."""
        self._closing.set()
        if self._writer is not None:
            await self._writer
        if self._dirty:
            self._save(self._collect())
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _write_soon(self) -> None:
        """Write until nothing is unwritten; the only one that writes before `close` does."""
        pause = GATHER
        while self._dirty and not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._closing.wait()
            names = frozenset(self._dirty)
            content = self._collect()
            if await asyncio.get_running_loop().run_in_executor(None, self._save, content):
                pause = GATHER
            else:
                self._dirty |= names
                pause = TRY_AGAIN

    def _collect(self) -> bytes:
        assert self._current is not None
        for app in self._dirty:
            if (memory := self._current(app)) is None:
                self._memories.pop(app, None)
            else:
                self._memories[app] = memory
        self._dirty.clear()
        return msgspec.json.format(
            msgspec.json.encode(_Document(VERSION, self._memories, self._boot)), indent=1
        )

    def _save(self, content: bytes) -> bool:
        """Replace the file as a whole; False if that was not possible, and the old one stays."""
        temporary = self._path.with_suffix(".new")
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                with open(fd, "wb", closefd=False) as file:
                    file.write(content)
                os.fsync(fd)
            finally:
                os.close(fd)
            temporary.rename(self._path)
        except OSError as error:
            if not self._broken:
                log.error(
                    "cannot write %s: %s; what is asked for now is forgotten at a restart, until a write succeeds",
                    self._path,
                    error.strerror,
                )
            self._broken = True
            with contextlib.suppress(OSError):
                temporary.unlink()
            return False
        self._broken = False
        return True

    def _read(self) -> dict[str, AppMemory]:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StateUnusable(f"cannot read {self._path}: {error.strerror}") from error
        try:
            document = msgspec.json.decode(content, type=_Document)
            if document.version != VERSION:
                raise ValueError(f"version {document.version} is not {VERSION}")
        except ValueError as error:
            aside = self._path.with_suffix(f".unreadable-{int(time.time())}")
            with contextlib.suppress(OSError):
                self._path.rename(aside)
            log.error("cannot understand %s (%s); moved it to %s and start afresh", self._path, error, aside)
            return {}
        if document.boot == self._boot:
            return document.apps
        # Whoever had done its work before must do it again, and points in time are of another clock.
        return {name: _after_boot(memory) for name, memory in document.apps.items()}


def _after_boot(memory: AppMemory) -> AppMemory:
    """What of it means something in another boot of the machine."""
    endless = memory.pin is not None and memory.pin.until is None
    return replace(memory, completed=(), failures=(), pin=memory.pin if endless else None)
