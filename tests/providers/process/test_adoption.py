"""Adoption by the process provider: whom it believes, and what it never touches."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from contract.provider_contract import ID, Behaviour, wait_for_line
from providers.process.launches import given
from providers.process.world import World, new_provider
from torpor.config.fingerprints import differs, fingerprints
from torpor.config.settings import Attributes, LogSpec, ProcessSpec
from torpor.core.messages import Exited
from torpor.core.model import AppSpec, ExitInfo, Lifecycle, NotifyProbe, Readiness
from torpor.providers.outputs import Outputs
from torpor.providers.process.adoption import find_main
from torpor.providers.process.exits import wait_for_exit_nowait
from torpor.providers.process.procfs import Process, read_boot, read_process
from torpor.providers.process.record import Record, Records
from torpor.providers.process.tree import foster_parent

pytestmark = pytest.mark.anyio


def record_file(world: World) -> Path:
    """Where the record of `ID` lies."""
    return world.folder / "state" / "run" / "app.json"


def change_record(world: World, **changes: object) -> None:
    """Forge the record of `ID`."""
    record = msgspec.json.decode(record_file(world).read_bytes(), type=Record)
    record_file(world).write_bytes(msgspec.json.encode(msgspec.structs.replace(record, **changes)))


@asynccontextmanager
async def stranger(folder: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A process that no record may be taken to speak of; it must outlive the block."""
    process = subprocess.Popen(["sleep", "1000"], cwd=folder, start_new_session=True)  # noqa: ASYNC220
    try:
        yield process
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


async def test_a_record_lies_there_as_long_as_it_lives(subject: World) -> None:
    """It names the process, nobody else may read it, and it goes with the process."""
    running = await subject.provider.start(subject.launch(Behaviour.STEADY, 3))
    path = record_file(subject)
    record = msgspec.json.decode(path.read_bytes(), type=Record)
    process = read_process(running.pid or 0)
    assert process is not None
    assert (ID, 3, process.pid, process.started) == (record.id, record.generation, record.pid, record.started)
    assert read_boot() == record.boot
    assert path.stat().st_mode & 0o777 == 0o600
    await subject.provider.kill(ID, 3)
    await subject.facts.exited(3)
    assert [] == list(path.parent.glob("*.json*"))


async def test_a_start_that_fails_leaves_no_record(subject: World) -> None:
    """Nothing is recorded of what does not live."""
    with suppress(Exception):
        await subject.provider.start(subject.launch(Behaviour.MISSING))
    assert not record_file(subject).exists()


async def test_a_recycled_pid_is_never_touched(subject: World) -> None:
    """A record whose pid belongs to somebody else now is believed in nothing."""
    await subject.provider.start(subject.launch(Behaviour.STEADY))
    async with stranger(Path("/")) as other:
        running = subject.processes()
        now = read_process(other.pid)
        assert now is not None
        change_record(subject, pid=other.pid, started=now.started - 1)
        await subject.succeed()
        assert [] == await subject.provider.survivors()
        # What carries the mark is a leftover, and ended; the stranger is not.
        assert running != subject.processes()
        assert 0 == subject.alive()
    assert not record_file(subject).exists()


async def test_a_process_with_the_mark_of_another_is_not_believed(subject: World) -> None:
    """Even with the right pid and start time, somebody else's mark speaks against a process."""
    await subject.provider.start(subject.launch(Behaviour.STEADY))
    change_record(subject, number=(1 << 61) + 1)
    await subject.succeed()
    process = subject.processes()[0]
    resource.prlimit(process.pid, resource.RLIMIT_RTTIME, (1 << 61, 1 << 61))
    assert find_main(Records(record_file(subject).parent).read_all()["app"]) is None
    assert 1 == subject.alive()


async def test_another_boot_proves_nothing(subject: World) -> None:
    """A record of another boot is removed, and nobody is signalled for it, not even who carries the mark."""
    await subject.provider.start(subject.launch(Behaviour.STEADY))
    change_record(subject, boot="00000000-0000-0000-0000-000000000000")
    await subject.succeed()
    assert [] == await subject.provider.survivors()
    assert 1 == subject.alive()
    assert not record_file(subject).exists()


