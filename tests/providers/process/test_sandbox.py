"""What is taken from a program, read back from inside."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.launches import (
    AS_NOBODY,
    NOBODY,
    STATUS,
    given,
    needs_root,
    output_of,
    refusal,
    status_of,
)
from providers.process.world import World
from torpor.config.settings import Resources, Sandbox
from torpor.core.model import NotifyProbe, Readiness
from torpor.providers.process import sandbox

pytestmark = pytest.mark.anyio

SOURCE = Path(__file__).parents[3] / "src"
NET_RAW = 1 << 13


def _bwrap_works() -> bool:
    if shutil.which("bwrap") is None:
        return False
    command = ("bwrap", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "true")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_bwrap = pytest.mark.skipif(not _bwrap_works(), reason="bubblewrap is missing or may not work here")


async def test_no_new_privileges(subject: World) -> None:
    """The kernel's flag is set."""
    launch = given(subject.run(STATUS), sandbox=Sandbox(no_new_privileges=True))
    assert "1" == (await status_of(subject, launch))["NoNewPrivs"]


@needs_root
async def test_dropped_capabilities(subject: World) -> None:
    """What is named is gone for good, and nothing else."""
    launch = given(subject.run(STATUS), sandbox=Sandbox(drop_capabilities=("net_raw",)))
    status = await status_of(subject, launch)
    for field in ("CapBnd", "CapPrm", "CapEff"):
        assert int(status[field], 16) & NET_RAW == 0
        assert int(status[field], 16) != 0
    launch = given(subject.run(STATUS, 2), sandbox=Sandbox(drop_capabilities=("all",)))
    status = await status_of(subject, launch)
    assert {0} == {int(status[field], 16) for field in ("CapInh", "CapBnd", "CapPrm", "CapEff", "CapAmb")}


@needs_root
@needs_bwrap
async def test_all_of_it_as_a_user(subject: World) -> None:
    """File system, capabilities, user and limits do not get into each other's way."""
    everything = Sandbox(True, ("all",), True, True)
    launch = given(subject.run(STATUS), sandbox=everything, identity=AS_NOBODY, working_dir=Path("/"))
    status = await status_of(subject, given(launch, resources=Resources(memory_max=64 << 20)))
    assert [NOBODY.pw_uid] * 4 == [int(word) for word in status["Uid"].split()]
    assert list(AS_NOBODY.groups) == [int(word) for word in status["Groups"].split()]
    assert (0, "1") == (int(status["CapBnd"], 16), status["NoNewPrivs"])


@needs_bwrap
async def test_a_read_only_file_system(subject: World) -> None:
    """Nothing can be written, but to devices and into the log."""
    text = f"touch {subject.folder}/new; echo gone > /dev/null && echo logged > /dev/stdout"
    launch = given(subject.run((text,), shell=True), sandbox=Sandbox(read_only=True))
    complaint, logged = await output_of(subject, launch)
    assert "Read-only file system" in complaint
    assert "logged" == logged
    assert not (subject.folder / "new").exists()


@needs_bwrap
async def test_temporary_folders_of_its_own(subject: World) -> None:
    """Both are empty at first, everybody may write there, and nothing of it is seen outside."""
    text = "ls -A /tmp /var/tmp | wc -w; stat -c %a /tmp /var/tmp; touch /tmp/torpor-test-mine"
    launch = given(subject.run((text,), shell=True), working_dir=Path("/"), sandbox=Sandbox(private_tmp=True))
    # The two words are the names that ls puts before each list.
    assert ["2", "1777", "1777"] == await output_of(subject, launch)
    assert not Path("/tmp/torpor-test-mine").exists()


@needs_bwrap
async def test_a_private_tmp_hides_no_notify_socket(subject: World) -> None:
    """An app in a sandbox can still say that it is ready, wherever the state directory lies."""
    text = """
use Socket;
socket(S, AF_UNIX, SOCK_DGRAM, 0) && send(S, "READY=1", 0, sockaddr_un($ENV{NOTIFY_SOCKET})) or die $!;
sleep 1000"""
    launch = subject.run(("perl", "-e", text), readiness=Readiness((NotifyProbe(),)))
    sandboxed = Sandbox(private_tmp=True, read_only=True)
    await subject.provider.start(given(launch, sandbox=sandboxed, working_dir=Path("/")))
    await subject.provider.wait_for_notify(ID, 1)
    await subject.provider.kill(ID, 1)
    await subject.facts.exited()


