"""Files that are touched to tell that an app is used."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from torpor.runtime import inotify, touches
from torpor.runtime.inotify import Notice
from torpor.runtime.touches import Touches

pytestmark = pytest.mark.anyio

APPS = {"web", "notes"}


class Watcher:
    """A directory that is watched, and what was told of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tracked: list[str] = []
        self.touches = Touches(lambda: APPS, self.tracked.append)
        self.touches.follow(folder)

    async def sees(self, name: str, *changes: Callable[[], object]) -> None:
        """Make the changes, and wait until this name was tracked because of them."""
        self.tracked.clear()
        for change in changes:
            change()
        async with asyncio.timeout(10):
            while name not in self.tracked:
                await asyncio.sleep(0.001)

    def touch(self, name: str) -> None:
        (self.folder / name).touch()


@asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[Watcher]:
    """Watched until the test ends."""
    watcher = Watcher(folder)
    try:
        yield watcher
    finally:
        watcher.touches.close()


async def test_every_way_to_touch_a_file_is_seen(tmp_path: Path) -> None:
    """It is created, its times are set, it is written to, or put in its place."""
    async with watching(tmp_path) as watcher:
        file = tmp_path / "web"
        await watcher.sees("web", file.touch)
        await watcher.sees("web", file.touch)
        await watcher.sees("web", lambda: os.utime(file, (1.0, 1.0)))
        await watcher.sees("web", lambda: file.write_text("x"))
        other = tmp_path / "web.new"
        other.touch()
        await watcher.sees("web", lambda: other.rename(file))


async def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """With the directories above it; one that is there keeps its mode."""
    async with watching(tmp_path / "a/b") as watcher:
        assert 0o700 == watcher.folder.stat().st_mode & 0o777
        await watcher.sees("web", lambda: watcher.touch("web"))
    watcher.folder.chmod(0o1777)
    async with watching(tmp_path / "a/b"):
        assert 0o777 == watcher.folder.stat().st_mode & 0o777


async def test_a_directory_that_vanishes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed, or moved away: what is touched at its place counts."""
    monkeypatch.setattr(touches, "PAUSE", 0.0)
    async with watching(tmp_path / "track") as watcher:
        for vanish in (watcher.folder.rmdir, lambda: watcher.folder.rename(tmp_path / "elsewhere")):
            vanish()
            async with asyncio.timeout(10):
                while not watcher.folder.exists():
                    await asyncio.sleep(0.001)
            await watcher.sees("web", lambda: watcher.touch("web"))
            (watcher.folder / "web").unlink()
        watcher.tracked.clear()
        (tmp_path / "elsewhere/notes").touch()
        await watcher.sees("web", lambda: watcher.touch("web"))
        assert "notes" not in watcher.tracked


async def test_a_touch_in_the_moment_of_the_change_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody puts another directory there, with a file in it, before that can be watched."""
    monkeypatch.setattr(touches, "PAUSE", 0.2)
    folder = tmp_path / "track"
    async with watching(folder) as watcher:
        await watcher.sees("notes", folder.rmdir, folder.mkdir, lambda: watcher.touch("notes"))
        assert ["notes"] == watcher.tracked


async def test_a_directory_that_cannot_be_watched_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so once, not at every attempt."""
    monkeypatch.setattr(touches, "RETRY", 0.005)
    attempts, attempt = 0, Touches._open

    def count(self: Touches) -> None:
        nonlocal attempts
        attempts += 1
        attempt(self)

    monkeypatch.setattr(Touches, "_open", count)
    (tmp_path / "track").write_text("in the way")
    async with watching(tmp_path / "track") as watcher:
        async with asyncio.timeout(10):
            while attempts < 3:
                await asyncio.sleep(0.001)
        (tmp_path / "track").unlink()
        async with asyncio.timeout(10):
            while not watcher.folder.is_dir():
                await asyncio.sleep(0.001)
        await watcher.sees("web", lambda: watcher.touch("web"))
    assert [f"cannot watch tracking_dir {tmp_path / 'track'}: File exists; trying again every 0.005 s"] == [
        record.message for record in caplog.records if record.name == touches.__name__
    ]


async def test_unknown_names_are_told_once_and_not_without_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A line for each of some, on one line each, and silence from then on."""
    caplog.set_level(logging.WARNING, touches.__name__)
    async with watching(tmp_path) as watcher:
        for number in range(100):
            watcher.touch(f"no\nsuch-{number}")
            watcher.touch(f"no\nsuch-{number}")
        await watcher.sees("web", lambda: watcher.touch("web"))
    told = [record.message for record in caplog.records]
    assert touches.UNKNOWN_TOLD == len(told) == len(set(told))
    assert r"tracking_dir: 'no\nsuch-0' was touched, but no app has that name" == told[0]


async def test_lost_notices_are_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel keeps only so many: then the times of the files tell."""
    async with watching(tmp_path) as watcher:
        await watcher.sees("notes", lambda: watcher.touch("notes"))
        os.utime(tmp_path / "notes", (1.0, 1.0))
        monkeypatch.setattr(
            inotify.Watch, "read", lambda watch: [*_swallowed(watch), Notice(inotify.IN_Q_OVERFLOW, "")]
        )
        await watcher.sees("web", lambda: watcher.touch("web"))
        assert "notes" not in watcher.tracked


def _swallowed(watch: inotify.Watch) -> list[Notice]:
    os.read(watch.fd, 65536)
    return []


async def test_another_directory_is_followed(tmp_path: Path) -> None:
    """As the configuration changes; None ends it."""
    async with watching(tmp_path / "a") as watcher:
        watcher.touches.follow(tmp_path / "b")
        watcher.folder = tmp_path / "b"
        await watcher.sees("web", (tmp_path / "a/notes").touch, lambda: watcher.touch("web"))
        assert "notes" not in watcher.tracked
        watcher.touches.follow(None)
        watcher.touch("web")
