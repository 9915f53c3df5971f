"""What a program finds when it starts, and what is said when it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.world import PORT, World
from torpor.config.settings import ProcessSpec
from torpor.core.model import AppSpec, ExitInfo, InstanceId
from torpor.errors import ProviderFailed, StartFailed, StateUnusable
from torpor.logs.names import file_name
from torpor.providers.base import Launch
from torpor.providers.outputs import Outputs
from torpor.providers.process.explanations import explain
from torpor.providers.process.provider import ProcessProvider, TreeKind
from torpor.providers.process.spawn import base_environment, keep_ignored_signals_to_ourselves
from torpor.providers.process.surroundings import Surroundings

pytestmark = pytest.mark.anyio


def script(folder: Path, name: str, text: str, mode: int = 0o755) -> Path:
    """Write a program."""
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


async def output_of(subject: World, launch: Launch) -> list[str]:
    """Run a program to its end and return what it wrote."""
    await subject.provider.start(launch)
    fact = await subject.facts.exited(launch.generation)
    assert ExitInfo(code=0) == fact.info
    return subject.provider.output(launch.id).tail(1000)


async def refusal(subject: World, launch: Launch) -> str:
    """The text with which a start is refused."""
    with pytest.raises(StartFailed) as caught:
        await subject.provider.start(launch)
    assert subject.alive() == 0
    return caught.value.message


def test_the_base_environment_is_small() -> None:
    """Search path, user, language and time zone are handed on; secrets and strangers are not."""
    environ = {
        "PATH": "/bin",
        "HOME": "/root",
        "LC_ALL": "C",
        "TZ": "UTC",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PYTHONPATH": "/x",
        "NOTIFY_SOCKET": "/n",
        "HOMEBREW": "1",
    }
    assert {"PATH": "/bin", "HOME": "/root", "LC_ALL": "C", "TZ": "UTC"} == base_environment(environ)
    assert "/usr/bin" in base_environment({})["PATH"]


async def test_the_environment_of_an_app(subject: World) -> None:
    """The app sees the base, what the config names, and Torpor's own names; nothing else."""
    launch = subject.run(
        ("/usr/bin/env",), 7, environment={"URL": "http://x:${PORT}/$HOME", "TZ": "Asia/Tokyo"}
    )
    lines = dict(line.split("=", 1) for line in await output_of(subject, launch))
    assert len(lines.pop("TORPOR_INVOCATION").rpartition(".")[2]) == 32
    own = {
        "PORT": str(PORT),
        "TORPOR_APP": "app",
        "TORPOR_INSTANCE": "app",
        "TORPOR_REPLICA": "0",
        "TORPOR_GENERATION": "7",
        "URL": f"http://x:{PORT}/$HOME",
        "TZ": "Asia/Tokyo",
    }
    assert base_environment(os.environ) | own == lines


async def test_the_arguments_of_an_app(subject: World) -> None:
    """`$PORT` and Torpor's own names are filled in; other dollars, spaces and quotes stay as they are."""
    command = ("printf", "%s\\n", "--port=$PORT", "${TORPOR_APP}!", "$HOME", "$PORTS", "a  'b'", "$$")
    assert ["--port=18000", "app!", "$HOME", "$PORTS", "a  'b'", "$$"] == await output_of(
        subject, subject.run(command)
    )


async def test_a_shell_fills_in_itself(subject: World) -> None:
    """With `shell` the text is the shell's own business."""
    launch = subject.run(("echo $PORT \"$((PORT + 1))\" '$PORT' | cat",), shell=True)
    assert await output_of(subject, launch) == ["18000 18001 $PORT"]


async def test_signals_and_descriptors_are_clean(subject: World) -> None:
    """An app starts with no blocked signal, SIGPIPE at its default, nothing on stdin, and no inherited descriptor."""
    text = """
import os, signal
print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
ignored = int(next(l for l in open("/proc/self/status") if l.startswith("SigIgn")).split()[1], 16)
print(bool(ignored >> (signal.SIGXFSZ - 1) & 1), os.read(0, 1))
print(sorted(os.listdir("/proc/self/fd")))
print(os.getsid(0) == os.getpid() == os.getpgid(0))
"""
    # A shell between, because Python itself ignores SIGPIPE and SIGXFSZ at its start.
    ignored = "grep SigIgn /proc/self/status"
    lines = await output_of(subject, subject.run((sys.executable, "-c", text)))
    # The fourth descriptor is the listing's own.
    assert ["set()", "True b''", "['0', '1', '2', '3']", "True"] == lines
    (line,) = await output_of(subject, subject.run((ignored,), 2, shell=True))
    sigpipe_and_sigxfsz = 1 << 12 | 1 << 24
    assert int(line.split()[1], 16) & sigpipe_and_sigxfsz == 0


