"""Archives: how long they are kept, when they begin, what they are packed in; and a disk that refuses."""

from __future__ import annotations

import gzip
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torpor.config.settings import Compression, LogSpec
from torpor.logs.compress import Compressor
from torpor.logs.index import LOST, START, load
from torpor.logs.periods import end_of_period
from torpor.logs.reader import Position, Reader, all_lines, lines_of
from torpor.logs.segments import Folder, Segments, index_of
from torpor.logs.writer import Writer

SECOND = 1_000_000_000
START_TIME = 1_700_000_000 * SECOND


class Log:
    """A writer with a pipe and a clock."""

    def __init__(self, path: Path, spec: LogSpec, compressor: Compressor | None = None) -> None:
        self.path = path
        self.now = START_TIME
        self.reader, self.end = os.pipe()
        os.set_blocking(self.reader, False)
        retire = compressor.retire if compressor else None
        self.writer = Writer(path, spec, retire=retire, clock=lambda: self.now)

    def say(self, text: bytes) -> None:
        """The app writes."""
        os.write(self.end, text)
        while self.writer.receive(self.reader, 4096)[0]:
            pass

    def names(self) -> list[str]:
        """The files that people see."""
        return sorted(name for name in os.listdir(self.path.parent) if not name.startswith("."))


@pytest.fixture
def opened() -> Iterator[list[Log]]:
    logs: list[Log] = []
    yield logs
    for log in logs:
        log.writer.close()
        os.close(log.reader)
        os.close(log.end)


def text_of(path: Path) -> list[bytes]:
    """All lines of a stream."""
    return [line.text for block in Reader(str(path)).blocks() for line in lines_of(block)]


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        (LogSpec(max_size=100, keep=2), 3),
        (LogSpec(max_size=100, keep=0), 1),
        (LogSpec(max_size=100, keep=100, max_total=450), 3),
        (LogSpec(max_size=100, keep=100, max_age=2.5), 3),
    ],
)
def test_what_is_given_up(tmp_path: Path, opened: list[Log], spec: LogSpec, left: int) -> None:
    """Count, sum with the indexes, and age limit the archives; the oldest go, and their indexes with them."""
    log = Log(tmp_path / "web.log", spec)
    opened.append(log)
    for number in range(12):
        log.say(b"%098d\n" % number)
        os.utime(tmp_path / "web.log", ns=(log.now, log.now))
        log.now += SECOND
    assert left == len(log.names())
    assert [b"%098d" % number for number in range(12 - left, 12)] == text_of(log.path)
    assert left == len([name for name in os.listdir(tmp_path) if name.endswith(".idx")])


def test_rotation_by_time(tmp_path: Path, opened: list[Log]) -> None:
    """A new file with the first output after so long, and never within a line."""
    log = Log(tmp_path / "web.log", LogSpec(rotate=10.0))
    opened.append(log)
    log.say(b"one\ntw")
    log.now += 11 * SECOND
    log.say(b"o\nthree\n")
    log.now += 5 * SECOND
    log.say(b"four\n")
    log.now += 100 * SECOND
    assert ["web.log", "web.log.000001"] == log.names()
    assert b"one\ntwo\n" == (tmp_path / "web.log.000001").read_bytes()
    log.say(b"five\n")
    assert b"three\nfour\n" == (tmp_path / "web.log.000002").read_bytes()


