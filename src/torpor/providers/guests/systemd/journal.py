"""What a unit has written, out of the journal, by `journalctl`.

1. It is followed by a child process, from the cursor of the last entry that was told.
2. The journal does not tell when a run's last line has come.  When the run has ended, journald is
   asked to write down all that it was given, and the rest is read up to the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from torpor.core.model import ExitInfo
from torpor.errors import ProviderFailed, StartFailed
from torpor.providers.guests.driver import Piece, Stream
from torpor.providers.guests.systemd.lines import Lines
from torpor.providers.process.nursery import Run
from torpor.providers.process.surroundings import Surroundings

_PROGRAM = "journalctl"
_JOURNALD = Path("/run/systemd/journal/stdout")
"""Where journald takes what services write."""
_LONGEST = 1 << 20
"""Bytes of an entry, as it is read; what is longer is left out."""
_SYNCHRONISING = 5.0
"""Seconds that journald gets to write down what it was given."""
_ERROR = 3
"""The least urgent priority that counts as stderr: the journal does not keep the two apart."""


class Journal:
    """Reads what units have written."""

    def __init__(self, run: Run, base: Mapping[str, str], scope: tuple[str, ...]) -> None:
        """`scope`: options that choose the journal, like `--user`."""
        self._run = run
        self._where = Surroundings(Path("/"), dict(base))
        self._scope = scope

    @property
    def exists(self) -> bool:
        """Whether there is one to be read here."""
        return (
            _JOURNALD.exists()
            and shutil.which(_PROGRAM, path=self._where.environment.get("PATH")) is not None
        )

    async def follow(
        self, run: str, after: str | None, ended: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[Piece, None]:
        """What the activation `run` has written after the cursor, until `ended` returns and all was told.

        Raises `ProviderFailed`.
        """
        if not self.exists:
            return
        ending = asyncio.ensure_future(ended())
        try:
            reading = self._read(run, after, ("--follow", "--lines=all"), ending)
            async with contextlib.aclosing(reading):
                async for piece in reading:
                    after = piece.cursor
                    yield piece
            await ending
        finally:
            ending.cancel()
        await self._synchronise()
        rest = self._read(run, after, (), None)
        async with contextlib.aclosing(rest):
            async for piece in rest:
                yield piece

    async def _read(
        self, run: str, after: str | None, options: tuple[str, ...], until: asyncio.Future[None] | None
    ) -> AsyncGenerator[Piece, None]:
        """What `journalctl` gives until it ends, or `until` is done."""
        argv = (
            *(_PROGRAM, *self._scope, "--quiet", "--no-pager", "--all", "--output=json"),
            *("--output-fields=MESSAGE,PRIORITY,__CURSOR", f"_SYSTEMD_INVOCATION_ID={run}"),
            *options,
            *(() if after is None else (f"--after-cursor={after}",)),
        )
        reader, writer = os.pipe()
        lines = Lines(reader, _LONGEST)
        child = asyncio.ensure_future(self._run(argv, self._where, writer, None))
        # Not at the end of a coroutine: one that is cancelled before it ran never comes there.
        child.add_done_callback(lambda _: os.close(writer))
        try:
            while (line := await lines.next(until)) is not None:
                if (piece := _piece(line)) is not None:
                    yield piece
            if until is None or not until.done():
                await _judge(child)
        finally:
            lines.close()
            child.cancel()
            await asyncio.wait([child])

    async def _synchronise(self) -> None:
        # Only root may ask for it everywhere; others get what is there by now.
        with contextlib.suppress(StartFailed):
            await self._run((_PROGRAM, "--sync"), self._where, subprocess.DEVNULL, _SYNCHRONISING)


async def _judge(child: asyncio.Future[ExitInfo | None]) -> None:
    """Raise `ProviderFailed` unless it ended well."""
    try:
        info = await child
    except StartFailed as error:
        raise ProviderFailed(f"the journal cannot be read: {error.message}", hint=error.hint) from error
    if info is None or not info.clean:
        raise ProviderFailed(f"the journal cannot be read: {_PROGRAM} {info}")


def _piece(line: bytes) -> Piece | None:
    try:
        entry: Any = msgspec.json.decode(line)
        message, cursor = entry.get("MESSAGE"), entry["__CURSOR"]
    except (msgspec.DecodeError, AttributeError, KeyError):
        return None
    if isinstance(message, list):  # bytes that are no text
        data = bytes(message) if all(isinstance(byte, int) for byte in message) else b""
    else:
        data = str(message or "").encode()
    urgent = str(entry.get("PRIORITY", "6")) <= str(_ERROR)
    return Piece(data + b"\n", Stream.STDERR if urgent else Stream.STDOUT, cursor)
