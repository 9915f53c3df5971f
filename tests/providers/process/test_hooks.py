"""Commands around the life of an app: when they run, what they are told, and what their failure means."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from contract.provider_contract import ID, wait_for_line
from providers.process.launches import (
    AS_NOBODY,
    NOBODY,
    given,
    needs_root,
    output_of,
    refusal,
)
from providers.process.world import World
from torpor.config.settings import Attributes, Hook, Hooks
from torpor.core.messages import StatusChanged
from torpor.core.model import ExitInfo, NotifyProbe, Readiness
from torpor.errors import StartFailed
from torpor.providers.base import HookFailed
from torpor.providers.process.hooks import end_names

pytestmark = pytest.mark.anyio

STEADY = ("echo up; exec sleep 1000",)


def shell(text: str, timeout: float = 10.0) -> Hook:
    """A hook with a text for the shell."""
    return Hook((text,), timeout, shell=True)


async def end(subject: World, generation: int = 1) -> None:
    """Kill what runs, and wait until all is over, hooks included."""
    await subject.provider.kill(ID, generation)
    if (await subject.facts.exited(generation)).leftovers:
        await subject.facts.gone(generation)
    await subject.provider._entourage.wait_for_earlier(ID)


async def test_before_a_start(subject: World) -> None:
    """`pre_start` has ended before the app begins; both write into one log, with one environment."""
    hook = shell("echo before $PORT $URL; sleep 0.01; echo done")
    launch = subject.run(("echo app $URL",), shell=True, environment={"URL": "u:$PORT"})
    launch = given(launch, hooks=Hooks(pre_start=hook))
    assert ["before 18000 u:18000", "done", "app u:18000"] == await output_of(subject, launch)


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (shell("echo one; echo two; exit 3"), "pre_start ended with exit code 3: one / two"),
        (shell("kill -9 $$"), "pre_start was ended by signal 9"),
        (shell("sleep 1000", 0.01), "pre_start did not end within 0.01 s"),
        (Hook(("nope",)), "command not found: nope"),
    ],
)
async def test_a_failure_before_a_start(subject: World, hook: Hook, message: str) -> None:
    """The start has failed, for the reason that the hook gave; the app never ran, and nothing is left."""
    launch = given(subject.run(("touch ran",), shell=True), hooks=Hooks(pre_start=hook))
    error = await refusal(subject, launch)
    assert error.message.startswith(message)
    assert not (subject.folder / "ran").exists()
    await output_of(subject, subject.run(("true",), 2))


async def test_a_failure_before_a_start_leaves_no_background(subject: World) -> None:
    """What a failing `pre_start` sent away is ended too."""
    hook = shell("setsid sleep 1000 > /dev/null 2>&1 & sleep 0.01; exit 1")
    error = await refusal(subject, given(subject.run(("true",)), hooks=Hooks(pre_start=hook)))
    assert "exit code 1" in error.message


async def test_a_cancelled_start_ends_its_hook(subject: World) -> None:
    """Giving up on a start ends the `pre_start` that is under way."""
    launch = given(subject.run(("true",)), hooks=Hooks(pre_start=shell("touch begun; exec sleep 1000")))
    start = asyncio.ensure_future(subject.provider.start(launch))
    while not (subject.folder / "begun").exists():
        await asyncio.sleep(0.001)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    while subject.alive():
        await asyncio.sleep(0.001)


async def test_after_a_start(subject: World) -> None:
    """`post_start` knows the app's process, by variable and in its arguments."""
    hook = Hook(("/bin/sh", "-c", "echo $MAINPID = $1 = $TORPOR_PID > told", "sh", "$MAINPID"))
    running = await subject.provider.start(given(subject.run(STEADY, shell=True), hooks=Hooks(None, hook)))
    assert f"{running.pid} = {running.pid} = {running.pid}\n" == (subject.folder / "told").read_text()
    await end(subject)


