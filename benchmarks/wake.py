"""What Torpor adds to a wake, and whether a crowd of first requests is served by one start.

    python benchmarks/wake.py [--rounds N] [--storm N]
    python benchmarks/wake.py --docker [--rounds N]

Each round measures, one right after the other, so that the machine's mood hits all alike:

- alone: the app is executed, and connected to every 200 µs until it answers (its own time);
- torpor: the app is asleep; one plain GET is sent to the gateway and held until it is answered;
- page: the app is asleep; a browser's page load is sent and answered by the waiting page;
- systemd: `systemd-socket-activate` listens and starts the same app at the first connection.

What is added is the time to the first byte minus the app's own time of the same round.
The storm sends many first requests at once to a sleeping app.

With `--docker` the app is a container of a dockerd that is started for it (as root), in the network of the
machine: "alone" is then the API's call to start it, and its own time to the first answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from daemon import Daemon, about_this_run, free_port, running

SLEEPER = str(Path(__file__).with_name("sleeper.py"))
COMMAND = [sys.executable, "-I", "-S", SLEEPER]
GET = b"GET / HTTP/1.1\r\nHost: sleeper.localhost\r\n\r\n"
NAVIGATE = b"GET / HTTP/1.1\r\nHost: sleeper.localhost\r\nAccept: text/html\r\n\r\n"
GLANCE = 0.0002
LIMIT = 30.0
SETTLING = 0.3
"""Seconds that an engine gets to tidy up after a stop, which would slow the start after it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, help="200; with --docker 50")
    parser.add_argument("--storm", type=int, default=500)
    parser.add_argument("--docker", action="store_true")
    options = parser.parse_args()
    rounds = options.rounds or (50 if options.docker else 200)
    if options.docker:
        return _docker(rounds)

    gateway = free_port()
    config = f"""
gateway: {{listen: 127.0.0.1:{gateway}}}
apps:
  sleeper:
    command: {COMMAND!r}
    routes: [sleeper.localhost]
    idle_timeout: never
    max_waiting: {options.storm + 10}
"""
    systemd = shutil.which("systemd-socket-activate")
    alone: list[float] = []
    torpor: list[float] = []
    page: list[float] = []
    activated: list[float] = []
    with running(config) as daemon:
        for _ in range(rounds):
            alone.append(_alone())
            torpor.append(_through_torpor(daemon, gateway))
            page.append(_waiting_page(daemon, gateway))
            if systemd:
                activated.append(_activated(systemd))
        storm = _storm(daemon, gateway, options.storm)
    print(about_this_run())
    print(f"{rounds} rounds; milliseconds\n")
    print(f"{'':22}{'median':>8}{'p90':>8}{'p99':>8}{'max':>8}")
    _row("app alone", alone)
    _row("torpor, first byte", torpor)
    _row("waiting page", page)
    _row("torpor, added", [held - own for held, own in zip(torpor, alone, strict=True)])
    if activated:
        _row("systemd, first byte", activated)
        _row("systemd, added", [held - own for held, own in zip(activated, alone, strict=True)])
    else:
        print("systemd-socket-activate is missing, left out")
    print(f"\nstorm: {storm}")
    added = sorted(held - own for held, own in zip(torpor, alone, strict=True))
    met = statistics.median(added) <= 0.010 and _percentile(added, 0.99) <= 0.030
    at_once = _percentile(sorted(page), 0.99) < 0.020
    print(f"target (waiting page: p99 < 20 ms): {'met' if at_once else 'MISSED'}")
    print(f"target (added: median <= 10 ms, p99 <= 30 ms): {'met' if met else 'MISSED'}")
    return 0