async def test_a_program_whose_pid_was_never_written_down_is_ended(subject: World) -> None:
    """A daemon that died right after the execution leaves a mark alone; that is enough to end it."""
    await subject.provider.start(subject.launch(Behaviour.STEADY))
    change_record(subject, pid=0, started=0)
    await subject.succeed()
    assert [] == await subject.provider.survivors()
    assert 0 == subject.alive()
    await subject.provider.start(subject.launch(Behaviour.STEADY, 2))


def a_record() -> Record:
    """A long one."""
    return Record(
        app="app",
        replica=0,
        release=0,
        generation=10**9,
        boot=read_boot(),
        invocation="0" * 32,
        number=1 << 61,
        stop_signal=15,
        stop_timeout=10.0,
        cgroup="/" * 300,
    )


def test_a_shorter_record_hides_a_longer_one(tmp_path: Path) -> None:
    """Of what was written before nothing is left, though the file is not replaced."""
    records = Records(tmp_path)
    long = a_record()
    records.write("app", long)
    short = msgspec.structs.replace(long, generation=1, cgroup=None)
    records.write("app", short)
    assert {"app": short} == records.read_all()
    records.remove("app")
    records.remove("app")
    assert {} == records.read_all()


async def test_what_nobody_understands_is_left_out(subject: World, tmp_path: Path) -> None:
    """A broken record harms neither the daemon nor other records."""
    await subject.provider.start(subject.launch(Behaviour.STEADY))
    folder = record_file(subject).parent
    (folder / "broken.json").write_text("{", encoding="utf-8")
    await subject.succeed()
    assert [ID] == [survivor.id for survivor in await subject.provider.survivors()]
    assert 1 == subject.alive()
    assert ["app.json"] == [path.name for path in folder.glob("*.json")]
    Records(tmp_path / "missing").write(
        "app", msgspec.json.decode(record_file(subject).read_bytes(), type=Record)
    )


@pytest.mark.parametrize("content", [None, b"", b'{"app":"app","repl', b'{"version":2}'])
async def test_what_no_record_speaks_of_is_ended(subject: World, content: bytes | None) -> None:
    """Without a record that can be understood nobody can be adopted, and two must never live."""
    await subject.provider.start(subject.launch(Behaviour.STEADY))
    await subject.provider.close()
    if content is None:
        record_file(subject).unlink()
    else:
        record_file(subject).write_bytes(content)
    with tempfile.TemporaryDirectory() as elsewhere:
        outputs = Outputs(Path(elsewhere) / "state")
        other = new_provider(Path(elsewhere), subject.facts, outputs, subject.trees)
        await other.open()
        assert [] == await other.survivors()
        await other.close()
        outputs.close()
    assert 1 == subject.alive()

    await subject.succeed()

    assert [] == await subject.provider.survivors()
    assert 0 == subject.alive()
    await subject.provider.start(subject.launch(Behaviour.STEADY, 2))


