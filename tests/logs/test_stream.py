"""Whatever an app writes, however it is rotated, whenever the daemon is killed: the segments are the stream."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torpor.config.settings import LogSpec
from torpor.logs import index, segments, writer
from torpor.logs.reader import Reader, lines_of
from torpor.logs.writer import Writer

SECOND = 1_000_000_000
CALLS = ("open", "close", "lseek", "splice", "pread", "pwrite", "rename", "unlink", "ftruncate", "stat")

chunks = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.text(alphabet="ab\n", max_size=60).map(str.encode),
        st.sampled_from(
            [b"\x00\xff\n", b"\x1b[31mred\x1b[0m\n", b"\n" * 30, b"x" * 700, b"y" * 1999 + b"\n"]
        ),
    ),
    max_size=30,
)
specs = st.builds(
    LogSpec,
    max_size=st.sampled_from([7, 50, 100, 1000, 5000]),
    keep=st.just(100_000),
    rotate=st.sampled_from([None, None, 3.0, "hourly", "daily"]),
)


class Killed(BaseException):
    """The daemon is gone from one moment to the next."""


class World:
    """A pipe, a log and a clock that outlive daemons."""

    def __init__(self, folder: Path, spec: LogSpec) -> None:
        self.path = folder / "web.log"
        self.spec = spec
        self.now = 1_700_000_000 * SECOND
        self.reader, self.end = os.pipe()
        os.set_blocking(self.reader, False)
        self.daemon = self.fresh()

    def fresh(self) -> Writer:
        return Writer(self.path, self.spec, clock=lambda: self.now)

    def drain(self, most: int) -> None:
        while self.daemon.receive(self.reader, most)[0]:
            pass

    def close(self) -> None:
        self.daemon.close()
        os.close(self.reader)
        os.close(self.end)

    def stream(self) -> bytes:
        """What `cat web.log.* web.log` prints."""
        names = sorted(name for name in os.listdir(self.path.parent) if not name.startswith("."))
        current = [self.path.name] if self.path.name in names else []
        return b"".join(
            (self.path.parent / name).read_bytes()
            for name in [*(name for name in names if name not in current), *current]
        )


@contextmanager
def world(spec: LogSpec) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="t-logs-") as folder:
        made = World(Path(folder), spec)
        try:
            yield made
        finally:
            made.close()


@contextmanager
def killed_at(step: int, *, after: bool) -> Iterator[None]:
    """The process dies before or after its `step`th call of the system from within the room."""
    left = step
    saved: dict[str, Any] = {name: getattr(os, name) for name in CALLS}

    def guard(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and not after:
                raise Killed
            result = saved[name](*args, **kwargs)
            if left == 0:
                raise Killed
            return result

        return call

    class Os:
        path = os.path

        def __getattr__(self, name: str) -> Any:
            return guards.get(name) or getattr(os, name)

    guards = {name: guard(name) for name in CALLS}
    modules = (writer, index, segments)
    for module in modules:
        module.os = Os()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.os = os  # type: ignore[attr-defined]


@settings(max_examples=100)
@given(chunks, specs, st.sampled_from([1, 3, 64, 4096, 262_144]), st.integers(0, 3))
def test_the_segments_are_the_stream(written: list[bytes], spec: LogSpec, most: int, pause: int) -> None:
    """Any bytes, any chunks, any rotation; also across daemons that end in order."""
    with world(spec) as it:
        for number, chunk in enumerate(written):
            os.write(it.end, chunk)
            if number % 5 == 4:
                it.daemon.close()
                it.daemon = it.fresh()
                it.daemon.begin(number)
            it.drain(most)
            it.now += pause * SECOND
        assert b"".join(written) == it.stream()
        assert 0 == it.daemon.lost


@settings(max_examples=100)
@given(chunks, specs, st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=8))
def test_no_kill_changes_the_stream(
    written: list[bytes], spec: LogSpec, kills: list[tuple[int, bool]]
) -> None:
    """The daemon dies before or after any call of the system, again and again."""
    with world(spec) as it:
        left = list(kills)
        for chunk in written:
            os.write(it.end, chunk)
            it.now += SECOND
            while left:
                step, after = left.pop()
                try:
                    with killed_at(step, after=after):
                        it.drain(4096)
                    break
                except Killed:
                    it.daemon = it.fresh()
                    it.daemon.resume(1)
            it.drain(4096)
        assert b"".join(written) == it.stream()


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=40), max_size=40), st.sampled_from([45, 100, 1000]))
def test_rotation_is_between_lines(lines: list[bytes], size: int) -> None:
    """No archive is larger than asked for, and each ends with a line, where lines are not longer than that."""
    lines = [line.replace(b"\n", b"") + b"\n" for line in lines]
    with world(LogSpec(max_size=size, keep=1000)) as it:
        os.write(it.end, b"".join(lines))
        it.drain(4096)
        for path in it.path.parent.glob("web.log*"):
            content = path.read_bytes()
            assert len(content) <= size
            assert not content or content.endswith(b"\n")


@settings(max_examples=60)
@given(chunks, specs, st.integers(0, 40), st.integers(1, 5))
def test_the_reader_finds_every_line(written: list[bytes], spec: LogSpec, count: int, starts: int) -> None:
    """Forwards and backwards, across segments; a generation's beginning ends a line."""
    parts: list[list[bytes]] = [[]]
    with world(spec) as it:
        it.daemon.begin(0)
        for number, chunk in enumerate(written):
            if number % starts == starts - 1:
                it.daemon.begin(number)
                parts.append([])
            os.write(it.end, chunk)
            it.drain(4096)
            parts[-1].append(chunk)
        reader = Reader(str(it.path))
        expected = [line for part in parts for line in lines_in(b"".join(part), spec.max_size)]
        found = [line.text for block in reader.blocks(size=64) for line in lines_of(block)]
        if all(len(line) < spec.max_size for line in expected):  # longer ones may be cut
            assert expected == found
        assert found[len(found) - min(count, len(found)) :] == [line.text for line in reader.tail(count)]
        last = [line.text for line in reader.tail(10_000, *reader.generation())]
        assert b"".join(parts[-1]).replace(b"\n", b"") == b"".join(last)