async def test_what_the_daemon_ignores_is_not_inherited(subject: World) -> None:
    """A daemon under nohup, or in the background of a shell, starts apps that hear every signal."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGQUIT)}
    try:
        keep_ignored_signals_to_ourselves()
        (line,) = await output_of(subject, subject.run(("grep SigIgn /proc/self/status",), shell=True))
        os.kill(os.getpid(), signal.SIGHUP)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert int(line.split()[1], 16) == 0


async def test_an_unknown_command(subject: World) -> None:
    """A program that is not there is named, with where it was looked for."""
    launch = subject.run(("nope",), environment={"PATH": "/one:/two"})
    assert await refusal(subject, launch) == "command not found: nope (searched /one:/two)"
    assert await refusal(subject, subject.run(("./nope",))) == f"command not found: {subject.folder}/nope"


async def test_a_program_that_cannot_be_executed(subject: World) -> None:
    """Each reason has its own words."""
    folder = subject.folder
    script(folder, "plain", "echo\n", 0o644)
    script(folder, "empty", "echo\n")
    script(folder, "alien", "#!/no/such/interpreter -x\n")
    assert f"{folder}/plain is not executable" == await refusal(subject, subject.run(("./plain",)))
    assert f"{folder} is a directory, not a program" == await refusal(subject, subject.run((str(folder),)))
    assert "neither a program nor a script" in await refusal(subject, subject.run(("./empty",)))
    assert "./alien needs /no/such/interpreter -x, which does not exist" == await refusal(
        subject, subject.run(("./alien",))
    )
    assert "embedded null byte" in await refusal(subject, subject.run(("true", "a\0b")))


async def test_a_missing_working_dir(subject: World) -> None:
    """A working directory that is missing, or is a file, is named."""
    gone = subject.folder / "gone"
    launch = Launch(ID, 1, AppSpec("app", workload=ProcessSpec(("true",), gone)), None)
    assert f"working_dir {gone} does not exist" == await refusal(subject, launch)
    gone.write_text("")
    assert f"working_dir {gone} is not a directory" == await refusal(subject, launch)


async def test_out_of_descriptors(subject: World) -> None:
    """However few descriptors are left, a start works or is refused with that reason, and no exit gets lost."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # This process may have many open already, from whatever it did before.
    limit = max(map(int, os.listdir("/proc/self/fd"))) + 40
    texts: list[str] = []
    for generation, left in enumerate(range(24), 1):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        taken = take_all_descriptors()
        for fd in taken[:left]:
            os.close(fd)
        try:
            await subject.provider.start(subject.run(("true",), generation))
            started = True
        except StartFailed as error:
            texts.append(error.message)
            started = False
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in taken[left:]:
                os.close(fd)
        if started:
            await subject.facts.exited(generation)
        assert subject.alive() == 0
    assert 0 < len(texts) < 24
    assert all("file" in text for text in texts)


def take_all_descriptors() -> list[int]:
    """Open as many as the limit allows."""
    taken: list[int] = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    return taken


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EAGAIN, "out of processes"),
        (errno.EMFILE, "out of file descriptors"),
        (errno.ENOMEM, "out of memory"),
        (errno.E2BIG, "too large"),
        (errno.EACCES, "Permission denied"),
    ],
)
def test_errors_of_the_system_are_explained(number: int, words: str, tmp_path: Path) -> None:
    """What the kernel refuses is said in words, with a hint where there is something to do."""
    found = explain(OSError(number, "?"), "app", Surroundings(tmp_path, {"PATH": ""}))
    assert words in found.message