def test_a_full_disk_leaves_no_empty_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that could be made but not written would be one that nobody understands."""
    records = Records(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda _fd, _content: 0)
        records.write("app", a_record())
    assert [] == list(tmp_path.iterdir())


async def test_no_line_is_lost_between_two_daemons(subject: World) -> None:
    """What is written while no daemon reads, a line that is cut in two included, is in the log once."""
    text = (
        "printf 'first\\nsec'; touch half; while [ ! -e go ]; do sleep 0.01; done;"
        " printf 'ond\\nthird\\n'; touch done; exec sleep 1000"
    )
    launch = subject.run((text,), shell=True, log=LogSpec())
    await subject.provider.start(launch)
    await _appears(subject.folder / "half")
    await wait_for_line(subject, "first")
    await subject.provider.close()
    (subject.folder / "go").touch()
    await _appears(subject.folder / "done")
    await subject.succeed()
    await subject.provider.survivors()
    heard: list[str] = []
    subject.provider.output(ID).subscribe(heard.append)
    subject.provider.adopt(launch)
    await wait_for_line(subject, "third")
    assert ["first", "second", "third"] == subject.provider.output(ID).tail(10)
    assert ["second", "third"] == heard


async def test_orphans_of_a_survivor_belong_to_it(subject: World) -> None:
    """A daemonized descendant is found and ended with what it came from, under the next daemon too."""
    text = "setsid sh -c 'sleep 1000 &' & wait; echo up; exec sleep 1000"
    launch = subject.run((text,), shell=True)
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    await subject.succeed()
    await subject.provider.survivors()
    subject.provider.adopt(launch)
    assert 2 == subject.alive()
    await subject.provider.stop(ID, 1)
    fact = await subject.facts.exited()
    if fact.leftovers:
        await subject.facts.gone()
    assert 0 == subject.alive()


async def test_orphans_are_found_while_the_daemon_is_dying(subject: World) -> None:
    """As long as nobody has taken them in, all that carry a mark are looked at."""
    running = await subject.provider.start(subject.launch(Behaviour.STEADY))
    ended = subprocess.Popen(["true"])  # noqa: ASYNC220
    ended.wait()
    gone = Process(ended.pid, 0, ended.pid, ended.pid, alive=False, stopped=False, ticks=0)
    assert running.pid in set(foster_parent(gone)())


@pytest.mark.parametrize(
    ("command", "expected"),
    [("exit 0", ExitInfo(code=0)), ("exit 7", ExitInfo(code=7)), ("kill -KILL $$", ExitInfo(signal=9))],
)
@pytest.mark.parametrize("reaped", [False, True])
async def test_how_a_stranger_ended(command: str, expected: ExitInfo, *, reaped: bool) -> None:
    """The status of a process that is not our child is known before its parent reaps it, and after."""
    middle = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-S", "-c", _MIDDLE, command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert middle.stdin is not None
    assert middle.stdout is not None
    with middle, middle.stdin, middle.stdout:
        pidfd = os.pidfd_open(int(middle.stdout.readline()))
        assert wait_for_exit_nowait(pidfd) is None
        middle.stdin.write(b"end\nreap\n" if reaped else b"end\n")
        middle.stdin.flush()
        for _ in range(1 + reaped):
            middle.stdout.readline()
        if reaped and not _keeps_status():
            expected = ExitInfo()
        assert expected == wait_for_exit_nowait(pidfd)
        os.close(pidfd)


async def test_an_adopted_stranger_is_watched(subject: World) -> None:
    """The whole life under a daemon that is not its parent: found, adopted, its exit told with its status.

    Where the kernel does not keep that, it depends on who is quicker: we, or whoever reaps it.
    """
    pid = await _survive(subject, "echo up; while [ ! -e go ]; do sleep 0.01; done; echo over; exit 5")
    (survivor,) = await subject.provider.survivors()
    assert pid == survivor.running.pid
    subject.provider.adopt(subject.run(("unused",)))
    (subject.folder / "go").touch()
    known = [ExitInfo(code=5)] if _keeps_status() else [ExitInfo(code=5), ExitInfo()]
    assert await subject.facts.exited() in [Exited(ID, 1, info) for info in known]
    assert ["up", "over"] == subject.provider.output(ID).tail(5)


async def test_what_an_adopted_stranger_leaves_is_its_own(subject: World) -> None:
    """Its orphans go to somebody else than us, and are found there, told of, stopped and waited for."""
    await _survive(subject, "setsid sleep 1000 & echo up; while [ ! -e go ]; do sleep 0.01; done")
    await subject.provider.survivors()
    subject.provider.adopt(subject.run(("unused",)))
    (subject.folder / "go").touch()
    assert (await subject.facts.exited()).leftovers
    await subject.provider.stop(ID, 1)
    await subject.facts.gone()
    assert 0 == subject.alive()


async def test_what_a_stranger_left_before_is_ended(subject: World) -> None:
    """Its main process ended while no daemon looked: what it left is not ours by descent, and ended by its mark."""
    text = "echo up; while [ ! -e go ]; do sleep 0.01; done; setsid env -i sleep 1000 & exec sleep 2000"
    pid = await _survive(subject, text)
    (subject.folder / "go").touch()
    while {b"sleep\x001000\0", b"sleep\x002000\0"} != _commands(subject):
        await asyncio.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    while (main := read_process(pid)) is not None and main.alive:
        await asyncio.sleep(0.01)
    assert 1 == subject.alive()
    assert [] == await subject.provider.survivors()
    assert 0 == subject.alive()


def _commands(subject: World) -> set[bytes]:
    """What runs now."""
    found = set()
    for process in subject.processes():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found.add(Path(f"/proc/{process.pid}/cmdline").read_bytes())
    return found


async def _survive(subject: World, text: str) -> int:
    """Let an earlier daemon start this shell text and be killed once it wrote a line; its pid."""
    tests = str(Path(__file__).parents[2])
    source = str(Path(__file__).parents[3] / "src")
    earlier = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", _EARLIER, str(subject.folder), subject.trees, text],
        env={**os.environ, "PYTHONPATH": f"{source}:{tests}"},
        stdout=subprocess.PIPE,
    )
    assert earlier.stdout is not None
    with earlier, earlier.stdout:
        pid = int(earlier.stdout.readline())
        earlier.kill()
    await subject.succeed()
    return pid


_MIDDLE = """
import os, subprocess, sys
child = subprocess.Popen(["/bin/sh", "-c", "read _;" + sys.argv[1]], stdin=subprocess.PIPE)
print(child.pid, flush=True)
for line in sys.stdin:
    if line == "end\\n":
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        print("ended", flush=True)
    else:
        child.wait()
        print("reaped", flush=True)
