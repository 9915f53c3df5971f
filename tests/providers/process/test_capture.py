"""What an app writes arrives, all of it, in order, whatever happens to the daemon."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.world import World
from torpor.config.settings import Forward, LogSpec, StderrLog
from torpor.logs import forward
from torpor.logs.pipe import pending
from torpor.logs.writer import Writer
from torpor.providers.capture import Capture
from torpor.providers.channel import LINE_LIMIT
from torpor.providers.process.provider import TreeKind

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[TreeKind.DESCENT])
async def subject(subject: World) -> World:
    """Trees do not matter here: one kind will do."""
    return subject


def logged(subject: World) -> list[str]:
    """The lines of all log files, oldest first."""
    return "".join(path.read_text() for path in files(subject)).splitlines()


def files(subject: World) -> list[Path]:
    """The log files, oldest first."""
    folder = subject.folder / "state/logs"
    return [*sorted(folder.glob("app.log.*")), *folder.glob("app.log")]


async def run_to_end(subject: World, text: str, generation: int = 1, log: LogSpec | None = None) -> None:
    """Run a shell text to its end."""
    launch = subject.run((text,), generation, shell=True, log=log or LogSpec())
    await subject.provider.start(launch)
    await subject.facts.exited(generation)


async def test_many_lines_arrive_in_order(subject: World) -> None:
    """A hundred thousand lines: none is lost, doubled or out of order, in the file and for who listens."""
    heard: list[str] = []
    subject.provider.output(ID).subscribe(heard.append)
    await run_to_end(subject, "seq 100000")
    expected = [str(number) for number in range(1, 100_001)]
    assert expected == heard
    assert expected == logged(subject)
    assert expected[-50:] == subject.provider.output(ID).tail(50)
    assert expected[-5000:] == subject.provider.output(ID).tail(5000)


async def test_the_file_rotates_between_lines(subject: World) -> None:
    """Each file stays below the size, no more files than asked for exist, and no line is cut."""
    await run_to_end(subject, "seq 100000", log=LogSpec(max_size=100_000, keep=2))
    found = files(subject)
    assert ["app.log.000004", "app.log.000005", "app.log"] == [path.name for path in found]
    assert all(path.stat().st_size <= 100_000 for path in found)
    assert all(path.read_text().endswith("\n") for path in found)
    lines = logged(subject)
    assert [str(number) for number in range(100_001 - len(lines), 100_001)] == lines
    assert len(lines) > 30_000


async def test_a_file_that_keeps_none(subject: World) -> None:
    """With `keep: 0` there is the one file."""
    await run_to_end(subject, "seq 10000", log=LogSpec(max_size=1000, keep=0))
    (path,) = files(subject)
    assert path.stat().st_size <= 1000
    assert path.read_text().endswith("\n9999\n10000\n")


async def test_the_unfinished_last_line_counts(subject: World) -> None:
    """What was written without a final newline is a line once the app has ended."""
    await run_to_end(subject, "echo one; printf two")
    assert subject.provider.output(ID).tail(5) == ["one", "two"]
    await run_to_end(subject, "printf three", 2)
    assert subject.provider.output(ID).tail(5) == ["three"]
    assert subject.provider.output(ID).tail(5, previous=True) == ["one", "two"]
    assert b"one\ntwothree" == files(subject)[-1].read_bytes()


async def test_long_lines_are_split(subject: World) -> None:
    """A line without end costs bounded memory: it is passed on in pieces."""
    await run_to_end(subject, "head -c 200000 /dev/zero | tr '\\0' x; echo; echo end")
    lines = subject.provider.output(ID).tail(10)
    assert lines[-1] == "end"
    assert all(len(line) <= LINE_LIMIT for line in lines)
    (first, *_) = logged(subject)
    assert len(first) == 200_000


async def test_odd_bytes(subject: World) -> None:
    """What is not UTF-8 is replaced, and a carriage return before the newline is dropped."""
    await run_to_end(subject, r"printf 'a\377b\r\n\nc\n'")
    assert subject.provider.output(ID).tail(5) == ["a�b", "", "c"]


async def test_a_full_disk_stops_nobody(subject: World, caplog: pytest.LogCaptureFixture) -> None:
    """When the log cannot be written, the app goes on, its lines are heard, and it is said once."""
    (subject.folder / "state/logs/app.log").symlink_to("/dev/full")
    heard: list[str] = []
    subject.provider.output(ID).subscribe(heard.append)
    with caplog.at_level(logging.WARNING):
        await run_to_end(subject, "seq 100000")
    assert len(heard) == 100_000
    assert heard[-10:] == subject.provider.output(ID).tail(10)
    (record,) = caplog.records
    assert "No space left on device" in record.message


async def test_a_log_that_comes_back(subject: World, caplog: pytest.LogCaptureFixture) -> None:
    """Once the log can be written again, it is, and how much was dropped is said."""
    logs = subject.folder / "state/logs"
    logs.rmdir()
    with caplog.at_level(logging.WARNING):
        await run_to_end(subject, "echo lost")
        logs.mkdir()
        await run_to_end(subject, "echo kept", 2)
    assert logged(subject) == ["kept"]
    assert "can be written again; 5 bytes were dropped so far" in caplog.records[-1].message


async def test_a_log_emptied_by_somebody(subject: World) -> None:
    """Emptying the file from outside leaves no hole in it."""
    launch = subject.run(("echo one; read line <go; echo two",), shell=True)
    os.mkfifo(subject.folder / "go")
    await subject.provider.start(launch)
    await wait_for_line(subject, "one")
    path = subject.folder / "state/logs/app.log"
    os.truncate(path, 0)
    fd = os.open(subject.folder / "go", os.O_RDWR)
    os.write(fd, b"\n")
    await subject.facts.exited()
    os.close(fd)
    assert path.read_text() == "two\n"


async def test_tail_after_a_restart_of_the_daemon(subject: World) -> None:
    """A new daemon reads both generations from the files, across rotated ones too."""
    spec = LogSpec(max_size=1000, keep=9)
    await run_to_end(subject, "seq 500", 1, spec)
    await run_to_end(subject, "seq 501 1000", 2, spec)
    fresh = Capture(subject.folder / "state/run", subject.folder / "state/logs", ID, "app")
    assert [str(number) for number in range(501, 1001)] == fresh.tail(10_000)
    assert [str(number) for number in range(1, 501)] == fresh.tail(10_000, previous=True)
    assert ["499", "500"] == fresh.tail(2, previous=True)


async def test_nobody_looks_while_nobody_listens(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a listener the kernel moves the bytes, and Python sees none of them."""
    sizes: list[int] = []
    look = os.pread

    def counted_look(fd: int, size: int, offset: int) -> bytes:
        sizes.append(size)
        return look(fd, size, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", counted_look)
        await run_to_end(subject, "seq 100000")
    assert not [size for size in sizes if size > 1]
    assert [str(number) for number in range(1, 100_001)] == logged(subject)


async def test_an_unfinished_line_is_no_line_yet(subject: World) -> None:
    """It is told once, whole, when it has ended; also to whoever came in the middle of it."""
    os.mkfifo(subject.folder / "go")
    await subject.provider.start(subject.run(("echo one; printf tw; read line <go; echo o",), shell=True))
    output = subject.provider.output(ID)
    path = subject.folder / "state/logs/app.log"
    while not path.exists() or path.read_text() != "one\ntw":
        await asyncio.sleep(0)
    assert ["one"] == output.tail(5)
    heard: list[str] = []
    output.subscribe(heard.append)
    fd = os.open(subject.folder / "go", os.O_RDWR)
    os.write(fd, b"\n")
    await subject.facts.exited()
    os.close(fd)
    assert ["two"] == heard
    assert ["one", "two"] == output.tail(5)


async def test_a_failing_listener_harms_nobody(subject: World, caplog: pytest.LogCaptureFixture) -> None:
    """A listener that raises is told of in the log; the others hear on."""

    def fail(_: str) -> None:
        raise RuntimeError("bad listener")

    heard: list[str] = []
    subject.provider.output(ID).subscribe(fail)
    subject.provider.output(ID).subscribe(heard.append)
    await run_to_end(subject, "echo one")
    assert heard == ["one"]
    assert "bad listener" in caplog.text


DAEMON = textwrap.dedent("""
    import asyncio, os, signal, sys
    from pathlib import Path
    from torpor.config.settings import ProcessSpec
    from torpor.core.model import AppSpec, InstanceId
    from torpor.providers.base import Launch
    from torpor.providers.outputs import Outputs
    from torpor.providers.process.provider import ProcessProvider, TreeKind

    APP = "read line <go; i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; printf unfinished"

    async def main():
        folder = Path(sys.argv[1])
        os.chdir(folder)
        os.mkfifo("go")
        provider = ProcessProvider(folder, lambda fact: None, {"PATH": os.environ["PATH"]}, Outputs(folder), trees=TreeKind.DESCENT)
        await provider.open()
        workload = ProcessSpec((APP,), folder, shell=True)
        id = InstanceId("app")

        def die(line):
            if line == sys.argv[2]:
                os.kill(os.getpid(), signal.SIGKILL)

        provider.output(id).subscribe(die)
        running = await provider.start(Launch(id, 1, AppSpec("app", workload=workload), None))
        print(running.pid, flush=True)
        os.write(os.open("go", os.O_RDWR), b"\\n")
        await asyncio.Event().wait()

    asyncio.run(main())
""")


@pytest.mark.slow
@pytest.mark.parametrize("last", ["line 1", "line 7777", "line 15000"])
def test_killing_the_daemon_loses_no_line(last: str, tmp_path: Path) -> None:
    """The app outlives a killed daemon without a signal, and the next reader finds every line, once, in order."""
    source = Path(__file__).parents[3] / "src"
    with subprocess.Popen(
        (sys.executable, "-c", DAEMON, str(tmp_path), last),
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(source)},
    ) as daemon:
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        app = os.pidfd_open(pid)
        assert daemon.wait() == -signal.SIGKILL

    pipe = os.open(tmp_path / "run/app.out", os.O_RDWR | os.O_NONBLOCK)
    log = Writer(tmp_path / "logs/app.log")
    ended = False
    while True:
        if not log.receive(pipe, 65536)[0]:
            if ended:
                break
            readable, _, _ = select.select([pipe, app], [], [])
            ended = app in readable
    os.close(pipe)
    os.close(app)
    log.close()
    lines = (tmp_path / "logs/app.log").read_text().split("\n")
    assert [*(f"line {number}" for number in range(30_000)), "unfinished"] == lines


