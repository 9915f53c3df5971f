"""Guests that are reached by commands."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contract.freeze_contract import FreezeContract
from contract.guest_contract import GuestContract, PausedByOthersContract
from contract.provider_contract import ID, Behaviour, ProviderContract
from providers.guests.command_world import CommandWorld
from providers.guests.runner import hearing, running
from torpor.config.guests import CommandsSpec
from torpor.config.settings import Hook
from torpor.core.model import Endpoint, ExitInfo
from torpor.errors import NotAllowed, ProviderFailed, StartFailed
from torpor.providers.guests import commands
from torpor.providers.guests.attempt import Attempt
from torpor.providers.guests.commands import CommandDriver
from torpor.providers.guests.driver import Health, Notice, State

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
async def subject(tmp_path: Path, anyio_backend: object) -> AsyncIterator[CommandWorld]:
    """A provider of programs that a script starts and ends."""
    async with running() as run:
        world = CommandWorld(tmp_path, run)
        try:
            async with world.opened():
                yield world
        finally:
            world.end()


@pytest.fixture
async def driver(anyio_backend: object) -> AsyncIterator[CommandDriver]:
    """A driver."""
    async with running() as run:
        yield CommandDriver(run, {"PATH": os.environ["PATH"]})


class TestProvider(ProviderContract):
    """Commands as apps."""

    async def test_stats(self, subject: CommandWorld) -> None:  # type: ignore[override]
        """There are some while it is alive, though no command tells what it uses."""
        assert subject.provider.stats(ID) is None
        await subject.provider.start(subject.launch(Behaviour.STEADY))
        stats = subject.provider.stats(ID)
        assert stats is not None
        assert (None, 0) == (stats.pid, stats.rss)
        await subject.provider.kill(ID, 1)
        await subject.facts.exited()
        assert subject.provider.stats(ID) is None


class TestFreezing(FreezeContract):
    """Commands that pause."""


class TestOthers(GuestContract, PausedByOthersContract):
    """What others do is found by looking."""


def shell(text: str, timeout: float = 30.0) -> Hook:
    """A command for the shell."""
    return Hook((text,), timeout, shell=True)


def guest(
    folder: Path,
    *,
    start: Hook | None = None,
    stop: Hook | None = None,
    status: Hook | None = None,
    pause: Hook | None = None,
    resume: Hook | None = None,
    ready: Hook | None = None,
    environment: dict[str, str] | None = None,
) -> CommandsSpec:
    """One that is alive while there is a file `on`."""
    return CommandsSpec(
        name="nas",
        host="commands",
        address="10.0.0.9",
        port=445,
        start=start or Hook(("touch", "on")),
        stop=stop or Hook(("rm", "on")),
        status=status or Hook(("test", "-e", "on")),
        pause=pause,
        resume=resume,
        ready=ready,
        interval=1000,
        working_dir=folder,
        environment=environment or {},
    )


async def test_what_it_is(driver: CommandDriver, tmp_path: Path) -> None:
    """Alive or not, reached where its settings say."""
    spec = guest(tmp_path)
    assert (await driver.status(spec)).state is State.STOPPED
    await driver.start(spec)
    status = await driver.status(spec)
    assert (State.RUNNING, Endpoint("10.0.0.9", 445)) == (status.state, status.endpoint)
    assert status.health is Health.UNCHECKED
    await driver.stop(spec)
    status = await driver.status(spec)
    assert (State.STOPPED, "status ended with exit code 1") == (status.state, status.exit.note)


async def test_it_is_not_alive_before_its_status_says_so(
    driver: CommandDriver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A start by wake-on-LAN only sends a packet; whoever gives up the wait leaves nothing behind but the reason."""
    spec = guest(tmp_path, start=Hook(("true",)))
    start = asyncio.ensure_future(driver.start(spec))
    await asyncio.wait([start], timeout=0.3)
    assert not start.done()
    (tmp_path / "on").touch()
    await start
    (tmp_path / "on").unlink()
    start = asyncio.ensure_future(driver.start(spec))
    await asyncio.wait([start], timeout=0.3)
    assert not caplog.messages
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    (told,) = caplog.messages
    assert "start is done, but status" in told
    assert "run it by hand to see why" in told


async def test_one_that_ends_as_soon_as_it_was_seen_alive(driver: CommandDriver, tmp_path: Path) -> None:
    """Nobody waits for it any longer: it was started."""
    spec = guest(tmp_path, status=shell("rm on 2>&-"))
    status = await Attempt(driver, spec, asyncio.sleep, listens=False).carry_out()
    assert status.state is State.STOPPED