child.wait()
"""
_EARLIER = """
import asyncio, sys
from pathlib import Path
from contract.provider_contract import wait_for_line
from providers.process.launches import given
from providers.process.world import World
from torpor.providers.process.provider import TreeKind

async def main():
    world = World(Path(sys.argv[1]), TreeKind(sys.argv[2]))
    await world.provider.open()
    running = await world.provider.start(world.run((sys.argv[3],), shell=True))
    await wait_for_line(world, "up")
    print(running.pid, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


def _keeps_status() -> bool:
    return tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 15)


async def _appears(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.01)


async def test_what_it_said_outlives_the_daemon(subject: World) -> None:
    """Status and watchdog interval are told of a survivor, and the status is not told again."""
    text = "systemd-notify --ready --status=busy WATCHDOG_USEC=700000; touch said; exec sleep 1000"
    launch = subject.run((text,), shell=True, readiness=Readiness((NotifyProbe(),)))
    await subject.provider.start(launch)
    await _appears(subject.folder / "said")
    await subject.provider.wait_for_notify(ID, 1)
    await subject.succeed()
    (survivor,) = await subject.provider.survivors()
    assert ("busy", 0.7) == (survivor.status, survivor.watchdog)


async def test_what_it_was_born_with_is_compared(subject: World) -> None:
    """Settings that only a new process can have are named when they are others; how it is ended is none of them."""
    launch = subject.run(("sleep 1000",), shell=True, environment={"A": "1", "B": "2"})
    await subject.provider.start(launch)
    await subject.succeed()
    await subject.provider.survivors()
    changed = given(
        launch,
        environment={"B": "2"},
        stop_signal=signal.SIGINT,
        command=("sleep 2000",),
        attributes=Attributes(nice=3),
    )
    assert ("command", "environment", "nice") == subject.provider.adopt(changed)


def test_the_order_of_settings_is_no_difference(tmp_path: Path) -> None:
    """Maps are compared as maps."""
    one = AppSpec("app", workload=ProcessSpec(("true",), tmp_path, environment={"A": "1", "B": "2"}))
    other = AppSpec("app", workload=ProcessSpec(("true",), tmp_path, environment={"B": "2", "A": "1"}))
    assert () == differs(fingerprints(one), other)


async def test_who_is_not_wanted_gets_the_time_that_it_was_given(subject: World) -> None:
    """The stop timeout of an app whose configuration is gone was written down."""
    text = "trap 'touch asked; while [ ! -e go ]; do sleep 0.01; done; touch done; exit' TERM; echo up; while :; do sleep 0.01; done"
    launch = subject.run((text,), shell=True, lifecycle=Lifecycle(stop_timeout=1000.0))
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    assert 1000.0 == msgspec.json.decode(record_file(subject).read_bytes(), type=Record).stop_timeout
    await subject.succeed()
    await subject.provider.survivors()
    end = asyncio.ensure_future(subject.provider.discard(ID, 1))
    await _appears(subject.folder / "asked")
    (subject.folder / "go").touch()
    await end
    assert (subject.folder / "done").exists()


def test_a_record_that_is_too_long_loses_words_first(tmp_path: Path) -> None:
    """Whom it speaks of is always there."""
    records = Records(tmp_path)
    long = a_record().but(status="\x01" * 900, settings={"command": "0" * 8})
    records.write("app", long)
    assert {"app": long.but(status="", settings={})} == records.read_all()
