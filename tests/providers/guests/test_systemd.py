"""Units of a real systemd, as guests and as their driver sees them."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contract.freeze_contract import FreezeContract
from contract.guest_contract import GuestContract, HostContract, PausedByOthersContract
from contract.provider_contract import ProviderContract
from providers.guests.runner import hearing, running
from providers.guests.unit_world import UnitWorld
from providers.guests.user_manager import UserManager, why_not
from torpor.config.guests import GuestSpec, UnitSpec
from torpor.core.model import Endpoint, ExitInfo
from torpor.errors import NotAllowed, ProviderFailed, StartFailed
from torpor.providers.guests.driver import Notice, State
from torpor.providers.guests.systemd import SystemdDriver, bus
from torpor.providers.guests.systemd import driver as systemd_driver
from torpor.providers.guests.systemd.bus import Connection, Refused
from torpor.providers.process.nursery import Run

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
]
SLEEP = "ExecStart=/bin/sleep 1000"
GUEST = UnitSpec(name="it.service", host="user")


@pytest.fixture
async def run(anyio_backend: object) -> AsyncIterator[Run]:
    """Runs commands."""
    async with running() as run:
        yield run


@pytest.fixture
async def manager(tmp_path: Path, run: Run) -> AsyncIterator[UserManager]:
    """A systemd of this test's own."""
    (tmp_path / "systemd").mkdir()
    manager = UserManager(tmp_path / "systemd")
    try:
        await manager.open()
        yield manager
    finally:
        manager.close()


@pytest.fixture
async def subject(tmp_path: Path, manager: UserManager, run: Run) -> AsyncIterator[UnitWorld]:
    """A provider of its units."""
    world = UnitWorld(tmp_path, manager, run)
    async with world.opened():
        yield world


@pytest.fixture
async def driver(manager: UserManager, run: Run) -> AsyncIterator[SystemdDriver]:
    """A driver of its units."""
    driver = SystemdDriver("user", run, {"PATH": "/usr/bin:/bin"}, address=manager.address)
    yield driver
    await driver.close()


async def ended(driver: SystemdDriver, guest: UnitSpec = GUEST) -> Any:
    """Wait until it is not alive any more; its status."""
    while (status := await driver.status(guest)).state is not State.STOPPED:
        await asyncio.sleep(0.01)
    return status


class TestProvider(ProviderContract):
    """Units as apps."""


class TestFreezing(FreezeContract):
    """Units that are frozen."""


class TestOthers(GuestContract, PausedByOthersContract, HostContract):
    """Units that others start, stop and freeze."""


async def test_what_a_unit_is(driver: SystemdDriver, manager: UserManager) -> None:
    """Running, it has a main process, an age and a run of its own; ended, it tells how."""
    await manager.write("it.service", SLEEP)
    guest = UnitSpec(name="it", host="user", port=4000)
    assert (await driver.status(guest)).state is State.STOPPED
    await driver.start(guest)
    status = await driver.status(guest)
    assert (State.RUNNING, Endpoint("127.0.0.1", 4000)) == (status.state, status.endpoint)
    assert [status.pid] == manager.processes("it.service")
    assert status.run
    assert 0 <= status.age < 60
    await driver.signal(guest, 9)
    status = await ended(driver, guest)
    assert (ExitInfo(signal=9), False) == (status.exit, status.by_hand)


async def test_each_start_is_another_run(driver: SystemdDriver, manager: UserManager) -> None:
    """By whomever, and by systemd itself."""
    await manager.write("it.service", f"{SLEEP}\nRestart=always\nRestartSec=10ms")
    runs = set()
    await driver.start(GUEST)
    runs.add((await driver.status(GUEST)).run)
    await manager.systemctl("restart", "it")
    runs.add((status := await driver.status(GUEST)).run)
    await driver.signal(GUEST, 9)
    while (status := await driver.status(GUEST)).run in runs or status.state is not State.RUNNING:
        assert status.state is not State.STOPPED
        await asyncio.sleep(0.01)
    assert 2 == len(runs)