async def test_a_cancelled_start_leaves_nothing(subject: World) -> None:
    """Cancelling a start ends what it may have brought to life, and reports nothing."""
    start = asyncio.ensure_future(subject.provider.start(subject.run(("sleep", "1000"))))
    await asyncio.sleep(0)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert subject.alive() == 0
    assert subject.facts.all == []
    await subject.provider.start(subject.run(("true",), 2))
    await subject.facts.exited(2)


async def test_a_probe_command(subject: World) -> None:
    """A probe runs in the app's folder and environment, and only status 0 is a yes."""
    launch = subject.run(("echo up; exec sleep 1000",), shell=True, environment={"COLOUR": "red"})
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    (subject.folder / "here").touch()
    run_probe = subject.provider.run_probe
    assert await run_probe(
        launch, ("sh", "-c", "test $COLOUR = red && test -e here && test $PORT = ${PORT}"), 5
    )
    assert not await run_probe(launch, ("false",), 5)
    assert not await run_probe(launch, ("nope",), 5)
    assert not await run_probe(launch, ("sleep", "1000"), 0.01)
    assert subject.alive() <= 2


async def test_a_command_tells_how_it_ended(subject: World) -> None:
    """By its own code, by a signal, not in time, or not at all."""
    launch = subject.run(("sleep", "1000"))
    await subject.provider.start(launch)
    run = subject.provider.run_command

    assert ExitInfo(code=3) == await run(launch, ("sh", "-c", "exit 3"), 5)
    assert ExitInfo(signal=9) == await run(launch, ("sh", "-c", "kill -9 $$"), 5)
    assert await run(launch, ("sleep", "1000"), 0.01) is None
    with pytest.raises(StartFailed):
        await run(launch, ("nope",), 5)
    await subject.provider.kill(launch.id, launch.generation)
    await subject.facts.exited(launch.generation)
    with pytest.raises(ProviderFailed):
        await run(launch, ("true",), 5)


async def test_a_cancelled_probe_is_killed(subject: World) -> None:
    """Giving up on a probe ends its process."""
    launch = subject.run(("sleep", "1000"))
    await subject.provider.start(launch)
    fifo = subject.folder / "probe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    probe = asyncio.ensure_future(
        subject.provider.run_probe(launch, ("sh", "-c", "exec 3>probe; echo >&3; exec sleep 1000"), 100)
    )
    closed = asyncio.Event()
    started = asyncio.Event()

    def look() -> None:
        with contextlib.suppress(BlockingIOError):
            (started if os.read(reader, 10) else closed).set()

    asyncio.get_running_loop().add_reader(reader, look)
    await started.wait()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    # The end of file on the pipe is the end of the process.
    await closed.wait()
    asyncio.get_running_loop().remove_reader(reader)
    os.close(reader)


async def test_a_state_directory_that_cannot_be(tmp_path: Path) -> None:
    """An unusable state directory is refused by name."""
    (tmp_path / "file").touch()
    provider = ProcessProvider(
        tmp_path / "file", lambda _: None, {}, Outputs(tmp_path / "file"), trees=TreeKind.DESCENT
    )
    with pytest.raises(StateUnusable, match="file"):
        await provider.open()


async def test_private_files(subject: World) -> None:
    """Nobody else may read or write an app's output."""
    await output_of(subject, subject.run(("true",)))
    state = subject.folder / "state"
    modes = {path.name: path.stat().st_mode & 0o777 for path in sorted(state.rglob("*"))}
    private = {"app.log": 0o600, ".app.log.idx": 0o600, "app.out": 0o600}
    assert {"logs": 0o700, "run": 0o700, **private} == modes


def testfile_names_are_safe_and_distinct() -> None:
    """Different instances have different files, and none leaves the directory."""
    ids = [
        InstanceId("a"),
        InstanceId("a", 1),
        InstanceId("a", 0, 1),
        InstanceId("a", 1, 1),
        InstanceId("a+1"),
        InstanceId("a@1"),
        InstanceId(".."),
        InstanceId("a/b"),
        InstanceId("ä"),
    ]
    names = [file_name(id) for id in ids]
    assert len(ids) == len(set(names))
    assert names[:4] == ["a", "a+1", "a@1", "a+1@1"]
    assert not any("/" in name or "." in name for name in names)
