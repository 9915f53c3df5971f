"""As whom a program runs, and what the kernel gives it: read back from the kernel."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.launches import (
    AS_NOBODY,
    NOBODY,
    OTHER_GROUPS,
    STATUS,
    given,
    needs_root,
    output_of,
    refusal,
    status_of,
)
from providers.process.world import World
from torpor.config.settings import Attributes
from torpor.core.model import NotifyProbe, Readiness
from torpor.errors import StartFailed
from torpor.providers.process import spawn
from torpor.providers.process.identity import environment_as

pytestmark = pytest.mark.anyio

SOURCE = Path(__file__).parents[3] / "src"
RAISED = Attributes(nice=7, oom_score_adj=321)


@needs_root
@pytest.mark.parametrize("attributes", [Attributes(), RAISED], ids=["plain", "ushered"])
async def test_the_user_of_a_program(subject: World, attributes: Attributes) -> None:
    """All user ids, group ids and supplementary groups are the user's, none is left of the daemon's."""
    launch = given(subject.run(STATUS), identity=AS_NOBODY, attributes=attributes)
    status = await status_of(subject, launch)
    assert [NOBODY.pw_uid] * 4 == [int(word) for word in status["Uid"].split()]
    assert [NOBODY.pw_gid] * 4 == [int(word) for word in status["Gid"].split()]
    assert list(OTHER_GROUPS) == [int(word) for word in status["Groups"].split()]
    assert int(status["CapPrm"], 16) == 0


@needs_root
async def test_the_names_of_a_user(subject: World) -> None:
    """HOME, USER, LOGNAME and SHELL are the user's; the config's own names win, the daemon's folders go."""
    launch = given(subject.run(("/usr/bin/env",), environment={"SHELL": "/bin/mine"}), identity=AS_NOBODY)
    lines = dict(line.split("=", 1) for line in await output_of(subject, launch))
    assert ("nobody", "nobody", NOBODY.pw_dir) == (lines["USER"], lines["LOGNAME"], lines["HOME"])
    assert "/bin/mine" == lines["SHELL"]
    base = {"XDG_RUNTIME_DIR": "/run/user/0", "TMPDIR": "/root/tmp", "LANG": "C"}
    assert {"LANG", "HOME", "USER", "LOGNAME", "SHELL"} == environment_as(base, AS_NOBODY, clean=False).keys()


async def test_a_clean_environment(subject: World) -> None:
    """Of the daemon's environment nothing is left: the user's names and a search path of the system's."""
    lines = dict(
        line.split("=", 1)
        for line in await output_of(subject, given(subject.run(("/usr/bin/env",)), clean_env=True))
    )
    assert pwd.getpwuid(os.geteuid()).pw_dir == lines["HOME"]
    assert lines["PATH"].endswith("/usr/sbin:/usr/bin:/sbin:/bin")
    own = {name for name in lines if name.startswith("TORPOR_")}
    assert {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "PORT"} == lines.keys() - own


@needs_root
async def test_a_user_may_open_its_output_again(subject: World) -> None:
    """Programs that log to /dev/stdout can, whoever they run as."""
    launch = given(subject.run(("echo again > /dev/stdout",), shell=True), identity=AS_NOBODY)
    assert ["again"] == await output_of(subject, launch)


@needs_root
async def test_a_user_may_notify(subject: World) -> None:
    """The notify socket of an app can be reached by its user, though the state directory cannot."""
    text = """
use Socket;
socket(S, AF_UNIX, SOCK_DGRAM, 0) && send(S, "READY=1", 0, sockaddr_un($ENV{NOTIFY_SOCKET})) or die $!;
sleep 1000"""
    launch = subject.run(("perl", "-e", text), readiness=Readiness((NotifyProbe(),)))
    await subject.provider.start(given(launch, identity=AS_NOBODY))
    await subject.provider.wait_for_notify(ID, 1)
    await subject.provider.kill(ID, 1)
    await subject.facts.exited()


@needs_root
async def test_a_program_out_of_the_users_reach(subject: World) -> None:
    """It is said as whom the program cannot be executed."""
    path = subject.folder / "mine"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    for attributes in (Attributes(), RAISED):
        error = await refusal(
            subject, given(subject.run((str(path),)), identity=AS_NOBODY, attributes=attributes)
        )
        assert f"cannot execute {path} as user nobody: Permission denied" == error.message