def _docker(rounds: int) -> int:
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    import engines

    if (reason := engines.why_not(engines.Docker)) is not None:
        print(f"left out: {reason}")
        return 0
    alone: list[float] = []
    torpor: list[float] = []
    gateway, port = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="torpor-engine-"))
        engine = stack.enter_context(engines.running(engines.Docker, Path(folder)))
        engine.create("sleeper", "web", str(port), HostConfig={"NetworkMode": "host"})
        config = f"""
gateway: {{listen: 127.0.0.1:{gateway}}}
engines: {{docker: {{url: "{engine.url}"}}}}
apps:
  sleeper: {{container: sleeper, port: {port}, routes: [sleeper.localhost], idle_timeout: never, sleep: kill,
            on_external_start: ignore, respect_manual_stop: until_wake}}
"""
        daemon = stack.enter_context(running(config))
        for _ in range(rounds):
            time.sleep(SETTLING)
            begun = time.perf_counter()
            engine.act("start", "sleeper")
            alone.append(_until_answered(port, begun))
            engine.act("stop", "sleeper", "t=0")
            _until(lambda: not engine.state("sleeper")["Running"])
            time.sleep(SETTLING)
            torpor.append(_through_torpor(daemon, gateway))
            _until(lambda: not engine.state("sleeper")["Running"])
    added = [held - own for held, own in zip(torpor, alone, strict=True)]
    print(about_this_run())
    print(f"{rounds} rounds; milliseconds\n")
    print(f"{'':22}{'median':>8}{'p90':>8}{'p99':>8}{'max':>8}")
    _row("docker start, alone", alone)
    _row("torpor, first byte", torpor)
    _row("torpor, added", added)
    print(f"target (added: median <= 15 ms): {'met' if statistics.median(added) <= 0.015 else 'MISSED'}")
    return 0


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError("the container did not do what it was asked for")
        time.sleep(GLANCE)


def _alone() -> float:
    port = free_port()
    begun = time.perf_counter()
    process = subprocess.Popen(COMMAND, env={"PORT": str(port)})
    try:
        return _until_answered(port, begun)
    finally:
        _end(process)


def _through_torpor(daemon: Daemon, port: int) -> float:
    begun = time.perf_counter()
    taken = _ask(port, begun)
    daemon.run("sleep", "sleeper")
    return taken


def _waiting_page(daemon: Daemon, port: int) -> float:
    taken = _ask(port, time.perf_counter(), NAVIGATE, b"HTTP/1.1 503")
    daemon.run("wake", "sleeper")
    daemon.run("sleep", "sleeper")
    return taken


def _activated(systemd: str) -> float:
    port = free_port()
    process = subprocess.Popen(
        [systemd, "-l", f"127.0.0.1:{port}", *COMMAND], stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _until_listening(port)
        return _ask(port, time.perf_counter())
    finally:
        _end(process)


def _storm(daemon: Daemon, port: int, crowd: int) -> str:
    before = daemon.status()[0]["generation"]
    begun = time.perf_counter()
    answers, first = asyncio.run(_crowd(port, crowd))
    taken = time.perf_counter() - begun
    starts = daemon.status()[0]["generation"] - before
    return (
        f"{crowd} first requests at once: {starts} start, {answers} answers of 200, {crowd - answers} errors; "
        f"first after {(first - begun) * 1000:.0f} ms, all after {taken * 1000:.0f} ms"
    )


async def _crowd(port: int, crowd: int) -> tuple[int, float]:
    moments: list[float] = []

    async def one() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        line = await asyncio.wait_for(reader.readline(), LIMIT)
        moments.append(time.perf_counter())
        writer.close()
        return line.startswith(b"HTTP/1.1 200")

    results = await asyncio.gather(*(one() for _ in range(crowd)), return_exceptions=True)
    return sum(1 for result in results if result is True), min(moments)


def _ask(port: int, begun: float, request: bytes = GET, expected: bytes = b"HTTP/1.1 200") -> float:
    with socket.create_connection(("127.0.0.1", port), LIMIT) as client:
        client.sendall(request)
        answer = client.recv(65536)
        taken = time.perf_counter() - begun
        if not answer.startswith(expected):
            raise RuntimeError(f"unexpected answer: {answer[:200]!r}")
        return taken


def _until_answered(port: int, begun: float) -> float:
    while time.perf_counter() - begun < LIMIT:
        with contextlib.suppress(ConnectionRefusedError):
            return _ask(port, begun)
        time.sleep(GLANCE)
    raise RuntimeError("the app never answered")


def _until_listening(port: int) -> None:
    """Wait without connecting: a connection would be the one that starts the app."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    deadline = time.monotonic() + LIMIT
    while wanted not in Path("/proc/net/tcp").read_text():
        if time.monotonic() > deadline:
            raise RuntimeError("systemd-socket-activate never listened")
        time.sleep(GLANCE)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _row(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    figures = (statistics.median(ordered), _percentile(ordered, 0.9), _percentile(ordered, 0.99), ordered[-1])
    print(f"{name:22}" + "".join(f"{figure * 1000:8.1f}" for figure in figures))


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main())
