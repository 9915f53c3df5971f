"""Real Streamlit apps below a real Torpor, and their visitors."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon import Daemon

APP = Path(__file__).with_name("frames.py")
LIMIT = 120.0
GLANCE = 0.005


def config(gateway: int, number: int) -> str:
    """So many dashboards, which sleep only when they are told to."""
    command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.port", "$PORT"]
    command += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
    lines = [f"gateway: {{listen: 127.0.0.1:{gateway}}}", "apps:"]
    for name in names(number):
        lines.append(f"  {name}:")
        lines.append(f"    command: {command!r}")
        lines.append(f"    routes: [{name}.localhost]")
        lines.append("    readiness: {http: /_stcore/health}")
        lines += ["    sleep: pause", "    idle_timeout: never", "    wake_timeout: 2m"]
    return "\n".join(lines) + "\n"


def names(number: int) -> list[str]:
    """What they are called."""
    return [f"d{index:03}" for index in range(number)]


def first_byte(gateway: int, name: str, path: str = "/") -> float:
    """Seconds until a plain GET is answered, whatever has to happen before."""
    request = f"GET {path} HTTP/1.1\r\nHost: {name}.localhost\r\nConnection: close\r\n\r\n".encode()
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", gateway), LIMIT) as client:
        client.sendall(request)
        answer = client.recv(65536)
        taken = time.perf_counter() - begun
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"unexpected answer: {answer[:200]!r}")
        return taken


def draw(gateway: int, name: str) -> float:
    """Seconds until a visitor's whole page is drawn: its WebSocket, and the script run to its end."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    begun = time.perf_counter()
    ask = BackMsg()
    ask.rerun_script.query_string = ""
    raw = socket.create_connection(("127.0.0.1", gateway), LIMIT)
    uri = f"ws://{name}.localhost:{gateway}/_stcore/stream"
    with connect(uri, sock=raw, proxy=None, max_size=None, open_timeout=LIMIT, ping_interval=None) as page:
        page.send(ask.SerializeToString())
        said = ForwardMsg()
        while said.WhichOneof("type") != "script_finished":
            said.ParseFromString(page.recv(LIMIT, decode=False))
    return time.perf_counter() - begun


def put_to_sleep(daemon: Daemon, name: str, tier: str) -> float:
    """Seconds until it sleeps that deep."""
    begun = time.perf_counter()
    daemon.run("sleep", name, "--tier", tier)
    state = {"pause": "paused", "hibernate": "hibernated"}.get(tier, "asleep")
    while (now := state_of(daemon, name)) != state:
        if time.perf_counter() - begun > LIMIT:
            raise RuntimeError(f"{name} is {now}, not {state}")
        time.sleep(GLANCE)
    return time.perf_counter() - begun


def state_of(daemon: Daemon, name: str) -> str:
    """What it is doing, in a word."""
    return str(next(app for app in daemon.status() if app["name"] == name)["state"])


def pid_of(daemon: Daemon, name: str) -> int:
    """Its process; a Streamlit app is one."""
    return int(next(app for app in daemon.status() if app["name"] == name)["pid"])


@dataclass(frozen=True)
class Memory:
    """What a process has, in bytes."""

    rss: int
    pss: int
    swap: int


def memory(pid: int) -> Memory:
    """As the kernel counts it, page by page."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return Memory(found["Rss"], found["Pss"], found["SwapPss"])


def swap() -> tuple[int, int]:
    """Bytes of swap that there are, and that are used."""
    found = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return found["SwapTotal"], found["SwapTotal"] - found["SwapFree"]


def compressed() -> int:
    """Bytes of memory that zram takes for what was swapped to it."""
    return sum(int(file.read_text().split()[2]) for file in Path("/sys/block").glob("zram*/mm_stat"))


def percentile(seconds: Sequence[float], share: float) -> float:
    """That share of them is no longer."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def need_swap(size: int) -> None:
    """Say what to do where there is not that much, and end."""
    total, used = swap()
    if total - used < size:
        sys.exit(
            f"this takes {size >> 20} MiB of free swap, and there are {(total - used) >> 20}: "
            "`torpor zram --apply` as root sets it up"
        )
    if os.geteuid() != 0:
        sys.exit("this takes root: others may not page out memory")