async def test_what_commands_are_told(driver: CommandDriver, tmp_path: Path) -> None:
    """The app, where it is reached, the app's own environment, and nothing else of Torpor's."""
    os.environ["TORPOR_TEST_SECRET"] = "x"
    spec = guest(
        tmp_path,
        start=shell("env >told; touch on; echo $PORT >>$WHERE"),
        environment={"WHERE": "to-$TORPOR_APP"},
        status=Hook(("test", "-e", "to-${TORPOR_APP}")),
    )
    await driver.start(spec)
    told = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines())
    assert ("nas", "445", "10.0.0.9") == (told["TORPOR_APP"], told["PORT"], told["ADDRESS"])
    assert "TORPOR_TEST_SECRET" not in told
    assert "445\n" == (tmp_path / "to-nas").read_text()


async def test_a_start_that_fails_says_why(driver: CommandDriver, tmp_path: Path) -> None:
    """With the last that it wrote, and how to see it oneself."""
    spec = guest(tmp_path, start=shell("seq 100000; echo no route to host >&2; exit 4"))
    with pytest.raises(StartFailed) as caught:
        await driver.start(spec)
    assert "cannot start nas: start ended with exit code 4" in str(caught.value)
    assert "no route to host" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "seq 100000" in (caught.value.hint or "")


async def test_a_start_of_what_runs_may_be_refused(driver: CommandDriver, tmp_path: Path) -> None:
    """As virsh does: what is alive has been started."""
    (tmp_path / "on").touch()
    await driver.start(guest(tmp_path, start=shell("echo already active >&2; exit 1")))


async def test_what_is_gone_cannot_be_ended(driver: CommandDriver, tmp_path: Path) -> None:
    """A stop that fails is no error where nothing is alive, and is one where something is."""
    spec = guest(tmp_path, stop=shell("echo not permitted; exit 1"))
    await driver.stop(spec)
    await driver.kill(spec)
    (tmp_path / "on").touch()
    with pytest.raises(ProviderFailed, match="cannot end nas: stop ended with exit code 1: not permitted"):
        await driver.stop(spec)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (Hook(("torpor-has-no-such-program",)), "command not found"),
        (shell("torpor-has-no-such-program"), "exit code 127"),
        (Hook(("sleep", "1000"), 0.1), "did not end within 0.1 s"),
        (shell("kill -9 $$"), "ended by signal 9"),
    ],
)
async def test_a_status_that_says_nothing(
    driver: CommandDriver, tmp_path: Path, status: Hook, why: str
) -> None:
    """It is no end of anybody."""
    with pytest.raises(ProviderFailed, match=why):
        await driver.status(guest(tmp_path, status=status))


async def test_a_status_that_is_no_command(driver: CommandDriver, tmp_path: Path) -> None:
    """Nobody waits for it to say that something is alive."""
    with pytest.raises(StartFailed, match="exit code 127"):
        await driver.start(guest(tmp_path, status=shell("torpor-has-no-such-program")))


