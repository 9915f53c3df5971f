"""A program so small that only its manager is measured, and word of each of its births.

Every process writes its pid into a FIFO as its first act, so that nobody has to look for
it; then it becomes a `sleep`.  It is signalled only if its command or its environment says that it
is of this very run.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MARK = "TORPOR_BENCHMARK"
SCRIPT = """#!/bin/sh
export {mark}='{folder}'
echo $$ >'{folder}/births'
exec sleep 1000000
"""


@dataclass(frozen=True)
class Birth:
    """A process said that it is there."""

    pid: int
    at: float
    """As `time.perf_counter` tells it."""


class Births:
    """Who was born, in order.  Opened by `births`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "program"
        self.pids: list[int] = []
        """All that were ever born here."""
        self._news: queue.Queue[Birth] = queue.Queue()

    def wait(self, until: float) -> Birth | None:
        """The next birth; None if there is none until that moment."""
        try:
            return self._news.get(timeout=max(0.0, until - time.perf_counter()))
        except queue.Empty:
            return None

    def kill(self, pid: int) -> float:
        """End one of ours by force; the moment before.  Raises `ProcessLookupError` if it is none of ours."""
        pidfd = os.pidfd_open(pid)
        try:
            if not self._is_ours(pid):
                raise ProcessLookupError(pid)
            begun = time.perf_counter()
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return begun
        finally:
            os.close(pidfd)

    def alive(self) -> list[int]:
        """Those of ours that still run."""
        return [pid for pid in self.pids if self._is_ours(pid)]

    def take(self, line: bytes) -> None:
        """Note a birth."""
        birth = Birth(int(line), time.perf_counter())
        self.pids.append(birth.pid)
        self._news.put(birth)

    def _is_ours(self, pid: int) -> bool:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        # Just born it is still the script, and only then a `sleep` with the mark.
        mark = f"{MARK}={self.folder}".encode()
        return mark in environment.split(b"\0") or str(self.program).encode() in command.split(b"\0")


@contextmanager
def births(folder: Path) -> Iterator[Births]:
    """Write the program into the folder and listen to it; whoever is left over in the end is killed."""
    born = Births(folder)
    born.program.write_text(SCRIPT.format(mark=MARK, folder=folder))
    born.program.chmod(0o755)
    os.mkfifo(folder / "births")
    # Open for writing too: without a writer a reader sees the end of the file.
    fifo = os.open(folder / "births", os.O_RDWR)
    listener = threading.Thread(target=_listen, args=(fifo, born))
    listener.start()
    try:
        yield born
    finally:
        for pid in born.alive():
            with contextlib.suppress(ProcessLookupError):
                born.kill(pid)
        os.write(fifo, b"end\n")
        listener.join()
        os.close(fifo)


def _listen(fifo: int, born: Births) -> None:
    with open(fifo, "rb", closefd=False) as lines:
        for line in lines:
            if line == b"end\n":
                return
            born.take(line)
