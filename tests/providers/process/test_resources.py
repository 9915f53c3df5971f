"""What an instance may use up, held by the kernel where a cgroup can be had.

A controller belongs to one of the two versions at a time: these tests try the version that has
them here, and of v2 what can be tried without.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.launches import given, output_of, refusal
from providers.process.world import World
from torpor.config.settings import Attributes, Resources
from torpor.core.messages import FoundUnhealthy
from torpor.errors import StartFailed
from torpor.providers.process import cgroup, entourage, life, resources
from torpor.providers.process.cgroup import LEAF, find_cgroup_root
from torpor.providers.process.provider import TreeKind
from torpor.providers.process.resources import Enclosure, Enclosures

pytestmark = pytest.mark.anyio

SOURCE = Path(__file__).parents[3] / "src"
_MOVE = """
import contextlib, os, pathlib, sys
from torpor.providers.process import resources
root = pathlib.Path(sys.argv[1])
(root / "cgroup.procs").write_text(str(os.getpid()))
with contextlib.suppress(OSError):
    resources._hand_down(root, "hugetlb")
print(pathlib.Path("/proc/self/cgroup").read_text())
"""
ALL = Resources(memory_max=64 << 20, cpus=0.25, pids_max=20)


# Shows what holds it: the same three limits, by the names of v1 and of v2.
SHOW_V1 = """
for each in memory:memory.limit_in_bytes cpu:cpu.cfs_quota_us pids:pids.max; do
  mount=/sys/fs/cgroup/${each%:*}
  cat $mount$(grep -E "^[0-9]+:${each%:*}:" /proc/self/cgroup | cut -d: -f3)/${each#*:}
done"""
SHOW_V2 = """
for each in memory.max cpu.max pids.max; do
  cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/$each
done"""


def controllers_of_v1() -> set[str]:
    """Those of v1 that may be used here."""
    return {
        controller
        for controller, own in resources.legacy_places(resources.CONTROLLERS)
        if os.access(own, os.W_OK)
    }


def controllers_of_v2() -> set[str]:
    """Those of v2 that can be handed down here: none without a cgroup that may, and holds no process itself."""
    root = find_cgroup_root("torpor-test")
    if root is None:
        return set()
    offered = set() if (root.parent / "cgroup.procs").read_text() else resources._offered(root)
    root.rmdir()
    return offered


IN_V1 = set(resources.CONTROLLERS) == controllers_of_v1()
IN_V2 = set(resources.CONTROLLERS) == controllers_of_v2()
needs_controllers = pytest.mark.skipif(
    not IN_V1 and not IN_V2, reason="cgroup controllers may not be used here"
)
needs_held_limits = pytest.mark.usefixtures("held_limits")
no_swap = pytest.mark.skipif(
    len(Path("/proc/swaps").read_text().splitlines()) > 1,
    reason="with swap, what is beyond the limit goes there instead of ending its process",
)


@pytest.fixture
def held_limits(subject: World) -> None:
    """The kernel holds limits here; in v2 it does so in the cgroups of trees."""
    if not IN_V1 and not (IN_V2 and subject.trees is TreeKind.CGROUP):
        pytest.skip("no cgroup controllers may be used here by such a tree")


def folders_of(subject: World) -> list[Path]:
    """The cgroups with limits that exist."""
    places = subject.provider._entourage._enclosures._places.values()
    return [folder for place in places if place.is_dir() for folder in place.iterdir() if folder.is_dir()]


@needs_held_limits
async def test_limits_are_set(subject: World) -> None:
    """The program is inside with all limits set before it runs, and the cgroups are removed with it."""
    launch = given(subject.run((SHOW_V2 if IN_V2 else SHOW_V1,), shell=True), resources=ALL)
    assert [str(64 << 20), "25000 100000" if IN_V2 else "25000", "20"] == await output_of(subject, launch)
    while folders_of(subject):  # removed off the loop
        await asyncio.sleep(0.001)


@needs_held_limits
@no_swap
async def test_memory_beyond_the_limit_is_death(subject: World) -> None:
    """The kernel kills what takes more, and nothing else."""
    text = "head -c 300000000 /dev/zero | tail | wc -c"
    launch = given(subject.run((f"{text}; echo over",), shell=True), resources=Resources(memory_max=32 << 20))
    assert {"0", "Killed", "over"} == set(await output_of(subject, launch))


@needs_held_limits
@no_swap
@pytest.mark.parametrize(("last", "words"), [("exec", "killed it at"), ("", "killed 1 of its processes at")])
async def test_a_death_for_memory_is_called_one(subject: World, last: str, words: str) -> None:
    """How an app ended says that its limit was the reason, and which."""
    program = f"{sys.executable} -S -c 'x = bytearray(1) * (200 << 20)'"
    text = f"{last} {program}" if last else f"{program}; exit 3"
    await subject.provider.start(
        given(subject.run((text,), shell=True), resources=Resources(memory_max=32 << 20))
    )
    info = (await subject.facts.exited()).info
    assert f"(out of memory: the kernel {words} memory_max, 32 MiB)" in str(info)


def test_what_version_2_says_of_memory(tmp_path: Path) -> None:
    """The count of kills is read where v2 keeps it."""
    (tmp_path / "memory.events").write_text("low 0\noom 5\noom_kill 2\noom_group_kill 0\n")
    assert 2 == Enclosure((tmp_path,)).out_of_memory


@needs_held_limits
async def test_processes_beyond_the_limit_cannot_be(subject: World) -> None:
    """A fork bomb ends in itself."""
    text = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo no limit"
    await subject.provider.start(given(subject.run((text,), shell=True), resources=Resources(pids_max=4)))
    fact = await subject.facts.exited()
    assert fact.info.code != 0
    assert "no limit" not in subject.provider.output(ID).tail(10)
    await subject.provider.kill(ID, 1)
    await subject.facts.gone()


@needs_held_limits
async def test_hooks_and_probes_are_inside(subject: World) -> None:
    """A command beside the app counts as part of it."""
    launch = given(
        subject.run(("echo up; exec sleep 1000",), shell=True), resources=ALL, attributes=Attributes(nice=1)
    )
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    inside = "^0::.*/torpor-.*/" if IN_V2 else "pids:.*/torpor-"
    assert await subject.provider.run_probe(launch, ("grep", "-q", inside, "/proc/self/cgroup"), 5)
    await subject.provider.kill(ID, 1)
    await subject.facts.exited()


def take_cgroups_away(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no controller could be had, of neither version."""
    enclosures = subject.provider._entourage._enclosures
    monkeypatch.setattr(enclosures, "_places", {})
    monkeypatch.setattr(enclosures, "_untried", set())


async def test_what_cannot_be_held_is_refused(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cgroup, `cpus` and `pids_max` are a failed start that names them."""
    take_cgroups_away(subject, monkeypatch)
    error = await refusal(subject, given(subject.run(("true",)), resources=ALL))
    assert error.message.startswith("cpus and pids_max cannot be held")
    assert "Delegate=yes" in (error.hint or "")


async def test_memory_is_sampled_without_a_cgroup(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cgroup somebody looks, and what takes more than it may is unhealthy; others are not."""
    take_cgroups_away(subject, monkeypatch)
    monkeypatch.setattr(entourage, "_SAMPLING", 0.005)
    # Its list of processes may be older than the one that is to be found.
    monkeypatch.setattr(life, "_STATS_AGE", 0.0)
    text = f"{sys.executable} -S -c 'import time; x = bytearray(1) * (50 << 20); time.sleep(1000)' & wait"
    await subject.provider.start(given(subject.run((text,), shell=True), resources=Resources(30 << 20)))
    while not (found := [fact for fact in subject.facts.all if isinstance(fact, FoundUnhealthy)]):
        await asyncio.sleep(0.005)
    assert (ID, 1) == (found[0].id, found[0].generation)
    assert found[0].text.endswith("more than memory_max: 30 MiB")
    await subject.provider.kill(ID, 1)
    assert (await subject.facts.exited()).info.signal == signal.SIGKILL


async def test_shared_memory_is_counted_once(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that share what they have are no more than the memory that they share."""
    take_cgroups_away(subject, monkeypatch)
    text = "import os, time; x = bytearray(1) * (40 << 20); [os.fork() for _ in range(2)]; print('up', flush=True); time.sleep(1000)"
    launch = given(subject.run((sys.executable, "-S", "-c", text)), resources=Resources(80 << 20))
    await subject.provider.start(launch)
    while subject.provider.output(ID).tail(10).count("up") < 4:
        await asyncio.sleep(0.001)
    entourage_ = subject.provider._entourage
    assert subject.provider._rss(ID) > 80 << 20
    (company,) = entourage_._companies
    await entourage_._look_closer(company, 80 << 20)
    assert subject.facts.all == []
    await entourage_._look_closer(company, 20 << 20)
    assert isinstance(subject.facts.all[0], FoundUnhealthy)
    await subject.provider.kill(ID, 1)


async def test_modest_memory_is_no_offence(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program below its limit is looked at, and left alone."""
    take_cgroups_away(subject, monkeypatch)
    looks: list[object] = []

    def look(id: object) -> int:
        looks.append(id)
        return 30 << 20

    monkeypatch.setattr(subject.provider._entourage, "_rss", look)
    monkeypatch.setattr(entourage, "_SAMPLING", 0.001)
    await subject.provider.start(given(subject.run(("sleep", "1000")), resources=Resources(30 << 20)))
    while len(looks) < 3:
        await asyncio.sleep(0.001)
    assert subject.facts.all == []
    await subject.provider.kill(ID, 1)
    await subject.facts.exited()
    # Nobody is left to be looked at.
    while subject.provider._entourage._sampling is not None:
        await asyncio.sleep(0.001)


def test_files_of_version_2(tmp_path: Path) -> None:
    """In v2 all limits lie in one cgroup, which is joined once."""
    enclosures = Enclosures("torpor-test")
    enclosures.open(None)
    root = tmp_path / "torpor-test"
    enclosures._unified = root
    enclosures._places = dict.fromkeys(resources.CONTROLLERS, root)
    enclosure = enclosures.enclose("app.1", ALL)
    folder = root / "app.1"
    assert (folder,) == enclosure.folders
    assert (str(folder / "cgroup.procs"),) == enclosure.joins
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert {"memory.max": str(64 << 20), "cpu.max": "25000 100000", "pids.max": "20"} == written
    assert not enclosure.sampled


def test_a_controller_is_handed_down_when_it_is_asked_for(tmp_path: Path) -> None:
    """Nothing changes before an app has a limit, and then no more than it needs; what is refused is missing."""
    root = tmp_path / "torpor-test"
    root.mkdir()
    (tmp_path / "cgroup.controllers").write_text("cpuset memory cpu pids")
    for folder in (tmp_path, root):
        (folder / "cgroup.subtree_control").write_text("cpu")
    enclosures = Enclosures("torpor-test")
    enclosures.open(root)
    enclosures.enclose("app.1", Resources())
    assert "cpu" == (tmp_path / "cgroup.subtree_control").read_text()

    enclosures.enclose("app.2", Resources(pids_max=5, cpus=1.0))

    assert ["+pids"] * 2 == [(folder / "cgroup.subtree_control").read_text() for folder in (tmp_path, root)]
    (root / "cgroup.subtree_control").unlink()
    assert enclosures.enclose("app.3", Resources(memory_max=5)).sampled


def test_a_daemon_in_a_leaf_works_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where whoever started it gave it a cgroup of its own, that of the unit takes the others."""
    leaf = tmp_path / "torpor.service" / LEAF
    leaf.mkdir(parents=True)
    (leaf.parent / "cgroup.procs").touch()
    made = leaf.parent / "torpor-test"
    made.mkdir()
    (made / "cgroup.kill").touch()
    monkeypatch.setattr(cgroup, "_own_cgroup", lambda: leaf)
    assert made == find_cgroup_root("torpor-test")


@pytest.mark.parametrize(("name", "stays"), [("torpor-test-deeper", False), ("torpor-test.service", True)])
def test_the_daemon_makes_room_in_version_2(name: str, *, stays: bool) -> None:
    """A real cgroup that holds the daemon alone cannot hand a controller down; then it moves deeper.

    Not in a service of systemd, which could not be started again.
    """
    root = find_cgroup_root(name)
    own = Path("/nowhere") if root is None else root.parent
    try:
        was = (own / "cgroup.subtree_control").read_text().split()
        resources._hand_down(own, "hugetlb")
    except OSError:
        if root is not None:
            root.rmdir()
        pytest.skip("there is no controller of cgroup v2 to hand down here")
    assert root is not None
    try:
        done = subprocess.run(
            (sys.executable, "-c", _MOVE, str(root)),
            env={"PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            check=True,
        )
        place = done.stdout.strip().splitlines()[-1]
        assert place.endswith(name if stays else f"/{name}/{LEAF}")
        assert stays != ("hugetlb" in (root / "cgroup.subtree_control").read_text())
    finally:
        if not stays:
            (root / LEAF).rmdir()
        root.rmdir()
        if "hugetlb" not in was:
            (own / "cgroup.subtree_control").write_text("-hugetlb")


@needs_controllers
def test_a_limit_that_the_kernel_refuses_leaves_nothing() -> None:
    """A cgroup that cannot be set up is removed, and the file is named."""
    enclosures = Enclosures("torpor-test")
    root = find_cgroup_root("torpor-test") if IN_V2 else None
    enclosures.open(root)
    with pytest.raises(StartFailed, match=r"cannot set limits in the cgroup: .*pids\.max"):
        enclosures.enclose("app.1", Resources(memory_max=1 << 30, pids_max=-5))
    enclosures.close()
    assert not any((place / "app.1").exists() for place in enclosures._places.values())
    if root is not None:
        root.rmdir()