async def test_a_command_that_takes_too_long(driver: CommandDriver, tmp_path: Path) -> None:
    """It is killed with all that it has started, though that had left its session."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    start = shell("setsid sh -c 'exec 3<>fifo; echo >&3; sleep 1000' & sleep 1000", timeout=0.5)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(StartFailed, match="did not end within"):
            await driver.start(guest(tmp_path, start=start))
        assert os.read(reader, 10) == b"\n"
        while True:
            with contextlib.suppress(BlockingIOError):
                assert os.read(reader, 10) == b""  # nobody has it open any more
                break
            await asyncio.sleep(0.01)
    finally:
        os.close(reader)


async def test_what_a_start_leaves_running_may_write(driver: CommandDriver, tmp_path: Path) -> None:
    """It is not ended by writing where nobody reads."""
    start = shell("(until [ -e go ]; do sleep 0.02; done; yes | head -c 1000000 && touch wrote) & touch on")
    await driver.start(guest(tmp_path, start=start))
    (tmp_path / "go").touch()
    while not (tmp_path / "wrote").exists():
        await asyncio.sleep(0.01)


async def test_its_readiness(driver: CommandDriver, tmp_path: Path) -> None:
    """As long as `ready` fails it is alive and not ready, and it is looked at until it is."""
    spec = guest(tmp_path, ready=shell("echo still booting; test -e fine"))
    notices = driver.watch(lambda: [spec])
    assert Notice() == await anext(notices)
    assert Notice("nas") == await anext(notices)
    await driver.start(spec)
    status = await driver.status(spec)
    assert status.health is Health.PENDING
    assert "still booting" in status.note
    assert Notice("nas") == await anext(notices)
    (tmp_path / "fine").touch()
    assert Notice("nas") == await anext(notices)
    assert (await driver.status(spec)).health is Health.HEALTHY
    await driver.stop(spec)
    assert Notice("nas") == await anext(notices)


async def test_a_pause_that_status_does_not_tell_of(driver: CommandDriver, tmp_path: Path) -> None:
    """Is kept in mind, and what `status` writes counts more."""
    spec = guest(
        tmp_path,
        pause=shell("touch slept"),
        resume=shell("rm slept"),
        status=shell("[ -e on ] && { [ ! -e word ] || cat word; }"),
    )
    await driver.start(spec)
    await driver.pause(spec)
    assert (await driver.status(spec)).state is State.PAUSED
    (tmp_path / "word").write_text("running\n")
    assert (await driver.status(spec)).state is State.RUNNING
    (tmp_path / "word").write_text("run=1\npaused\n")
    assert (State.PAUSED, "run=1") == ((status := await driver.status(spec)).state, status.run)
    (tmp_path / "word").unlink()
    await driver.stop(spec)
    assert not (tmp_path / "slept").exists()
    assert (await driver.status(spec)).state is State.STOPPED


async def test_a_pause_that_others_undo_before_the_next_look(driver: CommandDriver, tmp_path: Path) -> None:
    """All is as the last look saw it, but whoever paused it does not know."""
    spec = guest(tmp_path, status=shell("echo running"), pause=Hook(("true",)), resume=Hook(("true",)))

    async with hearing(driver, spec) as heard:
        assert await heard.get() == Notice()
        assert await heard.get() == Notice("nas")
        await driver.pause(spec)
        assert await heard.get() == Notice("nas")


@pytest.mark.parametrize("fails", [False, True])
async def test_it_is_looked_at_often_only_while_it_ends(
    driver: CommandDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Not where it was started again before anybody saw its end, nor where it could not be ended."""
    looks = tmp_path / "looks"

    monkeypatch.setattr(commands, "_HURRY", 0.01)
    stop = Hook(("torpor-has-no-such-program",)) if fails else None
    spec = guest(tmp_path, status=shell("echo >>looks; test -e on"), stop=stop)
    await driver.start(spec)
    with pytest.raises(ProviderFailed) if fails else contextlib.nullcontext():
        await driver.stop(spec)
    if not fails:
        await driver.start(spec)
    async with hearing(driver, spec) as heard:
        assert await heard.get() == Notice()
        assert await heard.get() == Notice("nas")
        before = looks.read_text()
        await asyncio.sleep(0.3)
        assert before == looks.read_text()


async def test_what_it_cannot(driver: CommandDriver, tmp_path: Path) -> None:
    """Each is refused in words."""
    spec = guest(tmp_path)
    with pytest.raises(NotAllowed, match="no command that pauses it"):
        await driver.pause(spec)
    await driver.resume(spec)
    with pytest.raises(NotAllowed, match="takes no signal"):
        await driver.signal(spec, 1)
    assert await driver.usage(spec) is None
    assert [] == [piece async for piece in driver.logs(spec, "alive", None)]
    assert await driver.execute(spec, ("test", "$PORT", "=", "445"), 10) == ExitInfo(code=0)


@pytest.mark.parametrize("turns", range(5))
async def test_watching_ends_whatever_there_is_to_tell(
    driver: CommandDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """Also where the end and a piece of news come at the same moment: a daemon would wait for it for ever."""
    found: list[asyncio.Queue[Notice]] = []

    async def follow(_name: str, _specs: object, news: asyncio.Queue[Notice]) -> None:
        found.append(news)
        await asyncio.Event().wait()

    async def watch() -> None:
        async for _ in driver.watch(lambda: [guest(tmp_path)]):
            pass

    monkeypatch.setattr(driver, "_follow", follow)
    watching = asyncio.create_task(watch())
    while not found:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    found[0].put_nowait(Notice("nas"))
    for _ in range(turns):
        await asyncio.sleep(0)
    watching.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    ended = watching.done()
    watching.cancel()
    await asyncio.wait([watching])
    assert ended
