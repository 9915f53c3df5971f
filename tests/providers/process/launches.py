"""Launches with attributes, and what came of them."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import replace
from typing import Any

import pytest

from providers.process.world import World
from torpor.config.settings import Identity, ProcessSpec
from torpor.core.model import ExitInfo
from torpor.errors import StartFailed
from torpor.providers.base import Launch

NOBODY = pwd.getpwnam("nobody")
OTHER_GROUPS = tuple(sorted(grp.getgrnam(name).gr_gid for name in ("daemon", "games")))
AS_NOBODY = Identity(
    NOBODY.pw_uid, NOBODY.pw_gid, OTHER_GROUPS, NOBODY.pw_name, NOBODY.pw_dir, NOBODY.pw_shell
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start programs as somebody else")
STATUS = ("/bin/cat", "/proc/self/status")


def given(launch: Launch, **changes: Any) -> Launch:
    """`launch` with a workload that is changed so."""
    workload = launch.spec.workload
    assert isinstance(workload, ProcessSpec)
    return replace(launch, spec=replace(launch.spec, workload=replace(workload, **changes)))


async def output_of(subject: World, launch: Launch) -> list[str]:
    """Run a program to its end and return what it wrote."""
    await subject.provider.start(launch)
    fact = await subject.facts.exited(launch.generation)
    lines = subject.provider.output(launch.id).tail(1000)
    assert ExitInfo(code=0) == fact.info, lines
    return lines


async def status_of(subject: World, launch: Launch) -> dict[str, str]:
    """Run a program that writes /proc/PID/status and return its fields."""
    pairs = (line.split(":", 1) for line in await output_of(subject, launch))
    return {name: value.strip() for name, value in pairs}


async def refusal(subject: World, launch: Launch) -> StartFailed:
    """The error with which a start is refused; nothing of it is alive."""
    with pytest.raises(StartFailed) as caught:
        await subject.provider.start(launch)
    assert subject.alive() == 0
    assert subject.facts.all == []
    return caught.value