async def test_kill_ends_what_systemd_would_start_again(driver: SystemdDriver, manager: UserManager) -> None:
    """Also while it is asked to end and does not."""
    deaf = manager.folder / "deaf"
    deaf.unlink(missing_ok=True)
    await manager.write(
        "it.service",
        f"ExecStart=/bin/sh -c \"trap '' TERM; : > {deaf}; while :; do sleep 1; done\"\n"
        "Restart=always\nTimeoutStopSec=infinity",
    )
    await driver.start(GUEST)
    while not deaf.exists():
        await asyncio.sleep(0.01)
    await driver.stop(GUEST)
    assert manager.processes("it.service")
    await driver.kill(GUEST)
    await ended(driver)
    assert manager.processes("it.service") == []


async def test_a_start_limit_is_for_torpor_to_set(driver: SystemdDriver, manager: UserManager) -> None:
    """Systemd's own is lifted, where it stands in the way."""
    await manager.write("it.service", SLEEP, "StartLimitIntervalSec=1h\nStartLimitBurst=2")
    for _ in range(5):
        await driver.start(GUEST)
        await driver.stop(GUEST)
        await ended(driver)


async def test_a_unit_that_fails_is_started_again(driver: SystemdDriver, manager: UserManager) -> None:
    """What systemd holds for failed is no obstacle; why it failed is told."""
    await manager.write("it.service", "Type=notify\nExecStart=/bin/sh -c 'exit 7'")
    for _ in range(2):
        with pytest.raises(StartFailed) as caught:
            await driver.start(GUEST)
        assert "exited with code 7" in str(caught.value) or "Type=" in str(caught.value)
        assert "systemctl --user status it.service" in (caught.value.hint or "")
    assert (await driver.status(GUEST)).exit.code == 7


async def test_units_that_cannot_be_started(driver: SystemdDriver, manager: UserManager) -> None:
    """No such unit, a masked one, one that makes no sense: each is refused in words."""
    assert (await driver.status(GUEST)).state is State.MISSING
    with pytest.raises(StartFailed, match=r"it\.service: there is no such unit"):
        await driver.start(GUEST)
    await driver.stop(GUEST)
    await driver.kill(GUEST)
    (manager.units / "it.service").symlink_to("/dev/null")
    await manager.systemctl("daemon-reload")
    with pytest.raises(StartFailed, match="it is masked"):
        await driver.start(GUEST)
    (manager.units / "it.service").unlink()
    await manager.write("it.service", "Type=simple")
    with pytest.raises(StartFailed, match="its file cannot be used"):
        await driver.start(GUEST)
    await manager.write("it.service", SLEEP, "Requires=not-there.service\nAfter=not-there.service")
    with pytest.raises(StartFailed, match="not-there"):
        await driver.start(GUEST)


async def test_a_one_shot_with_an_afterlife(driver: SystemdDriver, manager: UserManager) -> None:
    """It runs as long as systemd holds it for active, without a process."""
    await manager.write("it.service", "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true")
    await driver.start(GUEST)
    status = await driver.status(GUEST)
    assert (State.RUNNING, None) == (status.state, status.pid)
    await driver.stop(GUEST)
    assert (await ended(driver)).by_hand


async def test_a_one_shot_without(driver: SystemdDriver, manager: UserManager) -> None:
    """Its end is nobody's wish."""
    await manager.write("it.service", "Type=oneshot\nExecStart=/bin/true")
    await driver.start(GUEST)
    assert not (await ended(driver)).by_hand


async def test_a_stop_after_a_crash_did_not_end_it(driver: SystemdDriver, manager: UserManager) -> None:
    """Whoever stops what has crashed did not make it end."""
    await manager.write("it.service", SLEEP)
    await driver.start(GUEST)
    await driver.signal(GUEST, 9)
    await ended(driver)
    await manager.systemctl("stop", "it")
    assert not (await driver.status(GUEST)).by_hand


async def test_a_manager_that_executes_itself_anew(driver: SystemdDriver, manager: UserManager) -> None:
    """Nothing ends by it, whatever is asked meanwhile, and news come as before."""
    await manager.write("it.service", SLEEP)
    await driver.start(GUEST)
    before = await driver.status(GUEST)
    for command in ("daemon-reexec", "daemon-reload"):
        again = asyncio.ensure_future(manager.systemctl(command))
        while not again.done():
            status = await driver.status(GUEST)
            assert (before.state, before.run) == (status.state, status.run)
    notices = driver.watch(lambda: [GUEST])
    await anext(notices)
    await manager.systemctl("stop", "it")
    while not (await anext(notices)).by_hand:
        pass


