"""Segments as bytes, whatever they are packed in.

gzip is unpacked here (zlib lets other threads run meanwhile), zstd by the command of that name:
see `compress`.  What is torn ends early.
"""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

_READ = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS

Pieces = Callable[[int], Iterator[bytes]]
"""The content from an offset on."""


@contextmanager
def opened(path: str, size: int) -> Iterator[Pieces]:
    """Open a segment to be read in pieces of about `size` bytes.  Raises `OSError`."""
    with open(path, "rb", buffering=0) as file:
        if path.endswith(".gz"):
            yield lambda offset: _skip(_gunzip(file, size), offset)
        elif path.endswith(".zst"):
            with subprocess.Popen(
                ("zstd", "-dcq"), stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
            ) as process:
                assert process.stdout is not None
                output = process.stdout
                try:
                    yield lambda offset: _skip(_read(output.fileno(), size), offset)
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


def _read(fd: int, size: int) -> Iterator[bytes]:
    held: list[bytes] = []
    amount = 0
    while piece := os.read(fd, _READ):
        held.append(piece)
        amount += len(piece)
        if amount >= size:
            yield b"".join(held)
            held, amount = [], 0
    if held:
        yield b"".join(held)


def _gunzip(file: BinaryIO, size: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP)
    raw = b""
    while True:
        raw = unpacker.unconsumed_tail or file.read(_READ)
        if not raw:
            return
        try:
            piece = unpacker.decompress(raw, size)
        except zlib.error:
            return
        if piece:
            yield piece
        if unpacker.eof:
            return