def test_days_and_hours_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """They end at the local midnight and at the full hour, also where the clock is set to summer time."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        noon = int(time.mktime((2026, 3, 29, 1, 30, 0, 0, 0, -1)))
        assert noon + 21 * 3600 + 1800 == end_of_period("daily", noon * SECOND) // SECOND
        assert noon + 1800 == end_of_period("hourly", noon * SECOND) // SECOND
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(("kind", "tool"), [(Compression.GZIP, "gzip"), (Compression.ZSTD, "zstd")])
def test_compressed_archives_are_the_stream(
    tmp_path: Path, opened: list[Log], kind: Compression, tool: str
) -> None:
    """All but the newest are compressed; the system's own tools and the reader find every line."""
    compressor = Compressor()
    log = Log(tmp_path / "web.log", LogSpec(max_size=1000, keep=100, compress=kind), compressor)
    opened.append(log)
    lines = [b"line %d" % number for number in range(1000)]
    for line in lines:
        log.say(line + b"\n")
    compressor.finish()
    archives = [name for name in log.names() if name != "web.log"]
    assert all(name.endswith(".gz" if tool == "gzip" else ".zst") for name in archives[:-1])
    assert not archives[-1].endswith("z")
    packed = subprocess.run(
        (tool, "-dc", *archives[:-1]), cwd=tmp_path, stdout=subprocess.PIPE, check=True
    ).stdout
    rest = [(tmp_path / name).read_bytes() for name in (archives[-1], "web.log")]
    assert b"".join(line + b"\n" for line in lines) == packed + b"".join(rest)
    assert lines == text_of(log.path)
    assert lines[-300:] == [line.text for line in Reader(str(log.path)).tail(300)]
    middle = Reader(str(log.path)).segments()[3]
    found = [
        line.text
        for block in Reader(str(log.path)).blocks(Position(middle.number, 0))
        for line in lines_of(block)
    ]
    assert found == lines[-len(found) :]


def test_a_crash_while_compressing_is_cleared_up(tmp_path: Path) -> None:
    """Half an archive, both forms of one, an index of none, and half a rotation: the stream stays what it is."""
    (tmp_path / "web.log.000001").write_bytes(b"one\n")
    (tmp_path / "web.log.000001.gz").write_bytes(b"torn")
    (tmp_path / ".web.log.000001.gz.tmp77").write_bytes(b"half")
    (tmp_path / ".web.log.000000.idx").write_bytes(b"")
    (tmp_path / "web.log.000002").write_bytes(b"two\n")
    (tmp_path / ".web.log.idx").write_bytes(b"known")
    (tmp_path / "other.log").write_bytes(b"not ours\n")
    assert [b"one", b"two"] == text_of(tmp_path / "web.log")
    segments = Segments(str(tmp_path / "web.log"), Folder(tmp_path))
    segments.open()
    assert ([1, 2], 3) == (segments.numbers, segments.next)
    assert [".web.log.000002.idx", "other.log", "web.log.000001", "web.log.000002"] == sorted(
        os.listdir(tmp_path)
    )


