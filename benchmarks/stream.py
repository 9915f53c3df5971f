"""What it costs to carry raw connections, beside systemd-socket-proxyd and HAProxy; and what holding one adds to a wake.

    python benchmarks/stream.py [--rounds N] [--gigabytes N] [--wakes N]

Every proxy has one core to itself; client and server share the other one.  A round visits all of
them, one right after the other, so that the machine's mood hits all alike; medians count:

- up, down: one connection that carries bytes in one direction as fast as it can;
- small: one connection, on which a byte and its answer go back and forth.

Given are the rate that a client sees, and the CPU time of the proxy.  The rate is bounded by client and
server, too, which have to copy all of it; the CPU time is the proxy's alone.  HAProxy is run as it comes, and
with `option splice-auto`.  (systemd-socket-proxyd does not pass on half an end, so nothing here needs one.)

A wake is measured as in `wake.py`: the time to the first byte through a stream, minus the app's own.

Needs Linux with two cores, systemd and haproxy; what is missing is left out and named.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from daemon import about_this_run, free_port, running
from wake import COMMAND, _alone, _ask, _until_listening

PROXY_CORE, LOAD_CORE = "1", "0"
PIECE = 256 * 1024
TRIPS = 5000
ORDER = struct.Struct("!cQ")
"""What a client wants: `u` and `d` with a number of bytes, or `s`, with a number of round trips."""


@dataclass
class Proxy:
    """One contestant: where it listens, and how much CPU time it has used."""

    name: str
    port: int
    cpu: Callable[[], float]
    rates: dict[str, list[float]] = field(default_factory=dict)
    costs: dict[str, list[float]] = field(default_factory=dict)


def main() -> int:
    if sys.argv[1:] == ["--serve"]:
        serve(int(os.environ["PORT"]))
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--wakes", type=int, default=50)
    options = parser.parse_args()
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    print(about_this_run())
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(_torpor()), *_others(stack)]
        for _ in range(options.rounds):
            for proxy in proxies:
                _measure(proxy, "up", b"u", int(options.gigabytes * 1e9), 1e9)
                _measure(proxy, "down", b"d", int(options.gigabytes * 1e9), 1e9)
                _measure(proxy, "small", b"s", TRIPS, 1e3)
    _table(proxies)
    _wakes(options.wakes)
    return 0


def _measure(proxy: Proxy, what: str, kind: bytes, size: int, unit: float) -> None:
    cpu, begun = proxy.cpu(), time.perf_counter()
    with socket.create_connection(("127.0.0.1", proxy.port), 60) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(ORDER.pack(kind, size))
        if kind == b"u":
            _send(client, size)
            client.recv(1)
        elif kind == b"d":
            _receive(client, size)
        else:
            for _ in range(size):
                client.sendall(b"x")
                client.recv(1)
        taken = time.perf_counter() - begun
    proxy.rates.setdefault(what, []).append(size / unit / taken)
    proxy.costs.setdefault(what, []).append((proxy.cpu() - cpu) / (size / unit))


def _send(sock: socket.socket, size: int) -> None:
    piece = bytes(PIECE)
    while size:
        sock.sendall(piece[: min(size, PIECE)])
        size -= min(size, PIECE)


def _receive(sock: socket.socket, size: int) -> None:
    buffer = memoryview(bytearray(4 * PIECE))
    while size:
        received = sock.recv_into(buffer, min(size, len(buffer)))
        if not received:
            raise RuntimeError(f"{size} bytes are missing")
        size -= received


def serve(port: int) -> None:
    """Do what clients order."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_obey, args=(client,), daemon=True).start()


def _obey(client: socket.socket) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with client, contextlib.suppress(OSError):
        order = client.recv(ORDER.size, socket.MSG_WAITALL)
        if len(order) < ORDER.size:
            return
        kind, size = ORDER.unpack(order)
        if kind == b"u":
            _receive(client, size)
            client.sendall(b"x")
        elif kind == b"d":
            _send(client, size)
        else:
            while byte := client.recv(1):
                client.sendall(byte)


