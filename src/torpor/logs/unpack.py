"""Segments as bytes, whatever they are packed in.

gzip is unpacked here (zlib lets other threads run meanwhile), zstd by the command of that name:
see `compress`.  What is torn gives what it still holds, and then says so.
"""

from __future__ import annotations

import errno
import os
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NoReturn

_READ = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS

Pieces = Callable[[int], Iterator[bytes]]
"""The content from an offset on.  Raises `OSError` behind what can be read."""


@contextmanager
def opened(path: str, size: int) -> Iterator[Pieces]:
    """Open a segment to be read in pieces of about `size` bytes.

    Raises `OSError`; `FileNotFoundError` only if there is none of that name.
    """
    with open(path, "rb", buffering=0) as file:
        if path.endswith(".gz"):
            yield lambda offset: _skip(_gunzip(file, size), offset)
        elif path.endswith(".zst"):
            with _zstd(file) as process:
                try:
                    yield lambda offset: _skip(_output(process, size), offset)
                finally:
                    # Its reader may have had enough.
                    process.kill()
        else:

            def plain(offset: int) -> Iterator[bytes]:
                while piece := os.pread(file.fileno(), size, offset):
                    yield piece
                    offset += len(piece)

            yield plain


def _skip(pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
    for piece in pieces:
        if offset < len(piece):
            yield piece[offset:] if offset > 0 else piece
        offset -= len(piece)


def _zstd(file: BinaryIO) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            ("zstd", "-dcq"), stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
    except FileNotFoundError:
        raise OSError(errno.ENOPKG, "the command zstd, which unpacks it, is not installed") from None


def _output(process: subprocess.Popen[bytes], size: int) -> Iterator[bytes]:
    assert process.stdout is not None
    held: list[bytes] = []
    amount, before = 0, 0
    while piece := os.read(process.stdout.fileno(), _READ):
        held.append(piece)
        amount += len(piece)
        if amount >= size:
            yield b"".join(held)
            before, held, amount = before + amount, [], 0
    if held:
        yield b"".join(held)
    if process.wait() != 0:
        _damaged(before + amount)


def _gunzip(file: BinaryIO, size: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP)
    amount, raw = 0, file.read(_READ)
    while raw:
        try:
            piece = unpacker.decompress(raw, size)
        except zlib.error:
            break
        if piece:
            amount += len(piece)
            yield piece
        if not unpacker.eof:
            raw = unpacker.unconsumed_tail or file.read(_READ)
            continue
        # As in gzip, another may follow, and so may zeros.
        raw = unpacker.unused_data.lstrip(b"\0")
        while not raw and (more := file.read(_READ)):
            raw = more.lstrip(b"\0")
        if not raw:
            return
        unpacker = zlib.decompressobj(_GZIP)
    _damaged(amount)


def _damaged(amount: int) -> NoReturn:
    raise OSError(errno.EBADMSG, f"damaged after byte {amount}")
