"""A small Proxmox VE: its nodes, guests and tasks.  `endpoints` and `schema` are its API, `server` serves it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

TOKEN = "torpor@pve!home=0f1e2d3c-aaaa-bbbb-cccc-123456789abc"
OPERATOR = "root@pam"
ALL = frozenset({"VM.Audit", "VM.PowerMgmt", "VM.GuestAgent.Audit"})
_PIDS = count(4000)
_WEB_SERVER = """
import http.server, sys
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "6"); self.end_headers(); self.wfile.write(b"hello\\n")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Hello).serve_forever()
"""


@dataclass
class Guest:
    """One LXC guest or virtual machine."""

    vmid: int
    kind: str = "lxc"
    node: str = "pve1"
    pid: int | None = None
    qemu: str = "running"
    """What QEMU says while there is a process."""
    began: float = 0.0
    lock: str = ""
    managed: bool = False
    """Whether high availability starts and ends it."""
    obeys: bool = True
    """Whether it ends when it is asked to."""
    lives: bool = True
    """Whether it does not end as soon as it has begun."""
    breaks: str = ""
    """What a start of it fails with."""
    boot: float = 0.02
    """Seconds that its tasks take."""
    addresses: tuple[str, ...] = ("10.0.0.5/24",)
    agent: bool = True
    serves: tuple[str, int] | None = None
    """Where a real program of it listens while it runs."""
    program: subprocess.Popen[bytes] | None = None
    starts: int = 0
    guard: asyncio.Lock = field(default_factory=asyncio.Lock)
    """The lock of its configuration file, which a task holds."""

    @property
    def alive(self) -> bool:
        """Whether it has a process."""
        if self.program is not None and self.program.poll() is not None:
            self.program, self.pid = None, None
        return self.pid is not None

    @property
    def called(self) -> str:
        """As Proxmox VE calls it in its errors."""
        return f"{'CT' if self.kind == 'lxc' else 'VM'} {self.vmid}"

    def begin(self) -> None:
        """Get a process."""
        self.starts += 1
        self.began, self.qemu, self.pid = time.time(), "running", next(_PIDS)
        if self.serves is not None:
            host, port = self.serves
            self.program = subprocess.Popen([sys.executable, "-c", _WEB_SERVER, host, str(port)])
            self.pid = self.program.pid
        if not self.lives:
            self.end()

    def end(self) -> None:
        """Lose it."""
        if self.program is not None:
            self.program.kill()
            self.program.wait()
        self.program, self.pid = None, None


@dataclass
class Job:
    """One task."""

    upid: str
    node: str
    kind: str
    vmid: int
    user: str
    began: int
    log: list[str] = field(default_factory=list)
    exit: str | None = None
    ended: int = 0
    work: asyncio.Task[None] | None = None
    listed: bool = False
    """Whether the list of tasks knows of its end: since another one began, or ten seconds have passed."""

    def row(self) -> dict[str, Any]:
        """As the list of tasks has it."""
        self.listed |= self.exit is not None and time.time() > self.ended + 10
        row = {
            "upid": self.upid,
            "node": self.node,
            "pid": 1,
            "pstart": 1,
            "starttime": self.began,
            "type": self.kind,
            "id": str(self.vmid),
            "user": self.user,
        }
        return row | ({"endtime": self.ended, "status": self.exit} if self.listed else {"status": "RUNNING"})


class Cluster:
    """Its nodes, guests and tasks.  Tests change it while it serves."""

    def __init__(self, *nodes: str, version: tuple[int, int] = (9, 0)) -> None:
        self.nodes = nodes or ("pve1",)
        self.version = version
        self.guests: dict[int, Guest] = {}
        self.jobs: list[Job] = []
        self.privileges: dict[int, frozenset[str]] = {}
        """What the token may do with a guest, if that is not all."""
        self.auditor = True
        """Whether the token has Sys.Audit on the nodes."""
        self.down: set[str] = set()
        self.faults: list[tuple[int, str]] = []
        """With what the next questions are refused."""
        self.slow = 0.0
        self.asked: list[tuple[str, str, str]] = []
        """Entry node, method and path of all questions."""
        self.patience = 0.3
        """Seconds that a task waits for a configuration's lock: 10 in the real one."""
        self._numbers = count(1)

    def add(self, vmid: int, **what: Any) -> Guest:
        """One more guest."""
        self.guests[vmid] = Guest(vmid, **what)
        return self.guests[vmid]

    def job(self, node: str, kind: str, vmid: int, user: str) -> Job:
        """A task that has just begun."""
        for earlier in self.jobs:
            earlier.listed = earlier.exit is not None
        now, number = int(time.time()), next(self._numbers)
        job = Job(
            f"UPID:{node}:{number:08X}:{number:08X}:{now:08X}:{kind}:{vmid}:{user}:",
            node,
            kind,
            vmid,
            user,
            now,
        )
        self.jobs.append(job)
        return job

    def by_hand(self, vmid: int, kind: str) -> None:
        """An operator has done it at the web interface."""
        guest = self.guests[vmid]
        job = self.job(guest.node, kind, vmid, OPERATOR)
        guest.begin() if kind.endswith("start") else guest.end()
        job.exit, job.ended = "OK", job.began