@contextlib.contextmanager
def _torpor() -> Iterator[Proxy]:
    port = free_port()
    command = ["taskset", "-c", LOAD_CORE, sys.executable, __file__, "--serve"]
    config = f"""
gateway: {{listen: 127.0.0.1:{free_port()}}}
apps:
  server:
    command: {command!r}
    routes: ["tcp://127.0.0.1:{port}"]
"""
    with running(config) as daemon:
        for task in Path(f"/proc/{daemon.process.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {int(PROXY_CORE)})
        yield Proxy("torpor", port, lambda: _cpu(daemon.process.pid))


def _others(stack: contextlib.ExitStack) -> list[Proxy]:
    server, proxies = free_port(), []
    stack.enter_context(_process([sys.executable, __file__, "--serve"], LOAD_CORE, PORT=str(server)))
    proxyd, activate = Path("/lib/systemd/systemd-socket-proxyd"), shutil.which("systemd-socket-activate")
    if proxyd.exists() and activate:
        port = free_port()
        command = [activate, "-l", f"127.0.0.1:{port}", str(proxyd), f"127.0.0.1:{server}"]
        process = stack.enter_context(_process(command, PROXY_CORE))
        _until_listening(port)
        proxies.append(Proxy("socket-proxyd", port, lambda: _cpu(process.pid)))
    else:
        print("systemd-socket-proxyd is missing, left out")
    if haproxy := shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin"):
        for name, option in (("haproxy", ""), ("haproxy, splice", "option splice-auto")):
            proxies.append(_haproxy(stack, haproxy, name, option, server))
    else:
        print("haproxy is missing, left out")
    _until_listening(server)
    return proxies


def _haproxy(stack: contextlib.ExitStack, program: str, name: str, option: str, server: int) -> Proxy:
    port = free_port()
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="torpor-bench-"))
    config = Path(folder, "haproxy.cfg")
    config.write_text(f"""
global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  {option}
listen all
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{server}
""")
    process = stack.enter_context(_process([program, "-db", "-f", str(config)], PROXY_CORE))
    _until_listening(port)
    return Proxy(name, port, lambda: _cpu(process.pid))


@contextlib.contextmanager
def _process(command: list[str], core: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        ["taskset", "-c", core, *command], env={**os.environ, **environment}, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _cpu(pid: int) -> float:
    """CPU seconds of all threads so far, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _table(proxies: list[Proxy]) -> None:
    print("GB/s and CPU seconds per GB, up and down; thousand round trips per second, and CPU µs of each\n")
    print(f"{'':18}" + "".join(f"{head:>9}" for head in ("up", "cpu", "down", "cpu", "small", "cpu")))
    scales = {"up": 1.0, "down": 1.0, "small": 1e3}
    for proxy in proxies:
        figures = [
            value
            for what, scale in scales.items()
            for value in (
                statistics.median(proxy.rates[what]),
                statistics.median(proxy.costs[what]) * scale,
            )
        ]
        print(f"{proxy.name:18}" + "".join(f"{figure:9.2f}" for figure in figures))
    torpor, *others = proxies
    for other in others:
        for what in ("up", "down"):
            ratios = [a / b for a, b in zip(torpor.rates[what], other.rates[what], strict=True)]
            ratio = statistics.median(ratios)
            met = "met" if ratio >= 0.8 else "MISSED"
            print(f"target ({what} >= 0.8 x {other.name}): {ratio:.2f}, {met}")


def _wakes(rounds: int) -> None:
    """What a wake through a stream takes more than the app itself."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    port = free_port()
    config = f"""
gateway: {{listen: 127.0.0.1:{free_port()}}}
apps:
  sleeper:
    command: {COMMAND!r}
    routes: ["tcp://127.0.0.1:{port}"]
    idle_timeout: never
"""
    added = []
    with running(config) as daemon:
        for _ in range(rounds):
            alone = _alone()
            added.append(_ask(port, time.perf_counter()) - alone)
            daemon.run("sleep", "sleeper")
    median, p90 = statistics.median(added) * 1e3, statistics.quantiles(added, n=10)[-1] * 1e3
    print(f"\n{rounds} wakes: {median:.1f} ms added (median; p90 {p90:.1f} ms)")
    print(f"target (added: median <= 10 ms): {'met' if median <= 10 else 'MISSED'}")


if __name__ == "__main__":
    sys.exit(main())
