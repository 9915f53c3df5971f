"""Cgroups: found, moved into, and left clean."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.world import World
from torpor.providers.process import cgroup
from torpor.providers.process.cgroup import find_cgroup_root
from torpor.providers.process.provider import TreeKind

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[TreeKind.CGROUP])
async def subject(subject: World) -> World:
    """Only trees in cgroups."""
    return subject


def root_of(subject: World) -> Path:
    """The cgroup of the provider."""
    root = subject.provider._trees.root
    assert root is not None
    return root


async def test_the_tree_lies_in_one_cgroup(subject: World) -> None:
    """The main process is moved in, what it forks afterwards is born there, and an end removes the cgroup."""
    root = root_of(subject)
    text = (
        "until grep -q torpor- /proc/self/cgroup; do :; done; (setsid sleep 1000 &); echo up; exec sleep 1000"
    )
    await subject.provider.start(subject.run((text,), shell=True))
    await wait_for_line(subject, "up")
    (folder,) = (path for path in root.iterdir() if path.is_dir())
    assert {process.pid for process in subject.processes()} == {
        int(pid) for pid in (folder / "cgroup.procs").read_text().split()
    }
    await subject.provider.kill(ID, 1)
    fact = await subject.facts.exited()
    if fact.leftovers:
        await subject.facts.gone()
    await subject.provider.close()
    assert not root.exists()


async def test_whoever_lies_in_the_cgroup_belongs(subject: World) -> None:
    """Membership of the cgroup is enough, whatever descent says."""
    root = root_of(subject)
    text = "until grep -q torpor- /proc/self/cgroup; do :; done; echo up; exec sleep 1000"
    await subject.provider.start(subject.run((text,), shell=True))
    await wait_for_line(subject, "up")
    (folder,) = (path for path in root.iterdir() if path.is_dir())
    with subprocess.Popen(("sleep", "1000")) as stranger:  # noqa: ASYNC220 - a few hundred microseconds
        (folder / "cgroup.procs").write_text(str(stranger.pid))
        await subject.provider.kill(ID, 1)
        assert stranger.wait() == -signal.SIGKILL
    await subject.facts.exited()


async def test_what_an_earlier_daemon_left_is_removed(subject: World) -> None:
    """Empty cgroups of an earlier daemon go away; those that somebody lives in stay."""
    root = root_of(subject)
    (root / "old" / "inner").mkdir(parents=True)
    text = "until grep -q torpor- /proc/self/cgroup; do :; done; echo up; exec sleep 1000"
    await subject.provider.start(subject.run((text,), shell=True))
    await wait_for_line(subject, "up")
    assert root == find_cgroup_root(root.name)
    (folder,) = (path for path in root.iterdir() if path.is_dir())
    assert folder.name.startswith("app.1.")


@pytest.mark.parametrize("mounts", ["", "22 1 0:21 / /proc rw - proc proc rw\n"])
def test_without_cgroups_there_is_none(mounts: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cgroup v2 mount, or one that may not be written: descent does it."""
    (tmp_path / "mountinfo").write_text(mounts)
    monkeypatch.setattr(cgroup, "_MOUNTS", str(tmp_path / "mountinfo"))
    assert find_cgroup_root("torpor-test") is None


def test_the_mount_of_a_namespace_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where only a part of the hierarchy is mounted, the own cgroup is found below the mount point."""
    place = tmp_path / "cgroup"
    own = place / "service"
    own.mkdir(parents=True)
    (own / "cgroup.procs").touch()
    (tmp_path / "own").write_text("1:name=systemd:/x\n0::/outer/service\n")
    (tmp_path / "mountinfo").write_text(f"41 31 0:38 /outer {place} rw shared:9 - cgroup2 cgroup2 rw\n")
    monkeypatch.setattr(cgroup, "_MOUNTS", str(tmp_path / "mountinfo"))
    monkeypatch.setattr(cgroup, "_MEMBERSHIP", str(tmp_path / "own"))
    assert own == cgroup._own_cgroup()
    # A plain folder has no cgroup.kill.
    assert find_cgroup_root("torpor-test") is None