@pytest.mark.parametrize("attributes", [Attributes(umask=0o137), Attributes(umask=0o137, nice=3)])
async def test_the_umask(subject: World, attributes: Attributes) -> None:
    """New files get no more permissions than it leaves."""
    launch = given(subject.run(("umask",), shell=True), attributes=attributes)
    assert ["0137"] == await output_of(subject, launch)


async def test_nice_and_oom_score(subject: World) -> None:
    """Both are set before the program runs, so that what it forks has them too."""
    text = "nice; cat /proc/self/oom_score_adj"
    launch = given(subject.run((text,), shell=True), attributes=RAISED)
    assert ["7", "321"] == await output_of(subject, launch)


async def test_rlimits(subject: World) -> None:
    """Soft and hard limits are set; `None` is no limit."""
    limits = {"nofile": (100, 200), "core": (0, 0), "cpu": (3600, None), "rttime": (200_000, 300_000)}
    launch = given(subject.run(("/bin/cat", "/proc/self/limits")), attributes=Attributes(rlimits=limits))
    found = {line[:25].strip(): line[25:].split()[:2] for line in await output_of(subject, launch)}
    assert ["100", "200"] == found["Max open files"]
    assert ["0", "0"] == found["Max core file size"]
    assert ["3600", "unlimited"] == found["Max cpu time"]
    assert ["200000", "300000"] == found["Max realtime timeout"]


async def test_nobody_notices_the_usher(subject: World) -> None:
    """Environment, arguments, signals and descriptors are those of a start without attributes."""
    text = "env | grep -v TORPOR_INVOCATION | sort; echo $0 $*; ls /proc/self/fd; grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"
    command = ("/bin/sh", "-c", text, "zero", "ä", "\udcff", "")
    environment = {"PATH": os.environ["PATH"]}
    subject.provider._environment = {}
    for extra in ({}, {"LC_ALL": "C"}, {"LC_CTYPE": "C"}, {"LANG": "C.UTF-8"}):
        number = len(subject.facts.all) + 1
        plain = await output_of(subject, subject.run(command, number, environment=environment | extra))
        launch = subject.run(command, number + 1, environment=environment | extra)
        ushered = await output_of(subject, given(launch, attributes=Attributes(nice=os.nice(0) + 1)))
        assert [line.replace(f"N={number}", f"N={number + 1}") for line in plain] == ushered


async def test_stdin_from_a_pipe_waits_for_nobody(subject: World) -> None:
    """A named pipe holds up no start; its reader sees no end of it when one writer has gone."""
    path = subject.folder / "fifo"
    os.mkfifo(path)
    await subject.provider.start(given(subject.run(("cat",)), stdin=path))
    for word in ("one", "two"):
        path.write_text(word + "\n")
        await wait_for_line(subject, word)
    await subject.provider.stop(ID, 1)
    await subject.facts.exited()


