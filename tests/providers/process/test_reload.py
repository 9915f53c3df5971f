"""Reloading a program by a command of its own."""

from __future__ import annotations

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.world import World
from torpor.config.settings import Hook
from torpor.errors import ProviderFailed

pytestmark = pytest.mark.anyio
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
