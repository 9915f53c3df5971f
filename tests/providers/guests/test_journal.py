"""The journal's reader, with a program in the place of `journalctl`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from providers.guests.runner import running
from torpor.errors import ProviderFailed
from torpor.providers.guests.systemd import journal as subject
from torpor.providers.guests.systemd.journal import Journal
from torpor.providers.guests.systemd.lines import Lines
from torpor.providers.process.nursery import Run

pytestmark = pytest.mark.anyio
TOLD = """#!/bin/sh
entry() { echo "{\\"MESSAGE\\": \\"$1\\", \\"__CURSOR\\": \\"$1\\"}"; }
case "$*" in
*--sync*) ;;
*--follow*) entry one; entry two; exec sleep 1000 ;;
*--after-cursor=two*) entry three; entry four ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


@pytest.fixture
async def run(anyio_backend: object) -> AsyncIterator[Run]:
    """Runs commands."""
    async with running() as run:
        yield run


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Callable[[str], Journal]:
    """A journal that is read by such a program."""

    def make(program: str) -> Journal:
        path = tmp_path / "journalctl"
        path.write_text(program)
        path.chmod(0o755)
        monkeypatch.setattr(subject, "_JOURNALD", path)
        return Journal(run, {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, ())

    return make


@pytest.fixture
async def pipe(anyio_backend: object) -> AsyncIterator[tuple[Lines, int]]:
    """Lines of at most ten bytes, and the end to write to."""
    reader, writer = os.pipe()
    lines = Lines(reader, 10)
    yield lines, writer
    lines.close()
    with contextlib.suppress(OSError):
        os.close(writer)


async def never() -> None:
    """Nothing ends."""
    await asyncio.Event().wait()


async def messages(journal: Journal, ended: Callable[[], Awaitable[None]], into: list[bytes]) -> None:
    """Read all that it tells."""
    async with contextlib.aclosing(journal.follow("run", None, ended)) as pieces:
        async for piece in pieces:
            into.append(piece.data)  # noqa: PERF401 - whoever ends it looks at what has come so far


def descriptors() -> dict[str, str]:
    """What is open, by number."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found


async def test_what_a_run_wrote(journal: Callable[[str], Journal]) -> None:
    """What came until its end, and what the journal was given late."""
    told: list[bytes] = []

    async def ended() -> None:
        while len(told) < 2:
            await asyncio.sleep(0)

    await messages(journal(TOLD), ended, told)
    assert [b"one\n", b"two\n", b"three\n", b"four\n"] == told


async def test_a_journal_that_cannot_be_read(journal: Callable[[str], Journal]) -> None:
    """It is told how its reader ended."""
    told: list[bytes] = []
    with pytest.raises(ProviderFailed, match=r"the journal cannot be read: journalctl .*3"):
        await messages(journal("#!/bin/sh\nexit 3\n"), never, told)
    with pytest.raises(ProviderFailed, match="the journal cannot be read"):
        await messages(journal("#!/no/such/interpreter\n"), never, told)
    assert told == []


async def test_giving_up_at_any_moment_leaves_nothing_open(journal: Callable[[str], Journal]) -> None:
    """Nor does it close what others have opened since."""
    reading = journal(TOLD)
    with contextlib.suppress(asyncio.CancelledError):
        await _give_up(reading, 0)
    before = descriptors()
    for turns in [*range(40), 100, 400]:
        await _give_up(reading, turns)
        # They get the numbers that are free now.
        held = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(4)]
        gc.collect()
        await asyncio.sleep(0)
        for fd in held:
            os.close(fd)
        assert descriptors().keys() == before.keys(), f"after {turns} turns"


async def _give_up(journal: Journal, turns: int) -> None:
    reading = asyncio.create_task(messages(journal, never, []))
    for _ in range(turns):
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    # What tells that a child has ended, and what closes its end of the pipe, are a few turns away.
    for _ in range(5):
        await asyncio.sleep(0)


async def test_lines_in_pieces(pipe: tuple[Lines, int]) -> None:
    """However they come, each is told whole; one that has no end is none."""
    lines, writer = pipe
    os.write(writer, b"one\n\ntw")
    assert [b"one", b""] == [await lines.next(), await lines.next()]
    asyncio.get_running_loop().call_soon(os.write, writer, b"o\nthre")
    assert await lines.next() == b"two"
    asyncio.get_running_loop().call_soon(os.close, writer)
    assert await lines.next() is None
    assert await lines.next() is None


@pytest.mark.parametrize("length", [11, 100, 64 * 1024 * 3 // 2])
async def test_a_line_that_is_too_long_is_left_out(pipe: tuple[Lines, int], length: int) -> None:
    """It is not kept either, and the next one is told."""
    lines, writer = pipe
    whole = b"0123456789\n" + b"x" * length + b"\nlast\n"
    writing = asyncio.create_task(asyncio.to_thread(_write, writer, whole))
    assert [b"0123456789", b"last"] == [await lines.next(), await lines.next()]
    await writing


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


async def test_lines_until_something_happens(pipe: tuple[Lines, int]) -> None:
    """What has been read by then is told, and the loop is told no more of the pipe."""
    lines, writer = pipe
    until = asyncio.get_running_loop().create_future()
    os.write(writer, b"one\ntwo\n")
    assert await lines.next(until) == b"one"
    until.set_result(None)
    assert await lines.next(until) == b"two"
    assert await lines.next(until) is None
    assert not asyncio.get_running_loop().remove_reader(lines._fd)
    lines.close()
    lines.close()
    assert await lines.next() is None


async def test_nothing_is_read_while_nobody_asks(pipe: tuple[Lines, int]) -> None:
    """So the writer waits, and nothing is kept for somebody who is slow."""
    lines, writer = pipe
    os.write(writer, b"one\n")
    assert await lines.next() == b"one"
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"more\n" * 100)
    for _ in range(10):
        await asyncio.sleep(0)
    with pytest.raises(BlockingIOError):
        os.write(writer, b"more\n" * 100)
