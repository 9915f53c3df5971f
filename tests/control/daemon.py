"""A daemon with invented apps: the real control server over a FakeOperator, in its own process.

    python daemon.py SOCKET NUMBER_OF_APPS

It prints `ready` once it listens, and `waiting` when a client waits for ever.  It takes orders on stdin, one JSON list per line:
`["write", APP, LINE]`, or `["stay"]`, after which it ignores shutdowns and prints `waiting`; it ends by `POST /shutdown`, or when
its stdin is closed.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys

from control.fakes import FakeOperator
from torpor.control.server import ControlServer, DaemonInfo
from torpor.core.model import Cause, Phase, Reason, Route, Want


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


async def main(path: str, number: int) -> None:
    """Serve until told to end."""
    operator = FakeOperator()
    fill(operator, number)
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


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
