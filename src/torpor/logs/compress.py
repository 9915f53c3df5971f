"""Compresses archives behind everybody's back: one thread of low priority for all apps.

zstd is the command of that name, not a Python package: it runs beside the daemon instead of in it,
every system has it, and whoever moves archives elsewhere needs it anyway.  gzip is the standard
library's, which lets the loop run while it works.

A kill leaves either the plain archive or the compressed one or both, and perhaps a hidden
temporary file.  The plain one counts; the next daemon removes the rest (see `segments`).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import subprocess
import threading
import zlib
from queue import SimpleQueue

from torpor.config.settings import Compression, LogSpec
from torpor.logs.segments import archive, temporary

logger = logging.getLogger(__name__)

SUFFIX = {Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}
_PIECE = 256 * 1024
_LEVEL = 6
_NICE = 19
_GLANCE = 0.1
"""Seconds after which it is looked whether to give up."""


class Compressor:
    """The thread, which lives from the first archive to `close`."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[str, int, Compression] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def retire(self, path: str, number: int, spec: LogSpec) -> None:
        """Compress an archive of the stream at `path`, if its settings say so.  Returns at once."""
        if spec.compress is Compression.NONE:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="torpor-compress", daemon=True)
            self._thread.start()
        self._queue.put((path, number, spec.compress))

    def finish(self) -> None:
        """Wait until all has been compressed."""
        self._stop()

    def close(self) -> None:
        """Give up what is being compressed; the next daemon does it."""
        self._closed.set()
        self._stop()

    def _stop(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        with contextlib.suppress(OSError):
            # On Linux a priority is that of one thread.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while (job := self._queue.get()) is not None:
            if self._closed.is_set():
                continue
            path, number, kind = job
            try:
                self._compress(path, number, kind)
            except FileNotFoundError:
                pass  # it was given up meanwhile
            except OSError as error:
                logger.warning("cannot compress %s: %s", archive(path, number), error.strerror or error)

    def _compress(self, path: str, number: int, kind: Compression) -> None:
        plain, fresh = archive(path, number), temporary(path, number, SUFFIX[kind])
        try:
            with open(plain, "rb", buffering=0) as source:
                status = os.fstat(source.fileno())
                fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    pack = self._gzip if kind is Compression.GZIP else self._zstd
                    if not pack(source.fileno(), fd):
                        return
                    # The plain one is removed next: a crash of the machine must find one of them whole.
                    os.fsync(fd)
                finally:
                    os.close(fd)
            # Its age is that of its last byte.
            os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
            os.rename(fresh, plain + SUFFIX[kind])
            try:
                os.unlink(plain)
            except FileNotFoundError:
                os.unlink(plain + SUFFIX[kind])
        finally:
            with contextlib.suppress(OSError):
                os.unlink(fresh)

    def _gzip(self, source: int, target: int) -> bool:
        packer = zlib.compressobj(_LEVEL, wbits=16 + zlib.MAX_WBITS)
        while piece := os.read(source, _PIECE):
            if self._closed.is_set():
                return False
            _write(target, packer.compress(piece))
        _write(target, packer.flush())
        return True

    def _zstd(self, source: int, target: int) -> bool:
        # In our own session, so that nobody but us reaps it; with the priority of this thread.
        try:
            process = subprocess.Popen(
                ("zstd", "-cq", "-T1"), stdin=source, stdout=target, stderr=subprocess.DEVNULL
            )
        except FileNotFoundError:
            raise OSError(errno.ENOPKG, "the command zstd is not installed") from None
        with process:
            while process.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_GLANCE)
                if self._closed.is_set():
                    process.kill()
        if process.returncode != 0 and not self._closed.is_set():
            raise OSError(f"zstd ended with {process.returncode}")
        return process.returncode == 0


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