@needs_bwrap
async def test_signals_reach_the_app_in_its_sandbox(subject: World) -> None:
    """The main process is the app, not bwrap that waits for it; and its exit code is the instance's."""
    text = "trap 'echo reloaded' HUP; trap 'exit 7' USR1; echo up; while :; do sleep 1000 & wait $!; done"
    launch = given(subject.run((text,), shell=True), sandbox=Sandbox(read_only=True))
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    await subject.provider.signal(ID, 1, signal.SIGHUP)
    await wait_for_line(subject, "reloaded")
    await subject.provider.signal(ID, 1, signal.SIGUSR1)
    assert (await subject.facts.exited()).info.code == 7
    await subject.provider.kill(ID, 1)


@needs_bwrap
async def test_a_kill_ends_all_of_a_sandbox(subject: World) -> None:
    """Nothing that runs in it is left."""
    launch = given(subject.run(("sleep 1000 & echo up; wait",), shell=True), sandbox=Sandbox(read_only=True))
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    assert subject.alive() >= 2
    await subject.provider.kill(ID, 1)
    if (await subject.facts.exited()).leftovers:
        await subject.facts.gone()
    assert subject.alive() == 0


@pytest.mark.parametrize(
    ("missing", "package", "what"),
    [
        ("setpriv", "util-linux", Sandbox(no_new_privileges=True)),
        ("bwrap", "bubblewrap", Sandbox(read_only=True)),
    ],
)
async def test_a_missing_tool(
    subject: World, missing: str, package: str, what: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the tool the start fails, and it is said what to install."""
    monkeypatch.setattr(sandbox, "_SYSTEM_PATH", "/nowhere")
    error = await refusal(subject, given(subject.run(("true",)), sandbox=what))
    assert f"the sandbox needs {missing}, which is not installed" == error.message
    assert f"apt-get install {package}" in (error.hint or "")


@needs_bwrap
async def test_a_working_dir_that_the_sandbox_hides(subject: World) -> None:
    """A folder below /tmp is not there with a private /tmp; that is said before anything runs."""
    what = Sandbox(private_tmp=True)
    launch = given(subject.run(("true",)), sandbox=what, working_dir=Path("/tmp"))
    subject.folder = Path("/tmp/torpor-test-nowhere")
    await subject.provider.start(launch)
    await subject.facts.exited()
    hidden = Path("/var/tmp/torpor-test-hidden")
    hidden.mkdir()
    try:
        subject.facts.all.clear()
        launch = given(subject.run(("true",), 2), sandbox=what, working_dir=hidden)
        error = await refusal(subject, launch)
    finally:
        hidden.rmdir()
    assert f"private_tmp hides {hidden}" in error.message


@needs_root
@pytest.mark.parametrize(
    ("who", "what", "said"),
    [
        (
            "--reuid=0",
            'False, ("net_raw",)',
            "capabilities cannot be dropped: the daemon has not CAP_SETPCAP",
        ),
        ("--reuid=0", 'True, ("net_raw",)', "capabilities cannot be dropped: the daemon has not CAP_SETPCAP"),
        (
            "--reuid=65534",
            'False, ("all",)',
            "capabilities cannot be dropped: the daemon has not CAP_SETPCAP",
        ),
        ("--reuid=65534", 'True, ("all",)', "0000000000000000 1"),
    ],
)
def test_capabilities_without_the_right_to_drop_them(who: str, what: str, said: str) -> None:
    """Where they cannot be dropped the app is not started, unless it has none and can get none."""
    text = f"""
import os, sys
sys.path.insert(0, {str(SOURCE)!r})
from pathlib import Path
from torpor.config.settings import Sandbox
from torpor.errors import StartFailed
from torpor.providers.process import sandbox
from torpor.providers.process.spawn import spawn
from torpor.providers.process.surroundings import Surroundings
os.set{"e" if who.endswith("0") else ""}uid({who.split("=")[1]})
command = ("/bin/sh", "-c", "echo $(grep -E '^(CapPrm|NoNew)' /proc/self/status | cut -f2)")
where = Surroundings(Path("/"), {{"PATH": "/usr/bin:/bin"}}, sandbox=Sandbox({what}))
try:
    os.waitpid(spawn(command, where, 1), 0)
except StartFailed as error:
    print(error.message)
"""
    powerless = "--bounding-set=-all,+setuid"
    command = ("setpriv", powerless, "--inh-caps=-all", sys.executable, "-c", text)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said == done.stdout.strip(), done.stderr