async def test_a_slow_daemon_holds_the_app_back(subject: World) -> None:
    """While nobody reads, the app waits in its write; nothing is lost."""
    os.mkfifo(subject.folder / "go")
    go = os.open(subject.folder / "go", os.O_RDWR)
    await subject.provider.start(subject.run(("read line <go; seq 100000",), shell=True))
    capture = subject.provider.output(ID)
    loop = asyncio.get_running_loop()
    channel = capture._out
    loop.remove_reader(channel._reader)
    os.write(go, b"\n")
    while pending(channel._reader) < 60_000:
        os.sched_yield()
    assert subject.alive() > 0
    loop.add_reader(channel._reader, channel._read)
    await subject.facts.exited()
    os.close(go)
    assert [str(number) for number in range(1, 100_001)] == logged(subject)


async def test_lines_are_passed_on(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `forward` each line goes to the system's log too, with its stream; what that does not take is counted."""
    address = str(subject.folder / "journal")
    monkeypatch.setitem(forward.ADDRESSES, Forward.JOURNALD, address)
    spec = LogSpec(forward=Forward.JOURNALD, stderr=StderrLog.SEPARATE)
    await run_to_end(subject, "echo unheard", log=spec)
    assert 1 == subject.provider.output(ID).unforwarded
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(address)
        await run_to_end(subject, "echo one; echo two >&2", 2, spec)
        said = {journal.recv(4096) for _ in range(2)}
    assert {
        (b"TORPOR_STREAM=stdout\nMESSAGE=one\n", True),
        (b"TORPOR_STREAM=stderr\nMESSAGE=two\n", True),
    } == {(text[text.index(b"TORPOR_STREAM") :], b"TORPOR_APP=app\n" in text) for text in said}
    assert ["unheard", "one"] == logged(subject)


async def test_a_stream_that_is_merged_again(subject: World) -> None:
    """Each generation has the streams that it was started with."""
    await run_to_end(subject, "echo one; echo two >&2", log=LogSpec(stderr=StderrLog.SEPARATE))
    assert {"stdout", "stderr"} == set(subject.provider.output(ID).streams())
    assert {"one", "two"} == set(subject.provider.output(ID).tail(9))
    await run_to_end(subject, "echo three; echo four >&2", 2)
    assert {"stdout"} == set(subject.provider.output(ID).streams())
    assert ["three", "four"] == subject.provider.output(ID).tail(9)


async def test_whoever_follows_a_replica_that_leaves_hears_it_when_it_comes_again(subject: World) -> None:
    """An instance that is forgotten while its output is followed goes on in it; of one that nobody follows nothing is kept."""
    heard: list[str] = []
    stream = subject.provider.output(ID).streams()["stdout"]
    end = stream.subscribe(heard.append)
    await run_to_end(subject, "echo first")
    subject.provider.forget(ID)

    await run_to_end(subject, "echo again", 2)

    assert ["first", "again"] == heard
    end()
    subject.provider.forget(ID)
    followed = weakref.ref(stream._capture)
    del stream
    gc.collect()
    assert followed() is None
