"""Files that others touch to tell that an app is used: `tracking_dir`.

Laws:
1. The name of what is touched is the name of the app.  Nothing in the directory is ever opened, listed or removed.
2. The directory may vanish and come back; it is made again where that is possible.
3. Whoever may write there can keep apps awake, and nothing else: what is kept here does not grow with what they do.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from torpor.runtime import inotify
from torpor.runtime.inotify import Watch

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two attempts to watch what was taken away at once."""
RETRY = 10.0
"""Seconds between two attempts to watch what cannot be watched: no notice tells that it can."""
GRAIN = 0.01
"""Seconds by which the time of a file may lie before the moment in which it was touched."""
UNKNOWN_TOLD = 16
"""Names without an app that the log tells of."""

_TOUCHED = inotify.IN_ATTRIB | inotify.IN_CLOSE_WRITE | inotify.IN_CREATE | inotify.IN_MOVED_TO
_GONE = inotify.IN_DELETE_SELF | inotify.IN_MOVE_SELF
_OVER = _GONE | inotify.IN_UNMOUNT | inotify.IN_IGNORED


class Touches:
    """Watches the directory that it was told to `follow`."""

    def __init__(self, apps: Callable[[], Collection[str]], track: Callable[[str], None]) -> None:
        """`apps`: all names that there are; `track` is told the one that was touched."""
        self._apps = apps
        self._track = track
        self._path: Path | None = None
        self._watch: Watch | None = None
        self._opened = 0.0
        self._blind_since = 0.0
        """The last moment of which it is known that no touch before it was missed: wall clock, as files have it."""
        self._timer: asyncio.TimerHandle | None = None
        self._complaint = ""
        self._unknown: set[str] = set()

    def follow(self, path: Path | None) -> None:
        """Watch this directory from now on; None: none.  What goes wrong is logged, and tried again."""
        if path == self._path:
            return
        self.close()
        self._path = path
        self._blind_since = time.time()
        if path is not None:
            self._open()

    def close(self) -> None:
        """Watch no more."""
        self._path = None
        self._shut()

    def _open(self) -> None:
        loop, path = asyncio.get_running_loop(), self._path
        assert path is not None
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            watch = Watch(str(path), _TOUCHED | _GONE)
        except OSError as error:
            complaint = f"cannot watch tracking_dir {path}: {error.strerror}"
            if complaint != self._complaint:
                log.error("%s; trying again every %g s", complaint, RETRY)
            self._complaint = complaint
            self._timer = loop.call_later(RETRY, self._open)
            return
        self._complaint = ""
        self._watch, self._opened, self._timer = watch, loop.time(), None
        loop.add_reader(watch.fd, self._read, watch)
        self._catch_up()

    def _shut(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch.fd)
            self._watch.close()
            self._watch = None

    def _read(self, watch: Watch) -> None:
        touched: dict[str, None] = {}
        masks, now = 0, time.time()
        for notice in watch.read():
            masks |= notice.mask
            if notice.name:
                touched[notice.name] = None
        for name in touched:
            self._touched(name)
        if masks & _OVER:
            self._begin_anew()
            return
        if masks & inotify.IN_Q_OVERFLOW:
            self._catch_up()
        self._blind_since = now

    def _touched(self, name: str) -> None:
        if name in self._apps():
            self._track(name)
        elif name not in self._unknown and len(self._unknown) < UNKNOWN_TOLD:
            self._unknown.add(name)
            log.warning("tracking_dir: %r was touched, but no app has that name", name)

    def _begin_anew(self) -> None:
        """The directory is not where it was."""
        self._shut()
        loop = asyncio.get_running_loop()
        # Somebody who removes it again and again is not to keep us busy.
        self._timer = loop.call_at(max(loop.time(), self._opened + PAUSE), self._open)

    def _catch_up(self) -> None:
        """Track what was touched while nobody could see it."""
        assert self._path is not None
        for name in self._apps():
            try:
                changed = os.stat(self._path / name).st_mtime
            except OSError:
                continue
            if changed >= self._blind_since - GRAIN:
                self._track(name)
