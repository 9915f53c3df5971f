"""A daemon with invented apps: the real control server over a FakeOperator, in its own process.

    python daemon.py SOCKET NUMBER_OF_APPS|family

It prints `ready` once it listens, and `waiting` when a client waits for ever.  It takes orders on stdin, one JSON list per line:
`["write", APP, LINE]`, or `["stay"]`, after which it ignores shutdowns and prints `waiting`; it ends by `POST /shutdown`, or when
its stdin is closed, and prints `kept` if its apps were to go on.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys

from control.fakes import FakeOperator
from torpor.control.server import ControlServer, DaemonInfo
from torpor.core.model import Cause, Condition, Dependency, Phase, Reason, Route, Want


def fill(operator: FakeOperator, number: int) -> None:
    """A few apps of every kind, then as many plain ones as were asked for."""
    operator.add("notes", phase=Phase.READY)
    operator.add("api", phase=Phase.ASLEEP)
    operator.add("old", phase=Phase.ASLEEP, want=Want.DOWN)
    operator.add(
        "crashy",
        phase=Phase.FAILED,
        restarts=12,
        retry_in=41.0,
        reason=Reason(Cause.EXITED, "exited with code 3 while starting, 5 times within 60 s"),
    )
    operator.add("shop", phase=Phase.STARTING, routes=(Route("shop.example.org"), Route(None)))
    operator.add("日本 café", phase=Phase.READY, routes=(Route("xn--caf-dma.example"),))
    operator.broken.add("crashy")
    operator.slow.add("shop")
    operator.outputs["crashy"].lines += ["Traceback (most recent call last):", "ValueError: no such table"]
    operator.outputs["notes"].lines += [f"line {number}" for number in range(1, 6)]
    operator.announce("notes", "woken", "woken by GET / from 127.0.0.1")
    operator.announce("notes", "ready", "ready after 812 ms", took=0.812)
    for index in range(number - len(operator.apps)):
        operator.add(f"app-{index:04}", phase=Phase.READY if index % 10 == 0 else Phase.ASLEEP)


def fill_family(operator: FakeOperator) -> None:
    """Apps that need each other, in the order in which they must not be stopped."""
    operator.add("db", held_by=("api",))
    operator.add("cache", held_by=("api",))
    operator.add(
        "api",
        held_by=("web",),
        needs=(Dependency("db"), Dependency("cache", Condition.STARTED, optional=True)),
    )
    operator.add(
        "web",
        needs=(Dependency("api"), Dependency("cache")),
        companions=("group:post",),
        replicas=2,
        status="42 visitors",
    )
    failure = Reason(Cause.START_FAILED, "exited with code 3 before it was ready")
    operator.add("queue", phase=Phase.BACKOFF, reason=failure, retry_in=4.0, held_by=("mail",))
    operator.add(
        "mail",
        phase=Phase.BLOCKED,
        reason=Reason(Cause.DEPENDENCY, "waiting for queue to be ready"),
        needs=(Dependency("queue"),),
        groups=("post",),
    )
    operator.slow.add("queue")
    say = operator.announce
    say("web", "waking", "woken by boot", by="boot")
    say("web", "blocked", "waiting for api to be ready", after=0)
    for name, by in (("api", "web"), ("db", "api"), ("cache", "api")):
        say(name, "waking", f"woken by {by}, which needs it", after=0, by=f"{by}, which needs it")
        say(name, "blocked" if name == "api" else "starting", "", after=0)
    say("cache", "ready", "ready after 400 ms", after=0.4)
    say("db", "waiting", "waiting for the port to accept a connection", after=0)
    say("db", "ready", "ready after 3 s", after=2.6)
    say("api", "starting", "starting generation 1", after=0)
    say("api", "ready", "ready after 4 s", after=1.0)
    say("web", "starting", "starting generation 1", after=0)
    say("web", "ready", "ready after 4.3 s", after=0.25)
    say("mail", "waking", "woken by GET / from 127.0.0.1", by="GET / from 127.0.0.1")
    say("mail", "blocked", "waiting for queue to be ready", after=0)
    say("queue", "waking", "woken by mail, which needs it", after=0, by="mail, which needs it")
    say("queue", "starting", "starting generation 1", after=0)


def obey(operator: FakeOperator, ended: asyncio.Event) -> None:
    """Carry out what stands on stdin."""
    text = os.read(sys.stdin.fileno(), 65536)
    if not text:
        ended.set()
    for line in text.splitlines():
        match json.loads(line):
            case ["write", app, words]:
                operator.outputs[app].write(words)
            case ["stay"]:
                operator.on_shutdown = lambda: None
                print("waiting", flush=True)


async def main(path: str, apps: int | None) -> None:
    """Serve until told to end; None: the family."""
    operator = FakeOperator()
    if apps is None:
        fill_family(operator)
    else:
        fill(operator, apps)
    ended = asyncio.Event()
    operator.on_shutdown = ended.set
    operator.on_wait = lambda: print("waiting", flush=True)
    info = DaemonInfo("0.1.0", os.getpid(), "/etc/torpor/torpor.yaml", ("127.0.0.1:8080",), 1_790_000_000.0)
    server = ControlServer(operator, path, info)
    await server.open()
    server.mark_ready()
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), obey, operator, ended)
    print("ready", flush=True)
    await ended.wait()
    await server.close()
    if operator.keeps_apps:
        print("kept", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], None if sys.argv[2] == "family" else int(sys.argv[2])))