async def test_an_app_is_heard_beside_its_hook(subject: World) -> None:
    """One that waits until its READY=1 was heard goes on while `post_start` runs; it is told after the start."""
    text = """
import array, os, socket, time
reader, writer = os.pipe()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    sock.send(b"READY=1\\nSTATUS=fine")
    sock.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))])
os.close(writer)
os.read(reader, 1)
open("heard", "w").close()
time.sleep(1000)
"""
    hook = shell("until test -e heard; do sleep 0.01; done")
    launch = subject.run((sys.executable, "-S", "-c", text), readiness=Readiness((NotifyProbe(),)))
    await subject.provider.start(given(launch, hooks=Hooks(None, hook)))
    assert [] == subject.facts.all
    await subject.provider.wait_for_notify(ID, 1)
    assert [StatusChanged(ID, 1, "fine")] == subject.facts.all
    await end(subject)


async def test_a_failure_after_a_start(subject: World) -> None:
    """It is a failed start too: the app, and all that it started, is ended and never reported."""
    text = "sleep 1000 & touch up; wait"
    hook = shell("until test -e up; do :; done; echo no; exit 1")
    error = await refusal(subject, given(subject.run((text,), shell=True), hooks=Hooks(None, hook)))
    assert "post_start ended with exit code 1: no" == error.message
    await output_of(subject, subject.run(("true",), 2))


async def test_a_stop_command(subject: World) -> None:
    """It runs after `pre_stop`; what still runs after it gets the stop signal."""
    text = "exec 2> /dev/null; trap 'echo term; exit' TERM; trap 'echo asked' USR1; echo up; while :; do sleep 1000 & wait $!; done"
    launch = given(
        subject.run((text,), shell=True),
        hooks=Hooks(pre_stop=shell("echo before the stop")),
        stop_command=shell("kill -USR1 $MAINPID; until grep -q asked state/logs/app.log; do :; done"),
    )
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    await subject.provider.stop(ID, 1)
    await subject.facts.exited()
    assert ["up", "before the stop", "asked", "term"] == subject.provider.output(ID).tail(10)
    await end(subject)


async def test_a_stop_command_that_suffices(subject: World) -> None:
    """An app that ends by its stop command gets no signal."""
    text = (
        "trap 'echo quit; exit 4' QUIT; trap 'exit 5' TERM; echo up; while :; do sleep 1000 & wait $!; done"
    )
    launch = given(
        subject.run((text,), shell=True),
        stop_command=shell(
            "kill -QUIT $MAINPID; while kill -0 $MAINPID; do sleep 0.001; done 2> /dev/null", 2.0
        ),
    )
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    stop = asyncio.ensure_future(subject.provider.stop(ID, 1))
    assert ExitInfo(code=4) == (await subject.facts.exited()).info
    await subject.provider.kill(ID, 1)
    await stop


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (shell("exit 1"), "{} ended with exit code 1: up"),
        (shell("sleep 1000", 0.01), "{} did not end within 0.01 s: up"),
        (Hook(("/nope",)), "command not found: /nope"),
    ],
)
async def test_a_failure_before_a_stop(subject: World, hook: Hook, words: str) -> None:
    """It is told of both commands, and the app is stopped all the same."""
    launch = given(subject.run(STEADY, shell=True), hooks=Hooks(pre_stop=hook), stop_command=hook)
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    await subject.provider.stop(ID, 1)
    assert ExitInfo(signal=signal.SIGTERM) == (await subject.facts.exited()).info
    told = [fact.text for fact in subject.facts.all if isinstance(fact, HookFailed)]
    assert [words.format("pre_stop"), words.format("stop_command")] == told


async def test_hooks_end_with_their_generation(subject: World) -> None:
    """What was to end one generation is over with it, and never runs against the next."""
    launch = given(
        subject.run(STEADY, shell=True),
        hooks=Hooks(pre_stop=shell("echo $$ > asked; exec sleep 1000")),
        stop_command=shell("touch commanded"),
    )
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    stop = asyncio.ensure_future(subject.provider.stop(ID, 1))
    asked = subject.folder / "asked"
    while not (asked.exists() and (text := asked.read_text()) and int(text) in subject.provider._reaper.ours):
        await asyncio.sleep(0.001)
    await subject.provider.kill(ID, 1)
    await subject.facts.exited()
    await subject.provider.start(subject.run(STEADY, 2, shell=True))
    assert not Path(f"/proc/{int(asked.read_text())}").exists()
    await stop
    assert not (subject.folder / "commanded").exists()
    await end(subject, 2)