async def test_a_start_during_which_the_manager_executes_itself_anew(
    driver: SystemdDriver, manager: UserManager
) -> None:
    """It returns when the unit has been started, whatever was missed."""
    fifo = manager.folder / "go"
    await manager.write(
        "it.service",
        f"Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'until [ -e {fifo} ]; do sleep 0.05; done'",
    )
    start = asyncio.ensure_future(driver.start(GUEST))
    while (await driver.status(GUEST)).state is not State.CHANGING:
        await asyncio.sleep(0.01)
    await manager.systemctl("daemon-reexec")
    assert not start.done()
    fifo.touch()
    await start
    assert (await driver.status(GUEST)).state is State.RUNNING


async def test_a_target_is_frozen_by_nobody(driver: SystemdDriver, manager: UserManager) -> None:
    """Nor has it a main process."""
    (manager.units / "it.target").write_text("[Unit]\nDefaultDependencies=no")
    await manager.systemctl("daemon-reload")
    guest = UnitSpec(name="it.target", host="user")
    await driver.start(guest)
    assert (await driver.status(guest)).state is State.RUNNING
    with pytest.raises(NotAllowed, match="cannot freeze"):
        await driver.pause(guest)
    with pytest.raises(ProviderFailed, match="cannot send SIGHUP"):
        await driver.signal(guest, 1)
    await driver.stop(guest)
    await ended(driver, guest)


@pytest.mark.parametrize("restart", ["no", "always"])
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_frozen_one_that_is_ended_can_be_started_again(
    driver: SystemdDriver, manager: UserManager, how: str, restart: str
) -> None:
    """Some systemds let nothing go on by themselves that is to end."""
    await manager.write("it.service", f"{SLEEP}\nRestart={restart}")
    await driver.start(GUEST)
    await driver.pause(GUEST)
    await (driver.stop(GUEST) if how == "stop" else driver.kill(GUEST))
    await ended(driver, GUEST)
    await driver.start(GUEST)
    assert (await driver.status(GUEST)).state is State.RUNNING


@pytest.mark.parametrize("wanted", [False, True])
async def test_a_frozen_one_that_others_killed(
    driver: SystemdDriver, manager: UserManager, wanted: bool
) -> None:
    """Newer systemds do not start it as long as they remember it, which they do where another unit wants it."""
    if wanted:
        (manager.units / "other.target").write_text("[Unit]\nDefaultDependencies=no\nWants=it.service\n")
    await manager.write("it.service", SLEEP)
    await (manager.systemctl("start", "other.target") if wanted else driver.start(GUEST))
    await driver.pause(GUEST)
    await manager.systemctl("kill", "--signal=KILL", "it")
    await ended(driver)
    said = ""
    try:
        await driver.start(GUEST)
    except StartFailed as error:
        said = error.message
    if said:
        assert wanted
        assert "it has ended while it was frozen" in said
    else:
        await driver.resume(GUEST)  # older ones start it and go on to call it frozen
        assert (await driver.status(GUEST)).state is State.RUNNING


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_frozen_one_whose_stop_waits_for_another(
    driver: SystemdDriver, manager: UserManager, how: str
) -> None:
    """Systemd thaws none that has a job; that one is given up, and asked for anew."""
    (manager.units / "other.service").write_text(
        "[Unit]\nDefaultDependencies=no\nRequires=it.service\nAfter=it.service\n[Service]\n"
        f"ExecStart=/bin/sleep 1000\nExecStop=/bin/sh -c 'until [ -e {manager.folder}/go ]; do sleep 0.05; done'\n"
    )
    await manager.write("it.service", SLEEP)
    await manager.systemctl("start", "other.service")
    await driver.pause(GUEST)
    await manager.systemctl("stop", "--no-block", "it.service")
    assert (await driver.status(GUEST)).state is State.PAUSED
    await (driver.stop(GUEST) if how == "stop" else driver.kill(GUEST))
    (manager.folder / "go").touch()
    await ended(driver, GUEST)