async def test_a_birth_has_a_limit(subject: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not come to be its program is ended, and holds up no other one."""
    monkeypatch.setattr(spawn, "LONGEST_BIRTH", 0.05)
    monkeypatch.setattr(spawn, "_USHER", str(subject.folder / "stuck.py"))
    (subject.folder / "stuck.py").write_text("import time; time.sleep(1000)")
    launch = given(subject.run(("true",)), attributes=Attributes(nice=1))
    with pytest.raises(StartFailed, match="was not executed within"):
        await subject.provider.start(launch)
    while subject.alive():
        await asyncio.sleep(0.001)


async def test_stdin_from_a_file(subject: World) -> None:
    """A program reads what the file holds; one that is not there is named."""
    path = subject.folder / "input"
    path.write_text("one\ntwo\n")
    assert ["one", "two"] == await output_of(subject, given(subject.run(("cat",)), stdin=path))
    path.unlink()
    subject.facts.all.clear()
    error = await refusal(subject, given(subject.run(("cat",), 2), stdin=path))
    assert f"cannot open stdin {path}: No such file or directory" == error.message


async def test_a_program_that_cannot_be_executed_after_all(subject: World) -> None:
    """With attributes, what only the execution shows is explained as without them."""
    path = subject.folder / "empty"
    path.write_text("echo no interpreter named\n")
    path.chmod(0o755)
    error = await refusal(subject, given(subject.run((str(path),)), attributes=RAISED))
    assert "neither a program nor a script" in error.message


@needs_root
@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ("attributes=Attributes(nice=-5)", "cannot set nice -5: Permission denied", "CAP_SYS_NICE"),
        (
            "attributes=Attributes(oom_score_adj=-999)",
            "cannot set oom_score_adj -999: Permission denied",
            "CAP_SYS_RESOURCE",
        ),
        (
            "attributes=Attributes(rlimits={'nofile': (9, 1 << 30)})",
            "cannot set rlimits.nofile: Operation not permitted",
            "CAP_SYS_RESOURCE",
        ),
        (
            "identity=Identity(65534, 65534, (), 'nobody', '/', '/bin/sh')",
            "cannot run true as user nobody: Operation not permitted",
            "runs as root",
        ),
        (
            "attributes=Attributes(nice=19), identity=Identity(65534, 65534, (), 'nobody', '/', '/bin/sh')",
            "cannot set user: Operation not permitted",
            "runs as root",
        ),
    ],
)
def test_what_needs_rights_is_refused_without_them(changes: str, message: str, hint: str) -> None:
    """A daemon that may not do it says so, and what it would need; it never starts the app all the same."""
    text = f"""
from pathlib import Path
from torpor.config.settings import Attributes, Identity
from torpor.errors import StartFailed
from torpor.providers.process.spawn import spawn
from torpor.providers.process.surroundings import Surroundings
try:
    spawn(("true",), Surroundings(Path("/"), {{"PATH": "/usr/bin:/bin"}}, {changes}), 1)
except StartFailed as error:
    print(error.message, error.hint, sep="|")
"""
    powerless = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", text)
    done = subprocess.run(
        powerless, env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True
    )
    said, _, advice = done.stdout.strip().partition("|")
    assert message == said
    assert hint in advice


async def test_a_terminal(subject: World) -> None:
    """With `tty` the program has a terminal of its own, and what it writes there is in its log, line by line."""
    text = "test -t 0 && test -t 1 && test -t 2 && tty && echo $TERM; echo to the terminal > /dev/tty"
    lines = await output_of(subject, given(subject.run((text,), shell=True), tty=True))
    assert lines[0].startswith("/dev/pts/")
    assert ["xterm", "to the terminal"] == lines[1:]


async def test_a_terminal_loses_nothing(subject: World) -> None:
    """A program that writes much and ends at once has every line in its log."""
    lines = await output_of(subject, given(subject.run(("seq", "30000")), tty=True))
    assert [str(number) for number in range(29001, 30001)] == lines
    log = subject.folder / "state/logs/app.log"
    text = "".join(f"{number}\n" for number in range(1, 30001))
    assert text.encode() == log.read_bytes()


@needs_root
async def test_a_terminal_of_a_user(subject: World) -> None:
    """The user may open its terminal by name, and a stop ends the program."""
    text = "exec 2> /dev/null; trap 'echo bye; exit 0' TERM; echo up > $(tty); while :; do sleep 1000 & wait $!; done"
    await subject.provider.start(given(subject.run((text,), shell=True), tty=True, identity=AS_NOBODY))
    await wait_for_line(subject, "up")
    await subject.provider.stop(ID, 1)
    fact = await subject.facts.exited()
    assert fact.info.code == 0
    said = subject.provider.output(ID).tail(10)  # the shell may report its own child's end in between
    assert ("up", "bye") == (said[0], said[-1])


async def test_a_terminal_hangs_up_with_the_provider(subject: World) -> None:
    """A terminal cannot outlive the daemon: its program is told by HUP, and may go on if it hears it."""
    text = "trap 'echo > hung-up; exit' HUP; echo up; while :; do sleep 1000 & wait $!; done"
    await subject.provider.start(given(subject.run((text,), shell=True), tty=True))
    await wait_for_line(subject, "up")
    (main,) = (p for p in subject.processes() if p.session == p.pid)
    fd = os.pidfd_open(main.pid)
    await subject.provider.close()
    await asyncio.to_thread(os.waitid, os.P_PIDFD, fd, os.WEXITED)
    os.close(fd)
    assert (subject.folder / "hung-up").exists()