async def test_a_second_stop_runs_no_hook_again(subject: World) -> None:
    """Whoever asks again while hooks run gets the stop signal sent at once."""
    hook = shell("echo run >> runs; exec sleep 1000")
    launch = given(subject.run(STEADY, shell=True), hooks=Hooks(pre_stop=hook))
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    first = asyncio.ensure_future(subject.provider.stop(ID, 1))
    runs = subject.folder / "runs"
    while not runs.exists() or not runs.read_text():
        await asyncio.sleep(0.001)
    await subject.provider.stop(ID, 1)
    await subject.facts.exited()
    first.cancel()
    assert "run\n" == runs.read_text()


@pytest.mark.parametrize(
    ("command", "told"),
    [("exit 3", "code 3 signal"), ("kill -KILL $$", "code signal KILL"), ("true", "code 0 signal")],
)
async def test_after_the_end(subject: World, command: str, told: str) -> None:
    """`post_stop` runs after every end, and is told how it came."""
    hook = shell("echo code $TORPOR_EXIT_CODE signal $TORPOR_EXIT_SIGNAL > told")
    await subject.provider.start(given(subject.run((command,), shell=True), hooks=Hooks(post_stop=hook)))
    await subject.facts.exited()
    await subject.provider._entourage.wait_for_earlier(ID)
    assert told + "\n" == (subject.folder / "told").read_text()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_start_that_is_given_up_ends_the_app_in_its_own_way(subject: World, *, fails: bool) -> None:
    """What runs already is asked as its configuration says, and gets the time that it says."""
    text = "trap 'sleep 0.01; echo end >> said; exit' TERM; echo up >> said; while :; do sleep 1000 & wait $!; done"
    hook = "until [ -e said ]; do sleep 0.001; done; touch begun; "
    launch = given(
        subject.run((text,), shell=True),
        hooks=Hooks(post_start=shell(hook + ("exit 1" if fails else "exec sleep 1000"))),
        stop_command=shell("echo command >> said"),
    )
    start = asyncio.ensure_future(subject.provider.start(launch))
    while not (subject.folder / "begun").exists():
        await asyncio.sleep(0.001)
    if not fails:
        start.cancel()
    with pytest.raises(StartFailed if fails else asyncio.CancelledError):
        await start
    assert ["up", "command", "end"] == (subject.folder / "said").read_text().split()
    assert 0 == subject.alive()
    assert [] == subject.facts.all


async def test_an_app_that_ends_ends_its_post_start(subject: World) -> None:
    """Nobody waits for a hook of what is gone: the end of the app is told, as it was."""
    hooks = Hooks(post_start=shell("exec sleep 1000", 1000.0))
    await subject.provider.start(given(subject.run(("exit 4",), shell=True), hooks=hooks))
    assert ExitInfo(code=4) == (await subject.facts.exited()).info
    assert 0 == subject.alive()


async def test_what_a_hook_leaves_after_the_end_is_ended(subject: World) -> None:
    """The background of `post_stop` does not outlive it."""
    hook = shell("setsid sleep 1000 > /dev/null 2>&1 & setsid sh -c 'sleep 1000 &'")
    await output_of(subject, given(subject.run(("true",)), hooks=Hooks(post_stop=hook)))
    await subject.provider._entourage.wait_for_earlier(ID)
    assert 0 == subject.alive()


async def test_a_hook_is_on_record(subject: World) -> None:
    """What runs before the app and after it must be known to the daemon that comes after a crash."""
    record = subject.folder / "state" / "run" / "app.json"
    hook = shell("cp state/run/app.json $PWD/$TORPOR_GENERATION.$(ls | wc -l)")
    await output_of(subject, given(subject.run(("true",)), hooks=Hooks(pre_start=hook, post_stop=hook)))
    await subject.provider._entourage.wait_for_earlier(ID)
    assert 2 == len(list(subject.folder.glob("1.*")))
    assert not record.exists()