def lines_in(data: bytes, _size: int) -> list[bytes]:
    *whole, rest = data.split(b"\n")
    return [*whole, *([rest] if rest else [])]


DAEMON = """
import os, sys
from pathlib import Path
from torpor.config.settings import LogSpec
from torpor.logs.writer import Writer
pipe = int(sys.argv[1])
writer = Writer(Path(sys.argv[2]), LogSpec(max_size=int(sys.argv[3]), keep=10**6))
writer.resume(1)
os.set_blocking(pipe, False)
import select
print(flush=True)
while True:
    select.select([pipe], [], [])
    writer.receive(pipe, 65536)
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", [997, 100_000])
def test_sigkill_changes_nothing(tmp_path: Path, size: int) -> None:
    """A real process, really killed, twenty times while an app writes: every byte is there once, in order."""
    reader, end = os.pipe()
    os.set_inheritable(reader, True)
    source = Path(__file__).parents[2] / "src"
    app = subprocess.Popen(("seq", "400000"), stdout=end)
    os.close(end)
    try:
        for turn in range(20):
            daemon = subprocess.Popen(
                (sys.executable, "-c", DAEMON, str(reader), str(tmp_path / "web.log"), str(size)),
                pass_fds=(reader,),
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(source)},
            )
            assert daemon.stdout is not None
            daemon.stdout.readline()
            before = written(tmp_path)
            while written(tmp_path) < before + 20_011 * (turn + 1) % 97_000 and app.poll() is None:
                os.sched_yield()
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
            daemon.stdout.close()
        last = Writer(tmp_path / "web.log", LogSpec(max_size=size, keep=10**6))
        os.set_blocking(reader, False)
        while last.receive(reader, 65536)[0] or app.poll() is None:
            pass
        while last.receive(reader, 65536)[0]:
            pass
        last.close()
    finally:
        app.kill()
        app.wait()
        os.close(reader)
    names = sorted(name for name in os.listdir(tmp_path) if name.startswith("web.log."))
    content = b"".join((tmp_path / name).read_bytes() for name in [*names, "web.log"])
    assert b"".join(b"%d\n" % number for number in range(1, 400_001)) == content


def written(folder: Path) -> int:
    total = 0
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            total += entry.stat().st_size if not entry.name.startswith(".") else 0
    return total


def test_bytes_never_lie_in_memory_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the kernel cannot move them, they are taken from the pipe only when they are in the file."""
    order: list[str] = []

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EINVAL, "cannot splice")

    write = os.pwrite

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        order.append("write")
        return write(fd, data, offset)

    def discard(pipe: int, count: int) -> None:
        order.append("discard")
        assert count == len(os.read(pipe, count))

    monkeypatch.setattr(os, "splice", refuse)
    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(writer, "discard", discard)
    reader, end = os.pipe()
    os.set_blocking(reader, False)
    os.write(end, b"one\n")
    log = Writer(tmp_path / "web.log")
    assert (4, b"one\n") == log.receive(reader, 100, wanted=True)
    assert ["write", "write", "discard"] == order
    assert b"one\n" == (tmp_path / "web.log").read_bytes()
    log.close()
    os.close(reader)
    os.close(end)


@settings(max_examples=60)
@given(chunks, st.lists(st.tuples(st.integers(1, 25), st.booleans()), max_size=5))
def test_stamped_lines_survive_kills(written: list[bytes], kills: list[tuple[int, bool]]) -> None:
    """With time stamps a kill may write a piece twice; it loses none."""
    with world(LogSpec(max_size=400, keep=100_000, timestamps=True)) as it:
        left = list(kills)
        for number, chunk in enumerate(written):
            os.write(it.end, b"<%d>" % number + chunk + b"</%d>\n" % number)
            while left:
                step, after = left.pop()
                try:
                    with killed_at(step, after=after):
                        it.drain(4096)
                    break
                except Killed:
                    it.daemon = it.fresh()
            it.drain(4096)
        content = it.stream()
        for number in range(len(written)):
            assert b"<%d>" % number in content
            assert b"</%d>\n" % number in content