async def test_a_pause_that_others_undo_before_the_next_look(
    driver: SystemdDriver, manager: UserManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is as the last look saw it, but whoever paused it does not know."""
    gate = asyncio.Event()
    look = driver._freezer

    async def look_later(guest: GuestSpec) -> object:
        await gate.wait()
        return await look(guest)

    monkeypatch.setattr(systemd_driver, "_FREEZER_LOOK", 0.1)
    monkeypatch.setattr(driver, "_freezer", look_later)
    await manager.write("it.service", SLEEP)
    await driver.start(GUEST)
    async with hearing(driver, GUEST) as heard:
        assert await heard.get() == Notice()
        gate.set()
        assert await heard.get() == Notice("it.service")
        gate.clear()
        await driver.pause(GUEST)
        await manager.systemctl("thaw", "it.service")
        gate.set()
        assert await heard.get() == Notice("it.service")


async def test_no_bus(run: Run) -> None:
    """What cannot be reached is said, and that it is no end of anybody."""
    driver = SystemdDriver("system", run, {}, address="unix:path=/nowhere/bus")
    with pytest.raises(ProviderFailed, match="cannot reach systemd at unix:path=/nowhere/bus"):
        await driver.status(GUEST)
    with pytest.raises(StartFailed, match="cannot reach systemd"):
        await driver.start(GUEST)


@pytest.mark.parametrize("turns", range(4))
async def test_a_connection_that_is_given_up_as_it_is_made(
    driver: SystemdDriver, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """The loop does not watch what is closed: with uvloop that would end this very process."""
    made: list[Connection] = []

    def make(address: str) -> Connection:
        made.append(Connection(address))
        return made[-1]

    monkeypatch.setattr(bus, "Connection", make)
    asking = asyncio.create_task(driver.status(GUEST))
    while not (made and made[0].unique_name):
        await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    for _ in range(10):
        await asyncio.sleep(0)
    assert (await driver.status(GUEST)).state is State.MISSING


async def test_a_connection_that_is_lost_is_not_written_to(driver: SystemdDriver) -> None:
    """Its descriptor's number may be somebody else's by then, who goes on to be watched as before."""
    await driver.status(GUEST)
    lost = driver._bus._connection
    assert lost is not None
    number = lost._fd
    assert number is not None
    lost.disconnect()
    await lost.wait_for_disconnect()  # type: ignore[no-untyped-call]
    loop = asyncio.get_running_loop()
    reader, writer = os.pipe()
    os.dup2(reader, number)
    heard = asyncio.Event()
    loop.add_reader(number, heard.set)
    try:
        with pytest.raises(ProviderFailed, match="was closed"):
            await driver._bus._is_present(lost)
        os.write(writer, b"x")
        await heard.wait()
    finally:
        loop.remove_reader(number)
        for fd in {reader, writer, number}:
            os.close(fd)


async def test_a_bus_that_ends_unheard(driver: SystemdDriver, manager: UserManager) -> None:
    """Whoever calls is told; nothing is left for the loop to complain of."""
    await driver.status(GUEST)
    manager.end_bus()
    with pytest.raises(ProviderFailed, match="Broken pipe"):
        await driver.status(GUEST)
    await driver.close()
    for _ in range(5):  # what nobody has asked is let go of a few turns later
        await asyncio.sleep(0)
    gc.collect()


async def test_a_bus_without_systemd(manager: UserManager, run: Run) -> None:
    """As in a container."""
    driver = SystemdDriver("user", run, {}, address=f"unix:path={manager.folder}/other")
    bus = await asyncio.create_subprocess_exec(
        *("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address"),
        f"--address=unix:path={manager.folder}/other",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert bus.stdout is not None
    await bus.stdout.readline()
    try:
        with pytest.raises(Refused, match="is not on the bus"):
            await driver.status(GUEST)
    finally:
        bus.kill()
        await bus.wait()


async def test_commands_run_beside(driver: SystemdDriver) -> None:
    """With the port of the unit, and a limit."""
    guest = UnitSpec(name="it", host="user", port=4000)
    assert await driver.execute(guest, ("test", "$PORT", "=", "4000"), 10) == ExitInfo(code=0)
    assert await driver.execute(guest, ("sleep", "1000"), 0.1) is None