async def test_nobody_waits_for_hooks_in_a_hurry(subject: World) -> None:
    """Who is to leave at once ends the hooks that run, begins no other one, and kills what was being ended."""
    begun = subject.folder / "begun"
    hook = shell("touch begun; exec sleep 1000", 1000.0)
    await output_of(subject, given(subject.run(("true",)), hooks=Hooks(post_stop=hook)))
    while not begun.exists():
        await asyncio.sleep(0.001)
    subject.provider.hurry()
    await subject.provider._entourage.wait_for_earlier(ID)
    begun.unlink()
    await output_of(subject, given(subject.run(("true",), 2), hooks=Hooks(post_stop=hook)))
    await subject.provider.close()
    assert not begun.exists()
    assert 0 == subject.alive()


async def test_a_start_waits_for_the_end_before(subject: World) -> None:
    """The next generation begins when the `post_stop` of the one before has ended, and not earlier."""
    hooks = Hooks(post_stop=shell("sleep 0.02; rmdir lock"))
    launch = given(subject.run(("mkdir lock",), shell=True), hooks=hooks)
    await output_of(subject, launch)
    await output_of(subject, given(subject.run(("mkdir lock",), 2, shell=True), hooks=Hooks()))
    assert (subject.folder / "lock").exists()


async def test_a_failure_after_the_end(subject: World) -> None:
    """It is told with its last words, and changes nothing."""
    hook = shell("seq 100000; echo no lock >&2; exit 9")
    await output_of(subject, given(subject.run(("true",)), hooks=Hooks(post_stop=hook)))
    await subject.provider._entourage.wait_for_earlier(ID)
    text = "post_stop ended with exit code 9: 99999 / 100000 / no lock"
    assert HookFailed(ID, 1, text) == subject.facts.all[-1]


async def test_the_end_of_the_provider_waits_for_hooks(subject: World) -> None:
    """An orderly shutdown lets `post_stop` clean up."""
    hooks = Hooks(post_stop=shell("sleep 0.02; touch cleaned"))
    await output_of(subject, given(subject.run(("true",)), hooks=hooks))
    await subject.provider.close()
    assert (subject.folder / "cleaned").exists()


def test_an_unknown_end() -> None:
    """What nobody knows is not told; a signal without a name is told by number."""
    assert {} == end_names(ExitInfo())
    assert {"TORPOR_EXIT_SIGNAL": "60"} == end_names(ExitInfo(signal=60))


@needs_root
async def test_hooks_run_as_the_apps_user(subject: World) -> None:
    """A hook and a probe have the app's rights and limits, not the daemon's."""
    hook = shell("id -u; ulimit -n")
    launch = given(
        subject.run(STEADY, shell=True),
        identity=AS_NOBODY,
        hooks=Hooks(pre_start=hook),
        attributes=Attributes(rlimits={"nofile": (99, 99)}),
    )
    await subject.provider.start(launch)
    await wait_for_line(subject, "up")
    assert [str(NOBODY.pw_uid), "99", "up"] == subject.provider.output(ID).tail(10)
    probe = ("/bin/sh", "-c", f"test $(id -u) = {NOBODY.pw_uid} && test $(ulimit -n) = 99")
    assert await subject.provider.run_probe(launch, probe, 5)
    await end(subject)


async def test_hooks_leave_no_descriptors(subject: World) -> None:
    """However often apps with everything start and end, the daemon holds no more than before."""
    hooks = Hooks(shell("true"), shell("true"), None, shell("true"))

    async def live(generation: int) -> None:
        launch = given(subject.run(("sleep 0.001",), generation, shell=True), hooks=hooks, tty=True)
        await subject.provider.start(launch)
        await subject.facts.exited(generation)
        await subject.provider._entourage.wait_for_earlier(ID)

    await live(1)
    before = len(os.listdir("/proc/self/fd"))
    for generation in range(2, 6):
        await live(generation)
    # A move into a cgroup may be under way; one leaked by each generation would be four.
    while len(os.listdir("/proc/self/fd")) > before + 3:
        await asyncio.sleep(0.001)
