"""The state file and the claim on its directory."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from torpor.core.model import AppMemory, ExitInfo, Pin, Want
from torpor.errors import StateUnusable
from torpor.runtime.state import StateFile

pytestmark = pytest.mark.anyio

MEMORY = AppMemory(want=Want.DOWN, restarts=3, generation=7, wakes=(0.5, 1.25))


async def _write(directory: Path, memory: AppMemory = MEMORY) -> None:
    state = StateFile(directory)
    state.open()
    state.watch(lambda _name: memory)
    state.remember("app")
    await state.close()


async def test_what_is_remembered_is_read_again(tmp_path: Path) -> None:
    """The next daemon finds what the last one wrote, in a file that only its owner may read."""
    await _write(tmp_path)

    state = StateFile(tmp_path)
    try:
        assert {"app": MEMORY} == state.open()
    finally:
        await state.close()
    assert 0o600 == stat.S_IMODE((tmp_path / "state.json").stat().st_mode)


async def test_another_boot_begins_anew(tmp_path: Path) -> None:
    """Who had run to its end before the machine was off must run again; wishes stay."""
    memory = replace(MEMORY, completed=(ExitInfo(code=0), None), failures=((1.0, 2.0), ()))
    for boot, expected in (("one", memory), ("two", MEMORY)):
        state = StateFile(tmp_path, boot)
        before = state.open()
        if boot == "one":
            assert {} == before
            state.watch(lambda _name: memory)
            state.remember("app")
            await state.close()
            state = StateFile(tmp_path, boot)
            before = state.open()
        assert {"app": expected} == before
        await state.close()


@pytest.mark.parametrize(("pin", "later"), [(Pin(500.0), None), (Pin(), Pin())])
async def test_a_pin_without_an_end_outlives_the_boot(tmp_path: Path, pin: Pin, later: Pin | None) -> None:
    """One with an end is one of a clock that begins anew."""
    state = StateFile(tmp_path, "one")
    state.open()
    state.watch(lambda _name: replace(MEMORY, pin=pin))
    state.remember("app")
    await state.close()

    for boot, expected in (("one", pin), ("two", later)):
        state = StateFile(tmp_path, boot)
        assert expected == state.open()["app"].pin
        await state.close()


async def test_an_app_that_left_the_config_is_still_remembered(tmp_path: Path) -> None:
    """Commenting an app out and in again loses nothing."""
    await _write(tmp_path)

    state = StateFile(tmp_path)
    state.open()
    state.watch(lambda _name: AppMemory())
    state.remember("other")
    await state.close()

    state = StateFile(tmp_path)
    try:
        assert {"app": MEMORY, "other": AppMemory()} == state.open()
    finally:
        await state.close()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b'{"version": 99, "apps": {}}', b'{"version":1,"apps":3}']
)
async def test_an_unreadable_file_is_moved_aside(tmp_path: Path, content: bytes) -> None:
    """What cannot be understood is kept for a person, and the daemon starts."""
    (tmp_path / "state.json").write_bytes(content)

    state = StateFile(tmp_path)
    try:
        assert {} == state.open()
    finally:
        await state.close()

    assert [content] == [path.read_bytes() for path in tmp_path.glob("state.unreadable-*")]


async def test_a_second_daemon_is_refused_by_name(tmp_path: Path) -> None:
    """Two daemons on one directory: the second learns the first one's pid and touches nothing."""
    first = StateFile(tmp_path)
    first.open()
    try:
        with pytest.raises(StateUnusable, match=f"pid {os.getpid()}"):
            StateFile(tmp_path).open()
    finally:
        await first.close()

    third = StateFile(tmp_path)
    third.open()
    await third.close()


async def test_a_file_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    """A state directory that cannot be made is named, with what to set."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StateUnusable, match="file/state") as caught:
        StateFile(tmp_path / "file" / "state").open()

    assert "TORPOR_HOME" in (caught.value.hint or "")


async def test_a_write_that_fails_costs_a_line_not_the_daemon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full or lost disk is told once; the old file stays whole."""
    await _write(tmp_path)
    before = (tmp_path / "state.json").read_bytes()
    (tmp_path / "state.new").mkdir()

    await _write(tmp_path, AppMemory())

    assert before == (tmp_path / "state.json").read_bytes()
    assert "cannot write" in caplog.text


async def test_a_write_that_failed_is_tried_again(tmp_path: Path) -> None:
    """What was asked for while the disk was full is remembered once there is room, at the latest at the end."""
    obstacle = tmp_path / "state.new"
    obstacle.mkdir()
    state = StateFile(tmp_path)
    state.open()
    state.watch(lambda _name: MEMORY)
    state.remember("app")
    async with asyncio.timeout(10):
        while not state._broken:
            await asyncio.sleep(0.001)

    obstacle.rmdir()
    await state.close()

    assert b'"down"' in (tmp_path / "state.json").read_bytes()


async def test_the_end_waits_for_a_write_in_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writes never meet in the temporary file, and the newer content wins."""
    state = StateFile(tmp_path)
    memory = AppMemory()
    begun, may_end = threading.Event(), threading.Event()
    fsync = os.fsync
    writers: list[int] = []

    def slow(fd: int) -> None:
        writers.append(1)
        assert 1 == len(writers)
        begun.set()
        may_end.wait(10)
        writers.clear()
        fsync(fd)

    monkeypatch.setattr("torpor.runtime.state.os.fsync", slow)
    state.open()
    state.watch(lambda _name: memory)
    state.remember("app")
    await asyncio.get_running_loop().run_in_executor(None, begun.wait, 10)
    memory = MEMORY
    state.remember("app")
    closing = asyncio.ensure_future(state.close())
    await asyncio.sleep(0)
    may_end.set()

    await closing

    assert b'"down"' in (tmp_path / "state.json").read_bytes()
