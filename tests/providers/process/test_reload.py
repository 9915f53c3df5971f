"""Reloading a program, by a signal or by a command of its own, and learning when it has done so."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.world import World
from torpor.config.settings import Hook
from torpor.core.messages import StatusChanged
from torpor.core.model import Lifecycle, NotifyProbe, Readiness
from torpor.errors import ProviderFailed
from torpor.providers.base import Launch
from torpor.providers.process.reloads import Reloads, monotonic_usec

pytestmark = pytest.mark.anyio
NOTIFYING = Readiness((NotifyProbe(),))
SPEAKING = """
import os, signal, socket, time

def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])

def reload(*_):
    say(f"RELOADING=1\\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
    while not os.path.exists("go"):
        time.sleep(0.01)
    if os.path.getsize("go"):
        os._exit(1)
    say("READY=1")

signal.signal(signal.SIGHUP, reload)
say("READY=1")
while True:
    time.sleep(1000)
"""
STEADY = ("/bin/sh", "-c", "echo up; exec sleep 1000")


@pytest.mark.parametrize("shell", [False, True])
async def test_a_reload_command_runs_in_the_apps_surroundings(subject: World, *, shell: bool) -> None:
    """In its directory and with its names filled in; the app itself goes on."""
    text = "echo $TORPOR_INSTANCE > told"
    hook = Hook((text,), shell=True) if shell else Hook(("/bin/sh", "-c", text))
    await subject.provider.start(subject.run(STEADY, reload_command=hook))
    await wait_for_line(subject, "up")
    await subject.provider.reload(ID, 1)
    assert "app\n" == (subject.folder / "told").read_text()
    assert subject.facts.all == []


@pytest.mark.parametrize("hook", [Hook(("false",)), Hook(("sleep", "1000"), timeout=0.01)])
async def test_a_reload_command_that_fails_is_told(subject: World, hook: Hook) -> None:
    """Whether it fails or takes too long: the caller learns of it, and the app goes on."""
    await subject.provider.start(subject.run(STEADY, reload_command=hook))
    await wait_for_line(subject, "up")
    with pytest.raises(ProviderFailed, match="reload command of app did not succeed"):
        await subject.provider.reload(ID, 1)
    assert subject.facts.all == []


def speaking(subject: World, lifecycle: Lifecycle = Lifecycle(), hook: Hook | None = None) -> Launch:  # noqa: B008
    """An app that tells of its reloads, each of which takes until `go` exists."""
    return subject.run(
        (sys.executable, "-S", "-c", SPEAKING),
        readiness=NOTIFYING,
        lifecycle=lifecycle,
        reload_signal=None if hook else signal.SIGHUP,
        reload_command=hook,
    )


async def reloading(subject: World) -> asyncio.Future[None]:
    """The reload that is under way, once the app has told of it."""
    await subject.provider.wait_for_notify(ID, 1)
    reload = asyncio.ensure_future(subject.provider.reload(ID, 1))
    while StatusChanged(ID, 1, "reloading") not in subject.facts.all:
        await asyncio.sleep(0.01)
    return reload


@pytest.mark.parametrize("hook", [None, Hook(("kill -HUP $MAINPID",), shell=True)])
async def test_a_reload_is_over_when_the_app_says_so(subject: World, hook: Hook | None) -> None:
    """READY=1 after RELOADING=1 is what the caller waits for."""
    await subject.provider.start(speaking(subject, hook=hook))
    reload = await reloading(subject)
    assert not (await asyncio.wait([reload], timeout=0))[0]
    (subject.folder / "go").touch()
    await reload


async def test_a_reload_that_takes_too_long_is_told(subject: World) -> None:
    """An app that does not say READY=1 within its start timeout goes on, and the caller learns of it."""
    await subject.provider.start(speaking(subject, Lifecycle(start_timeout=0.01)))
    reload = await reloading(subject)
    with pytest.raises(ProviderFailed, match="app still reloads after 10 ms"):
        await reload


async def test_an_app_that_ends_at_its_reload_is_told(subject: World) -> None:
    """Nobody waits for what will not come."""
    await subject.provider.start(speaking(subject))
    reload = await reloading(subject)
    (subject.folder / "gone").write_text("and end")
    (subject.folder / "gone").rename(subject.folder / "go")
    with pytest.raises(ProviderFailed, match="app ended before it was reloaded"):
        await reload


async def test_only_a_later_reload_counts() -> None:
    """One that began before it was asked for proves nothing, however late its word comes."""
    reloads = Reloads()
    since = monotonic_usec()
    outcome = asyncio.ensure_future(reloads.wait_until_over(since, 60))
    for at in (since - 1, None):
        reloads.begin(at)
        await asyncio.sleep(0)
        reloads.finish()
        if at is not None:
            for _ in range(5):
                await asyncio.sleep(0)
            assert not outcome.done()
    assert await outcome is None
