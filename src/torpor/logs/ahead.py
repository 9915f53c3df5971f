"""Reads segments ahead of whoever searches them, several at a time, in bounded memory.

Unpacking lets other threads run (zlib does; zstd is another process), so that all processors work.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from queue import Full, Queue

from torpor.logs.reader import START_OF_ALL, Block, Position, Reader, Segment

_HELD = 2
"""Blocks of each segment that wait for the search."""
_PAUSE = 0.1
"""Seconds after which a thread looks whether anybody still wants its blocks."""
_SMALL = 8 * 1024 * 1024
"""Plain bytes for which no thread is worth its start."""


def blocks_ahead(
    reader: Reader, start: Position = START_OF_ALL, end: Position | None = None
) -> Iterator[Block]:
    """The same as `Reader.blocks`.  Raises `OSError`."""
    segments = reader.between(start, end)
    if sum(_SMALL if segment.size is None else segment.size for segment in segments) < _SMALL:
        yield from reader.blocks(start, end)
        return
    following = iter(segments)
    running: deque[_Worker] = deque()
    try:
        while True:
            while (
                len(running) < max(2, os.cpu_count() or 1) and (segment := next(following, None)) is not None
            ):
                running.append(_Worker(reader, segment, start, end))
                running[-1].run()
            if not running:
                return
            yield from running[0].blocks()
            running.popleft()
    finally:
        for worker in running:
            worker.stop()


class _Worker:
    """Reads one segment in a thread of its own."""

    def __init__(self, reader: Reader, segment: Segment, start: Position, end: Position | None) -> None:
        self._blocks = reader.within(segment, start, end)
        self._queue: Queue[Block | Exception | None] = Queue(_HELD)
        self._stopped = threading.Event()

    def run(self) -> None:
        threading.Thread(target=self._read, name="torpor-logs-ahead", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def blocks(self) -> Iterator[Block]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def _read(self) -> None:
        try:
            for block in self._blocks:
                if not self._put(block):
                    return
            self._put(None)
        except Exception as error:  # noqa: BLE001 - told to whoever waits for the blocks
            self._put(error)

    def _put(self, item: Block | Exception | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_PAUSE)
            except Full:
                continue
            return True
        return False