def test_an_archive_that_is_given_up_while_it_is_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not come back."""
    compressor = Compressor()
    path = tmp_path / "web.log"
    (tmp_path / "web.log.000001").write_bytes(b"one\n")
    pack = Compressor._gzip

    def give_up_first(self: Compressor, source: int, target: int) -> bool:
        (tmp_path / "web.log.000001").unlink()
        return pack(self, source, target)

    monkeypatch.setattr(Compressor, "_gzip", give_up_first)
    compressor.retire(str(path), 1, LogSpec(compress=Compression.GZIP))
    compressor.finish()
    assert [] == os.listdir(tmp_path)


def test_times_and_runs_come_from_the_index(tmp_path: Path, opened: list[Log]) -> None:
    """Since when, until when, and which run: by the index; without it all is one run of unknown time."""
    log = Log(tmp_path / "web.log", LogSpec(max_size=40, keep=100))
    opened.append(log)
    for run in range(3):
        log.writer.begin(run)
        for number in range(6):
            log.say(b"run %d line %d\n" % (run, number))
            log.now += 10 * SECOND
    reader = Reader(str(log.path))
    lines = list(all_lines(reader.blocks()))
    assert [START_TIME + 10 * SECOND * number for number in range(18)] == [line.at for line in lines]
    assert [0, 1, 2] == [mark.generation for line in lines for mark in line.marks if mark.flags & START]
    since = reader.since(START_TIME + 55 * SECOND)
    assert b"run 1 line 0" == next(lines_of(next(reader.blocks(since)))).text
    until = reader.until(START_TIME + 25 * SECOND)
    assert b"run 0 line 2" == reader.tail(1, end=until)[0].text
    assert [b"run 1 line %d" % n for n in range(6)] == [
        line.text for line in reader.tail(9, *reader.generation(1))
    ]
    for name in os.listdir(tmp_path):
        if name.endswith(".idx"):
            (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:31])
    lines = [line for block in reader.blocks() for line in lines_of(block)]
    assert (18, {None}) == (len(lines), {line.at for line in lines})
    assert 9 == len(reader.tail(9, *reader.generation()))
    assert 18 == sum(len(list(lines_of(block))) for block in reader.blocks(reader.since(START_TIME)))


def test_an_emptied_file_forgets_its_index(tmp_path: Path, opened: list[Log]) -> None:
    """Somebody empties the file: what is known of the old bytes says nothing of the new."""
    log = Log(tmp_path / "web.log", LogSpec())
    opened.append(log)
    log.say(b"one\n")
    log.now += 5 * SECOND
    log.say(b"two\n")
    os.truncate(log.path, 0)
    log.now += 5 * SECOND
    log.say(b"three\n")
    assert b"three\n" == log.path.read_bytes()
    assert [(0, log.now)] == [(mark.offset, mark.at) for mark in load(index_of(str(log.path)))._records]


def test_a_file_that_is_taken_away(tmp_path: Path, opened: list[Log]) -> None:
    """Within a second a new one is written."""
    log = Log(tmp_path / "web.log", LogSpec())
    opened.append(log)
    log.say(b"one\n")
    log.path.rename(tmp_path / "elsewhere")
    log.now += SECOND
    log.say(b"two\n")
    assert (b"one\n", b"two\n") == ((tmp_path / "elsewhere").read_bytes(), log.path.read_bytes())


def test_a_directory_that_is_taken_away(tmp_path: Path, opened: list[Log]) -> None:
    """It is made again within a second, for us alone, and nothing more is lost than was taken away."""
    folder = tmp_path / "logs"
    folder.mkdir()
    log = Log(folder / "web.log", LogSpec(max_size=1000, keep=10))
    opened.append(log)
    for _ in range(30):
        log.say(b"x" * 99 + b"\n")
    shutil.rmtree(folder)
    log.now += SECOND
    for number in range(20):
        log.say(b"%099d\n" % number)
    assert (None, 0) == (problem(log), log.writer.lost)
    assert [b"%099d" % number for number in range(20)] == text_of(log.path)
    assert 0o700 == folder.stat().st_mode & 0o777


@pytest.mark.parametrize("torn", ["gz", "zst"])
def test_what_is_torn_is_told(tmp_path: Path, torn: str) -> None:
    """What it still holds is read, and so is what follows; and somebody learns of it."""
    line = b"".join(b"%d " % number for number in range(2_000_000)) + b"\n"
    plain = tmp_path / "web.log.000001"
    plain.write_bytes(b"first\n" + line)
    tool = ["gzip", "-k"] if torn == "gz" else ["zstd", "-q"]
    subprocess.run((*tool, plain), check=True)
    plain.unlink()
    packed = tmp_path / f"web.log.000001.{torn}"
    os.truncate(packed, packed.stat().st_size // 2)
    (tmp_path / "web.log").write_bytes(b"last\n")
    told: list[str] = []
    reader = Reader(str(tmp_path / "web.log"), tell=told.append)
    found = list(all_lines(reader.blocks()))
    assert [b"first", b"last"] == [found[0].text, found[-1].text]
    held = len(b"first\n") + len(found[1].text)
    assert [f"{packed}: damaged after byte {held}"] == told
    assert (b"first\n" + line).startswith(b"first\n" + found[1].text)


def test_gzip_of_several_parts(tmp_path: Path) -> None:
    """Parts that were put together, and zeros behind them, are one archive; anything else is damage."""
    packed, told = tmp_path / "web.log.000001.gz", list[str]()
    reader = Reader(str(tmp_path / "web.log"), tell=told.append)
    whole = gzip.compress(b"one\n") + gzip.compress(b"two\n") + bytes(600_000)
    packed.write_bytes(whole)
    assert [b"one", b"two"] == [line.text for line in all_lines(reader.blocks())]
    assert not told
    packed.write_bytes(whole + b"x")
    assert [b"one", b"two"] == [line.text for line in all_lines(reader.blocks())]
    assert [f"{packed}: damaged after byte 8"] == told


def test_without_zstd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the command is missing, that is said, by who reads and by who compresses."""
    (tmp_path / "web.log.000001.zst").write_bytes(b"")
    (tmp_path / "web.log.000002").write_bytes(b"two\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    told: list[str] = []
    reader = Reader(str(tmp_path / "web.log"), tell=told.append)
    assert [b"two"] == [line.text for line in all_lines(reader.blocks())]
    assert [f"{tmp_path}/web.log.000001.zst: the command zstd, which unpacks it, is not installed"] == told
    compressor = Compressor()
    compressor.retire(str(tmp_path / "web.log"), 2, LogSpec(compress=Compression.ZSTD))
    compressor.finish()
    assert "web.log.000002: the command zstd is not installed" in caplog.text
    assert (tmp_path / "web.log.000002").exists()


def problem(log: Log) -> str | None:
    """Why nothing is written now."""
    return log.writer.problem


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mounted = subprocess.run(("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder), check=False)
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(("umount", "-l", folder), check=True)


def test_a_full_disk(tmp_path: Path) -> None:
    """What it refuses is counted and marked; when there is room again, it goes on with a new line."""
    with small_disk(tmp_path):
        (tmp_path / "ballast").write_bytes(b"x" * 128 * 1024)
        log = Log(tmp_path / "web.log", LogSpec())
        try:
            line = b"y" * 999 + b"\n"
            for _ in range(400):
                log.say(line)
            assert "No space left on device" == log.writer.problem
            held = log.path.stat().st_size
            assert 400 * 1000 == held + log.writer.lost
            (tmp_path / "ballast").unlink()
            log.say(b"again\n")
            assert not problem(log)
            assert b"again\n" == log.path.read_bytes()[held:]
            (mark,) = load(index_of(str(log.path))).marks(LOST)
            assert (held, log.writer.lost) == (mark.offset, mark.lost)
            assert b"again" == Reader(str(log.path)).tail(1)[0].text
        finally:
            log.writer.close()


def test_a_limit_on_files(tmp_path: Path, opened: list[Log]) -> None:
    """The same where the file may not grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log = Log(tmp_path / "web.log", LogSpec())
    opened.append(log)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        for number in range(100):
            log.say(b"%099d\n" % number)
        assert "File too large" == log.writer.problem
        assert 10_000 == log.path.stat().st_size + log.writer.lost
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    log.say(b"again\n")
    assert not problem(log)
    assert b"again" == text_of(log.path)[-1]


def test_a_directory_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Log]
) -> None:
    """Without a rotation the file goes on to twice its size; then output is lost; later all is well again."""
    log = Log(tmp_path / "web.log", LogSpec(max_size=1000, keep=10))
    opened.append(log)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        for number in range(40):
            log.say(b"%099d\n" % number)
            log.now += SECOND
    assert "Permission denied" == log.writer.problem
    assert (2000, 2000) == (log.path.stat().st_size, log.writer.lost)
    log.now += SECOND
    log.say(b"again\n")
    assert not problem(log)
    assert [b"%099d" % number for number in range(20)] + [b"again"] == text_of(log.path)


def test_stamps_are_put_before_lines(tmp_path: Path, opened: list[Log]) -> None:
    """Each line begins with its time, also across pieces and rotations; the bytes after it are the app's."""
    log = Log(tmp_path / "web.log", LogSpec(max_size=200, keep=100, timestamps=True))
    opened.append(log)
    log.now = 1_700_000_000_123_000_000
    log.say(b"one\ntw")
    log.now += SECOND
    log.say(b"o\n\xff\x00\r\n")
    for _ in range(20):
        log.say(b"more\n")
    lines = text_of(log.path)
    stamp, later = b"2023-11-14T22:13:20.123Z ", b"2023-11-14T22:13:21.123Z "
    assert [stamp + b"one", stamp + b"two", later + b"\xff\x00\r"] == lines[:3]
    assert [later + b"more"] * 20 == lines[3:]
    assert all((tmp_path / name).stat().st_size <= 200 for name in log.names())
